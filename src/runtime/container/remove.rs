//! Removes a container with all that is its own.

use std::io;
use std::path::PathBuf;

use crate::Runtime;
use crate::container::list::{self, FindError};
use crate::container::names;
use crate::container::repair;
use crate::container::stop::{self, StopError, StopRequest};
use crate::network::{self, AttachError};
use crate::state::container::{ContainerRecord, MountSourceRecord, Status};
use crate::state::occurrence;
use crate::state::record::{self, RecordError};
use crate::volume::{self, VolumeError};

/// How to remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RemoveRequest {
    /// Also one that runs.
    pub force: bool,
    /// Its anonymous volumes, too.
    pub volumes: bool,
}

/// Why a container could not be removed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum RemoveError {
    #[error(transparent)]
    Find(#[from] FindError),
    #[error("container `{name}` runs")]
    Running { name: String },
    #[error(transparent)]
    Stop(#[from] StopError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Release(#[from] AttachError),
    #[error(transparent)]
    Volume(#[from] VolumeError),
    #[error("cannot remove `{path}`")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Removes a container; what it held goes on being removed past the first error, which is returned.
pub fn remove(rt: &Runtime, name: &str, request: RemoveRequest) -> Result<(), RemoveError> {
    let id = list::find_id(rt, name)?;
    let bundle = rt.layout.bundle(&id);
    let not_found = || FindError::NotFound { name: name.into() };
    if !bundle.lib.is_dir() {
        return Err(not_found().into());
    }
    let _act = record::lock(&bundle.act_lock())?;
    let container = list::read(rt, &id)?.ok_or_else(not_found)?;
    match container.status.status {
        Status::Running { .. } | Status::Paused { .. } | Status::Restarting { .. } => {
            if !request.force {
                return Err(RemoveError::Running { name: container.record.name });
            }
            stop::stop(rt, &id, StopRequest { signal: Some(9), grace_ms: Some(0) })?;
        }
        Status::Created | Status::Exited { .. } | Status::Dead { .. } => {}
    }
    // Its keeper may still be clearing away.
    drop(record::lock(&bundle.lock())?);
    if bundle.run.exists() {
        repair::clear_away(rt, &id);
    }
    let gone = rt.layout.unfinished(&id);
    let anonymous = anonymous(&container.record);
    // Whatever its creation has left there, these are the volumes that go with it.
    record::write(&bundle.doomed(), if request.volumes { anonymous.as_slice() } else { &[] })?;
    // From here on it is not there any more; whatever a kill leaves of it, the next listing sweeps away.
    std::fs::rename(&bundle.lib, &gone.lib).map_err(|source| RemoveError::Io { path: bundle.lib.clone(), source })?;
    let lock = names::lock(rt)?;
    names::take_back(rt, &container.record.name, &id, &lock);
    drop(lock);
    occurrence::of_container(&rt.layout, &container.record, "destroy", &[]);
    let mut result = network::release(rt, &id).map_err(RemoveError::from);
    if request.volumes {
        result = result.and(remove_volumes(rt, &anonymous));
    }
    let removed = std::fs::remove_dir_all(&gone.lib);
    result.and(removed.map_err(|source| RemoveError::Io { path: gone.lib, source }))
}

/// Another container may have inherited one: then it stays.
fn remove_volumes(rt: &Runtime, names: &[&str]) -> Result<(), RemoveError> {
    let mut result = Ok(());
    for name in names {
        match volume::remove(rt, name) {
            Ok(_) | Err(VolumeError::InUse { .. }) => {}
            Err(error) => result = result.and(Err(error.into())),
        }
    }
    result
}

/// Names of the container's anonymous volumes.
fn anonymous(container: &ContainerRecord) -> Vec<&str> {
    let mut names = Vec::new();
    for mount in &container.mounts {
        if let MountSourceRecord::Volume { name, anonymous: true, .. } = &mount.source {
            names.push(name.as_str());
        }
    }
    names
}
