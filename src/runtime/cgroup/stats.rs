//! What a group has used, and what the kernel did to it.

use crate::cgroup::events;
use crate::cgroup::group::{Group, Place};

impl Group {
    /// How many processes the kernel killed here for want of memory. Without a memory group that is not counted.
    pub fn oom_kills(&self) -> u64 {
        let Some(Place { path, unified }) = self.of_controller("memory") else { return 0 };
        let file = if unified { "memory.events" } else { "memory.oom_control" };
        let text = std::fs::read_to_string(path.join(file)).unwrap_or_default();
        events::value(&text, "oom_kill").and_then(|count| count.parse().ok()).unwrap_or(0)
    }

    /// Bytes of memory in use, where that is counted.
    pub fn memory_usage(&self) -> Option<u64> {
        let Place { path, unified } = self.of_controller("memory")?;
        let file = if unified { "memory.current" } else { "memory.usage_in_bytes" };
        std::fs::read_to_string(path.join(file)).ok()?.trim().parse().ok()
    }

    /// Nanoseconds of processor time used, where that is counted.
    pub fn cpu_nanoseconds(&self) -> Option<u64> {
        if let Some(Place { path, unified: false }) = self.of_controller("cpuacct") {
            return std::fs::read_to_string(path.join("cpuacct.usage")).ok()?.trim().parse().ok();
        }
        // `cpu.stat` has this line in every v2 group.
        let text = std::fs::read_to_string(self.unified()?.path.join("cpu.stat")).ok()?;
        events::value(&text, "usage_usec")?.parse::<u64>().ok().map(|usec| usec * 1000)
    }

    /// Processes and threads, where they are counted.
    pub fn tasks(&self) -> Option<u64> {
        let Place { path, .. } = self.of_controller("pids")?;
        std::fs::read_to_string(path.join("pids.current")).ok()?.trim().parse().ok()
    }
}
