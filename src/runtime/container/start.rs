//! Starts a container: by starting its keeper, and waiting for its one message.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::Runtime;
use crate::container::list::{self, FindError};
use crate::keeper::ready::{Ready, StartFailure};
use crate::state::container::Status;
use crate::state::record::{self, Lock, RecordError};
use crate::sys::self_exe;

/// Why a container could not be started.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum StartError {
    #[error(transparent)]
    Find(#[from] FindError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Failed(#[from] StartFailure),
    #[error("cannot start a paused container, try unpause instead")]
    Paused { name: String },
    #[error("cannot start the keeper of container `{name}`")]
    Keeper {
        name: String,
        #[source]
        source: io::Error,
    },
    #[error("the keeper of container `{name}` ended before its container ran; see `{log}`")]
    Died { name: String, log: PathBuf },
}

/// Keepers that we have started: once they end, somebody must take note, or they stay as zombies while we live.
static KEEPERS: Mutex<Vec<Child>> = Mutex::new(Vec::new());

/// Starts a container and returns once its program runs; one that runs already is left alone.
pub fn start(rt: &Runtime, name: &str) -> Result<(), StartError> {
    let id = list::find_id(rt, name)?;
    let bundle = rt.layout.bundle(&id);
    // One who starts, renames or removes at a time.
    let act = record::lock(&bundle.act_lock()).map_err(|error| gone(error, name))?;
    let container = list::read(rt, &id)?.ok_or_else(|| FindError::NotFound { name: name.into() })?;
    match container.status.status {
        Status::Paused { .. } => return Err(StartError::Paused { name: container.record.name }),
        Status::Running { .. } | Status::Restarting { .. } => {
            drop(act);
            // Without the lock: if its keeper is gone, another takes it for its beginning.
            list::read(rt, &id)?;
            return Ok(());
        }
        Status::Created | Status::Exited { .. } | Status::Dead { .. } => {}
    }
    let name = container.record.name;
    match keep(rt, &id, "start", act).map_err(|source| StartError::Keeper { name: name.clone(), source })? {
        Some(Ready::Running) => Ok(()),
        Some(Ready::Failed(failure)) => Err(failure.into()),
        None => Err(StartError::Died { name, log: bundle.keeper_log() }),
    }
}

/// Starts a keeper that starts the container (`start`) or takes it over from one that is gone (`adopt`), and waits until
/// it tells how that went; `None`: it ended before it could.
pub(super) fn keep(rt: &Runtime, id: &str, beginning: &str, act: Lock) -> io::Result<Option<Ready>> {
    let mut told = String::new();
    spawn(rt, id, beginning, act)?.read_to_string(&mut told)?;
    Ok(serde_json::from_str(&told).ok())
}

/// The lock's folder vanishes with its container.
fn gone(error: RecordError, name: &str) -> StartError {
    match &error {
        RecordError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            FindError::NotFound { name: name.into() }.into()
        }
        RecordError::Io { .. } | RecordError::Damaged { .. } => error.into(),
    }
}

/// Starts the keeper; returns the end of the pipe on which it tells.
///
/// The keeper holds the act's lock until the start has succeeded or failed, also when we are killed meanwhile: nobody
/// starts or removes a container of which a keeper is about to make a running one.
fn spawn(rt: &Runtime, id: &str, beginning: &str, act: Lock) -> io::Result<File> {
    let text = |path: &std::path::Path| path.to_str().map(ToOwned::to_owned).ok_or(io::ErrorKind::InvalidFilename);
    let (lib, run) = (text(&rt.layout.lib)?, text(&rt.layout.run)?);
    let log = OpenOptions::new().create(true).append(true).open(rt.layout.bundle(id).keeper_log())?;
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let keeper = self_exe::command(&["__keep", &lib, &run, id, beginning])
        .stdin(Stdio::from(act.file))
        .stdout(Stdio::from(write))
        .stderr(Stdio::from(log))
        .env_clear()
        .spawn()?;
    let mut keepers = KEEPERS.lock().unwrap_or_else(PoisonError::into_inner);
    keepers.retain_mut(|keeper| matches!(keeper.try_wait(), Ok(None)));
    keepers.push(keeper);
    Ok(read.into())
}
