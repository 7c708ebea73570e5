//! Sends a container's process 1 a signal.

use std::io;

use crate::Runtime;
use crate::container::act;
use crate::container::list::{self, FindError};
use crate::keeper::control::{Reply, Request};

/// Why a container could not be sent a signal.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum KillError {
    #[error(transparent)]
    Find(#[from] FindError),
    #[error("container `{name}` does not run")]
    NotRunning { name: String },
    #[error("cannot ask the keeper of container `{name}` for a signal")]
    Ask {
        name: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot signal container `{name}`: {message}")]
    Failed { name: String, message: String },
}

/// Sends a signal. SIGKILL and the container's own stop signal end it for good: it is not started again.
pub fn kill(rt: &Runtime, name: &str, signal: i32) -> Result<(), KillError> {
    let id = list::find_id(rt, name)?;
    match act::ask_keeper(rt, &id, &Request::Signal { signal })? {
        Ok(Some(Reply::Done)) => Ok(()),
        Ok(Some(Reply::Failed { message } | Reply::Unsupported { message })) => {
            Err(KillError::Failed { name: name.into(), message })
        }
        Ok(None) => Err(KillError::NotRunning { name: name.into() }),
        Err(source) => Err(KillError::Ask { name: name.into(), source }),
    }
}
