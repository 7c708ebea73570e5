//! What goes: a project that is taken down, and what a failed run made in vain.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::desired::Desired;
use crate::engine::container::StopOptions;
use crate::event::Failure;
use crate::graph::ServiceGraph;
use crate::identity;
use crate::observed::{Observed, ObservedContainer};
use crate::plan::plan::{Plan, Report, StepId};
use crate::plan::step::{Cause, ContainerRef, Moment, ProviderCall, Step};
use crate::plan::up::{known, targets_of};
use crate::plan::{pre_start, providers};

/// Which images `down` removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoveImages {
    /// Those without a name of their own in the file.
    Local,
    /// Those of any service.
    All,
}

/// The flags of `down`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the flags of `down`, named as in Docker Compose")]
pub struct DownOptions {
    /// Only these; empty: all, and the networks.
    pub services: Vec<String>,
    pub volumes: bool,
    pub remove_orphans: bool,
    pub rmi: Option<RemoveImages>,
    /// Grace for containers that are stopped; `None`: each one's own.
    pub timeout: Option<Duration>,
}

/// Plans `down`. Without `desired`, all that bears the project's name goes.
pub fn plan_down(
    project: &str,
    desired: Option<&Desired>,
    observed: &Observed,
    options: &DownOptions,
) -> Result<Plan, Vec<Failure>> {
    let mut plan = Plan::default();
    let named = named_services(desired, observed, &options.services)?;
    let goes = |container: &&ObservedContainer| {
        let service = &container.identity.service;
        let known = desired.is_none_or(|desired| {
            desired.services.contains_key(service) || named.as_ref().is_some_and(|named| named.contains(service))
        });
        let orphan =
            container.identity.one_off || desired.is_some_and(|desired| !known && !desired.disabled.contains(service));
        if orphan {
            options.remove_orphans
        } else {
            known && named.as_ref().is_none_or(|named| named.contains(service))
        }
    };
    let going: Vec<&ObservedContainer> = observed.containers.iter().filter(goes).collect();
    let stop_options = StopOptions { signal: None, grace: options.timeout };
    let stops = stop_in_order(&mut plan, desired, &going, &stop_options, &Cause::Down);
    let mut removals = Vec::new();
    for container in &going {
        let step = Step::RemoveContainer { container: known(container), anonymous_volumes: options.volumes };
        // No path: what can't be removed is not to be mended in the file.
        let remove = plan.add(step, Cause::Down, None);
        if let Some(stop) = stops.get(&container.summary.name) {
            plan.after(remove, *stop);
        }
        removals.push((*container, remove));
    }
    let left = observed.hooks.iter().filter(|hook| named.as_ref().is_none_or(|named| named.contains(&hook.service)));
    let hooks: Vec<StepId> = left.map(|hook| pre_start::remove_left(&mut plan, hook, Cause::Down)).collect();
    if let Some(desired) = desired {
        let gone: Vec<_> =
            removals.iter().map(|(container, step)| (container.identity.service.clone(), *step)).collect();
        providers::propose_ends(&mut plan, desired, named.as_ref(), (ProviderCall::Down, &Cause::Down), &gone);
    }
    if named.is_none() {
        remove_networks(&mut plan, project, observed, (&removals, &hooks));
        if options.volumes {
            remove_volumes(&mut plan, project, observed, &removals);
        }
    }
    if let Some(which) = options.rmi {
        let references = images_of(project, desired, &going, named.as_ref(), which);
        for reference in references {
            let step = plan.add(Step::RemoveImage(reference), Cause::Down, None);
            for (_, remove) in &removals {
                plan.after(step, *remove);
            }
        }
    }
    Ok(plan)
}

