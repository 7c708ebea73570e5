//! Why an act on a container that is there could not be done, and how its keeper is asked.

use std::io;

use crate::Runtime;
use crate::cgroup::group::GroupError;
use crate::container::list::{self, Container, FindError};
use crate::keeper::control::{self, Reply, Request};
use crate::state::container::Status;
use crate::state::process::ProcessId;

/// Why it could not be done.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum ActError {
    #[error(transparent)]
    Find(#[from] FindError),
    #[error("container `{name}` does not run")]
    NotRunning { name: String },
    #[error("cannot {act} container `{name}`: {why}")]
    Unsupported { act: &'static str, name: String, why: String },
    #[error("cannot {act} container `{name}`: {message}")]
    Failed { act: &'static str, name: String, message: String },
    #[error("cannot {act} container `{name}`")]
    Group {
        act: &'static str,
        name: String,
        #[source]
        source: GroupError,
    },
    #[error("cannot {act} container `{name}`")]
    Io {
        act: &'static str,
        name: String,
        #[source]
        source: io::Error,
    },
}

/// Asks a container's keeper; `None`: it has none.
pub(super) fn ask(rt: &Runtime, name: &str, act: &'static str, request: &Request) -> Result<Option<()>, ActError> {
    let id = list::find_id(rt, name)?;
    match ask_keeper(rt, &id, request)? {
        Ok(Some(Reply::Done)) => Ok(Some(())),
        Ok(Some(Reply::Failed { message })) => Err(ActError::Failed { act, name: name.into(), message }),
        Ok(Some(Reply::Unsupported { message: why })) => Err(ActError::Unsupported { act, name: name.into(), why }),
        Ok(None) => Ok(None),
        Err(source) => Err(ActError::Io { act, name: name.into(), source }),
    }
}

/// Asks a container's keeper; one that is gone has a successor by then. `None`: it has none, since it does not run.
pub(super) fn ask_keeper(rt: &Runtime, id: &str, request: &Request) -> Result<io::Result<Option<Reply>>, FindError> {
    let bundle = rt.layout.bundle(id);
    match control::ask(&bundle, request) {
        Ok(None) => {}
        answer => return Ok(answer),
    }
    // Reading it sees to it that one who runs has a keeper.
    match list::read(rt, id)?.map(|container| container.status.status) {
        Some(Status::Running { .. } | Status::Paused { .. } | Status::Restarting { .. }) => {
            Ok(control::ask(&bundle, request))
        }
        Some(Status::Created | Status::Exited { .. } | Status::Dead { .. }) | None => Ok(Ok(None)),
    }
}

/// Returns process 1 of a container that runs, frozen or not.
pub fn init(container: &Container) -> Result<ProcessId, ActError> {
    match container.status.status {
        Status::Running { init, .. } | Status::Paused { init, .. } => Ok(init),
        Status::Created | Status::Restarting { .. } | Status::Exited { .. } | Status::Dead { .. } => {
            Err(ActError::NotRunning { name: container.record.name.clone() })
        }
    }
}
