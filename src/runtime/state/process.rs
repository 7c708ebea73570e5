//! Is a process that a record names still the same one? Its start time tells.

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
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the name in parentheses and may itself hold blanks and parentheses.
        let rest = stat.rsplit_once(')')?.1;
        let start_time = rest.split_ascii_whitespace().nth(19)?.parse().ok()?;
        Some(Self { pid, start_time })
    }

    /// Says whether this very process still exists (a zombie does).
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}
