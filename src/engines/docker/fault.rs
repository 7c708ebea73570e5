//! Why a call failed, before it is known what it was about; and how that becomes an engine's error.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use orchestrator::engine::error::{EngineError, ErrorKind};

use crate::docker::place::Place;

/// Why a call failed.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Fault {
    /// Nobody answers there.
    #[error("{}", unreachable(place, error))]
    Unreachable {
        /// Where.
        place: Place,
        /// Why.
        error: Arc<io::Error>,
    },
    /// The engine refused, with its own words.
    #[error("{message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Its words.
        message: String,
    },
    /// The connection ended in the middle.
    #[error("the Docker Engine closed the connection half-way: {why}")]
    Closed {
        /// What the connection said.
        why: String,
    },
    /// Nothing came for so long.
    #[error("the Docker Engine did not answer in {} s", after.as_secs())]
    Silent {
        /// How long it was waited.
        after: Duration,
    },
    /// The engine is too old for what is asked.
    #[error("`{attribute}` needs API {needs}, this engine has {has}")]
    TooOld {
        /// What is asked.
        attribute: String,
        /// From which version on it can be had.
        needs: Version,
        /// The engine's.
        has: Version,
    },
    /// What was sent or answered is not what the API says.
    #[error("{why}")]
    Broken {
        /// What is wrong.
        why: String,
    },
}

/// A version of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub(crate) usize, pub(crate) usize);

impl Version {
    /// Reads `1.41`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.trim().split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

fn unreachable(place: &Place, error: &io::Error) -> String {
    match (place, error.kind()) {
        (Place::Unix(path), io::ErrorKind::NotFound) => {
            format!("no Docker Engine is there: the socket `{}` does not exist", path.display())
        }
        (Place::Unix(path), io::ErrorKind::ConnectionRefused) => {
            format!("no Docker Engine is running: nobody listens on `{}`", path.display())
        }
        (Place::Unix(path), io::ErrorKind::PermissionDenied) => {
            format!("you may not use the Docker Engine: no access to `{}`", path.display())
        }
        (place, _) => format!("the Docker Engine at `{place}` can't be reached: {error}"),
    }
}

/// Text of an error with all its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

impl Fault {
    /// A fault of HTTP itself.
    pub(crate) fn of_hyper(error: &hyper::Error) -> Self {
        Self::Closed { why: chain(error) }
    }

    /// A stream of ours that broke.
    pub(crate) fn of_io(error: &io::Error) -> Self {
        Self::Closed { why: error.to_string() }
    }

    /// What it is for whoever asked.
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Unreachable { error, .. } => match error.kind() {
                io::ErrorKind::PermissionDenied => ErrorKind::Denied,
                _ => ErrorKind::Unavailable,
            },
            Self::Refused { status: 404, .. } => ErrorKind::NotFound,
            Self::Refused { status: 409, .. } => ErrorKind::Conflict,
            Self::Refused { status: 401, .. } => ErrorKind::Denied,
            Self::Refused { status: 501, .. } | Self::TooOld { .. } => ErrorKind::Unsupported,
            Self::Refused { status: 502..=504, .. } | Self::Closed { .. } | Self::Silent { .. } => {
                ErrorKind::Unavailable
            }
            Self::Refused { message, .. } => {
                let says = |words: &str| message.contains(words);
                if says("port is already allocated") || says("address already in use") || says("has active endpoints") {
                    ErrorKind::Conflict
                } else if says("dial tcp") || says("no such host") || says("i/o timeout") {
                    ErrorKind::Unavailable
                } else {
                    ErrorKind::Failed
                }
            }
            Self::Broken { .. } => ErrorKind::Failed,
        }
    }

    /// Makes the sentence: what was attempted on what, and why it failed.
    pub(crate) fn at(&self, act: &str, resource: impl Into<String>) -> EngineError {
        let resource = resource.into();
        let message = format!("cannot {act} {resource}: {self}");
        let error = EngineError::new(self.kind(), resource, message);
        match self {
            Self::Unreachable { place, error: cause } => match (place, cause.kind()) {
                (Place::Unix(_), io::ErrorKind::PermissionDenied) => {
                    error.hint("be root or a member of the group `docker`, or use `--engine embedded`")
                }
                (Place::Unix(_), _) => error.hint(
                    "start it (`systemctl start docker`), name another with `DOCKER_HOST`, or use `--engine embedded`",
                ),
                (Place::Tcp { .. } | Place::Ssh { .. }, _) => {
                    error.hint("look at `DOCKER_HOST`, `DOCKER_CONTEXT` and the network between")
                }
            },
            Self::Closed { why } if why.contains("received fatal alert") => error
                .hint("the engine wants a certificate: `DOCKER_CERT_PATH` names the folder with `cert.pem`, `key.pem` and `ca.pem`"),
            Self::Refused { message, .. } if message.contains("HTTP request to an HTTPS server") => {
                error.hint("it speaks TLS: set `DOCKER_TLS_VERIFY=1` and `DOCKER_CERT_PATH`")
            }
            Self::Closed { .. } | Self::Silent { .. } => {
                error.hint("what was done stays: the same command goes on from there once the engine answers again")
            }
            Self::Refused { status: 500.., .. } => {
                error.hint("the engine's own log tells more (`journalctl -u docker`)")
            }
            Self::Refused { .. } | Self::TooOld { .. } | Self::Broken { .. } => error,
        }
    }
}

impl From<bollard::errors::Error> for Fault {
    fn from(error: bollard::errors::Error) -> Self {
        use bollard::errors::Error;
        match error {
            Error::DockerResponseServerError { status_code, message } => Self::Refused { status: status_code, message },
            Error::DockerStreamError { error } => Self::Refused { status: 400, message: error },
            Error::DockerContainerWaitError { error, .. } => Self::Refused { status: 400, message: error },
            // Our own fault, on its way through bollard.
            Error::IOError { err } => match err.downcast::<Self>() {
                Ok(fault) => fault,
                Err(error) => Self::of_io(&error),
            },
            Error::HyperResponseError { err } => Self::of_hyper(&err),
            other => Self::Broken { why: format!("the Docker Engine's answer can't be read: {}", chain(&other)) },
        }
    }
}

impl From<Fault> for bollard::errors::Error {
    fn from(fault: Fault) -> Self {
        Self::IOError { err: io::Error::other(fault) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_says_what_was_attempted_why_and_how_to_mend_it() {
        let gone = Fault::Unreachable {
            place: Place::Unix("/run/x.sock".into()),
            error: Arc::new(io::ErrorKind::NotFound.into()),
        };
        let error = gone.at("list", "containers");
        assert_eq!(error.kind, ErrorKind::Unavailable);
        assert_eq!(
            error.message,
            "cannot list containers: no Docker Engine is there: the socket `/run/x.sock` does not exist"
        );
        assert_eq!(error.hints.len(), 1);
        let old = Fault::TooOld { attribute: "annotations".into(), needs: Version(1, 43), has: Version(1, 41) };
        assert_eq!(old.to_string(), "`annotations` needs API 1.43, this engine has 1.41");
        assert_eq!(old.at("create", "x").kind, ErrorKind::Unsupported);
        let taken =
            Fault::Refused { status: 500, message: "Bind for 0.0.0.0:80 failed: port is already allocated".into() };
        assert_eq!(taken.at("start", "x").kind, ErrorKind::Conflict);
    }
}