fn named_services(
    desired: Option<&Desired>,
    observed: &Observed,
    names: &[String],
) -> Result<Option<BTreeSet<String>>, Vec<Failure>> {
    if names.is_empty() {
        return Ok(None);
    }
    let mut all: BTreeSet<String> = observed.containers.iter().map(|c| c.identity.service.clone()).collect();
    if let Some(desired) = desired {
        all.extend(desired.services.keys().chain(desired.providers.keys()).cloned());
        all.extend(desired.disabled.iter().cloned());
    }
    targets_of(all.iter(), names).map(Some)
}

/// Adds stops for the containers that run, dependants first, replicas side by side; returns them by container name.
pub(crate) fn stop_in_order(
    plan: &mut Plan,
    desired: Option<&Desired>,
    containers: &[&ObservedContainer],
    options: &StopOptions,
    cause: &Cause,
) -> BTreeMap<String, StepId> {
    let graph = graph_of(desired, containers);
    let mut stops = BTreeMap::new();
    let mut by_service: BTreeMap<String, (Vec<StepId>, Vec<StepId>)> = BTreeMap::new();
    for service in graph.order().into_iter().rev() {
        for container in containers.iter().filter(|container| container.identity.service == service) {
            if !container.is_up() {
                continue;
            }
            let (first, last) = stop_one(plan, desired, container, options, cause);
            for dependant in graph.dependants(&service).keys() {
                for stop in by_service.get(dependant).iter().flat_map(|(_, last)| last) {
                    plan.after(first, *stop);
                }
            }
            let steps = by_service.entry(service.clone()).or_default();
            steps.0.push(first);
            steps.1.push(last);
            stops.insert(container.summary.name.clone(), last);
        }
    }
    stops
}

fn stop_one(
    plan: &mut Plan,
    desired: Option<&Desired>,
    container: &ObservedContainer,
    options: &StopOptions,
    cause: &Cause,
) -> (StepId, StepId) {
    let service = &container.identity.service;
    let hooks = desired.and_then(|desired| desired.services.get(service)).map(|service| service.pre_stop.clone());
    let mut chain: Vec<StepId> = Vec::new();
    for (index, exec) in hooks.unwrap_or_default().into_iter().enumerate() {
        let hook = Step::RunHook { container: known(container), moment: Moment::PreStop, exec };
        let path = Some(format!("services.{service}.pre_stop[{index}]"));
        chain.push(plan.add_reported(hook, Cause::Hook, path, Report::Silent));
    }
    let stop = Step::StopContainer { container: known(container), options: options.clone() };
    chain.push(plan.add(stop, cause.clone(), Some(format!("services.{service}"))));
    for pair in chain.windows(2) {
        plan.after(pair[1], pair[0]);
    }
    (chain[0], chain[chain.len() - 1])
}

/// Returns which service depends on which: as the file says, and as labels say of what the file does not know.
pub(crate) fn graph_of(desired: Option<&Desired>, containers: &[&ObservedContainer]) -> ServiceGraph {
    let mut dependencies: BTreeMap<_, _> = containers
        .iter()
        .map(|container| (container.identity.service.clone(), container.identity.depends_on.clone()))
        .collect();
    for (name, service) in desired.iter().flat_map(|desired| &desired.services) {
        dependencies.insert(name.clone(), service.depends_on.clone());
    }
    let names: Vec<String> = dependencies.keys().cloned().collect();
    ServiceGraph::from_dependencies(dependencies).unwrap_or_else(|_| {
        // Labels of different times may contradict each other; then no order is right.
        ServiceGraph::from_dependencies(names.into_iter().map(|name| (name, BTreeMap::new()))).unwrap_or_default()
    })
}

