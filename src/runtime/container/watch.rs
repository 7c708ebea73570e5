//! Tells when what containers are doing changes.

use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags};

use crate::Runtime;
use crate::state::changes::{self, Kind, Subscription};
use crate::state::container::StatusRecord;

/// Calls `on_change`, from a thread of ours, whenever the container's status may have changed, or it is removed.
/// Read it after this call, not before. A keeper that is killed tells nothing: see [`keeper`].
pub fn container(rt: &Runtime, id: &str, on_change: impl Fn() + Send + Sync + 'static) -> io::Result<Subscription> {
    changes::subscribe(&rt.layout.bundle(id).lib, Kind::Records, on_change)
}

/// Calls `on_change` whenever a container may have been created or removed.
pub fn containers(rt: &Runtime, on_change: impl Fn() + Send + Sync + 'static) -> io::Result<Subscription> {
    changes::subscribe(&rt.layout.containers(), Kind::Records, on_change)
}

/// Calls `on_change` whenever the container's log may have grown.
pub fn log(rt: &Runtime, id: &str, on_change: impl Fn() + Send + Sync + 'static) -> io::Result<Subscription> {
    changes::subscribe(&rt.layout.bundle(id).log(), Kind::Content, on_change)
}

/// Opens the keeper of a container: readable once that has ended. `None`: it has none.
pub fn keeper(status: &StatusRecord) -> Option<OwnedFd> {
    let keeper = status.keeper?;
    let pidfd = rustix::process::pidfd_open(Pid::from_raw(keeper.pid)?, PidfdFlags::empty()).ok()?;
    keeper.is_running().then_some(pidfd)
}
