//! Why a build failed: where in the Dockerfile, and what went wrong there.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::acquire::AcquireError;
use crate::build::cache::CacheError;
use crate::build::context::SelectError;
use crate::build::fetch::FetchError;
use crate::build::lint;
use crate::image::digest::Digest;
use crate::image::store::StoreError;
use crate::network::NetworkError;
use crate::snapshot::diff::DiffError;
use crate::snapshot::pack::PackError;

/// A line of a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// The Dockerfile, as the person knows it.
    pub dockerfile: String,
    /// From 1.
    pub line: u32,
    /// The instruction, or the line.
    pub text: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: `{}`", self.dockerfile, self.line, self.text)
    }
}

/// Why a build failed.
#[derive(Debug, thiserror::Error)]
#[error("{}", .place.as_ref().map_or_else(|| reason.to_string(), |place| format!("{place}: {reason}")))]
pub struct BuildError {
    /// Where; `None`: nowhere in particular.
    pub place: Option<Place>,
    /// Why.
    #[source]
    pub reason: Reason,
    /// Id of an image of the state before, where one was asked for.
    pub last_good: Option<Digest>,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Reason {
    #[error("cannot read the Dockerfile `{path}`")]
    Dockerfile {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("there is no Dockerfile `{path}`")]
    NoDockerfile { path: PathBuf },
    #[error("there is no folder `{path}`")]
    NoContext { path: PathBuf },
    #[error("cannot read the build context `{path}`")]
    Context {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot give the step a network")]
    Network(#[source] NetworkError),
    #[error("{0}")]
    Syntax(String),
    #[error("no stage `{name}`{hint}")]
    NoStage { name: String, hint: String },
    #[error("{0} is not supported yet")]
    Unsupported(String),
    #[error("{source}")]
    Base {
        reference: String,
        #[source]
        source: Arc<AcquireError>,
    },
    #[error("cannot run the Dockerfile frontend `{0}`: only `docker/dockerfile` is known, and built in")]
    Frontend(String),
    #[error("{0} is not allowed")]
    NotAllowed(&'static str),
    #[error("{0}")]
    Lint(lint::Findings),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("secret `{0}` is required, but none of that id is given")]
    NoSecret(String),
    #[error("ssh agent `{0}` is required, but none of that id is given")]
    NoAgent(String),

    #[error(transparent)]
    Source(#[from] SelectError),
    #[error("cannot {act}: {source}")]
    Io {
        act: String,
        #[source]
        source: std::io::Error,
    },
    #[error("process {process:?} did not complete successfully: exit code: {code}{}", .meaning.map(|it| format!(" ({it})")).unwrap_or_default())]
    Run {
        /// What was run, in one line.
        process: String,
        code: i32,
        /// What the code stands for, where that is known.
        meaning: Option<&'static str>,
        /// The last lines that the command wrote.
        output: Vec<String>,
    },
    #[error("process {process:?} did not complete successfully: exit code: 1: {message}")]
    Launch { process: String, code: i32, message: String },
    #[error("cannot keep the layer")]
    Layer(#[source] DiffError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error("cannot write the cache to {place}")]
    CacheTo {
        place: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("cannot run a program for `{wanted}` on this machine, which is `{host}`: {why}")]
    Foreign { wanted: String, host: String, why: String },
    #[error("cannot pack the image")]
    Pack(#[source] Box<PackError>),
    #[error("another stage that this one needs has failed")]
    Dependency,
}

impl BuildError {
    /// Makes an error of no place.
    pub fn nowhere(reason: Reason) -> Self {
        Self { place: None, reason, last_good: None }
    }

    /// Says how to mend it, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match &self.reason {
            Reason::NoDockerfile { .. } => {
                Some("a Dockerfile of another name or place is given by `dockerfile:` below `build:`")
            }
            Reason::NoContext { .. } => Some(
                "a build is given the folder that its files are in; a relative one is looked for beside the file that names it",
            ),
            Reason::Foreign { .. } => Some(
                "the packages `qemu-user-static` and `binfmt-support` register interpreters for other processors; or run the command in a stage `FROM --platform=$BUILDPLATFORM`",
            ),
            Reason::NotAllowed("security.insecure") => {
                Some("`entitlements: [security.insecure]` below `build:`, or `--allow security.insecure`, allows it")
            }
            Reason::NotAllowed("network.host") => {
                Some("`entitlements: [network.host]` below `build:`, or `--allow network.host`, allows it")
            }
            _ => None,
        }
    }

    /// Returns the exit code of a command that failed.
    pub fn exit_code(&self) -> Option<i32> {
        match &self.reason {
            Reason::Run { code, .. } | Reason::Launch { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Returns the last lines that a failed command wrote.
    pub fn output(&self) -> &[String] {
        match &self.reason {
            Reason::Run { output, .. } => output,
            _ => &[],
        }
    }
}

/// Says what an exit code stands for.
pub fn meaning(code: i32) -> Option<&'static str> {
    match code {
        126 => Some("the command is not executable"),
        127 => Some("command not found"),
        130 => Some("interrupted"),
        132 => Some("illegal instruction"),
        134 => Some("aborted"),
        137 => Some("killed, perhaps for want of memory"),
        139 => Some("segmentation fault"),
        143 => Some("terminated"),
        _ => None,
    }
}
