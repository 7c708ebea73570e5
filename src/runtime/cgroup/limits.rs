//! Limits made files of controllers: which file, and what is written there.

use crate::cgroup::group::GroupError;
use crate::cgroup::hierarchy::{self, Hierarchy};
use crate::state::container::LimitsRecord;

/// Docker's processor period, microseconds.
const PERIOD: u64 = 100_000;

/// A file of one controller, and its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    pub controller: &'static str,
    pub file: &'static str,
    pub value: String,
    /// The kernel may lack it and nobody is worse off.
    pub optional: bool,
}

/// What limits ask for, before it is known which version will do it.
struct Wish<'a> {
    limits: &'a LimitsRecord,
    settings: Vec<Setting>,
}

/// Returns what to write, in this order; an error where the host lacks the controller.
pub(super) fn settings(limits: &LimitsRecord) -> Result<Vec<Setting>, GroupError> {
    let version = |limit, controller| match hierarchy::of_controller(controller) {
        Some(Hierarchy { unified, .. }) => Ok(*unified),
        None => Err(GroupError::Unsupported { limit, controller }),
    };
    let mut wish = Wish { limits, settings: Vec::new() };
    if wants_memory(limits) {
        wish.memory(version("memory", "memory")?);
    }
    // The usual limit of processes is no wish of the caller's: without the controller there is none.
    match version("the number of processes", "pids") {
        Ok(_) => wish.pids(),
        Err(error) if limits.pids.is_some_and(|pids| pids > 0) && limits.pids != Some(DEFAULT_PIDS) => {
            return Err(error);
        }
        Err(_) => {}
    }
    if limits.nano_cpus.is_some()
        || limits.cpu_shares.is_some()
        || limits.cpu_period.is_some()
        || limits.cpu_quota.is_some()
    {
        wish.cpu(version("processor time", "cpu")?);
    }
    if let Some(cpus) = limits.cpuset.as_deref().filter(|cpus| !cpus.is_empty()) {
        version("the processors", "cpuset")?;
        wish.set("cpuset", "cpuset.cpus", cpus);
    }
    Ok(wish.settings)
}

/// Processes a container may have when nobody says otherwise: enough for any server, and a fork bomb stops there.
pub const DEFAULT_PIDS: i64 = 4096;

fn wants_memory(limits: &LimitsRecord) -> bool {
    limits.memory.is_some()
        || limits.memory_swap.is_some()
        || limits.memory_reservation.is_some()
        || limits.memory_swappiness.is_some()
        || limits.oom_kill_disable
}

