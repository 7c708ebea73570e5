//! A change of a container that is there.

use orchestrator::engine::error::EngineError;
use orchestrator::engine::update::ContainerUpdate;
use runtime::Runtime;
use runtime::container::update::{self, UpdateRequest};
use runtime::state::container::{BlockRecord, LimitsRecord};

use crate::embedded::engine::blocking;
use crate::embedded::{errors, request};

pub(crate) async fn update(rt: &Runtime, id: String, update: &ContainerUpdate) -> Result<(), EngineError> {
    let limits = &update.limits;
    let limits = LimitsRecord {
        memory: limits.memory,
        memory_swap: limits.memory_swap,
        memory_reservation: limits.memory_reservation,
        nano_cpus: limits.nano_cpus,
        cpu_shares: limits.cpu_shares,
        cpu_period: limits.cpu_period,
        cpu_quota: limits.cpu_quota,
        cpuset: limits.cpuset.clone(),
        pids: limits.pids,
        cpu_rt_period: limits.cpu_rt_period,
        cpu_rt_runtime: limits.cpu_rt_runtime,
        block: BlockRecord { weight: limits.block.weight, ..BlockRecord::default() },
        ..LimitsRecord::default()
    };
    let request = UpdateRequest { limits, restart: update.restart.map(request::restart) };
    blocking(rt, move |rt| update::update(rt, &id, &request).map_err(|error| errors::update(&id, &error))).await
}
