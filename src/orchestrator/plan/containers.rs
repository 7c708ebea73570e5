//! What happens to the containers of each service: kept, started, replaced, created or removed.

use std::collections::{BTreeMap, BTreeSet};

use compose::model::service::{Condition, Dependency};

use crate::desired::DesiredService;
use crate::engine::container::{
    ContainerSpec, ContainerState, ContainerSummary, Endpoint, Health, Mount, MountSource, NetworkMode,
};
use crate::event::{Act, ResourceKind};
use crate::identity;
use crate::observed::ObservedContainer;
use crate::plan::plan::{Order, Report, StepId, Unchanged};
use crate::plan::step::{Cause, ContainerRef, ContainerSource, Moment, NewContainer, Step, Wait, WaitStep};
use crate::plan::up::{UpPlanner, known};

/// What the services planned so far mean to those that depend on them.
#[derive(Default)]
struct Progress {
    services: BTreeMap<String, ServiceOutcome>,
    waits: BTreeMap<(String, Wait, bool), StepId>,
}

/// What the plan does to a service.
#[derive(Default)]
struct ServiceOutcome {
    /// Its containers at the end.
    containers: Vec<ContainerRef>,
    /// Steps after which they run.
    started: Vec<StepId>,
    /// Steps after which they exist under their own names.
    settled: Vec<StepId>,
    /// First steps that take a running container of it away.
    stops: Vec<StepId>,
    /// A container is replaced or restarted.
    disturbed: bool,
    /// A container is replaced.
    replaced: bool,
    /// All its containers are healthy in the snapshot and left alone.
    healthy: bool,
}

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
    outcome
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
    if !container.is_up() {
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

/// Returns why a container is not what the file asks for.
fn divergence(
    planner: &UpPlanner<'_>,
    progress: &Progress,
    service: &DesiredService,
    container: &ObservedContainer,
) -> Option<Cause> {
    let summary = &container.summary;
    if matches!(summary.state, ContainerState::Dead { .. }) {
        return Some(Cause::Broken);
    }
    if container.identity.hash != service.hash {
        return Some(Cause::ConfigChanged);
    }
    match planner.observed.images.get(&service.image) {
        _ if planner.images.contains_key(&service.image) => return Some(Cause::ImageMayChange),
        Some(image) if image.id != container.identity.image_id => return Some(Cause::ImageChanged),
        Some(_) | None => {}
    }
    if let Some(name) = summary.networks.keys().find(|name| planner.replaced_networks.contains_key(*name)) {
        return Some(Cause::NetworkChanged(name.clone()));
    }
    let spec = service.replica(container.identity.number);
    if let NetworkMode::Networks(endpoints) = &spec.network {
        let absent = |endpoint: &&Endpoint| !summary.networks.contains_key(&endpoint.network);
        if container.is_up()
            && let Some(endpoint) = endpoints.iter().find(absent)
        {
            return Some(Cause::NotOnNetwork(endpoint.network.clone()));
        }
    }
    let volume = |mount: &Mount| match &mount.source {
        MountSource::Volume { name, .. } if summary.volumes.get(&mount.target) != Some(name) => Some(name.clone()),
        MountSource::Volume { .. }
        | MountSource::Bind { .. }
        | MountSource::Anonymous { .. }
        | MountSource::Tmpfs { .. }
        | MountSource::Image { .. } => None,
    };
    if let Some(name) = spec.mounts.iter().find_map(volume) {
        return Some(Cause::WithoutVolume(name));
    }
    let shared =
        service.shares_with.iter().find(|name| progress.services.get(*name).is_some_and(|outcome| outcome.replaced));
    shared.map(|name| Cause::SharesWith(name.clone()))
}

fn keep(
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
        state: state_word(&container.summary.state).to_owned(),
        container: Some((container.summary.id.clone(), service.name.clone(), container.identity.number)),
    });
}

