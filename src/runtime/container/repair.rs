//! Mends what a killed keeper, a killed command or a reboot has left behind.

use std::error::Error;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::Runtime;
use crate::cgroup::group::Group;
use crate::container::remove::{self, RemoveRequest};
use crate::container::{names, start, watch};
use crate::keeper::ready::Ready;
use crate::keeper::spec;
use crate::network::{self, ports};
use crate::snapshot::overlay;
use crate::state::container::{ContainerRecord, RestartRecord, Status, StatusRecord};
use crate::state::process::{ProcessId, boot_id};
use crate::state::record::{self, RecordError};
use crate::volume;

/// Exit code of a container of which nobody knows how it ended: the machine went down, or all that watched it was killed.
const UNKNOWN: i32 = 255;

/// How long a keeper is waited for that has not said yet that its program has ended.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why a container could not be mended.
#[derive(Debug, thiserror::Error)]
#[error("cannot clear away what a killed keeper left of container `{name}`")]
pub struct RepairError {
    /// The container.
    pub name: String,
    /// What failed.
    #[source]
    pub source: RecordError,
}

/// Says whether somebody keeps the container that has this status.
fn is_kept(status: &StatusRecord, boot: &str) -> bool {
    status.boot == boot && status.keeper.is_some_and(ProcessId::is_running)
}

/// Says whether a status is one that only a keeper may leave behind.
fn needs_keeper(status: &Status) -> bool {
    status.is_up()
}

/// Returns what a container is really doing. When its keeper is gone with its guard, another takes it over, and where
/// there is nothing to keep any more, what is left is cleared away.
pub fn repair(rt: &Runtime, container: &ContainerRecord, status: StatusRecord) -> Result<StatusRecord, RepairError> {
    if !needs_keeper(&status.status) {
        return Ok(status);
    }
    let boot = boot_id();
    if is_kept(&status, &boot) {
        return Ok(settled(rt, &container.id, status));
    }
    let bundle = rt.layout.bundle(&container.id);
    let failed = |source| RepairError { name: container.name.clone(), source };
    let now = || -> Result<Option<StatusRecord>, RepairError> { record::read(&bundle.status()).map_err(failed) };
    // Whoever holds it is the keeper or guard that begins, ends or is about to be replaced, or mends it already.
    let Some(lock) = record::try_lock(&bundle.lock()).map_err(failed)? else {
        let status = now()?.unwrap_or(status);
        return Ok(if status.boot == boot { settled(rt, &container.id, status) } else { status });
    };
    let status = now()?.unwrap_or(status);
    if !needs_keeper(&status.status) {
        return Ok(status);
    }
    if status.boot == boot && goes_on(container, &status.status) {
        drop(lock);
        return Ok(adopt(rt, container).map_err(failed)?.unwrap_or(status));
    }
    clear_away(rt, &container.id);
    let at_now = u64::try_from(crate::keeper::stdio::now().as_millis()).unwrap_or(u64::MAX);
    let (exit_code, at_ms, since_ms) = match status.status {
        Status::Restarting { exit_code, at_ms, .. } => (exit_code, at_ms, at_ms),
        Status::Running { since_ms, .. } | Status::Paused { since_ms, .. } => (UNKNOWN, at_now, since_ms),
        Status::Created | Status::Exited { .. } | Status::Dead { .. } => (UNKNOWN, at_now, at_now),
    };
    let mended = StatusRecord {
        status: Status::Exited { exit_code, at_ms, since_ms, out_of_memory: false },
        health: None,
        keeper: None,
        ports: Vec::new(),
        ..status
    };
    record::write(&bundle.status(), &mended).map_err(failed)?;
    tracing::warn!(container = container.name, "its keeper was killed: cleared away what was left");
    Ok(mended)
}

/// Waits for the word of whoever keeps a container whose program has ended this very moment: what is told as running would
/// be taken for what goes on.
fn settled(rt: &Runtime, id: &str, status: StatusRecord) -> StatusRecord {
    let Status::Running { init, .. } = status.status else { return status };
    if !init.has_ended() {
        return status;
    }
    let (told, changes) = mpsc::channel();
    let Ok(_subscription) = watch::container(rt, id, move || told.send(()).unwrap_or(())) else { return status };
    let end = Instant::now() + PATIENCE;
    loop {
        match record::read::<StatusRecord>(&rt.layout.bundle(id).status()) {
            Ok(Some(now)) if now.status != status.status => return now,
            Ok(Some(_)) if changes.recv_timeout(end.saturating_duration_since(Instant::now())).is_ok() => {}
            // It is removed, or stopped, or has more to do than we want to wait for.
            Ok(_) | Err(_) => return status,
        }
    }
}

/// Says whether there is something to keep: a program that runs, or one that is to be started again.
fn goes_on(container: &ContainerRecord, status: &Status) -> bool {
    match status {
        Status::Running { init, .. } | Status::Paused { init, .. } if init.is_alive() => true,
        Status::Running { .. } | Status::Paused { .. } | Status::Restarting { .. } => {
            container.restart != RestartRecord::No
        }
        Status::Created | Status::Exited { .. } | Status::Dead { .. } => false,
    }
}

