//! Why a command failed: the kind gives the exit code, the failure the message, then come hints.

use compose::{Diagnostic, Project, SourceMap};
use orchestrator::engine::error::{EngineError, ErrorKind};
use orchestrator::event::Failure;
use orchestrator::operations::OperationError;

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
    /// An operation on the engine did not reach its end. With the project that it was about, so that the failure
    /// can be shown at its place in the file.
    Operation(Box<OperationError>, Option<Box<LoadedProject>>),
    /// It has been said already.
    Said,
}

/// A project with the files that it was read from.
#[derive(Debug, Clone)]
pub(crate) struct LoadedProject {
    /// The project.
    pub(crate) project: Project,
    /// Its files.
    pub(crate) sources: SourceMap,
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

    /// Ends the command with the code of a program in a container, which has said itself what went wrong.
    pub(crate) fn program(code: i32) -> Self {
        Self::silent(Kind::Program(u8::try_from(code).unwrap_or(255)))
    }

    /// Makes an error of an operation that was about `project`.
    pub(crate) fn operation(error: OperationError, project: Option<&LoadedProject>) -> Self {
        let kind = error.failures.first().map_or(Kind::Failed, kind_of);
        Self { kind, source: Source::Operation(Box::new(error), project.cloned().map(Box::new)), hints: Vec::new() }
    }

    /// Adds a hint.
    pub(crate) fn hint(mut self, text: impl Into<String>) -> Self {
        self.hints.push(text.into());
        self
    }
}

impl From<OperationError> for CommandError {
    fn from(error: OperationError) -> Self {
        Self::operation(error, None)
    }
}

impl From<EngineError> for CommandError {
    fn from(error: EngineError) -> Self {
        OperationError::from(error).into()
    }
}

/// Returns the kind of command failure that an operation's failure is: first what the engine says, then what part of
/// the file asked for it.
fn kind_of(failure: &Failure) -> Kind {
    let attribute = failure.path.as_deref().and_then(|path| path.split('.').nth(2)).unwrap_or("");
    let attribute = attribute.split('[').next().unwrap_or("");
    match failure.error.kind {
        ErrorKind::Conflict | ErrorKind::Gone => Kind::Conflict,
        ErrorKind::Denied | ErrorKind::Unsupported => Kind::Environment,
        ErrorKind::NotFound | ErrorKind::Failed | ErrorKind::Unavailable => match attribute {
            "build" => Kind::Build,
            "image" | "pull_policy" => Kind::Pull,
            "healthcheck" | "depends_on" | "command" | "entrypoint" | "pre_start" | "post_start" | "provider" => {
                Kind::Start
            }
            // Of a service as a whole: its container could not be made or started, or did not get ready.
            "" if is_service(failure.path.as_deref()) => Kind::Start,
            _ if failure.error.place.is_some() => Kind::Build,
            _ if failure.error.kind == ErrorKind::Unavailable => Kind::Environment,
            _ => Kind::Failed,
        },
    }
}

fn is_service(path: Option<&str>) -> bool {
    path.is_some_and(|path| path.starts_with("services."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(engine: ErrorKind, path: &str) -> Kind {
        kind_of(&Failure::new(EngineError::new(engine, "x", "y"), Some(path.to_owned())))
    }

    #[test]
    fn the_part_of_the_file_tells_what_sort_of_failure_it_is() {
        assert_eq!(kind(ErrorKind::Failed, "services.web.build"), Kind::Build);
        assert_eq!(kind(ErrorKind::Unavailable, "services.web.image"), Kind::Pull);
        assert_eq!(kind(ErrorKind::Failed, "services.db.healthcheck"), Kind::Start);
        assert_eq!(kind(ErrorKind::Failed, "services.web"), Kind::Start);
        assert_eq!(kind(ErrorKind::Failed, "services.web.pre_start[1]"), Kind::Start);
        assert_eq!(kind(ErrorKind::Conflict, "services.web.ports[0]"), Kind::Conflict);
        assert_eq!(kind(ErrorKind::Denied, "services.web.image"), Kind::Environment);
        assert_eq!(kind(ErrorKind::Failed, "networks.x"), Kind::Failed);
    }

    #[test]
    fn in_docker_composes_place_every_failure_of_ours_is_one() {
        assert_eq!(Kind::Config.exit_code(false), 3);
        assert_eq!(Kind::Config.exit_code(true), 1);
        assert_eq!(Kind::Program(42).exit_code(true), 42);
        assert_eq!(Kind::Interrupted.exit_code(true), 130);
    }
}
