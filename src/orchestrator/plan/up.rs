//! The plan of `up`: the proposals in their order, and what they share.

use std::collections::{BTreeMap, BTreeSet};

use compose::diagnostic::similar::closest;

use crate::desired::{Desired, DesiredService};
use crate::engine::container::{ContainerId, OpenPort, StopOptions};
use crate::engine::error::{EngineError, ErrorKind};
use crate::event::Failure;
use crate::observed::{Observed, ObservedContainer};
use crate::plan::options::UpOptions;
use crate::plan::plan::{Plan, Report, StepId};
use crate::plan::step::{Cause, ContainerRef, ContainerSource, Moment, Step};
use crate::plan::{containers, images, networks, orphans, ports, pre_start, providers, volumes};

/// Which services an operation is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    /// Named by the person, or all.
    pub targets: BTreeSet<String>,
    /// The targets and, unless told otherwise, what they depend on.
    pub services: BTreeSet<String>,
    /// The person named no service.
    pub everything: bool,
}

/// A plan in the making.
pub(crate) struct UpPlanner<'a> {
    pub desired: &'a Desired,
    pub observed: &'a Observed,
    pub options: &'a UpOptions,
    pub scope: &'a Scope,
    pub plan: Plan,
    pub failures: Vec<Failure>,
    /// Steps that provide something for a service, by its name.
    pub provisions: BTreeMap<String, Vec<StepId>>,
    /// Steps that bring an image, by reference.
    pub images: BTreeMap<String, StepId>,
    /// Steps that create a network, by key.
    pub networks: BTreeMap<String, StepId>,
    /// Steps that remove a network whose configuration changed, by engine name.
    pub replaced_networks: BTreeMap<String, StepId>,
    /// Steps that remove a volume whose configuration changed, by engine name.
    pub replaced_volumes: BTreeMap<String, StepId>,
    /// Steps that create a volume, by key.
    pub volumes: BTreeMap<String, StepId>,
    /// Containers that go, their ports, and the steps after which they are gone.
    pub gone: Vec<(String, Vec<OpenPort>, StepId)>,
    /// Containers that stop; their ports are free then.
    pub stopping: BTreeSet<ContainerId>,
}

/// Returns the services that `names` (glob patterns) mean, of those in `known`; no names: all.
pub fn targets_of<'a>(
    known: impl Iterator<Item = &'a String> + Clone,
    names: &[String],
) -> Result<BTreeSet<String>, Vec<Failure>> {
    if names.is_empty() {
        return Ok(known.cloned().collect());
    }
    let mut targets = BTreeSet::new();
    let mut failures = Vec::new();
    for name in names {
        let matching: Vec<_> = known.clone().filter(|service| matches_pattern(name, service)).cloned().collect();
        if matching.is_empty() {
            let near = closest(name, known.clone().map(String::as_str));
            let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            let message = format!("no such service: {name}{near}");
            let error = EngineError::new(ErrorKind::NotFound, format!("service `{name}`"), message);
            failures.push(Failure::new(error, None));
        }
        targets.extend(matching);
    }
    if failures.is_empty() { Ok(targets) } else { Err(failures) }
}

/// Whether `text` matches a glob pattern of `*` and `?`.
pub fn matches_pattern(pattern: &str, text: &str) -> bool {
    match (pattern.chars().next(), text.chars().next()) {
        (None, None) => true,
        (Some('*'), _) => {
            matches_pattern(&pattern[1..], text)
                || text.chars().next().is_some_and(|c| matches_pattern(pattern, &text[c.len_utf8()..]))
        }
        (Some('?'), Some(c)) => matches_pattern(&pattern[1..], &text[c.len_utf8()..]),
        (Some(p), Some(c)) if p == c => matches_pattern(&pattern[p.len_utf8()..], &text[c.len_utf8()..]),
        (_, _) => false,
    }
}

/// Returns the scope of `up` and its kin.
pub fn scope_of(desired: &Desired, names: &[String], no_deps: bool) -> Result<Scope, Vec<Failure>> {
    let known: BTreeSet<&String> = desired.services.keys().chain(desired.providers.keys()).collect();
    let targets = targets_of(known.iter().copied(), names)?;
    let services = if no_deps { targets.clone() } else { desired.graph.with_dependencies(&targets) };
    Ok(Scope { targets, services, everything: names.is_empty() })
}

