//! Changes the limits and the restart policy of a container, whether it runs or not.
//!
//! The kernel comes first and the record second: that is when it is done. Killed in between, the next update, or the next
//! start, makes them agree again.

use crate::Runtime;
use crate::cgroup::group::{Group, GroupError};
use crate::container::act::{self, ActError};
use crate::container::list::{self, FindError};
use crate::keeper::control::Request;
use crate::keeper::spec;
use crate::state::container::{LimitsRecord, RestartRecord, Status};
use crate::state::occurrence;
use crate::state::record::{self, RecordError};

/// What is to change; `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpdateRequest {
    /// New limits. The parent group, the disk and single devices can't be changed.
    pub limits: LimitsRecord,
    /// New policy.
    pub restart: Option<RestartRecord>,
}

/// Why a container could not be changed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum UpdateError {
    #[error(transparent)]
    Find(#[from] FindError),
    #[error("cannot update container `{name}`: {why}")]
    Conflict { name: String, why: &'static str },
    #[error("cannot update container `{name}`")]
    Group {
        name: String,
        #[source]
        source: GroupError,
    },
    #[error(transparent)]
    Act(#[from] ActError),
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Changes a container; what it is already is success.
pub fn update(rt: &Runtime, name: &str, request: &UpdateRequest) -> Result<(), UpdateError> {
    let id = list::find_id(rt, name)?;
    let bundle = rt.layout.bundle(&id);
    let _act = record::lock(&bundle.act_lock())?;
    let list::Container { record: old, status } = list::find(rt, &id)?;
    let conflict = |why| UpdateError::Conflict { name: old.name.clone(), why };
    let mut new = old.clone();
    new.limits = merge(&old.limits, &request.limits).map_err(conflict)?;
    if let Some(restart) = request.restart {
        if old.auto_remove && restart != RestartRecord::No {
            return Err(conflict("it is removed at its end, so it has no restart policy"));
        }
        new.restart = restart;
    }
    if new.limits != old.limits && matches!(status.status, Status::Running { .. } | Status::Paused { .. }) {
        let group = Group::open(&spec::group_name(&id, old.limits.parent.as_deref()));
        if let Err(source) = group.change(&new.limits) {
            // What has been written already goes back; the first error is the one that tells.
            let _ = group.change(&old.limits);
            return Err(UpdateError::Group { name: old.name, source });
        }
    }
    record::write(&bundle.record(), &new)?;
    if status.status.is_up() {
        act::ask(rt, &id, "update", &Request::Update)?;
    }
    occurrence::of_container(&rt.layout, &new, "update", &[]);
    Ok(())
}

/// Puts new limits over the old ones, as Docker does; or says which two contradict each other.
fn merge(old: &LimitsRecord, new: &LimitsRecord) -> Result<LimitsRecord, &'static str> {
    let is_set = |value: Option<u64>| value.is_some_and(|value| value > 0);
    let quota = |limits: &LimitsRecord| limits.cpu_quota.is_some_and(|quota| quota > 0);
    if is_set(new.nano_cpus) && (is_set(old.cpu_period) || is_set(new.cpu_period)) {
        return Err("conflicting options: `--cpus` cannot be set where `--cpu-period` is");
    }
    if is_set(new.nano_cpus) && (quota(old) || quota(new)) {
        return Err("conflicting options: `--cpus` cannot be set where `--cpu-quota` is");
    }
    if is_set(old.nano_cpus) && (is_set(new.cpu_period) || quota(new)) {
        return Err("conflicting options: `--cpu-period` and `--cpu-quota` cannot be set where `--cpus` is");
    }
    let mut limits = old.clone();
    if let Some(memory) = new.memory.filter(|bytes| *bytes > 0) {
        // Twice the memory where nobody said: that stays while memory alone changes.
        let both = old.memory_swap.or(old.memory.and_then(|memory| i64::try_from(memory.saturating_mul(2)).ok()));
        if new.memory_swap.is_none() && both.is_some_and(|both| both > 0 && memory > both.unsigned_abs()) {
            return Err(
                "the memory limit should be smaller than the memoryswap limit that is set already: change `--memory-swap` at the same time",
            );
        }
        limits.memory = Some(memory);
        limits.memory_swap = both;
    }
    if let Some(both) = new.memory_swap.filter(|both| *both != 0) {
        if both > 0 && limits.memory.is_none_or(|memory| memory > both.unsigned_abs()) {
            return Err(
                "`--memory-swap` holds the memory too: it is at least as much as `--memory`, which must be set",
            );
        }
        limits.memory_swap = Some(both);
    }
    let over = |new: Option<u64>, old: Option<u64>| new.filter(|value| *value > 0).or(old);
    limits.memory_reservation = over(new.memory_reservation, old.memory_reservation);
    limits.nano_cpus = over(new.nano_cpus, old.nano_cpus);
    limits.cpu_shares = over(new.cpu_shares, old.cpu_shares);
    limits.cpu_period = over(new.cpu_period, old.cpu_period);
    limits.cpu_rt_period = over(new.cpu_rt_period, old.cpu_rt_period);
    limits.cpu_quota = new.cpu_quota.filter(|quota| *quota != 0).or(old.cpu_quota);
    limits.cpu_rt_runtime = new.cpu_rt_runtime.filter(|runtime| *runtime != 0).or(old.cpu_rt_runtime);
    limits.cpuset = new.cpuset.clone().filter(|cpus| !cpus.is_empty()).or_else(|| old.cpuset.clone());
    limits.pids = new.pids.or(old.pids);
    limits.block.weight = new.block.weight.filter(|weight| *weight > 0).or(old.block.weight);
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_limits_go_over_the_old_ones_and_contradictions_are_told() {
        let old = LimitsRecord { memory: Some(100), cpu_shares: Some(512), ..LimitsRecord::default() };
        let with = |new: LimitsRecord| merge(&old, &new);
        let more = with(LimitsRecord { memory: Some(150), pids: Some(-1), ..LimitsRecord::default() }).unwrap();
        assert_eq!((more.memory, more.memory_swap, more.pids), (Some(150), Some(200), Some(-1)));
        assert_eq!(more.cpu_shares, Some(512));
        let much = LimitsRecord { memory: Some(300), ..LimitsRecord::default() };
        assert!(with(much.clone()).unwrap_err().contains("--memory-swap"));
        assert_eq!(with(LimitsRecord { memory_swap: Some(-1), ..much }).unwrap().memory_swap, Some(-1));
        assert!(with(LimitsRecord { memory_swap: Some(50), ..LimitsRecord::default() }).is_err());
        assert_eq!(with(LimitsRecord::default()).unwrap(), old);
        let cpus = LimitsRecord { nano_cpus: Some(5), ..LimitsRecord::default() };
        let quota = LimitsRecord { cpu_quota: Some(5), ..LimitsRecord::default() };
        assert!(merge(&cpus, &quota).is_err() && merge(&quota, &cpus).is_err());
    }
}
