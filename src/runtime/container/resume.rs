//! Starts again what a reboot has ended, as each container's restart policy says.

use crate::Runtime;
use crate::container::list::{self, Container, FindError};
use crate::container::start::{self, StartError};
use crate::state::container::{RestartRecord, Status};
use crate::state::process::boot_id;

/// What became of one container that was to be started again.
#[derive(Debug)]
pub struct Resumed {
    /// Its name.
    pub name: String,
    /// Whether it runs now.
    pub result: Result<(), StartError>,
}

/// Starts every container that ran, or was to run, in an earlier boot of the machine, the oldest first; one that can't be
/// started does not keep the others from it. In the same boot this does nothing: keepers see to their own.
pub fn resume(rt: &Runtime) -> Result<Vec<Resumed>, FindError> {
    let boot = boot_id();
    let containers = list::list(rt)?;
    let wanted = containers.into_iter().filter(|container| is_due(container, &boot));
    let start = |container: Container| {
        let result = start::start(rt, &container.record.id);
        Resumed { name: container.record.name, result }
    };
    Ok(wanted.map(start).collect())
}

/// A policy holds over a reboot as in Docker: `always` whatever was, `unless-stopped` unless somebody had stopped it,
/// `on-failure` because an end that nobody saw is none of success.
fn is_due(container: &Container, boot: &str) -> bool {
    let status = &container.status;
    if status.boot.is_empty() || status.boot == boot {
        return false;
    }
    match (&status.status, container.record.restart) {
        (Status::Running { .. } | Status::Paused { .. } | Status::Restarting { .. }, _) => false,
        (Status::Created, RestartRecord::OnFailure { .. }) => false,
        // One that has never run is left alone, unless that was tried.
        (Status::Created, _) if status.failure.is_none() => false,
        (_, RestartRecord::No) => false,
        (_, RestartRecord::Always) => true,
        (_, RestartRecord::UnlessStopped) => !status.stopped_by_user,
        (Status::Exited { exit_code, .. }, RestartRecord::OnFailure { .. }) => {
            *exit_code != 0 && !status.stopped_by_user
        }
        (Status::Dead { .. }, RestartRecord::OnFailure { .. }) => false,
    }
}
