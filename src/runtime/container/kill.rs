//! Sends a container's process 1 a signal.

use std::io;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::Runtime;
use crate::container::act;
use crate::container::list::{self, FindError};
use crate::container::watch;
use crate::keeper::control::{Reply, Request};
use crate::state::container::Status;

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

/// Longest that the end of a killed container is waited for: a process in the kernel's hands may take its time.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends a signal. SIGKILL and the container's own stop signal end it for good: it is not started again. After SIGKILL it
/// has ended when this returns, as Docker's has.
pub fn kill(rt: &Runtime, name: &str, signal: i32) -> Result<(), KillError> {
    let id = list::find_id(rt, name)?;
    match act::ask_keeper(rt, &id, &Request::Signal { signal })? {
        Ok(Some(Reply::Done)) if signal == rustix::process::Signal::KILL.as_raw() => await_end(rt, &id, name),
        Ok(Some(Reply::Done)) => Ok(()),
        Ok(Some(Reply::Failed { message } | Reply::Unsupported { message })) => {
            Err(KillError::Failed { name: name.into(), message })
        }
        Ok(None) => Err(KillError::NotRunning { name: name.into() }),
        Err(source) => Err(KillError::Ask { name: name.into(), source }),
    }
}

fn await_end(rt: &Runtime, id: &str, name: &str) -> Result<(), KillError> {
    let (told, changes) = mpsc::channel();
    // Whoever can't be told just does not wait.
    let Ok(_subscription) = watch::container(rt, id, move || told.send(()).unwrap_or(())) else { return Ok(()) };
    let end = Instant::now() + PATIENCE;
    loop {
        match list::find(rt, id) {
            Ok(container) if matches!(container.status.status, Status::Running { .. }) => {}
            Ok(_) | Err(FindError::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        if changes.recv_timeout(end.saturating_duration_since(Instant::now())).is_err() {
            tracing::warn!(container = name, "it was killed, and has not ended yet");
            return Ok(());
        }
    }
}
