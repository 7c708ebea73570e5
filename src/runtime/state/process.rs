//! Is a process that a record names still the same one? Its start time tells.

use std::io::Read as _;
use std::sync::OnceLock;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags};
use serde::{Deserialize, Serialize};

/// A process that can't be mistaken for a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Process number in our pid namespace.
    pub pid: i32,
    /// Field 22 of `/proc/PID/stat`: clock ticks after boot (proc_pid_stat(5)).
    pub start_time: u64,
}

impl ProcessId {
    /// Reads the identity of a running process; `None` when it is gone.
    pub fn of(pid: i32) -> Option<Self> {
        read(pid).map(|(process, _)| process)
    }

    /// Says whether this very process still exists (a zombie does).
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Says whether the process of this number has ended, noticed by its parent or not. For less than reading all about it
    /// costs; another one of the same number is taken for it.
    pub fn has_ended(self) -> bool {
        let Some(pid) = Pid::from_raw(self.pid) else { return true };
        let Ok(pidfd) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else { return true };
        let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
        matches!(rustix::event::poll(&mut fds, Some(&Timespec::default())), Ok(1))
    }

    /// Says whether this very process still runs: a zombie has ended, and only waits for its parent to notice.
    pub fn is_running(self) -> bool {
        matches!(read(self.pid), Some((process, state)) if process == self && !matches!(state, 'Z' | 'X'))
    }
}

/// Reads who a process is, and the letter of its state.
fn read(pid: i32) -> Option<(ProcessId, char)> {
    // One read has it all (proc_pid_stat(5): 52 numbers and a name of 15 bytes), where a file that tells no size takes eight.
    let mut bytes = [0; 1024];
    let length = std::fs::File::open(format!("/proc/{pid}/stat")).ok()?.read(&mut bytes).ok()?;
    let stat = String::from_utf8_lossy(&bytes[..length]);
    // The second field is the name in parentheses and may itself hold blanks and parentheses.
    let mut rest = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = rest.next()?.chars().next()?;
    let start_time = rest.nth(18)?.parse().ok()?;
    Some((ProcessId { pid, start_time }, state))
}

/// Returns what tells this boot of the machine from every other: process numbers mean nothing across them.
pub fn boot_id() -> String {
    static BOOT: OnceLock<String> = OnceLock::new();
    let read = || std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned();
    BOOT.get_or_init(read).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_itself_and_no_other() {
        let me = ProcessId::of(std::process::id().cast_signed()).unwrap();
        assert!(me.is_alive() && me.is_running());
        assert!(!ProcessId { start_time: me.start_time + 1, ..me }.is_running());
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a child that ends at once")]
    fn a_zombie_is_there_but_does_not_run() {
        let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
        let process = ProcessId::of(child.id().cast_signed()).unwrap();
        let end = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
        let pid = Pid::from_child(&child);
        rustix::process::waitid(rustix::process::WaitId::Pid(pid), end).unwrap();
        assert!(process.is_alive());
        assert!(!process.is_running());
        child.wait().unwrap();
        assert!(!process.is_alive());
    }
}
