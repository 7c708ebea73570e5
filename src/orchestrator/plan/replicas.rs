//! The steps of one container: kept, started, created, or replaced by a new one.

use std::collections::BTreeSet;

use crate::desired::DesiredService;
use crate::engine::container::{ContainerSpec, ContainerState, ContainerSummary, Mount, MountSource, NetworkMode};
use crate::engine::error::{EngineError, ErrorKind};
use crate::event::{Act, Failure, ResourceKind};
use crate::identity;
use crate::observed::ObservedContainer;
use crate::plan::containers::state_word;
use crate::plan::plan::{Order, Report, StepId, Unchanged};
use crate::plan::step::{Cause, ContainerRef, ContainerSource, Moment, NewContainer, Step};
use crate::plan::up::{UpPlanner, known};
use crate::plan::waits::{Progress, ServiceOutcome};

pub(crate) fn keep(
    planner: &mut UpPlanner<'_>,
    service: &DesiredService,
    container: &ObservedContainer,
    outcome: &mut ServiceOutcome,
) {
    let name = service.container_name(container.identity.number);
    if let Some(rename) = settle_name(planner, service, container) {
        outcome.settled.push(rename);
    }
    outcome.containers.push(ContainerRef { name: name.clone(), ..known(container) });
    planner.plan.unchanged.push(Unchanged {
        kind: ResourceKind::Container,
        name,
        state: match &container.summary.state {
            // Whether it is healthy is told by who waits for that.
            ContainerState::Running { .. } => "Running",
            other => state_word(other),
        }
        .to_owned(),
        container: Some((container.summary.id.clone(), service.name.clone(), container.identity.number)),
    });
}

/// Gives a container its own name, where a killed run left it with a temporary one.
pub(crate) fn settle_name(
    planner: &mut UpPlanner<'_>,
    service: &DesiredService,
    container: &ObservedContainer,
) -> Option<StepId> {
    let name = service.container_name(container.identity.number);
    (container.summary.name != name).then(|| {
        let step = Step::RenameContainer { container: known(container), name };
        let path = Some(format!("services.{}", service.name));
        planner.plan.add_reported(step, Cause::Interrupted, path, Report::Silent)
    })
}

pub(crate) fn start_again(
    planner: &mut UpPlanner<'_>,
    service: &DesiredService,
    container: &ObservedContainer,
    cause: &Cause,
    gates: &[(StepId, Order)],
    outcome: &mut ServiceOutcome,
) -> Option<StepId> {
    let number = container.identity.number;
    let rename = settle_name(planner, service, container);
    outcome.settled.extend(rename);
    let reference = ContainerRef { name: service.container_name(number), ..known(container) };
    start(planner, service, reference, number, cause.clone(), rename, gates, outcome)
}

#[expect(clippy::too_many_arguments, reason = "each is a different thing, and the three callers name them all")]
pub(crate) fn start(
    planner: &mut UpPlanner<'_>,
    service: &DesiredService,
    container: ContainerRef,
    number: u32,
    cause: Cause,
    before: Option<StepId>,
    gates: &[(StepId, Order)],
    outcome: &mut ServiceOutcome,
) -> Option<StepId> {
    outcome.containers.push(container.clone());
    if planner.options.no_start {
        return None;
    }
    let path = Some(format!("services.{}", service.name));
    let step = Step::StartContainer { container: container.clone(), service: service.name.clone(), number };
    let start = planner.plan.add(step, cause, path);
    let mut last = start;
    if let Some(before) = before {
        planner.plan.needs(last, before);
    }
    for (gate, order) in gates {
        planner.plan.order(last, *gate, *order);
    }
    planner.plan.publishes.push((service.name.clone(), service.replica(number)));
    outcome.started.push(last);
    for (index, exec) in service.post_start.iter().enumerate() {
        let hook = Step::RunHook { container: container.clone(), moment: Moment::PostStart, exec: exec.clone() };
        let path = Some(format!("services.{}.post_start[{index}]", service.name));
        let step = planner.plan.add_reported(hook, Cause::Hook, path, Report::Silent);
        planner.plan.needs(step, last);
        outcome.started.push(step);
        last = step;
    }
    Some(start)
}

