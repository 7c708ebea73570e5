//! Why a command failed: the kind gives the exit code, the failure the message, then come hints.

use compose::{Diagnostic, SourceMap};
use orchestrator::engine::error::{EngineError, ErrorKind};

/// What sort of failure it is; scripts tell them apart by the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It was tried and did not work.
    Failed,
    /// The command line is wrong.
    Usage,
    /// The Compose file is wrong.
    Config,
    /// This host lacks something: a privilege, a kernel feature, an engine.
    Environment,
    /// An image could not be built.
    Build,
    /// An image could not be fetched.
    Pull,
    /// A service did not start, did not get healthy, or ended too soon.
    Start,
    /// Somebody else holds a port or a name.
    Conflict,
    /// Waited long enough.
    Timeout,
    /// The person stopped it.
    Interrupted,
    /// The code of a program that ran in a container; it has said itself what went wrong.
    Program(u8),
}

impl Kind {
    /// Returns the exit code. Called as `docker-compose`, every failure of our own is 1, as it is there.
    pub(crate) fn exit_code(self, as_docker_compose: bool) -> u8 {
        match self {
            Self::Interrupted => 130,
            Self::Program(code) => code,
            _ if as_docker_compose => 1,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Config => 3,
            Self::Environment => 4,
            Self::Build => 5,
            Self::Pull => 6,
            Self::Start => 7,
            Self::Conflict => 8,
            Self::Timeout => 124,
        }
    }
}

/// What went wrong, as far as it is known.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// A sentence.
    Message(String),
    /// Mistakes in the Compose file.
    Diagnostics(Vec<Diagnostic>, Box<SourceMap>),
    /// The engine could not do something.
    Engine(Vec<Failure>),
    /// It has been said already.
    Said,
}

/// One failure on an engine, with where it comes from in the Compose file.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    /// What failed and why.
    pub(crate) error: EngineError,
    /// The service that it was for.
    pub(crate) service: Option<String>,
}

/// Why a command failed.
#[derive(Debug, Clone)]
pub(crate) struct CommandError {
    /// What sort of failure it is.
    pub(crate) kind: Kind,
    /// What went wrong.
    pub(crate) source: Source,
    /// How to mend it, one hint a line.
    pub(crate) hints: Vec<String>,
}

impl CommandError {
    /// Makes an error of one sentence.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, source: Source::Message(message.into()), hints: Vec::new() }
    }

    /// Ends the command with this code and no further word.
    pub(crate) fn silent(kind: Kind) -> Self {
        Self { kind, source: Source::Said, hints: Vec::new() }
    }

    /// Adds a hint.
    pub(crate) fn hint(mut self, text: impl Into<String>) -> Self {
        self.hints.push(text.into());
        self
    }
}

impl From<EngineError> for CommandError {
    fn from(error: EngineError) -> Self {
        let kind = kind_of(&error);
        Self { kind, source: Source::Engine(vec![Failure { error, service: None }]), hints: Vec::new() }
    }
}

/// Returns the kind of command failure that an engine's failure is.
pub(crate) fn kind_of(error: &EngineError) -> Kind {
    match error.kind {
        ErrorKind::Conflict => Kind::Conflict,
        ErrorKind::Denied | ErrorKind::Unsupported | ErrorKind::Unavailable => Kind::Environment,
        ErrorKind::NotFound | ErrorKind::Failed => Kind::Failed,
    }
}
