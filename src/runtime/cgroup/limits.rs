//! Limits made files of controllers: which file, and what is written there.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

use crate::cgroup::group::GroupError;
use crate::cgroup::hierarchy::{self, Hierarchy};
use crate::state::container::{BlockRecord, LimitsRecord};

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
    if limits.cpu_rt_period.is_some() || limits.cpu_rt_runtime.is_some() {
        wish.real_time(version("real-time processor time", "cpu")?)?;
    }
    if limits.block != BlockRecord::default() {
        let controller = if hierarchy::of_controller("io").is_some() { "io" } else { "blkio" };
        wish.block(version("block devices", controller)?)?;
    }
    if let Some(cpus) = limits.cpuset.as_deref().filter(|cpus| !cpus.is_empty()) {
        version("the processors", "cpuset")?;
        wish.set("cpuset", "cpuset.cpus", cpus);
    }
    Ok(wish.settings)
}

/// Returns what to write where a limit means that there is none: a group that is made has none anyway.
pub(super) fn lifted(limits: &LimitsRecord) -> Vec<Setting> {
    let is_v2 = |controller| hierarchy::of_controller(controller).map(|hierarchy| hierarchy.unified);
    let mut wish = Wish { limits, settings: Vec::new() };
    if limits.pids.is_some_and(|pids| pids <= 0) && is_v2("pids").is_some() {
        wish.set("pids", "pids.max", "max");
    }
    // In v2 this is written with the limit of memory.
    if limits.memory_swap == Some(-1) && is_v2("memory") == Some(false) {
        wish.try_set("memory", "memory.memsw.limit_in_bytes", -1);
    }
    if limits.cpu_quota.is_some_and(|quota| quota < 0) && limits.nano_cpus.is_none() {
        match is_v2("cpu") {
            Some(true) => wish.set("cpu", "cpu.max", "max"),
            Some(false) => wish.set("cpu", "cpu.cfs_quota_us", -1),
            None => {}
        }
    }
    wish.settings
}

/// Names what of the limits has no effect on this host, as with Docker: hints, and what v2 has done away with.
pub fn without_effect(limits: &LimitsRecord) -> Vec<&'static str> {
    let is_v2 = hierarchy::of_controller("memory").is_some_and(|hierarchy| hierarchy.unified);
    let has_weights = || match hierarchy::of_controller("blkio") {
        Some(hierarchy) => WEIGHTS.iter().any(|file| hierarchy.mount.join(file).exists()),
        // The root of v2 has no weight to look for.
        None => hierarchy::of_controller("io").is_some(),
    };
    let wants_weights = limits.block.weight.is_some() || !limits.block.weights.is_empty();
    let asked = [
        ("mem_swappiness", is_v2 && limits.memory_swappiness.is_some()),
        ("oom_kill_disable", is_v2 && limits.oom_kill_disable),
        ("blkio_config.weight", wants_weights && !has_weights()),
    ];
    asked.into_iter().filter(|(_, is_lost)| *is_lost).map(|(name, _)| name).collect()
}

/// Of v1: of the scheduler that is there.
const WEIGHTS: [&str; 2] = ["blkio.weight", "blkio.bfq.weight"];

/// Returns `major:minor` of a block device of the host.
fn device_number(path: &str) -> Result<String, GroupError> {
    let failed = |source| GroupError::BlockDevice { path: path.to_owned(), source };
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.file_type().is_block_device() {
        return Err(failed(rustix::io::Errno::NOTBLK.into()));
    }
    let number = metadata.rdev();
    Ok(format!("{}:{}", rustix::fs::major(number), rustix::fs::minor(number)))
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

    /// Real-time scheduling is shared out in v1 only, by kernels that are built so (sched-rt-group.rst).
    fn real_time(&mut self, v2: bool) -> Result<(), GroupError> {
        let of_v1 = hierarchy::of_controller("cpu").filter(|_| !v2);
        if !of_v1.is_some_and(|hierarchy| hierarchy.mount.join("cpu.rt_runtime_us").exists()) {
            return Err(GroupError::Unsupported { limit: "real-time processor time", controller: "cpu.rt_runtime_us" });
        }
        if let Some(period) = self.limits.cpu_rt_period {
            self.set("cpu", "cpu.rt_period_us", period);
        }
        if let Some(runtime) = self.limits.cpu_rt_runtime {
            self.set("cpu", "cpu.rt_runtime_us", runtime);
        }
        Ok(())
    }

    fn block(&mut self, v2: bool) -> Result<(), GroupError> {
        let block = &self.limits.block;
        if let Some(weight) = block.weight {
            if v2 {
                // As runc: 10..1000 onto 1..10000; the scheduler that knows the old scale is told that.
                self.try_set("io", "io.bfq.weight", weight);
                let weight = u64::from(weight).clamp(10, 1000);
                self.try_set("io", "io.weight", format!("default {}", 1 + (weight - 10) * 9999 / 990));
            } else {
                WEIGHTS.into_iter().for_each(|file| self.try_set("blkio", file, weight));
            }
        }
        for (path, weight) in &block.weights {
            let line = format!("{} {weight}", device_number(path)?);
            if v2 {
                self.try_set("io", "io.bfq.weight", line);
            } else {
                self.try_set("blkio", "blkio.weight_device", &line);
                self.try_set("blkio", "blkio.bfq.weight_device", line);
            }
        }
        for (rates, key, file) in [
            (&block.read_bytes, "rbps", "blkio.throttle.read_bps_device"),
            (&block.write_bytes, "wbps", "blkio.throttle.write_bps_device"),
            (&block.read_operations, "riops", "blkio.throttle.read_iops_device"),
            (&block.write_operations, "wiops", "blkio.throttle.write_iops_device"),
        ] {
            for (path, rate) in rates {
                let number = device_number(path)?;
                if v2 {
                    self.set("io", "io.max", format!("{number} {key}={rate}"));
                } else {
                    self.set("blkio", file, format!("{number} {rate}"));
                }
            }
        }
        Ok(())
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
    fn block_devices_are_told_by_number_and_what_is_none_is_refused() {
        use super::BlockRecord;
        let of = |path: &str| LimitsRecord {
            block: BlockRecord { write_bytes: vec![(path.into(), 1 << 20)], ..BlockRecord::default() },
            ..LimitsRecord::default()
        };
        let error = |path: &str| Wish { limits: &of(path), settings: Vec::new() }.block(true).unwrap_err().to_string();
        assert_eq!(error("/dev/null"), "cannot limit block device `/dev/null`");
        assert_eq!(error("/dev/nothing-here"), "cannot limit block device `/dev/nothing-here`");
        let weight = LimitsRecord {
            block: BlockRecord { weight: Some(500), ..BlockRecord::default() },
            ..LimitsRecord::default()
        };
        let mut wish = Wish { limits: &weight, settings: Vec::new() };
        wish.block(true).unwrap();
        assert_eq!(wish.settings[1].value, "default 4950");
    }

    #[test]
    fn without_limits_only_processes_are_counted() {
        check(&LimitsRecord::default(), true, &[("pids.max", "4096")]);
        check(&LimitsRecord { pids: Some(-1), ..LimitsRecord::default() }, true, &[]);
    }
}
