//! `stop`, `start`, `restart`, `kill`: what is there changes its state, and nothing is made or removed.

use std::collections::{BTreeMap, BTreeSet};

use compose::model::service::Condition;

use crate::desired::Desired;
use crate::engine::container::{ContainerState, StopOptions};
use crate::engine::error::{EngineError, ErrorKind};
use crate::event::{Act, Failure, ResourceKind};
use crate::graph::ServiceGraph;
use crate::observed::ObservedContainer;
use crate::plan::plan::{Order, Plan, Report, StepId, Unchanged};
use crate::plan::pre_start::{self, Place};
use crate::plan::providers;
use crate::plan::removal::{graph_of, stop_in_order};
use crate::plan::step::{Cause, Moment, ProviderCall, Step, Wait, WaitStep};
use crate::plan::up::{known, targets_of};

/// What happens to the containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sequence {
    /// They end, dependants first.
    Stop(StopOptions),
    /// They start, dependencies first.
    Start {
        /// Wait until all are ready.
        wait: bool,
    },
    /// They end and start.
    Restart {
        /// How they end.
        options: StopOptions,
        /// Leave dependants alone, even those with `depends_on.restart`.
        no_deps: bool,
    },
    /// They get a signal.
    Kill {
        /// `SIGKILL`
        signal: String,
    },
}

/// Plans `sequence` for the containers of `services` (glob patterns; empty: all).
pub fn plan_sequence(
    desired: Option<&Desired>,
    containers: &[ObservedContainer],
    services: &[String],
    sequence: &Sequence,
) -> Result<Plan, Vec<Failure>> {
    let replicas: Vec<&ObservedContainer> = containers.iter().filter(|container| !container.identity.one_off).collect();
    let targets = targets(desired, &replicas, services)?;
    let graph = graph_of(desired, &replicas);
    let within = |scope: &BTreeSet<String>| -> Vec<&ObservedContainer> {
        replicas.iter().copied().filter(|container| scope.contains(&container.identity.service)).collect()
    };
    let mut plan = Plan::default();
    match sequence {
        Sequence::Stop(options) => {
            let containers = within(&targets);
            let stops = stop_in_order(&mut plan, desired, &containers, options, &Cause::Requested);
            plan.unchanged.extend(containers.into_iter().filter(|container| !container.is_up()).map(stopped_already));
            if let Some(desired) = desired {
                let service = |(name, step): (String, StepId)| {
                    let container = replicas.iter().find(|container| container.summary.name == name)?;
                    Some((container.identity.service.clone(), step))
                };
                let stopped: Vec<_> = stops.into_iter().filter_map(service).collect();
                let call = (ProviderCall::Stop, &Cause::Requested);
                providers::propose_ends(&mut plan, desired, Some(&targets), call, &stopped);
            }
        }
        Sequence::Kill { signal } => {
            let running = |container: &&ObservedContainer| {
                matches!(container.summary.state, ContainerState::Running { .. } | ContainerState::Paused { .. })
            };
            for container in within(&targets).into_iter().filter(running) {
                let step = Step::KillContainer { container: known(container), signal: signal.clone() };
                plan.add(step, Cause::Requested, Some(format!("services.{}", container.identity.service)));
            }
        }
        Sequence::Start { wait } => {
            let scope = graph.with_dependencies(&targets);
            let containers = within(&scope);
            if containers.is_empty() {
                return Err(vec![nothing_to_start(&targets)]);
            }
            let sleeping = |container: &ObservedContainer| !container.is_up() || container.is_paused();
            start_in_order(&mut plan, desired, &graph, &containers, &sleeping, *wait);
        }
        Sequence::Restart { options, no_deps } => {
            let mut scope = targets;
            if !no_deps {
                add_restarting_dependants(&graph, &mut scope);
            }
            let containers = within(&scope);
            let stops = stop_in_order(&mut plan, desired, &containers, options, &Cause::Requested);
            let starts = start_in_order(&mut plan, desired, &graph, &containers, &|_| true, false);
            // What was stopped before is started after: a dependant's start waits for its own stop anyway.
            for (name, start) in starts {
                if let Some(stop) = stops.get(&name) {
                    plan.needs(start, *stop);
                    // Docker Compose has one word for both.
                    plan.step_mut(*stop).report = Report::Opens(Act::Restart);
                    plan.step_mut(start).report = Report::Closes(Act::Restart);
                }
            }
        }
    }
    Ok(plan)
}

fn stopped_already(container: &ObservedContainer) -> Unchanged {
    let name = container.summary.name.clone();
    Unchanged { kind: ResourceKind::Container, name, state: "Stopped".to_owned(), container: None }
}

fn targets(
    desired: Option<&Desired>,
    replicas: &[&ObservedContainer],
    names: &[String],
) -> Result<BTreeSet<String>, Vec<Failure>> {
    let mut all: BTreeSet<String> = replicas.iter().map(|container| container.identity.service.clone()).collect();
    if let Some(desired) = desired {
        if names.is_empty() {
            // A service that a profile leaves out, or that the file no longer has, is not meant.
            all.retain(|name| desired.services.contains_key(name));
        }
        all.extend(desired.services.keys().chain(desired.providers.keys()).cloned());
        all.extend(desired.disabled.iter().filter(|_| !names.is_empty()).cloned());
    }
    targets_of(all.iter(), names)
}