pub(crate) fn create(
    planner: &mut UpPlanner<'_>,
    progress: &Progress,
    service: &DesiredService,
    mut spec: ContainerSpec,
    number: u32,
    cause: Cause,
    report: Report,
) -> StepId {
    if let Some(image) = planner.observed.images.get(&service.image) {
        spec.labels.insert(identity::IMAGE.into(), image.id.clone());
    }
    let sharing = resolve_shared(planner, progress, &service.name, &mut spec);
    let image = planner.images.get(&service.image).copied();
    let new =
        NewContainer { spec, final_name: service.container_name(number), service: service.name.clone(), number, image };
    let name = new.spec.name.clone();
    let path = Some(format!("services.{}", service.name));
    let step = planner.plan.add_reported(Step::CreateContainer(Box::new(new)), cause, path, report);
    let networks = service.networks.iter().filter_map(|key| planner.networks.get(key));
    let volumes = service.volumes.iter().filter_map(|key| planner.volumes.get(key));
    let provisions = planner.provisions.get(&service.name).into_iter().flatten().copied();
    let needed: Vec<StepId> =
        provisions.chain(image).chain(networks.copied()).chain(volumes.copied()).chain(sharing).collect();
    for on in needed {
        planner.plan.needs(step, on);
    }
    let freed: Vec<StepId> =
        planner.gone.iter().filter(|(gone, _, _)| *gone == name).map(|(_, _, step)| *step).collect();
    for on in freed {
        planner.plan.needs(step, on);
    }
    step
}

/// Puts container names where the spec names a service (`service:db`); returns what makes those containers.
fn resolve_shared(
    planner: &mut UpPlanner<'_>,
    progress: &Progress,
    service: &str,
    spec: &mut ContainerSpec,
) -> Vec<StepId> {
    let mut steps = Vec::new();
    let mut missing = Vec::new();
    let mut resolve = |attribute: &str, mode: &str| {
        let name = mode.strip_prefix("service:")?;
        let planned = progress.services.get(name);
        steps.extend(planned.into_iter().flat_map(|outcome| outcome.settled.iter().copied()));
        // With `--no-deps` the service is left alone, and what it has is used as it is.
        let planned = planned.and_then(|outcome| outcome.containers.first()).map(|container| container.name.clone());
        let observed = || planner.observed.replicas(name).next().map(|container| container.summary.name.clone());
        let container = planned.or_else(observed);
        if container.is_none() {
            missing.push((attribute.to_owned(), name.to_owned()));
        }
        container
    };
    if let NetworkMode::Container(mode) = &mut spec.network
        && let Some(name) = resolve("network_mode", mode)
    {
        *mode = name;
    }
    for from in &mut spec.volumes_from {
        // `service:db:ro`: how it is mounted comes last.
        let (service, mode) = match from.strip_prefix("service:").and_then(|rest| rest.split_once(':')) {
            Some((service, mode)) => (format!("service:{service}"), format!(":{mode}")),
            None => (from.clone(), String::new()),
        };
        if let Some(name) = resolve("volumes_from", &service) {
            *from = name + &mode;
        }
    }
    for (attribute, mode) in [("ipc", &mut spec.ipc), ("pid", &mut spec.pid)] {
        if let Some(mode) = mode
            && let Some(name) = resolve(attribute, mode)
        {
            *mode = format!("container:{name}");
        }
    }
    for (attribute, name) in missing {
        let message = format!("service `{service}` shares namespaces with `{name}`, which has no container");
        let error = EngineError::new(ErrorKind::NotFound, format!("service `{name}`"), message)
            .hint(format!("bring `{name}` up too: it may be scaled to 0, or left out by `--no-deps`"));
        planner.failures.push(Failure::new(error, Some(format!("services.{service}.{attribute}"))));
    }
    steps
}

