//! What a container uses, as counters: rates are for whoever reads them twice.

use std::fs;
use std::time::SystemTime;

use crate::Runtime;
use crate::cgroup::group::Group;
use crate::container::act::{self, ActError};
use crate::container::list;
use crate::container::processes;
use crate::keeper::spec;
use crate::state::container::NetworkModeRecord;
use crate::state::process::ProcessId;

/// Clock ticks a second, as /proc counts them (`USER_HZ`, the same on all that Linux runs on).
const TICKS: u64 = 100;

/// Counters at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statistics {
    /// When they were read.
    pub read: SystemTime,
    /// Nanoseconds of processor time since the container was first started by its keeper.
    pub cpu_nanos: u64,
    /// Nanoseconds of processor time of the host, all processors together.
    pub system_nanos: u64,
    /// Processors that the host has.
    pub processors: u32,
    /// Bytes in use, without what the kernel can take back at once.
    pub memory: u64,
    /// Bytes that it may use; without a limit, what the host has.
    pub memory_limit: u64,
    /// Bytes received and sent, but for the loopback link.
    pub network: (u64, u64),
    /// Bytes read from and written to block devices.
    pub block: (u64, u64),
    /// Processes and threads.
    pub tasks: u64,
}

/// Reads the counters of a container that runs. What its groups do not count is summed over its processes.
pub fn read(rt: &Runtime, name: &str) -> Result<Statistics, ActError> {
    let container = list::find(rt, name)?;
    let init = act::init(&container)?;
    let group = Group::open(&spec::group_name(&container.record.id, container.record.limits.parent.as_deref()));
    let (system_nanos, processors) = host_time(&text("/proc/stat"));
    let total = host_memory(&text("/proc/meminfo"));
    let pids = processes::of(&group, init);
    let sum = |value: fn(i32) -> u64| pids.iter().map(|pid| value(*pid)).sum();
    let network = match container.record.network {
        NetworkModeRecord::Host => (0, 0),
        NetworkModeRecord::None | NetworkModeRecord::Container(_) | NetworkModeRecord::Networks(_) => {
            links(&text(&format!("/proc/{}/net/dev", init.pid)))
        }
    };
    Ok(Statistics {
        read: SystemTime::now(),
        cpu_nanos: group.cpu_nanoseconds().unwrap_or_else(|| sum(cpu)),
        system_nanos,
        processors,
        memory: group.memory_working_set().unwrap_or_else(|| sum(memory)),
        memory_limit: group.memory_limit().map_or(total, |limit| limit.min(total)),
        network,
        block: group.block_bytes().unwrap_or_else(|| {
            pids.iter().map(|pid| block(*pid)).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
        }),
        tasks: group.tasks().unwrap_or_else(|| sum(threads)),
    })
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Reads proc_stat(5): all time of all processors but that of guests, which is in it already; and how many there are.
fn host_time(stat: &str) -> (u64, u32) {
    let ticks = stat
        .lines()
        .find_map(|line| line.strip_prefix("cpu "))
        .map(|line| line.split_ascii_whitespace().take(8).filter_map(|field| field.parse::<u64>().ok()).sum())
        .unwrap_or(0_u64);
    let is_processor = |line: &&str| {
        line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
    };
    let processors = stat.lines().filter(is_processor).count();
    (nanos(ticks), u32::try_from(processors).unwrap_or(u32::MAX).max(1))
}

fn nanos(ticks: u64) -> u64 {
    ticks.saturating_mul(1_000_000_000 / TICKS)
}

fn host_memory(meminfo: &str) -> u64 {
    kilobytes(meminfo, "MemTotal:")
}

/// Returns the bytes of a line such as `Pss:   123 kB`.
fn kilobytes(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Reads proc_pid_net(5) `dev`: bytes received and sent on every link but the loopback.
fn links(dev: &str) -> (u64, u64) {
    let mut sum = (0, 0);
    for line in dev.lines() {
        let Some((name, counters)) = line.split_once(':') else { continue };
        if name.trim() == "lo" {
            continue;
        }
        let mut fields = counters.split_ascii_whitespace().map(|field| field.parse::<u64>().unwrap_or(0));
        sum.0 += fields.next().unwrap_or(0);
        sum.1 += fields.nth(7).unwrap_or(0);
    }
    sum
}

/// Processor time of one process that lives.
fn cpu(pid: i32) -> u64 {
    let stat = text(&format!("/proc/{pid}/stat"));
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace();
    nanos(fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum())
}

/// Its share of memory.
fn memory(pid: i32) -> u64 {
    kilobytes(&text(&format!("/proc/{pid}/smaps_rollup")), "Pss:")
}

fn threads(pid: i32) -> u64 {
    let status = text(&format!("/proc/{pid}/status"));
    let line = status.lines().find_map(|line| line.strip_prefix("Threads:"));
    line.and_then(|line| line.trim().parse().ok()).unwrap_or(0)
}

fn block(pid: i32) -> (u64, u64) {
    let io = text(&format!("/proc/{pid}/io"));
    let value = |key: &str| {
        let line = io.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|line| line.trim().parse().ok()).unwrap_or(0)
    };
    (value("read_bytes:"), value("write_bytes:"))
}

/// Says whether a container is still the same run: its first process lives.
pub fn is_running(rt: &Runtime, name: &str) -> bool {
    list::find(rt, name).is_ok_and(|container| act::init(&container).is_ok_and(ProcessId::is_running))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_s_time_leaves_guests_out() {
        let stat = "cpu  1 2 3 4 5 6 7 8 900 900\ncpu0 1 1 1 1\ncpu1 1 1 1 1\nintr 5\n";
        assert_eq!(host_time(stat), (360_000_000, 2));
    }

    #[test]
    fn links_are_summed_without_the_loopback() {
        let dev = "Inter-|   Receive  |  Transmit\n face |bytes packets\n    lo: 9 9 0 0 0 0 0 0 9 9 0 0 0 0 0 0\n\
                   eth0: 100 1 0 0 0 0 0 0 20 1 0 0 0 0 0 0\n  eth1:7 1 0 0 0 0 0 0 3 1 0 0 0 0 0 0\n";
        assert_eq!(links(dev), (107, 23));
    }

    #[test]
    fn kilobytes_are_told_in_bytes() {
        assert_eq!(kilobytes("Rss:  12 kB\nPss:   3 kB\n", "Pss:"), 3072);
        assert_eq!(kilobytes("", "Pss:"), 0);
    }
}