fn nothing_to_start(targets: &BTreeSet<String>) -> Failure {
    let names = targets.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let message = if names.is_empty() {
        "the project has no containers to start".to_owned()
    } else {
        format!("there is no container of {names} to start")
    };
    Failure::new(EngineError::new(ErrorKind::NotFound, "containers", message).hint("`up` creates them"), None)
}

fn add_restarting_dependants(graph: &ServiceGraph, scope: &mut BTreeSet<String>) {
    let mut queue: Vec<String> = scope.iter().cloned().collect();
    while let Some(name) = queue.pop() {
        for (dependant, dependency) in graph.dependants(&name) {
            if dependency.restart && scope.insert(dependant.clone()) {
                queue.push(dependant);
            }
        }
    }
}

fn start_in_order(
    plan: &mut Plan,
    desired: Option<&Desired>,
    graph: &ServiceGraph,
    containers: &[&ObservedContainer],
    wanted: &dyn Fn(&ObservedContainer) -> bool,
    wait_for_all: bool,
) -> BTreeMap<String, StepId> {
    let mut started: BTreeMap<String, Vec<StepId>> = BTreeMap::new();
    let mut waits: BTreeMap<(String, Wait, bool), StepId> = BTreeMap::new();
    let mut starts = BTreeMap::new();
    let of_service = |service: &str| -> Vec<&ObservedContainer> {
        containers.iter().copied().filter(|container| container.identity.service == service).collect()
    };
    for service in graph.order() {
        let starting: Vec<_> = of_service(&service).into_iter().filter(|container| wanted(container)).collect();
        if starting.is_empty() {
            continue;
        }
        let mut gates = Vec::new();
        for (name, dependency) in graph.dependencies(&service) {
            let order = if dependency.required { Order::Needs } else { Order::After };
            let wait = match dependency.condition {
                Condition::Started => {
                    gates.extend(started.get(&name).into_iter().flatten().map(|step| (*step, order)));
                    continue;
                }
                Condition::Healthy => Wait::Healthy,
                Condition::CompletedSuccessfully => Wait::Completed,
            };
            let others = of_service(&name);
            if others.is_empty() {
                continue;
            }
            let key = (name.clone(), wait, dependency.required);
            let step = *waits
                .entry(key)
                .or_insert_with(|| wait_for(plan, &name, wait, &others, dependency.required, started.get(&name)));
            if let Cause::NeededBy(services) = &mut plan.step_mut(step).cause {
                services.push(service.clone());
            }
            gates.push((step, order));
        }
        let mut first_steps = Vec::new();
        for container in &starting {
            let step = start_one(plan, desired, container, &gates);
            starts.insert(container.summary.name.clone(), step.0);
            started.entry(service.clone()).or_default().push(step.1);
            first_steps.push(step.0);
        }
        let hooks = desired.and_then(|desired| desired.services.get(&service)).map(|service| &service.pre_start);
        if let Some(hooks) = hooks.filter(|_| of_service(&service).iter().all(|container| !container.is_up())) {
            let container_of = |name: &str| of_service(name).first().map(|container| container.summary.name.clone());
            let place = Place {
                service: &service,
                container: &starting[0].summary.name,
                after: &gates,
                starts: &first_steps,
                images: &BTreeMap::new(),
                gone: &[],
                container_of: &container_of,
            };
            pre_start::propose(plan, hooks, &place);
        }
    }
    if wait_for_all {
        for service in graph.order() {
            let others = of_service(&service);
            if !others.is_empty() {
                let step = wait_for(plan, &service, Wait::Ready, &others, true, started.get(&service));
                plan.step_mut(step).cause = Cause::Requested;
            }
        }
    }
    starts
}

fn start_one(
    plan: &mut Plan,
    desired: Option<&Desired>,
    container: &ObservedContainer,
    gates: &[(StepId, Order)],
) -> (StepId, StepId) {
    let service = &container.identity.service;
    let step = Step::StartContainer {
        container: known(container),
        service: service.clone(),
        number: container.identity.number,
    };
    let start = plan.add(step, Cause::Requested, Some(format!("services.{service}")));
    for (gate, order) in gates {
        plan.order(start, *gate, *order);
    }
    let hooks = desired.and_then(|desired| desired.services.get(service)).map(|service| service.post_start.clone());
    let mut last = start;
    for (index, exec) in hooks.unwrap_or_default().into_iter().enumerate() {
        let hook = Step::RunHook { container: known(container), moment: Moment::PostStart, exec };
        let step = plan.add(hook, Cause::Hook, Some(format!("services.{service}.post_start[{index}]")));
        plan.needs(step, last);
        last = step;
    }
    (start, last)
}

fn wait_for(
    plan: &mut Plan,
    service: &str,
    wait: Wait,
    containers: &[&ObservedContainer],
    required: bool,
    started: Option<&Vec<StepId>>,
) -> StepId {
    let wait_step = WaitStep {
        service: service.to_owned(),
        wait,
        containers: containers.iter().map(|container| known(container)).collect(),
        required,
    };
    let path = match wait {
        Wait::Healthy => format!("services.{service}.healthcheck"),
        Wait::Completed | Wait::Ready => format!("services.{service}"),
    };
    let step = plan.add(Step::Wait(wait_step), Cause::NeededBy(Vec::new()), Some(path));
    for on in started.into_iter().flatten() {
        plan.needs(step, *on);
    }
    step
}
