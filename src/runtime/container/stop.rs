//! Stops a container: asks its keeper, and waits for the end.

use std::io;

use crate::Runtime;
use crate::container::act;
use crate::container::list::{self, FindError};
use crate::keeper::control::{Reply, Request};

/// How to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StopRequest {
    /// First signal; `None`: the container's own.
    pub signal: Option<i32>,
    /// Milliseconds until it is killed; `None`: the container's own.
    pub grace_ms: Option<u64>,
    /// It is removed right after: that it stops is not told.
    pub for_removal: bool,
}

/// Why a container could not be stopped.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum StopError {
    #[error(transparent)]
    Find(#[from] FindError),
    #[error("cannot ask the keeper of container `{name}` to stop it")]
    Ask {
        name: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot stop container `{name}`: {message}")]
    Failed { name: String, message: String },
}

/// Stops a container and returns once it is gone; one that does not run is left alone.
pub fn stop(rt: &Runtime, name: &str, request: StopRequest) -> Result<(), StopError> {
    let id = list::find_id(rt, name)?;
    let message =
        Request::Stop { signal: request.signal, grace_ms: request.grace_ms, for_removal: request.for_removal };
    match act::ask_keeper(rt, &id, &message)? {
        Ok(Some(Reply::Done)) => Ok(()),
        Ok(Some(Reply::Failed { message } | Reply::Unsupported { message })) => {
            Err(StopError::Failed { name: name.into(), message })
        }
        // No keeper: it does not run.
        Ok(None) => Ok(()),
        Err(source) => Err(StopError::Ask { name: name.into(), source }),
    }
}
