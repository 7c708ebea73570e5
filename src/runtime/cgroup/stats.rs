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

    /// Bytes of memory in use without file pages that nobody has touched for long, as Docker counts; where counted.
    pub fn memory_working_set(&self) -> Option<u64> {
        let Place { path, unified } = self.of_controller("memory")?;
        let text = std::fs::read_to_string(path.join("memory.stat")).ok()?;
        let key = if unified { "inactive_file" } else { "total_inactive_file" };
        let idle = events::value(&text, key).and_then(|value| value.parse().ok()).unwrap_or(0);
        Some(self.memory_usage()?.saturating_sub(idle))
    }

    /// Bytes of memory that it may use; `None`: as many as the host has.
    pub fn memory_limit(&self) -> Option<u64> {
        let Place { path, unified } = self.of_controller("memory")?;
        let file = if unified { "memory.max" } else { "memory.limit_in_bytes" };
        // `max` in v2; in v1 a number that no host has.
        std::fs::read_to_string(path.join(file)).ok()?.trim().parse().ok()
    }

    /// Bytes read from and written to block devices, where that is counted.
    pub fn block_bytes(&self) -> Option<(u64, u64)> {
        if let Some(Place { path, unified }) = self.of_controller("blkio") {
            let files = ["blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes"];
            let text =
                files.iter().find_map(|file| std::fs::read_to_string(path.join(file)).ok()).filter(|_| !unified)?;
            return Some(v1_bytes(&text));
        }
        let Place { path, .. } = self.of_controller("io")?;
        Some(v2_bytes(&std::fs::read_to_string(path.join("io.stat")).ok()?))
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

/// Lines such as `8:0 Read 4096`.
fn v1_bytes(text: &str) -> (u64, u64) {
    let sum = |kind: &str| {
        let lines =
            text.lines().filter_map(|line| line.split_once(' ')?.1.strip_prefix(kind)?.trim().parse::<u64>().ok());
        lines.sum()
    };
    (sum("Read "), sum("Write "))
}

/// Lines such as `8:0 rbytes=4096 wbytes=0 rios=1 ..`.
fn v2_bytes(text: &str) -> (u64, u64) {
    let sum = |key: &str| {
        let words = text.split_ascii_whitespace();
        words.filter_map(|word| word.strip_prefix(key)?.parse::<u64>().ok()).sum()
    };
    (sum("rbytes="), sum("wbytes="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_bytes_are_summed_over_devices() {
        let v1 = "8:0 Read 4096\n8:0 Write 10\n8:0 Sync 3\n8:16 Read 4\nTotal 4110\n";
        assert_eq!(v1_bytes(v1), (4100, 10));
        assert_eq!(v2_bytes("8:0 rbytes=5 wbytes=6 rios=1\n8:16 rbytes=1 wbytes=2\n"), (6, 8));
    }
}