/// Starts another keeper for a container whose own is gone, and returns what it has found; `None`: somebody is at work on
/// the container just now.
fn adopt(rt: &Runtime, container: &ContainerRecord) -> Result<Option<StatusRecord>, RecordError> {
    let bundle = rt.layout.bundle(&container.id);
    let Some(act) = record::try_lock(&bundle.act_lock())? else { return Ok(None) };
    match start::keep(rt, &container.id, "adopt", act) {
        Ok(Some(Ready::Running)) => tracing::info!(container = container.name, "its keeper was killed: has another"),
        Ok(Some(Ready::Failed(failure))) => tracing::error!(container = container.name, "{failure}"),
        Ok(None) => tracing::error!(container = container.name, "its new keeper ended at once"),
        Err(error) => tracing::error!(container = container.name, %error, "cannot start another keeper"),
    }
    record::read(&bundle.status())
}

/// Clears away all that a container may have on the host while it runs. Idempotent; goes on past errors.
pub fn clear_away(rt: &Runtime, id: &str) {
    // Without a record (it is half created) there is nothing special to know.
    let record: Option<ContainerRecord> = record::read(&rt.layout.bundle(id).record()).ok().flatten();
    let parent = record.as_ref().and_then(|record| record.limits.parent.as_deref());
    if let Err(error) = Group::open(&spec::group_name(id, parent)).remove() {
        tracing::warn!(error = &error as &dyn Error, "cannot remove the container's group");
    }
    if let Err(error) = ports::unpublish(rt, id) {
        tracing::warn!(error = &error as &dyn Error, "cannot unpublish");
    }
    if let Err(error) = network::detach(rt, id) {
        tracing::warn!(error = &error as &dyn Error, "cannot detach");
    }
    let _ = std::fs::remove_dir_all(rt.layout.bundle(id).run);
}

/// Removes a container that was to be removed at its end, where all that would have done it were killed, or the machine
/// went down; `false`: somebody is at work on it.
pub fn remove_ended(rt: &Runtime, id: &str) -> bool {
    let bundle = rt.layout.bundle(id);
    let is_taken = |lock: PathBuf| !matches!(record::try_lock(&lock), Ok(Some(_)));
    if is_taken(bundle.act_lock()) || is_taken(bundle.lock()) {
        return false;
    }
    match remove::remove(rt, id, RemoveRequest { force: false, volumes: true }) {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(error = &error as &dyn Error, "cannot remove a container that has ended");
            !bundle.lib.is_dir()
        }
    }
}

/// Clears away an unfinished bundle that nobody is at work on any more.
pub fn sweep(rt: &Runtime, id: &str) {
    let bundle = rt.layout.unfinished(id);
    // Held so that no bundle is seen between its making and its being locked.
    let Ok(lock) = names::lock(rt) else { return };
    if !bundle.lib.is_dir() {
        return;
    }
    if let Ok(Some(_act)) = record::try_lock(&bundle.act_lock()) {
        let container = record::read::<ContainerRecord>(&bundle.record()).ok().flatten();
        names::give_up(rt, &bundle, container.as_ref().map(|container| container.name.as_str()), id, &lock);
        drop(lock);
        for volume in record::read::<Vec<String>>(&bundle.doomed()).ok().flatten().unwrap_or_default() {
            // One that another container has inherited stays.
            let _ = volume::remove(rt, &volume);
        }
        let _ = network::release(rt, id);
        // The image's root, which its maker was killed over while it filled a volume from it.
        let _ = overlay::unmount(&bundle.root());
        // What can't be removed now is tried again next time.
        let _ = remove::remove_bundle(&bundle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::layout::Layout;

    #[test]
    fn a_bundle_whose_maker_was_killed_with_the_image_mounted_goes_with_its_name() {
        let root = tempfile::tempdir_in("/var/tmp").unwrap();
        let rt = Runtime::open(Layout::under(root.path())).unwrap();
        let (id, image) = ("a".repeat(64), root.path().join("image"));
        let bundle = rt.layout.unfinished(&id);
        std::fs::create_dir_all(bundle.root()).unwrap();
        std::fs::create_dir(&image).unwrap();
        std::fs::write(image.join("file"), "").unwrap();
        overlay::mount_read_only(&[image], &bundle.root()).unwrap();
        let lock = names::lock(&rt).unwrap();
        names::give(&rt, "web", &id, &lock).unwrap();
        let other = "b".repeat(64);
        std::fs::create_dir(rt.layout.bundle(&other).lib).unwrap();
        names::give(&rt, "other", &other, &lock).unwrap();
        names::give(&rt, "half", "", &lock).unwrap();
        drop(lock);
        sweep(&rt, &id);
        assert!(!bundle.lib.exists());
        let left = std::fs::read_dir(rt.layout.names()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(left.collect::<Vec<_>>(), ["other"]);
    }
}