fn remove_networks(
    plan: &mut Plan,
    project: &str,
    observed: &Observed,
    (removals, hooks): (&[(&ObservedContainer, StepId)], &[StepId]),
) {
    let ours = |labels: &BTreeMap<String, String>| labels.get(identity::PROJECT).is_some_and(|owner| owner == project);
    for network in observed.networks.values().filter(|network| ours(&network.labels)) {
        let leaving: Vec<StepId> = removals
            .iter()
            .filter(|(container, _)| container.summary.networks.contains_key(&network.name))
            .map(|(_, step)| *step)
            .collect();
        let staying = observed.containers.iter().filter(|container| {
            container.is_up()
                && container.summary.networks.contains_key(&network.name)
                && !removals.iter().any(|(gone, _)| gone.summary.id == container.summary.id)
        });
        let staying: Vec<_> = staying.map(|container| container.summary.name.clone()).collect();
        if !staying.is_empty() {
            let names = staying.join(", ");
            plan.warnings.push(format!("network `{}` is kept: {names} still uses it", network.name));
            continue;
        }
        let path = network.labels.get(identity::NETWORK).map(|key| format!("networks.{key}"));
        let step = plan.add(Step::RemoveNetwork(network.name.clone()), Cause::Down, path);
        for remove in leaving.iter().chain(hooks) {
            plan.needs(step, *remove);
        }
    }
}

fn remove_volumes(plan: &mut Plan, project: &str, observed: &Observed, removals: &[(&ObservedContainer, StepId)]) {
    for volume in observed.volumes.values() {
        if volume.labels.get(identity::PROJECT).is_none_or(|owner| owner != project) {
            continue;
        }
        let uses = |container: &ObservedContainer| container.summary.volumes.values().any(|name| *name == volume.name);
        let staying = observed
            .containers
            .iter()
            .find(|c| uses(c) && !removals.iter().any(|(gone, _)| gone.summary.id == c.summary.id));
        if let Some(container) = staying {
            let text = format!("volume `{}` is kept: {} still uses it", volume.name, container.summary.name);
            plan.warnings.push(text);
            continue;
        }
        let path = volume.labels.get(identity::VOLUME).map(|key| format!("volumes.{key}"));
        let step = plan.add(Step::RemoveVolume(volume.name.clone()), Cause::Down, path);
        for (_, remove) in removals.iter().filter(|(container, _)| uses(container)) {
            plan.needs(step, *remove);
        }
    }
}

fn images_of(
    project: &str,
    desired: Option<&Desired>,
    going: &[&ObservedContainer],
    named: Option<&BTreeSet<String>>,
    which: RemoveImages,
) -> BTreeSet<String> {
    let mut references = BTreeSet::new();
    for container in going {
        let own_name = format!("{project}-{}", container.identity.service);
        if which == RemoveImages::All || (desired.is_none() && container.summary.image == own_name) {
            references.insert(container.summary.image.clone());
        }
    }
    for service in desired.iter().flat_map(|desired| desired.services.values()) {
        let in_scope = named.is_none_or(|named| named.contains(&service.name));
        if in_scope && (which == RemoveImages::All || !service.image_named) {
            references.insert(service.image.clone());
        }
    }
    references
}

/// A container that a failed run made, and is not to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unwanted {
    /// Which.
    pub container: ContainerRef,
    /// Service that it belongs to.
    pub service: String,
    /// It inherited its anonymous volumes: they are not its own to remove.
    pub inherits: bool,
}

/// Plans to take away what a failed run made in vain.
pub fn plan_undo(containers: &[Unwanted], networks: &BTreeSet<String>, volumes: &BTreeSet<String>) -> Plan {
    let mut plan = Plan::default();
    let mut removals = Vec::new();
    for unwanted in containers {
        let step =
            Step::RemoveContainer { container: unwanted.container.clone(), anonymous_volumes: !unwanted.inherits };
        removals.push(plan.add(step, Cause::Undo, Some(format!("services.{}", unwanted.service))));
    }
    let networks = networks.iter().map(|name| Step::RemoveNetwork(name.clone()));
    let volumes = volumes.iter().map(|name| Step::RemoveVolume(name.clone()));
    for step in networks.chain(volumes).collect::<Vec<_>>() {
        let step = plan.add(step, Cause::Undo, None);
        for remove in &removals {
            plan.needs(step, *remove);
        }
    }
    plan
}