impl Wish<'_> {
    fn set(&mut self, controller: &'static str, file: &'static str, value: impl ToString) {
        self.settings.push(Setting { controller, file, value: value.to_string(), optional: false });
    }

    fn try_set(&mut self, controller: &'static str, file: &'static str, value: impl ToString) {
        self.settings.push(Setting { controller, file, value: value.to_string(), optional: true });
    }

    fn memory(&mut self, v2: bool) {
        let limits = self.limits;
        let memory = limits.memory.filter(|bytes| *bytes > 0);
        // Docker's: memory and swap together; twice the memory when not given, -1 is unlimited.
        let both = match (limits.memory_swap, memory) {
            (Some(-1), _) => None,
            (Some(bytes), _) if bytes > 0 => Some(bytes.unsigned_abs()),
            (_, Some(memory)) => Some(memory.saturating_mul(2)),
            (_, None) => None,
        };
        if v2 {
            if let Some(memory) = memory {
                self.set("memory", "memory.max", memory);
                let swap = both.map_or("max".to_owned(), |both| both.saturating_sub(memory).to_string());
                self.try_set("memory", "memory.swap.max", swap);
            }
            if let Some(bytes) = limits.memory_reservation.filter(|bytes| *bytes > 0) {
                self.set("memory", "memory.low", bytes);
            }
            return;
        }
        if let Some(memory) = memory {
            self.set("memory", "memory.limit_in_bytes", memory);
            if let Some(both) = both {
                // Without swap accounting in the kernel the file is not there.
                self.try_set("memory", "memory.memsw.limit_in_bytes", both);
            }
        }
        if let Some(bytes) = limits.memory_reservation.filter(|bytes| *bytes > 0) {
            self.set("memory", "memory.soft_limit_in_bytes", bytes);
        }
        if let Some(swappiness) = limits.memory_swappiness {
            self.set("memory", "memory.swappiness", swappiness);
        }
        if limits.oom_kill_disable {
            self.set("memory", "memory.oom_control", 1);
        }
    }

    fn pids(&mut self) {
        match self.limits.pids {
            None => self.set("pids", "pids.max", DEFAULT_PIDS),
            Some(pids) if pids > 0 => self.set("pids", "pids.max", pids),
            // 0 and -1: unlimited, so no group is needed.
            Some(_) => {}
        }
    }

    fn cpu(&mut self, v2: bool) {
        let limits = self.limits;
        let period = limits.cpu_period.filter(|period| *period > 0).unwrap_or(PERIOD);
        let quota = match (limits.nano_cpus, limits.cpu_quota) {
            (Some(nano), _) if nano > 0 => Some(nano.saturating_mul(period) / 1_000_000_000),
            (_, Some(quota)) if quota > 0 => Some(quota.unsigned_abs()),
            _ => None,
        };
        if let Some(shares) = limits.cpu_shares.filter(|shares| *shares > 0) {
            if v2 {
                // As runc: 2..262144 onto 1..10000.
                let shares = shares.clamp(2, 262_144);
                self.set("cpu", "cpu.weight", 1 + (shares - 2) * 9999 / 262_142);
            } else {
                self.set("cpu", "cpu.shares", shares);
            }
        }
        if v2 {
            if quota.is_some() || limits.cpu_period.is_some() {
                let quota = quota.map_or("max".to_owned(), |quota| quota.to_string());
                self.set("cpu", "cpu.max", format!("{quota} {period}"));
            }
        } else {
            if quota.is_some() || limits.cpu_period.is_some() {
                self.set("cpu", "cpu.cfs_period_us", period);
            }
            if let Some(quota) = quota {
                self.set("cpu", "cpu.cfs_quota_us", quota);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Wish;
    use crate::state::container::LimitsRecord;

    fn check(limits: &LimitsRecord, v2: bool, expected: &[(&str, &str)]) {
        let mut wish = Wish { limits, settings: Vec::new() };
        wish.memory(v2);
        wish.pids();
        wish.cpu(v2);
        let found: Vec<(&str, &str)> = wish.settings.iter().map(|one| (one.file, one.value.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn both_versions_are_told_the_same() {
        let limits = LimitsRecord {
            memory: Some(64 << 20),
            nano_cpus: Some(1_500_000_000),
            cpu_shares: Some(1024),
            pids: Some(50),
            ..LimitsRecord::default()
        };
        let v2 = [
            ("memory.max", "67108864"),
            ("memory.swap.max", "67108864"),
            ("pids.max", "50"),
            ("cpu.weight", "39"),
            ("cpu.max", "150000 100000"),
        ];
        check(&limits, true, &v2);
        let v1 = [
            ("memory.limit_in_bytes", "67108864"),
            ("memory.memsw.limit_in_bytes", "134217728"),
            ("pids.max", "50"),
            ("cpu.shares", "1024"),
            ("cpu.cfs_period_us", "100000"),
            ("cpu.cfs_quota_us", "150000"),
        ];
        check(&limits, false, &v1);
    }

    #[test]
    fn without_limits_only_processes_are_counted() {
        check(&LimitsRecord::default(), true, &[("pids.max", "4096")]);
        check(&LimitsRecord { pids: Some(-1), ..LimitsRecord::default() }, true, &[]);
    }
}
