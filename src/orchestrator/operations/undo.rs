//! After a failure: takes away what this run made in vain, and names what stays.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;

use crate::engine::Engine;
use crate::engine::container::{ContainerSpec, MountSource, NetworkMode};
use crate::event::{Event, ResourceKind};
use crate::execute::{Execution, execute};
use crate::identity;
use crate::operations::error::{Leftover, OperationError};
use crate::plan::{Cause, ContainerRef, ContainerSource, NewContainer, Plan, Step, StepId, Unwanted, plan_undo};

/// What becomes of a container that this run created.
struct Made<'a> {
    step: StepId,
    new: &'a NewContainer,
    started: bool,
    wanted: bool,
}

/// Undoes what the failed `execution` of `plan` made in vain (unless `keep`), and returns the error to show.
pub(crate) async fn after_failure(
    engine: &Arc<dyn Engine>,
    plan: &Plan,
    execution: Execution,
    keep: bool,
    events: &UnboundedSender<Event>,
) -> OperationError {
    let mut made = made(plan, &execution);
    if keep {
        made.iter_mut().for_each(|made| made.wanted = true);
    }
    let kept: Vec<&ContainerSpec> = made.iter().filter(|made| made.wanted).map(|made| &made.new.spec).collect();
    let (networks, kept_networks) = split(created(plan, &execution, ResourceKind::Network), keep, &kept, uses_network);
    let (volumes, kept_volumes) = split(created(plan, &execution, ResourceKind::Volume), keep, &kept, uses_volume);
    let unwanted: Vec<Unwanted> = made
        .iter()
        .filter(|made| !made.wanted)
        .filter_map(|made| {
            let created =
                ContainerRef { name: made.new.spec.name.clone(), source: ContainerSource::Created(made.step) };
            let source = ContainerSource::Known(execution.container(&created)?);
            Some(Unwanted {
                container: ContainerRef { source, ..created },
                service: made.new.service.clone(),
                inherits: made.new.spec.labels.contains_key(identity::REPLACE),
            })
        })
        .collect();
    let undo = plan_undo(&unwanted, &networks, &volumes);
    let undone = execute(Arc::clone(engine), &undo, None, events.clone()).await;
    let mut left_behind: Vec<Leftover> = made.iter().filter(|made| made.wanted).map(leftover).collect();
    let names = |kind, names: BTreeSet<String>| {
        names.into_iter().map(move |name| Leftover { kind, name, state: String::new() })
    };
    left_behind.extend(names(ResourceKind::Network, kept_networks));
    left_behind.extend(names(ResourceKind::Volume, kept_volumes));
    for id in undo.ids().filter(|id| !undone.is_done(*id)) {
        let (kind, name, _) = undo.step(id).step.subject();
        left_behind.push(Leftover { kind, name, state: String::new() });
    }
    let mut failures = execution.failures;
    failures.extend(undone.failures);
    let mut hints = Vec::new();
    if !left_behind.is_empty() {
        hints.push("`up` goes on from what is left".to_owned());
    }
    OperationError { failures, left_behind, hints, timed_out: execution.timed_out }
}

fn made<'a>(plan: &'a Plan, execution: &Execution) -> Vec<Made<'a>> {
    let new = |step: StepId| match &plan.step(step).step {
        Step::CreateContainer(new) if execution.is_done(step) => Some((step, new.as_ref())),
        _ => None,
    };
    plan.ids().filter_map(new).map(|(step, new)| judge(plan, execution, step, new)).collect()
}

/// A container is worth keeping if it started, however it went on: its output and what it has written tell why it failed,
/// and are the user's. So is one whose predecessor is gone.
fn judge<'a>(plan: &Plan, execution: &Execution, step: StepId, new: &'a NewContainer) -> Made<'a> {
    let this = |container: &ContainerRef| container.source == ContainerSource::Created(step);
    let mut started = false;
    let mut renamed = new.spec.name == new.final_name;
    let mut removal_done = false;
    for id in plan.ids() {
        let done = execution.is_done(id);
        if let Step::StartContainer { container, .. } = &plan.step(id).step
            && this(container)
        {
            started = done;
        } else if let Step::RenameContainer { container, .. } = &plan.step(id).step
            && this(container)
        {
            renamed = done;
            removal_done = plan.predecessors(id).iter().all(|(before, _)| execution.is_done(*before));
        }
    }
    let replaces = new.spec.labels.contains_key(identity::REPLACE);
    let wanted = if replaces { renamed || removal_done } else { started };
    Made { step, new, started, wanted }
}

fn leftover(made: &Made<'_>) -> Leftover {
    let state = if made.started { "started" } else { "created" };
    Leftover { kind: ResourceKind::Container, name: made.new.final_name.clone(), state: state.to_owned() }
}

/// Returns the networks or volumes that this run created where there was none.
fn created(plan: &Plan, execution: &Execution, kind: ResourceKind) -> BTreeSet<String> {
    let name = |id: StepId| {
        let planned = plan.step(id);
        let is_create = matches!(planned.step, Step::CreateNetwork(_) | Step::CreateVolume(_));
        let (of, name, _) = planned.step.subject();
        (is_create && of == kind && planned.cause == Cause::Missing && execution.is_done(id)).then_some(name)
    };
    plan.ids().filter_map(name).collect()
}

/// Splits names into those to remove and those that are kept because a container that is kept uses them.
fn split(
    names: BTreeSet<String>,
    keep: bool,
    kept: &[&ContainerSpec],
    uses: fn(&ContainerSpec, &str) -> bool,
) -> (BTreeSet<String>, BTreeSet<String>) {
    names.into_iter().partition(|name| !keep && !kept.iter().any(|spec| uses(spec, name)))
}

fn uses_network(spec: &ContainerSpec, name: &str) -> bool {
    matches!(&spec.network, NetworkMode::Networks(endpoints) if endpoints.iter().any(|e| e.network == name))
}

fn uses_volume(spec: &ContainerSpec, volume: &str) -> bool {
    spec.mounts.iter().any(|mount| matches!(&mount.source, MountSource::Volume { name, .. } if name == volume))
}
