//! What happens to the containers of each service: kept, started, replaced, created or removed.

use std::collections::BTreeMap;

use compose::model::service::Dependency;

use crate::desired::DesiredService;
use crate::engine::container::{ContainerState, ContainerSummary, Health};
use crate::engine::error::{EngineError, ErrorKind};
use crate::event::Failure;
use crate::identity;
use crate::observed::ObservedContainer;
use crate::plan::divergence::divergence;
use crate::plan::plan::{Order, Report, StepId};
use crate::plan::pre_start::{self, Place};
use crate::plan::replicas::{create, keep, replace, start, start_again, stop_before_dependencies};
use crate::plan::step::{Cause, ContainerRef, ContainerSource, Step};
use crate::plan::up::UpPlanner;
use crate::plan::waits::{Progress, ServiceOutcome, gates_of, wait_for_all};

enum Fate {
    Keep,
    Start,
    Replace(Cause),
    Restart(Cause),
}
/// Adds the steps of every service in scope, dependencies first.
pub(crate) fn propose(planner: &mut UpPlanner<'_>) {
    let mut progress = Progress::default();
    let desired = planner.desired;
    for name in desired.graph.order() {
        if planner.scope.services.contains(&name)
            && let Some(service) = desired.services.get(&name)
        {
            let outcome = propose_service(planner, &mut progress, service);
            progress.services.insert(name, outcome);
        }
    }
    if planner.options.wait && !planner.options.no_start {
        wait_for_all(planner, &mut progress);
    }
}

fn propose_service(planner: &mut UpPlanner<'_>, progress: &mut Progress, service: &DesiredService) -> ServiceOutcome {
    if planner.options.one_offs.contains(&service.name) {
        // Whoever makes its container waits for the whole plan, these waits included.
        gates_of(planner, progress, service);
        return ServiceOutcome::default();
    }
    let observed = planner.observed;
    let existing: Vec<&ObservedContainer> = observed.replicas(&service.name).collect();
    let highest = existing.iter().map(|container| container.identity.number).max().unwrap_or(0);
    let (current, leftovers) = without_duplicates(service, existing);
    for leftover in leftovers {
        planner.remove(leftover, Cause::Interrupted);
    }
    let (kept, surplus) = scaled(planner, progress, service, current);
    for container in surplus {
        planner.remove(container, Cause::ScaledDown);
    }
    if let Some(stranger) = observed.strangers.get(&service.container_name(1)) {
        planner.failures.push(name_taken(service, stranger));
    }
    let mut outcome = ServiceOutcome::default();
    let mut gates = None;
    let first_up = kept.is_empty();
    let all_healthy = !kept.is_empty() && kept.iter().all(|container| is_healthy(&container.summary.state));
    for container in &kept {
        match fate(planner, progress, service, container) {
            Fate::Keep => keep(planner, service, container, &mut outcome),
            Fate::Start => {
                let gates = gates.get_or_insert_with(|| gates_of(planner, progress, service)).clone();
                start_again(planner, service, container, &Cause::NotRunning, &gates, &mut outcome);
            }
            Fate::Restart(cause) => {
                let gates = gates.get_or_insert_with(|| gates_of(planner, progress, service)).clone();
                let stop = planner.stop(container, &cause, Report::Own);
                let start = start_again(planner, service, container, &cause, &gates, &mut outcome);
                if let Some((first, stop)) = stop {
                    if let Some(start) = start {
                        planner.plan.needs(start, stop);
                    }
                    outcome.stops.push(first);
                    stop_before_dependencies(planner, progress, service, stop);
                }
                outcome.disturbed = true;
            }
            Fate::Replace(cause) => {
                let gates = gates.get_or_insert_with(|| gates_of(planner, progress, service)).clone();
                replace(planner, progress, service, container, cause, &gates, &mut outcome);
            }
        }
    }
    let wanted = service.replicas as usize;
    for number in (highest + 1..).take(wanted.saturating_sub(kept.len())) {
        let gates = gates.get_or_insert_with(|| gates_of(planner, progress, service)).clone();
        let cause = if first_up { Cause::Missing } else { Cause::ScaledUp };
        let create = create(planner, progress, service, service.replica(number), number, cause, Report::Own);
        outcome.settled.push(create);
        let container = ContainerRef { name: service.container_name(number), source: ContainerSource::Created(create) };
        start(planner, service, container, number, Cause::Created, Some(create), &gates, &mut outcome);
    }
    outcome.healthy = all_healthy && outcome.started.is_empty();
    pre_start(planner, progress, service, &outcome, &gates.unwrap_or_default());
    outcome
}

