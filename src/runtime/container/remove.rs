//! Removes a container with all that is its own.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use crate::Runtime;
use crate::container::list::{self, FindError};
use crate::container::names;
use crate::container::repair;
use crate::container::stop::{self, StopError, StopRequest};
use crate::network::{self, AttachError};
use crate::snapshot::quota::Limited;
use crate::state::container::{ContainerRecord, MountSourceRecord, Status};
use crate::state::layout::Bundle;
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
///
/// One that somebody else is removing, its keeper for example, is gone once this returns.
pub fn remove(rt: &Runtime, name: &str, request: RemoveRequest) -> Result<(), RemoveError> {
    let result = take_away(rt, name, request);
    if matches!(result, Err(RemoveError::Find(FindError::NotFound { .. }))) {
        wait_until_gone(rt, name);
    }
    result
}

/// Waits while somebody removes the container of this id, and ends what a killed one has begun.
fn wait_until_gone(rt: &Runtime, id: &str) {
    let is_id = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    // It is not made where it is missing: who removes takes it away last.
    if is_id && let Ok(lock) = File::open(rt.layout.unfinished(id).act_lock()) {
        let _ = lock.lock();
        drop(lock);
        repair::sweep(rt, id);
    }
}

fn take_away(rt: &Runtime, name: &str, request: RemoveRequest) -> Result<(), RemoveError> {
    let id = list::find_id(rt, name)?;
    let bundle = rt.layout.bundle(&id);
    let not_found = || FindError::NotFound { name: name.into() };
    let _act = match record::lock(&bundle.act_lock()) {
        Err(_) if !bundle.lib.is_dir() => return Err(not_found().into()),
        act => act?,
    };
    let container = list::read(rt, &id)?.ok_or_else(not_found)?;
    match container.status.status {
        Status::Running { .. } | Status::Paused { .. } | Status::Restarting { .. } => {
            if !request.force {
                return Err(RemoveError::Running { name: container.record.name });
            }
            stop::stop(rt, &id, StopRequest { signal: Some(9), grace_ms: Some(0), for_removal: true })?;
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
    names::give_up(rt, &gone, Some(&container.record.name), &id, &lock);
    drop(lock);
    occurrence::of_container(&rt.layout, &container.record, "destroy", &[]);
    let mut result = network::release(rt, &id).map_err(RemoveError::from);
    if request.volumes {
        result = result.and(remove_volumes(rt, &anonymous));
    }
    let removed = remove_bundle(&gone);
    result.and(removed.map_err(|source| RemoveError::Io { path: gone.lib, source }))
}

/// Removes what is left of a container, last of all the lock that others wait for.
pub(super) fn remove_bundle(bundle: &Bundle) -> io::Result<()> {
    let lock = bundle.act_lock();
    let limited = bundle.lib.parent().and_then(|beside| Limited::of(&bundle.upper(), beside));
    for entry in std::fs::read_dir(&bundle.lib)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else if entry.path() != lock {
            std::fs::remove_file(entry.path())?;
        }
    }
    std::fs::remove_dir_all(&bundle.lib)?;
    if let Some(limited) = limited {
        limited.lift();
    }
    Ok(())
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