pub(crate) fn replace(
    planner: &mut UpPlanner<'_>,
    progress: &Progress,
    service: &DesiredService,
    old: &ObservedContainer,
    cause: Cause,
    gates: &[(StepId, Order)],
    outcome: &mut ServiceOutcome,
) {
    let number = old.identity.number;
    let own_name = service.container_name(number);
    let mut spec = service.replica(number);
    if !planner.options.renew_anon_volumes {
        let image_volumes = planner.observed.images.get(&service.image).map(|image| image.volumes.clone());
        inherit_volumes(&mut spec, &old.summary, image_volumes.as_deref());
    }
    spec.labels.insert(identity::REPLACE.into(), own_name.clone());
    let removed_networks = old.summary.networks.keys().filter_map(|name| planner.replaced_networks.get(name));
    let removed_volumes = old.summary.volumes.values().filter_map(|name| planner.replaced_volumes.get(name));
    let freed: BTreeSet<StepId> = removed_networks.chain(removed_volumes).copied().collect();
    // A fixed address and a network or volume that is made anew can't be held by the old and the new one at once; and what
    // shares the namespaces of a replaced container goes before it and comes after it.
    let shares = service.shares_with.iter().any(|name| progress.services.get(name).is_some_and(|o| o.replaced));
    let in_place = !freed.is_empty() || shares || has_fixed_address(&spec);
    let path = Some(format!("services.{}", service.name));
    let remove_step = Step::RemoveContainer { container: known(old), anonymous_volumes: false };
    outcome.disturbed = true;
    outcome.replaced = true;
    if in_place {
        let stop = planner.stop(old, &Cause::Replaced, Report::Opens(Act::Recreate));
        let report = if stop.is_some() { Report::Silent } else { Report::Opens(Act::Recreate) };
        let remove = planner.plan.add_reported(remove_step, Cause::Replaced, path, report);
        for resource in freed {
            planner.plan.needs(resource, remove);
        }
        let create = create(planner, progress, service, spec, number, cause, Report::Closes(Act::Recreate));
        planner.plan.needs(create, remove);
        if let Some((first, stop)) = stop {
            planner.plan.needs(remove, stop);
            outcome.stops.push(first);
            stop_before_dependencies(planner, progress, service, stop);
        }
        outcome.settled.push(create);
        let container = ContainerRef { name: own_name, source: ContainerSource::Created(create) };
        start(planner, service, container, number, Cause::Created, Some(create), gates, outcome);
        return;
    }
    spec.name = identity::temporary_name(&old.summary.id.0, &own_name);
    let create = create(planner, progress, service, spec, number, cause, Report::Opens(Act::Recreate));
    // The old one goes on until all that the new one waits for is there.
    let before_removal = match planner.stop(old, &Cause::Replaced, Report::Silent) {
        Some((first, stop)) => {
            planner.plan.needs(first, create);
            outcome.stops.push(first);
            let waits_to_stop = !stop_before_dependencies(planner, progress, service, stop);
            if waits_to_stop && !planner.options.no_start {
                for (gate, order) in gates {
                    planner.plan.order(first, *gate, *order);
                }
            }
            stop
        }
        None => create,
    };
    let remove = planner.plan.add_reported(remove_step, Cause::Replaced, path.clone(), Report::Silent);
    planner.plan.needs(remove, before_removal);
    let container = ContainerRef { name: own_name.clone(), source: ContainerSource::Created(create) };
    let rename = Step::RenameContainer { container: container.clone(), name: own_name };
    let rename = planner.plan.add_reported(rename, Cause::Replaced, path, Report::Closes(Act::Recreate));
    planner.plan.needs(rename, remove);
    outcome.settled.push(rename);
    start(planner, service, container, number, Cause::Created, Some(rename), gates, outcome);
}

/// Puts the stop of a dependant with `restart: true` before that of what it depends on; `false` if there is none.
pub(crate) fn stop_before_dependencies(
    planner: &mut UpPlanner<'_>,
    progress: &Progress,
    service: &DesiredService,
    stop: StepId,
) -> bool {
    let mut any = false;
    for (name, _) in service.depends_on.iter().filter(|(_, dependency)| dependency.restart) {
        for later in progress.services.get(name).into_iter().flat_map(|outcome| outcome.stops.iter().copied()) {
            planner.plan.after(later, stop);
            any = true;
        }
    }
    any
}

fn has_fixed_address(spec: &ContainerSpec) -> bool {
    match &spec.network {
        NetworkMode::Networks(endpoints) => endpoints.iter().any(|endpoint| {
            endpoint.ipv4_address.is_some() || endpoint.ipv6_address.is_some() || endpoint.mac_address.is_some()
        }),
        NetworkMode::None | NetworkMode::Host | NetworkMode::Container(_) => false,
    }
}

/// Hands the old container's anonymous volumes on: those that the file or the (new) image still asks for.
fn inherit_volumes(spec: &mut ContainerSpec, old: &ContainerSummary, image_volumes: Option<&[String]>) {
    for target in &old.anonymous_volumes {
        let Some(name) = old.volumes.get(target) else { continue };
        let inherited = MountSource::Anonymous { name: Some(name.clone()) };
        match spec.mounts.iter_mut().find(|mount| mount.target == *target) {
            Some(mount) if mount.source == (MountSource::Anonymous { name: None }) => mount.source = inherited,
            Some(_) => {}
            None if image_volumes.is_none_or(|volumes| volumes.contains(target)) => {
                spec.mounts.push(Mount { source: inherited, target: target.clone(), read_only: false });
            }
            None => {}
        }
    }
}
