//! What a container waits for before it starts, and what `--wait` waits for.

use std::collections::{BTreeMap, BTreeSet};

use compose::model::service::Condition;

use crate::desired::DesiredService;
use crate::plan::plan::{Order, StepId};
use crate::plan::step::{Cause, ContainerRef, Step, Wait, WaitStep};
use crate::plan::up::UpPlanner;

/// What the services planned so far mean to those that depend on them.
#[derive(Default)]
pub(crate) struct Progress {
    pub(crate) services: BTreeMap<String, ServiceOutcome>,
    pub(crate) waits: BTreeMap<(String, Wait, bool), StepId>,
}

/// What the plan does to a service.
#[derive(Default)]
pub(crate) struct ServiceOutcome {
    /// Its containers at the end.
    pub(crate) containers: Vec<ContainerRef>,
    /// Steps after which they run.
    pub(crate) started: Vec<StepId>,
    /// Steps after which they exist under their own names.
    pub(crate) settled: Vec<StepId>,
    /// First steps that take a running container of it away.
    pub(crate) stops: Vec<StepId>,
    /// A container is replaced or restarted.
    pub(crate) disturbed: bool,
    /// A container is replaced.
    pub(crate) replaced: bool,
    /// All its containers are healthy in the snapshot and left alone.
    pub(crate) healthy: bool,
}

/// Returns what must have happened before a container of `service` may start.
pub(crate) fn gates_of(
    planner: &mut UpPlanner<'_>,
    progress: &mut Progress,
    service: &DesiredService,
) -> Vec<(StepId, Order)> {
    if planner.options.no_start {
        return Vec::new();
    }
    let mut gates = Vec::new();
    for (name, dependency) in &service.depends_on {
        let Some(outcome) = progress.services.get(name) else { continue };
        let order = if dependency.required { Order::Needs } else { Order::After };
        let wait = match dependency.condition {
            Condition::Started => {
                gates.extend(outcome.started.iter().map(|step| (*step, order)));
                continue;
            }
            Condition::Healthy if outcome.healthy => continue,
            Condition::Healthy => Wait::Healthy,
            Condition::CompletedSuccessfully => Wait::Completed,
        };
        if outcome.containers.is_empty() {
            continue;
        }
        let step = wait_step(planner, progress, name, wait, dependency.required);
        needed_by(planner, step, &service.name);
        gates.push((step, order));
    }
    gates
}

fn needed_by(planner: &mut UpPlanner<'_>, step: StepId, service: &str) {
    if let Cause::NeededBy(services) = &mut planner.plan.step_mut(step).cause {
        services.push(service.to_owned());
    }
}

fn wait_step(
    planner: &mut UpPlanner<'_>,
    progress: &mut Progress,
    service: &str,
    wait: Wait,
    required: bool,
) -> StepId {
    if let Some(step) = progress.waits.get(&(service.to_owned(), wait, required)) {
        return *step;
    }
    let outcome = &progress.services[service];
    let path = match wait {
        Wait::Healthy => format!("services.{service}.healthcheck"),
        Wait::Completed | Wait::Ready => format!("services.{service}"),
    };
    let wait_step = WaitStep { service: service.to_owned(), wait, containers: outcome.containers.clone(), required };
    let step = planner.plan.add(Step::Wait(wait_step), Cause::NeededBy(Vec::new()), Some(path));
    for on in &outcome.started {
        planner.plan.needs(step, *on);
    }
    progress.waits.insert((service.to_owned(), wait, required), step);
    step
}

/// Adds the waits of `--wait`: for all services, each in its own way.
pub(crate) fn wait_for_all(planner: &mut UpPlanner<'_>, progress: &mut Progress) {
    let completed: BTreeSet<String> = planner
        .desired
        .services
        .values()
        .flat_map(|service| &service.depends_on)
        .filter(|(_, dependency)| dependency.condition == Condition::CompletedSuccessfully)
        .map(|(name, _)| name.clone())
        .collect();
    let services: Vec<String> = progress.services.keys().cloned().collect();
    for service in services {
        if progress.services[&service].containers.is_empty() {
            continue;
        }
        let wait = if completed.contains(&service) { Wait::Completed } else { Wait::Ready };
        let step = wait_step(planner, progress, &service, wait, true);
        if planner.plan.step(step).cause == Cause::NeededBy(Vec::new()) {
            planner.plan.step_mut(step).cause = Cause::Requested;
        }
    }
}
