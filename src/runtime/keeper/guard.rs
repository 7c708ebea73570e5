//! The guard: the keeper's parent, which does nothing but wait. When the keeper is killed it puts another in its place,
//! and the container notices nothing of it; when the guard is killed the keeper does the same for it.
//!
//! The container's process 1 is the keeper's child. Once the keeper is gone it is the guard's, who tells the next keeper
//! how it ended.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use rustix::pipe::PipeFlags;
use rustix::process::{Pid, PidfdFlags, WaitOptions, WaitStatus};

use crate::keeper::control;
use crate::keeper::store::Store;
use crate::state::layout::Bundle;
use crate::state::record::{self, Lock};

/// A keeper that lives shorter than this has not recovered from what ended the one before.
const SHORT: Duration = Duration::from_secs(1);
/// So many short lives in a row end the attempt: whatever ends them is no person.
const MOST_SHORT: u32 = 200;
/// Exit code of a keeper whose container is to be removed now.
pub const REMOVE: i32 = 64;

/// What the guard and the keeper both hold, so that it outlives either.
#[derive(Debug)]
pub struct Shared {
    /// The container's lock.
    lock: Lock,
    /// The keeper's socket: one who asks while there is no keeper is served by the next.
    pub listener: UnixListener,
    /// Descriptors of the run.
    pub store: Store,
    ends: (OwnedFd, OwnedFd),
    /// Who has forked the present keeper.
    parent: Cell<Option<Pid>>,
}

impl Shared {
    /// Takes the container's lock and opens the rest. The command that started us made sure that nobody else keeps it.
    pub fn open(bundle: &Bundle) -> io::Result<Self> {
        let lock = record::lock(&bundle.lock()).map_err(io::Error::other)?;
        let flags = PipeFlags::CLOEXEC | PipeFlags::NONBLOCK;
        Ok(Self {
            lock,
            listener: control::listen(bundle)?,
            store: Store::open()?,
            ends: rustix::pipe::pipe_with(flags)?,
            parent: Cell::new(None),
        })
    }

    /// Notes that whoever is forked next has us as its guard.
    pub fn be_parent(&self) {
        self.parent.set(Some(rustix::process::getpid()));
    }

    /// Opens the guard of this keeper; `None`: it is gone.
    pub fn open_guard(&self) -> Option<OwnedFd> {
        open(self.parent.get()?)
    }

    /// Lets go of the lock, for all who hold it.
    pub fn unlock(&self) {
        if let Err(error) = self.lock.file.unlock() {
            tracing::warn!(%error, "cannot unlock the container");
        }
    }

    /// Returns what to wait for until the guard tells an end.
    pub fn told(&self) -> BorrowedFd<'_> {
        self.ends.0.as_fd()
    }

    /// Tells that a process has ended, and with what code.
    fn tell(&self, pid: i32, code: i32) {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&pid.to_ne_bytes());
        bytes[4..].copy_from_slice(&code.to_ne_bytes());
        if let Err(error) = rustix::io::write(&self.ends.1, &bytes) {
            tracing::warn!(%error, pid, "cannot tell that a process has ended");
        }
    }

    /// Returns the code that was told of a process, if it was.
    pub fn end_of(&self, pid: i32) -> Option<i32> {
        let mut found = None;
        let mut bytes = [0; 8];
        while let Ok(8) = rustix::io::read(&self.ends.0, &mut bytes) {
            let [a, b, c, d, e, f, g, h] = bytes;
            if i32::from_ne_bytes([a, b, c, d]) == pid {
                found = Some(i32::from_ne_bytes([e, f, g, h]));
            }
        }
        found
    }
}

/// Returns the code of an ended process: its own, or 128 and the signal.
pub fn code_of(status: WaitStatus) -> i32 {
    status.exit_status().or(status.terminating_signal().map(|signal| 128 + signal)).unwrap_or(255)
}

/// Makes the process the one that orphans of its children become children of.
pub fn adopt_orphans() {
    // Of ourselves; any number but 0 means yes.
    if let Err(error) = rustix::process::set_child_subreaper(Some(rustix::process::getpid())) {
        tracing::warn!(%error, "cannot take in orphans: the exit code is lost with the keeper");
    }
}

/// Opens our parent, if it still is: one that has died is replaced by another process, which is nobody's guard.
fn open(parent: Pid) -> Option<OwnedFd> {
    let pidfd = rustix::process::pidfd_open(parent, PidfdFlags::empty()).ok()?;
    (rustix::process::getppid() == Some(parent)).then_some(pidfd)
}

/// Waits for the keeper's end, and replaces it where somebody has killed it. Returns its exit code.
pub fn watch(shared: &Shared, mut keeper: i32, replace: &dyn Fn() -> io::Result<i32>) -> i32 {
    let _ = rustix::thread::set_name(c"motet-guard");
    let mut since = Instant::now();
    let mut short = 0;
    loop {
        let (pid, status) = match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) => (Pid::as_raw(Some(pid)), status),
            Ok(None) | Err(rustix::io::Errno::INTR) => continue,
            Err(error) => {
                tracing::error!(%error, "cannot wait for the keeper");
                return 125;
            }
        };
        if pid != keeper {
            shared.tell(pid, code_of(status));
            continue;
        }
        if let Some(code) = status.exit_status() {
            return code;
        }
        short = if since.elapsed() < SHORT { short + 1 } else { 0 };
        let signal = status.terminating_signal().unwrap_or_default();
        if short > MOST_SHORT {
            tracing::error!(signal, "keepers are killed again and again: the next command has to see to the container");
            return 128 + signal;
        }
        tracing::warn!(signal, "the keeper was killed: putting another in its place");
        since = Instant::now();
        match replace() {
            Ok(pid) => keeper = pid,
            Err(error) => {
                tracing::error!(%error, "cannot put another keeper in its place");
                return 125;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_our_parent_any_more_is_no_guard() {
        let parent = rustix::process::getppid().unwrap();
        assert!(open(parent).is_some());
        assert!(open(rustix::process::getpid()).is_none(), "it lives, and is not our parent");
    }
}
