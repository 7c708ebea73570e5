//! `container update`: other limits, and another restart policy, for containers that are there.

use std::sync::Arc;

use orchestrator::engine::Engine;
use orchestrator::engine::container::{BlockLimits, ContainerSummary, Limits, RestartPolicy};
use orchestrator::engine::update::ContainerUpdate;

use crate::app::App;
use crate::commands::container::acts::each;
use crate::commands::container::limits::{bytes, nano_cpus, swap};
use crate::commands::container::spec::restart;
use crate::error::{CommandError, Kind};

/// Change limits of containers
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
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

    /// Microseconds a period of real-time scheduling
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

    /// When it is started again: `no`, `always`, `unless-stopped`, `on-failure[:N]`
    #[arg(long, value_name = "POLICY", value_parser = restart)]
    restart: Option<RestartPolicy>,

    /// Names or ids
    #[arg(value_name = "CONTAINER", required = true)]
    names: Vec<String>,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let update = ContainerUpdate {
        limits: Limits {
            memory: args.memory,
            memory_swap: args.memory_swap,
            memory_reservation: args.memory_reservation,
            nano_cpus: args.cpus.and_then(nano_cpus),
            cpu_shares: args.cpu_shares,
            cpu_period: args.cpu_period,
            cpu_quota: args.cpu_quota,
            cpu_rt_period: args.cpu_rt_period,
            cpu_rt_runtime: args.cpu_rt_runtime,
            cpuset: args.cpuset_cpus,
            pids: args.pids_limit,
            block: BlockLimits { weight: args.blkio_weight, ..BlockLimits::default() },
            ..Limits::default()
        },
        restart: args.restart,
    };
    if update == ContainerUpdate::default() {
        return Err(CommandError::new(Kind::Usage, "you must provide one or more flags when using this command"));
    }
    let change = async |engine: Arc<dyn Engine>, it: ContainerSummary| engine.update_container(&it.id, &update).await;
    each(app, &args.names, change).await
}