/// Adds the `pre_start` hooks of a service whose every container is about to start.
fn pre_start(
    planner: &mut UpPlanner<'_>,
    progress: &Progress,
    service: &DesiredService,
    outcome: &ServiceOutcome,
    gates: &[(StepId, Order)],
) {
    let starts: Vec<(StepId, String)> = outcome
        .started
        .iter()
        .filter_map(|step| match &planner.plan.step(*step).step {
            Step::StartContainer { container, .. } => Some((*step, container.name.clone())),
            _ => None,
        })
        .collect();
    let Some((_, first)) = starts.first().filter(|_| starts.len() == outcome.containers.len()) else { return };
    let stops = outcome.stops.iter().map(|step| (*step, Order::Needs));
    let settled = outcome.settled.iter().map(|step| (*step, Order::Needs));
    let after: Vec<(StepId, Order)> = gates.iter().copied().chain(settled).chain(stops).collect();
    let observed = planner.observed;
    let container_of = |name: &str| {
        let planned = progress.services.get(name).and_then(|outcome| outcome.containers.first());
        let known = || observed.replicas(name).next().map(|container| container.summary.name.clone());
        planned.map(|container| container.name.clone()).or_else(known)
    };
    let place = Place {
        service: &service.name,
        container: first,
        after: &after,
        starts: &starts.iter().map(|(step, _)| *step).collect::<Vec<_>>(),
        images: &planner.images,
        gone: &planner.gone.iter().map(|(name, _, step)| (name.clone(), *step)).collect::<Vec<_>>(),
        container_of: &container_of,
    };
    pre_start::propose(&mut planner.plan, &service.pre_start, &place);
}

fn name_taken(service: &DesiredService, stranger: &ContainerSummary) -> Failure {
    let name = &stranger.name;
    let owner = stranger.labels.get(identity::PROJECT).map(|project| format!(" of project `{project}`"));
    let message = format!("the name `{name}` is taken by a container{}", owner.unwrap_or_default());
    let error = EngineError::new(ErrorKind::Conflict, format!("container `{name}`"), message)
        .hint("take `container_name` out of the file: it also keeps the service from being scaled")
        .hint(format!("or remove the other one: it is {}", state_word(&stranger.state).to_lowercase()));
    Failure::new(error, Some(format!("services.{}.container_name", service.name)))
}

/// Keeps one container a number: the one that bears its own name. The others were left by a run that was killed.
fn without_duplicates<'a>(
    service: &DesiredService,
    existing: Vec<&'a ObservedContainer>,
) -> (Vec<&'a ObservedContainer>, Vec<&'a ObservedContainer>) {
    let mut current: BTreeMap<u32, &ObservedContainer> = BTreeMap::new();
    let mut leftovers = Vec::new();
    for container in existing {
        let number = container.identity.number;
        let own_name = service.container_name(number);
        match current.get(&number).copied() {
            Some(known) if known.summary.name == own_name || is_temporary(&container.summary.name, &own_name) => {
                leftovers.push(container);
            }
            Some(known) => {
                leftovers.push(known);
                current.insert(number, container);
            }
            None => {
                current.insert(number, container);
            }
        }
    }
    (current.into_values().collect(), leftovers)
}

fn is_temporary(name: &str, own_name: &str) -> bool {
    name.strip_suffix(own_name).is_some_and(|prefix| prefix.len() == 13 && prefix.ends_with('_'))
}

/// Splits off the containers that are too many: those that differ from the file first, then the highest numbers.
fn scaled<'a>(
    planner: &UpPlanner<'_>,
    progress: &Progress,
    service: &DesiredService,
    mut current: Vec<&'a ObservedContainer>,
) -> (Vec<&'a ObservedContainer>, Vec<&'a ObservedContainer>) {
    let wanted = service.replicas as usize;
    if current.len() <= wanted {
        return (current, Vec::new());
    }
    current.sort_by_key(|container| {
        (divergence(planner, progress, service, container).is_some(), container.identity.number)
    });
    let surplus = current.split_off(wanted);
    current.sort_by_key(|container| container.identity.number);
    (current, surplus)
}

fn fate(planner: &UpPlanner<'_>, progress: &Progress, service: &DesiredService, container: &ObservedContainer) -> Fate {
    let options = planner.options;
    let target = planner.scope.targets.contains(&service.name);
    let forced =
        (target && (options.force_recreate || options.renew_anon_volumes)) || (!target && options.always_recreate_deps);
    if forced && !options.no_recreate {
        return Fate::Replace(Cause::Forced);
    }
    if !options.no_recreate
        && let Some(cause) = divergence(planner, progress, service, container)
    {
        return Fate::Replace(cause);
    }
    // The engine refuses to start what is frozen, as Docker does: that it doesn't work would not be noticed else.
    if !container.is_up() || container.is_paused() {
        return if options.no_start { Fate::Keep } else { Fate::Start };
    }
    let restarts = |(name, dependency): (&String, &Dependency)| {
        dependency.restart && progress.services.get(name).is_some_and(|outcome| outcome.disturbed)
    };
    match service.depends_on.iter().find(|entry| restarts(*entry)) {
        Some((name, _)) if !options.no_start => Fate::Restart(Cause::DependencyRestarts(name.clone())),
        Some(_) | None => Fate::Keep,
    }
}
fn is_healthy(state: &ContainerState) -> bool {
    matches!(state, ContainerState::Running { health: Some(Health::Healthy), .. })
}

/// Returns the word that progress shows for a state.
pub fn state_word(state: &ContainerState) -> &'static str {
    match state {
        ContainerState::Created => "Created",
        ContainerState::Running { health: Some(Health::Healthy), .. } => "Healthy",
        ContainerState::Running { health: Some(Health::Unhealthy { .. }), .. } => "Unhealthy",
        ContainerState::Running { .. } => "Running",
        ContainerState::Paused { .. } => "Paused",
        ContainerState::Restarting { .. } => "Restarting",
        ContainerState::Exited { .. } => "Exited",
        ContainerState::Dead { .. } => "Dead",
        ContainerState::Removed => "Removed",
    }
}
