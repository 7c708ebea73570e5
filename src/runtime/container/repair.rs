//! Mends what a killed keeper, a killed command or a reboot has left behind.

use std::error::Error;
use std::os::fd::AsFd as _;

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::Runtime;
use crate::cgroup::group::Group;
use crate::container::names;
use crate::keeper::spec;
use crate::network::{self, ports};
use crate::state::container::{ContainerRecord, Status, StatusRecord};
use crate::state::process::{ProcessId, boot_id};
use crate::state::record::{self, RecordError};

/// Exit code of a container that was killed together with its keeper.
const KILLED: i32 = 137;
/// Exit code of a container of which nobody knows how it ended: the machine went down.
const UNKNOWN: i32 = 255;

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
    match status {
        Status::Running { .. } | Status::Paused { .. } | Status::Restarting { .. } => true,
        Status::Created | Status::Exited { .. } | Status::Dead { .. } => false,
    }
}

/// Returns what a container is really doing: when its keeper is gone, so is it, by our hand if need be.
pub fn repair(rt: &Runtime, container: &ContainerRecord, status: StatusRecord) -> Result<StatusRecord, RepairError> {
    if !needs_keeper(&status.status) {
        return Ok(status);
    }
    let boot = boot_id();
    if is_kept(&status, &boot) {
        return Ok(status);
    }
    let bundle = rt.layout.bundle(&container.id);
    let failed = |source| RepairError { name: container.name.clone(), source };
    // Whoever holds it is the keeper that begins or ends, or mends it already.
    let Some(_lock) = record::try_lock(&bundle.lock()).map_err(failed)? else {
        return Ok(record::read(&bundle.status()).map_err(failed)?.unwrap_or(status));
    };
    let status: StatusRecord = record::read(&bundle.status()).map_err(failed)?.unwrap_or(status);
    if !needs_keeper(&status.status) {
        return Ok(status);
    }
    let is_same_boot = status.boot == boot;
    if is_same_boot && let Status::Running { init, .. } | Status::Paused { init, .. } = &status.status {
        kill(*init);
    }
    clear_away(rt, &container.id);
    let now = u64::try_from(crate::keeper::stdio::now().as_millis()).unwrap_or(u64::MAX);
    let (exit_code, at_ms, since_ms) = match status.status {
        Status::Restarting { exit_code, at_ms, .. } => (exit_code, at_ms, at_ms),
        Status::Running { since_ms, .. } | Status::Paused { since_ms, .. } => {
            (if is_same_boot { KILLED } else { UNKNOWN }, now, since_ms)
        }
        Status::Created | Status::Exited { .. } | Status::Dead { .. } => (UNKNOWN, now, now),
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

/// Kills a process 1 that has outlived its keeper, and waits for its end.
fn kill(init: ProcessId) {
    let Some(pid) = Pid::from_raw(init.pid) else { return };
    let Ok(pidfd) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else { return };
    // After it is held by descriptor: the number can't be another's any more.
    if !init.is_alive() {
        return;
    }
    let _ = rustix::process::pidfd_send_signal(&pidfd, Signal::KILL);
    let mut fds = [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
    let limit = rustix::event::Timespec { tv_sec: 10, tv_nsec: 0 };
    let _ = rustix::event::poll(&mut fds, Some(&limit));
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

/// Clears away an unfinished bundle that nobody is at work on any more.
pub fn sweep(rt: &Runtime, id: &str) {
    let bundle = rt.layout.unfinished(id);
    // Held so that no bundle is seen between its making and its being locked.
    let Ok(lock) = names::lock(rt) else { return };
    if !bundle.lib.is_dir() {
        return;
    }
    if let Ok(Some(_act)) = record::try_lock(&bundle.act_lock()) {
        if let Ok(Some(container)) = record::read::<ContainerRecord>(&bundle.record()) {
            names::take_back(rt, &container.name, id, &lock);
        }
        let _ = network::release(rt, id);
        // What can't be removed now is tried again next time.
        let _ = std::fs::remove_dir_all(&bundle.lib);
    }
}
