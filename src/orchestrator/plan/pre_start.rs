//! `pre_start` hooks: once for a service, before the first of its containers starts, where none of them runs.

use std::collections::BTreeMap;

use crate::desired::PreStart;
use crate::engine::container::NetworkMode;
use crate::observed::LeftHook;
use crate::plan::plan::{Order, Plan, Report, StepId};
use crate::plan::step::{Cause, ContainerRef, ContainerSource, PreStartRun, Step};

/// Where the hooks of a service stand in a plan.
pub(crate) struct Place<'a> {
    /// The service.
    pub(crate) service: &'a str,
    /// Name of the container whose volumes they share.
    pub(crate) container: &'a str,
    /// What they wait for.
    pub(crate) after: &'a [(StepId, Order)],
    /// Steps that start the containers.
    pub(crate) starts: &'a [StepId],
    /// Steps that bring images, by reference.
    pub(crate) images: &'a BTreeMap<String, StepId>,
    /// Containers that go, and the steps after which they are gone.
    pub(crate) gone: &'a [(String, StepId)],
    /// Returns the container of a service whose network is shared.
    pub(crate) container_of: &'a dyn Fn(&str) -> Option<String>,
}

/// Adds the hooks, one after the other, between what is waited for and the starts.
pub(crate) fn propose(plan: &mut Plan, hooks: &[PreStart], place: &Place<'_>) {
    let mut last: Option<StepId> = None;
    for hook in hooks {
        let mut spec = hook.spec.clone();
        spec.volumes_from = vec![place.container.to_owned()];
        if let NetworkMode::Container(mode) = &mut spec.network
            && let Some(container) = mode.strip_prefix("service:").and_then(place.container_of)
        {
            *mode = container;
        }
        let image = place.images.get(&spec.image).copied();
        let freed = place.gone.iter().filter(|(name, _)| *name == spec.name).map(|(_, step)| *step);
        let before: Vec<StepId> = image.into_iter().chain(last).chain(freed).collect();
        let run = PreStartRun { spec, service: place.service.to_owned(), index: hook.index, image };
        let path = Some(format!("services.{}.pre_start[{}]", place.service, hook.index));
        let step = plan.add_reported(Step::RunPreStart(Box::new(run)), Cause::Hook, path, Report::Silent);
        for (on, order) in place.after {
            plan.order(step, *on, *order);
        }
        for on in before {
            plan.needs(step, on);
        }
        last = Some(step);
    }
    for (start, last) in place.starts.iter().flat_map(|start| last.map(|last| (*start, last))) {
        plan.needs(start, last);
    }
}

/// Adds the removal of a hook's container that a killed run has left.
pub(crate) fn remove_left(plan: &mut Plan, hook: &LeftHook, cause: Cause) -> StepId {
    let source = ContainerSource::Known(hook.summary.id.clone());
    let container = ContainerRef { name: hook.summary.name.clone(), source };
    plan.add(Step::RemoveContainer { container, anonymous_volumes: true }, cause, None)
}
