//! The flags of `container run` and `container update` that say what a container may use.

use std::collections::BTreeMap;

use orchestrator::engine::container::{BlockLimits, Limits};

use crate::args::mount::parse_bytes;

/// What a container may use.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArgs {
    #[command(flatten)]
    changeable: ChangeableArgs,

    /// How readily it is swapped out, 0 to 100
    #[arg(long, value_name = "PERCENT", allow_negative_numbers = true)]
    memory_swappiness: Option<i64>,

    /// Bytes a second read from a device: `/dev/sda:1m`
    #[arg(long, value_name = "DEVICE:RATE", value_parser = rate)]
    device_read_bps: Vec<(String, u64)>,

    /// Bytes a second written to a device
    #[arg(long, value_name = "DEVICE:RATE", value_parser = rate)]
    device_write_bps: Vec<(String, u64)>,

    /// Reads a second of a device
    #[arg(long, value_name = "DEVICE:RATE", value_parser = rate)]
    device_read_iops: Vec<(String, u64)>,

    /// Writes a second of a device
    #[arg(long, value_name = "DEVICE:RATE", value_parser = rate)]
    device_write_iops: Vec<(String, u64)>,

    /// Limit a process: `nofile=1024:2048`
    #[arg(long, value_name = "NAME=SOFT[:HARD]", value_parser = ulimit)]
    ulimit: Vec<(String, (i64, i64))>,

    /// Size of `/dev/shm`
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub(crate) shm_size: Option<u64>,

    /// Don't kill it when memory is short
    #[arg(long)]
    pub(crate) oom_kill_disable: bool,

    /// How soon it is killed when the host's memory is short, -1000 to 1000
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) oom_score_adj: Option<i64>,
}

impl LimitArgs {
    /// Returns what the engine is told.
    pub(crate) fn limits(&self) -> Limits {
        let changeable = self.changeable.limits();
        Limits {
            memory_swappiness: self.memory_swappiness.and_then(|percent| u64::try_from(percent).ok()),
            block: BlockLimits {
                device_read_bps: self.device_read_bps.clone(),
                device_write_bps: self.device_write_bps.clone(),
                device_read_iops: self.device_read_iops.clone(),
                device_write_iops: self.device_write_iops.clone(),
                ..changeable.block
            },
            ..changeable
        }
    }

    /// Returns the limits of its processes.
    pub(crate) fn ulimits(&self) -> BTreeMap<String, (i64, i64)> {
        self.ulimit.iter().cloned().collect()
    }
}

/// Limits that can be changed while the container runs, too.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ChangeableArgs {
    /// Memory: `512m`
    #[arg(short, long, value_name = "BYTES", value_parser = bytes)]
    memory: Option<u64>,

    /// Memory and swap together; `-1` is no limit
    #[arg(long, value_name = "BYTES", value_parser = swap, allow_negative_numbers = true)]
    memory_swap: Option<i64>,

    /// Memory that it keeps when the host runs short
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    memory_reservation: Option<u64>,

    /// Processors: `1.5`
    #[arg(long, value_name = "N")]
    cpus: Option<f64>,

    /// Its weight against others; 1024 is usual
    #[arg(short, long, value_name = "WEIGHT")]
    cpu_shares: Option<u64>,

    /// Microseconds of a period
    #[arg(long, value_name = "MICROSECONDS")]
    cpu_period: Option<u64>,

    /// Microseconds a period; `-1` is no limit
    #[arg(long, value_name = "MICROSECONDS", allow_negative_numbers = true)]
    cpu_quota: Option<i64>,

    /// Microseconds of a period of real-time scheduling
    #[arg(long, value_name = "MICROSECONDS")]
    cpu_rt_period: Option<u64>,

    /// Microseconds of real-time scheduling a period
    #[arg(long, value_name = "MICROSECONDS", allow_negative_numbers = true)]
    cpu_rt_runtime: Option<i64>,

    /// Which processors: `0-3,5`
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,

    /// Processes and threads; `-1` is no limit
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pids_limit: Option<i64>,

    /// Weight for block devices, 10 to 1000
    #[arg(long, value_name = "WEIGHT")]
    blkio_weight: Option<u16>,
}

impl ChangeableArgs {
    /// Returns what the engine is told.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            memory: self.memory,
            memory_swap: self.memory_swap,
            memory_reservation: self.memory_reservation,
            nano_cpus: self.cpus.and_then(nano_cpus),
            cpu_shares: self.cpu_shares,
            cpu_period: self.cpu_period,
            cpu_quota: self.cpu_quota,
            cpu_rt_period: self.cpu_rt_period,
            cpu_rt_runtime: self.cpu_rt_runtime,
            cpuset: self.cpuset_cpus.clone(),
            pids: self.pids_limit,
            block: BlockLimits { weight: self.blkio_weight, ..BlockLimits::default() },
            ..Limits::default()
        }
    }
}

/// Returns billionths of a processor; none is no limit.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a negative number is no limit")]
fn nano_cpus(cpus: f64) -> Option<u64> {
    (cpus > 0.0).then(|| (cpus * 1e9).round() as u64)
}

fn bytes(text: &str) -> Result<u64, String> {
    parse_bytes(text).ok_or_else(|| format!("`{text}` is no size; write `64m`, `1.5g` or a number of bytes"))
}

fn swap(text: &str) -> Result<i64, String> {
    if text == "-1" {
        return Ok(-1);
    }
    i64::try_from(bytes(text)?).map_err(|_| format!("`{text}` is too much"))
}

fn rate(text: &str) -> Result<(String, u64), String> {
    let wrong = || format!("`{text}` is no rate; write `/dev/sda:1m`");
    let (device, rate) = text.rsplit_once(':').ok_or_else(wrong)?;
    Ok((device.to_owned(), parse_bytes(rate).ok_or_else(wrong)?))
}

fn ulimit(text: &str) -> Result<(String, (i64, i64)), String> {
    let wrong = || format!("`{text}` is no limit; write `nofile=1024` or `nofile=1024:2048`");
    let (name, values) = text.split_once('=').ok_or_else(wrong)?;
    let number = |text: &str| if text == "unlimited" { Some(-1) } else { text.parse().ok() };
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    Ok((name.to_owned(), (number(soft).ok_or_else(wrong)?, number(hard).ok_or_else(wrong)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_docker_reads_them() {
        assert_eq!(ulimit("nofile=10:20").unwrap(), ("nofile".into(), (10, 20)));
        assert_eq!(ulimit("core=unlimited").unwrap(), ("core".into(), (-1, -1)));
        assert!(ulimit("core").is_err());
        assert_eq!(rate("/dev/sda:1m").unwrap(), ("/dev/sda".into(), 1 << 20));
        assert_eq!(swap("-1").unwrap(), -1);
        let changeable = ChangeableArgs { cpus: Some(1.5), blkio_weight: Some(20), ..ChangeableArgs::default() };
        let args = LimitArgs { changeable, ..LimitArgs::default() };
        assert_eq!(args.limits().block.weight, Some(20));
        assert_eq!(args.limits().nano_cpus, Some(1_500_000_000));
    }
}
