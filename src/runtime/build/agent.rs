//! An ssh agent for builds: the host's, or we, with keys from files.

use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::build::keyring::{KeyError, Keyring};

/// Who answers.
#[derive(Debug, Clone)]
pub enum SshAgent {
    /// An agent that runs, at its socket.
    Socket(PathBuf),
    /// We, with keys read from files.
    Keys(Arc<Keyring>),
}

/// Why there is no agent.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum AgentError {
    #[error("ssh agent `{0}` is asked for, but `SSH_AUTH_SOCK` names none: start one by `eval $(ssh-agent)`")]
    NoAgent(String),
    #[error("cannot reach ssh agent `{id}` at `{path}`")]
    Unreachable {
        id: String,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("ssh agent `{id}`: several paths must be key files, but `{path}` is a socket")]
    Mixed { id: String, path: PathBuf },
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl SshAgent {
    /// Reads `ID`, `ID=SOCKET` or `ID=KEY[,KEY]`, and finds who answers; `usual` is the agent of whoever builds.
    pub fn parse(text: &str, usual: Option<&Path>) -> Result<(String, Self), AgentError> {
        let (id, paths) = text.split_once('=').unwrap_or((text, ""));
        let id = id.to_owned();
        let paths: Vec<PathBuf> = match paths {
            "" => vec![usual.ok_or_else(|| AgentError::NoAgent(id.clone()))?.to_owned()],
            paths => paths.split(',').map(PathBuf::from).collect(),
        };
        for path in &paths {
            match std::fs::metadata(path) {
                Ok(metadata) if !metadata.file_type().is_socket() => {}
                Ok(_) if paths.len() == 1 => return Ok((id, Self::Socket(path.clone()))),
                Ok(_) => return Err(AgentError::Mixed { id, path: path.clone() }),
                Err(source) => return Err(AgentError::Unreachable { id, path: path.clone(), source }),
            }
        }
        Ok((id, Self::Keys(Arc::new(Keyring::read(&paths)?))))
    }

    /// Opens a connection.
    pub fn connect(&self) -> io::Result<UnixStream> {
        let keys = match self {
            Self::Socket(path) => return UnixStream::connect(path),
            Self::Keys(keys) => Arc::clone(keys),
        };
        let (ours, theirs) = UnixStream::pair()?;
        std::thread::spawn(move || {
            if let Err(error) = keys.serve(&ours) {
                tracing::debug!(%error, "a connection to the ssh agent broke");
            }
        });
        Ok(theirs)
    }
}