/// Plans `up`.
pub fn plan_up(
    desired: &Desired,
    observed: &Observed,
    scope: &Scope,
    options: &UpOptions,
) -> Result<Plan, Vec<Failure>> {
    let mut planner = UpPlanner {
        desired,
        observed,
        options,
        scope,
        plan: Plan::default(),
        failures: Vec::new(),
        provisions: BTreeMap::new(),
        images: BTreeMap::new(),
        networks: BTreeMap::new(),
        replaced_networks: BTreeMap::new(),
        replaced_volumes: BTreeMap::new(),
        volumes: BTreeMap::new(),
        gone: Vec::new(),
        stopping: BTreeSet::new(),
    };
    if !options.provided {
        planner.provisions = providers::propose_provisions(&mut planner.plan, desired, &scope.services);
    }
    let actions = images::image_actions(desired, observed, &scope.services, options)?;
    planner.images = images::propose_images(&mut planner.plan, actions);
    let in_scope = || desired.services.values().filter(|service| scope.services.contains(&service.name));
    let (networks, volumes) = if scope.everything {
        (desired.networks.keys().cloned().collect(), desired.volumes.keys().cloned().collect())
    } else {
        (
            in_scope().flat_map(|service| service.networks.clone()).collect(),
            in_scope().flat_map(|service| service.volumes.clone()).collect(),
        )
    };
    planner.failures.extend(in_scope().filter_map(first_probes_without_end));
    networks::propose(&mut planner, &networks);
    volumes::propose(&mut planner, &volumes);
    orphans::propose(&mut planner);
    for hook in observed.hooks.iter().filter(|hook| scope.services.contains(&hook.service)) {
        let step = pre_start::remove_left(&mut planner.plan, hook, Cause::Interrupted);
        planner.gone.push((hook.summary.name.clone(), Vec::new(), step));
    }
    containers::propose(&mut planner);
    images_first(&mut planner);
    ports::order_after_release(&mut planner);
    ports::find_clashes(&mut planner);
    if planner.failures.is_empty() { Ok(planner.plan) } else { Err(planner.failures) }
}

/// Refuses a health check whose first probes have an interval of their own, but no period in which that holds. Docker
/// Compose says so when it creates the container: moby/moby#48874.
fn first_probes_without_end(service: &DesiredService) -> Option<Failure> {
    let check = service.replica(1).healthcheck?;
    if check.start_interval.is_none() || check.start_period.is_some() {
        return None;
    }
    let message = "`healthcheck.start_interval` requires `healthcheck.start_period`";
    let error = EngineError::new(ErrorKind::Unsupported, format!("service `{}`", service.name), message)
        .hint("say for how long after its start probes come at that interval: `start_period: 30s`");
    Some(Failure::new(error, Some(format!("services.{}.healthcheck.start_interval", service.name))))
}

/// Lets nothing begin before every image is there: one that can't be had leaves nothing behind.
fn images_first(planner: &mut UpPlanner<'_>) {
    let images: Vec<StepId> = planner.images.values().copied().collect();
    let provisions: BTreeSet<StepId> = planner.provisions.values().flatten().copied().collect();
    for id in planner.plan.ids().filter(|id| !images.contains(id) && !provisions.contains(id)) {
        if planner.plan.predecessors(id).iter().all(|(before, _)| images.contains(before)) {
            for image in &images {
                planner.plan.needs(id, *image);
            }
        }
    }
}

impl UpPlanner<'_> {
    /// Returns how a container is stopped.
    pub(crate) fn stop_options(&self) -> StopOptions {
        StopOptions { signal: None, grace: self.options.timeout }
    }

    /// Adds the steps that stop a container, its `pre_stop` hooks first; `None` if it does not run.
    pub(crate) fn stop(
        &mut self,
        container: &ObservedContainer,
        cause: &Cause,
        report: Report,
    ) -> Option<(StepId, StepId)> {
        if !container.is_up() {
            return None;
        }
        self.stopping.insert(container.summary.id.clone());
        let path = Some(format!("services.{}", container.identity.service));
        let reference = known(container);
        let mut first = None;
        let mut last = None;
        let hooks = self.desired.services.get(&container.identity.service).map(|service| service.pre_stop.clone());
        for (index, exec) in hooks.unwrap_or_default().into_iter().enumerate() {
            let hook = Step::RunHook { container: reference.clone(), moment: Moment::PreStop, exec };
            let path = Some(format!("services.{}.pre_stop[{index}]", container.identity.service));
            let step = self.plan.add_reported(hook, Cause::Hook, path, Report::Silent);
            if let Some(before) = last {
                self.plan.needs(step, before);
            }
            first = first.or(Some(step));
            last = Some(step);
        }
        let stop = Step::StopContainer { container: reference, options: self.stop_options() };
        let step = self.plan.add_reported(stop, cause.clone(), path, report);
        if let Some(before) = last {
            self.plan.needs(step, before);
        }
        Some((first.unwrap_or(step), step))
    }

    /// Adds the steps that stop and remove a container, and returns the last.
    pub(crate) fn remove(&mut self, container: &ObservedContainer, cause: Cause) -> StepId {
        let stop = self.stop(container, &cause, Report::Own);
        let step = self.plan.add(
            Step::RemoveContainer { container: known(container), anonymous_volumes: false },
            cause,
            Some(format!("services.{}", container.identity.service)),
        );
        if let Some((_, stop)) = stop {
            self.plan.needs(step, stop);
        }
        self.gone.push((container.summary.name.clone(), container.summary.ports.clone(), step));
        step
    }
}

/// Refers to a container that was observed.
pub(crate) fn known(container: &ObservedContainer) -> ContainerRef {
    ContainerRef { name: container.summary.name.clone(), source: ContainerSource::Known(container.summary.id.clone()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_and_near_names_are_understood() {
        let known = ["database".to_owned(), "web-1".to_owned(), "web-2".to_owned()];
        let targets = targets_of(known.iter(), &["web-?".to_owned()]).unwrap();
        assert_eq!(targets.into_iter().collect::<Vec<_>>(), ["web-1", "web-2"]);
        assert_eq!(targets_of(known.iter(), &["*".to_owned()]).unwrap().len(), 3);
        let failures = targets_of(known.iter(), &["databse".to_owned()]).unwrap_err();
        assert_eq!(failures[0].error.message, "no such service: databse; did you mean `database`?");
    }
}