/// Gives a container its own name, where a killed run left it with a temporary one.
fn settle_name(planner: &mut UpPlanner<'_>, service: &DesiredService, container: &ObservedContainer) -> Option<StepId> {
    let name = service.container_name(container.identity.number);
    (container.summary.name != name).then(|| {
        let step = Step::RenameContainer { container: known(container), name };
        let path = Some(format!("services.{}", service.name));
        planner.plan.add_reported(step, Cause::Interrupted, path, Report::Silent)
    })
}

fn start_again(
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
fn start(
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

fn create(
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
    let sharing = resolve_shared(progress, &mut spec);
    let image = planner.images.get(&service.image).copied();
    let new =
        NewContainer { spec, final_name: service.container_name(number), service: service.name.clone(), number, image };
    let name = new.spec.name.clone();
    let path = Some(format!("services.{}", service.name));
    let step = planner.plan.add_reported(Step::CreateContainer(Box::new(new)), cause, path, report);
    let networks = service.networks.iter().filter_map(|key| planner.networks.get(key));
    let volumes = service.volumes.iter().filter_map(|key| planner.volumes.get(key));
    let needed: Vec<StepId> =
        image.into_iter().chain(networks.copied()).chain(volumes.copied()).chain(sharing).collect();
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
fn resolve_shared(progress: &Progress, spec: &mut ContainerSpec) -> Vec<StepId> {
    let mut steps = Vec::new();
    let mut resolve = |mode: &str| {
        let outcome = progress.services.get(mode.strip_prefix("service:")?)?;
        steps.extend(outcome.settled.iter().copied());
        outcome.containers.first().map(|container| container.name.clone())
    };
    if let NetworkMode::Container(mode) = &mut spec.network
        && let Some(name) = resolve(mode)
    {
        *mode = name;
    }
    for mode in [&mut spec.ipc, &mut spec.pid].into_iter().flatten() {
        if let Some(name) = resolve(mode) {
            *mode = format!("container:{name}");
        }
    }
    steps
}

fn replace(
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
    let removed_networks: Vec<StepId> =
        old.summary.networks.keys().filter_map(|name| planner.replaced_networks.get(name).copied()).collect();
    // A fixed address and a network that is made anew can't be held by the old and the new one at once; and what
    // shares the namespaces of a replaced container goes before it and comes after it.
    let shares = service.shares_with.iter().any(|name| progress.services.get(name).is_some_and(|o| o.replaced));
    let in_place = !removed_networks.is_empty() || shares || has_fixed_address(&spec);
    let path = Some(format!("services.{}", service.name));
    let remove_step = Step::RemoveContainer { container: known(old), anonymous_volumes: false };
    outcome.disturbed = true;
    outcome.replaced = true;
    if in_place {
        let stop = planner.stop(old, &Cause::Replaced, Report::Opens(Act::Recreate));
        let report = if stop.is_some() { Report::Silent } else { Report::Opens(Act::Recreate) };
        let remove = planner.plan.add_reported(remove_step, Cause::Replaced, path, report);
        for network in removed_networks {
            planner.plan.needs(network, remove);
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
fn stop_before_dependencies(
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
            Some(mount) => {
                if mount.source == (MountSource::Anonymous { name: None }) {
                    mount.source = inherited;
                }
            }
            None if image_volumes.is_none_or(|volumes| volumes.contains(target)) => {
                spec.mounts.push(Mount { source: inherited, target: target.clone(), read_only: false });
            }
            None => {}
        }
    }
}

/// Returns what must have happened before a container of `service` may start.
fn gates_of(planner: &mut UpPlanner<'_>, progress: &mut Progress, service: &DesiredService) -> Vec<(StepId, Order)> {
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
fn wait_for_all(planner: &mut UpPlanner<'_>, progress: &mut Progress) {
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
        ContainerState::Paused => "Paused",
        ContainerState::Restarting { .. } => "Restarting",
        ContainerState::Exited { .. } => "Exited",
        ContainerState::Dead { .. } => "Dead",
        ContainerState::Removed => "Removed",
    }
}
