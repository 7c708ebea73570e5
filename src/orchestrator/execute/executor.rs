//! Walks the plan: each step as soon as what it waits for is over. What hangs on a failure is skipped, the rest goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::engine::Engine;
use crate::engine::container::ContainerId;
use crate::engine::error::{EngineError, ErrorKind};
use crate::event::{Act, Event, Failure, ResourceKind};
use crate::execute::perform::{Product, Task, perform};
use crate::execute::taken;
use crate::plan::{ContainerRef, ContainerSource, Order, Plan, PlannedStep, Report, Step, StepId};

/// How a step ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It was carried out.
    Done(Product),
    /// It was tried in vain.
    Failed,
    /// It was not tried, because of the failure of this step.
    Skipped(StepId),
}

/// What came of a plan.
#[derive(Debug, Clone, Default)]
pub struct Execution {
    /// How each step ended.
    pub outcomes: BTreeMap<StepId, Outcome>,
    /// What failed, in the order of time.
    pub failures: Vec<Failure>,
    /// A wait ran into the deadline.
    pub timed_out: bool,
}

impl Execution {
    /// Returns the id of a container, if it is known or was created.
    pub fn container(&self, container: &ContainerRef) -> Option<ContainerId> {
        match &container.source {
            ContainerSource::Known(id) => Some(id.clone()),
            ContainerSource::Created(step) => match self.outcomes.get(step) {
                Some(Outcome::Done(Product::Container(id))) => Some(id.clone()),
                Some(Outcome::Done(_) | Outcome::Failed | Outcome::Skipped(_)) | None => None,
            },
        }
    }

    /// Whether a step was carried out.
    pub fn is_done(&self, step: StepId) -> bool {
        matches!(self.outcomes.get(&step), Some(Outcome::Done(_)))
    }
}

struct Walk<'a> {
    engine: Arc<dyn Engine>,
    plan: &'a Plan,
    events: UnboundedSender<Event>,
    deadline: Option<Instant>,
    /// Steps that are not over yet and that a step waits for.
    waiting: BTreeMap<StepId, usize>,
    /// The failure that keeps a step from being tried.
    blocked: BTreeMap<StepId, StepId>,
    ready: BTreeSet<StepId>,
    running: JoinSet<(StepId, Result<Product, EngineError>)>,
    failed: Vec<StepId>,
    result: Execution,
}

/// Carries `plan` out; waits for readiness end at `deadline`.
pub async fn execute(
    engine: Arc<dyn Engine>,
    plan: &Plan,
    deadline: Option<Instant>,
    events: UnboundedSender<Event>,
) -> Execution {
    let mut walk = Walk {
        engine,
        plan,
        events,
        deadline,
        waiting: plan.ids().map(|id| (id, plan.predecessors(id).len())).collect(),
        blocked: BTreeMap::new(),
        ready: BTreeSet::new(),
        running: JoinSet::new(),
        failed: Vec::new(),
        result: Execution::default(),
    };
    walk.ready = walk.waiting.iter().filter(|(_, count)| **count == 0).map(|(id, _)| *id).collect();
    walk.run().await;
    walk.finish()
}

impl Walk<'_> {
    async fn run(&mut self) {
        loop {
            while let Some(id) = self.ready.pop_first() {
                self.begin(id);
            }
            match self.running.join_next().await {
                Some(Ok((id, result))) => self.end(id, result),
                Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Some(Err(_)) => {}
                None => return,
            }
        }
    }

    fn begin(&mut self, id: StepId) {
        let planned = self.plan.step(id);
        if let Some(root) = self.blocked.get(&id).copied() {
            if let Report::Closes(act) = planned.report {
                let (kind, name, _) = planned.step.subject();
                let message = format!("`{name}` was left as it was");
                let error = EngineError::new(ErrorKind::Failed, format!("container `{name}`"), message);
                self.send(Event::Failed { kind, name, act, error });
            }
            self.over(id, Outcome::Skipped(root), Some(root));
            return;
        }
        self.announce(planned);
        let task = Task {
            step: planned.step.clone(),
            container: container_of(&planned.step).and_then(|container| self.result.container(container)),
            waits_for: self.waits_for(&planned.step),
            image: self.image(&planned.step),
            cause: planned.cause.clone(),
            deadline: self.deadline,
        };
        let (engine, events) = (Arc::clone(&self.engine), self.events.clone());
        self.running.spawn(async move { (id, perform(&engine, task, &events).await) });
    }

    /// Returns the names and ids of the containers of a wait.
    fn waits_for(&self, step: &Step) -> Vec<(String, ContainerId)> {
        let Step::Wait(wait) = step else { return Vec::new() };
        let ids = wait.containers.iter().map(|container| (container.name.clone(), self.result.container(container)));
        ids.filter_map(|(name, id)| id.map(|id| (name, id))).collect()
    }

    /// Returns the id of the image that an earlier step has brought for a new container.
    fn image(&self, step: &Step) -> Option<String> {
        let Step::CreateContainer(new) = step else { return None };
        match self.result.outcomes.get(&new.image?) {
            Some(Outcome::Done(Product::Image(image))) => Some(image.id.clone()),
            Some(Outcome::Done(_) | Outcome::Failed | Outcome::Skipped(_)) | None => None,
        }
    }

    fn end(&mut self, id: StepId, result: Result<Product, EngineError>) {
        let planned = self.plan.step(id);
        match result {
            Ok(product) => {
                let act = match planned.report {
                    Report::Own => Some(planned.step.subject().2),
                    Report::Closes(act) => Some(act),
                    Report::Opens(_) | Report::Silent => None,
                };
                if let Some(act) = act {
                    for (kind, name) in subjects(&planned.step) {
                        self.send(Event::Done { kind, name, act });
                    }
                }
                self.over(id, Outcome::Done(product), None);
            }
            Err(error) => {
                let act = match planned.report {
                    Report::Own | Report::Silent => planned.step.subject().2,
                    Report::Opens(act) | Report::Closes(act) => act,
                };
                for (kind, name) in subjects(&planned.step) {
                    self.send(Event::Failed { kind, name, act, error: error.clone() });
                }
                if let (Step::Wait(_), Some(deadline)) = (&planned.step, self.deadline) {
                    self.result.timed_out |= Instant::now() >= deadline;
                }
                self.result.failures.push(Failure::new(error, planned.path.clone()));
                self.failed.push(id);
                self.over(id, Outcome::Failed, Some(id));
            }
        }
    }

    /// Marks a step as over; `root` is the failure that passes on to what needs the step.
    fn over(&mut self, id: StepId, outcome: Outcome, root: Option<StepId>) {
        self.result.outcomes.insert(id, outcome);
        for (next, order) in self.plan.successors(id) {
            if let (Some(root), Order::Needs) = (root, order) {
                self.blocked.entry(next).or_insert(root);
            }
            if let Some(count) = self.waiting.get_mut(&next) {
                *count -= 1;
                if *count == 0 {
                    self.ready.insert(next);
                }
            }
        }
    }

    fn announce(&self, planned: &PlannedStep) {
        let act = match planned.report {
            Report::Own => planned.step.subject().2,
            Report::Opens(act) => act,
            Report::Silent | Report::Closes(_) => return,
        };
        for (kind, name) in subjects(&planned.step) {
            self.send(Event::Started { kind, name, act });
        }
    }

    fn send(&self, event: Event) {
        // Nobody listening is fine.
        let _ = self.events.send(event);
    }

    fn finish(mut self) -> Execution {
        // A plan is acyclic by construction; a step that never became ready would otherwise be lost in silence.
        for id in self.plan.ids().filter(|id| !self.result.outcomes.contains_key(id)) {
            let planned = self.plan.step(id);
            let message = format!("could not {}: the steps before it wait for each other", planned.step);
            let error = EngineError::new(ErrorKind::Failed, planned.step.subject().1, message);
            self.result.failures.push(Failure::new(error, planned.path.clone()));
        }
        let skipped: Vec<(StepId, String)> = self
            .result
            .outcomes
            .iter()
            .filter_map(|(id, outcome)| match (outcome, &self.plan.step(*id).step) {
                (Outcome::Skipped(root), Step::StartContainer { container, .. }) => {
                    Some((*root, container.name.clone()))
                }
                _ => None,
            })
            .collect();
        for (failure, root) in self.result.failures.iter_mut().zip(&self.failed) {
            let own = self.plan.step(*root).step.subject().1;
            let blocked = skipped.iter().filter(|(by, name)| by == root && *name != own);
            failure.blocked = blocked.map(|(_, name)| name.clone()).collect();
        }
        // What failed has a step each; what never became ready has none, and comes last.
        let failures = std::mem::take(&mut self.result.failures);
        let mut steps = self.failed.iter().map(|step| self.plan.step(*step).step.subject().1);
        let named = failures.into_iter().map(|failure| (failure, steps.next().unwrap_or_default()));
        self.result.failures = taken::fold(named.collect());
        self.result
    }
}

/// Returns the container that a step acts on.
fn container_of(step: &Step) -> Option<&ContainerRef> {
    match step {
        Step::StartContainer { container, .. }
        | Step::StopContainer { container, .. }
        | Step::KillContainer { container, .. }
        | Step::RemoveContainer { container, .. }
        | Step::RenameContainer { container, .. }
        | Step::RunHook { container, .. } => Some(container),
        Step::PullImage(_)
        | Step::BuildImage(_)
        | Step::RemoveImage(_)
        | Step::CreateNetwork(_)
        | Step::RemoveNetwork(_)
        | Step::CreateVolume(_)
        | Step::RemoveVolume(_)
        | Step::CreateContainer(_)
        | Step::Wait(_)
        | Step::RunPreStart(_)
        | Step::CallProvider { .. }
        | Step::PrepareModel(_) => None,
    }
}

/// Returns what progress shows for a step: a wait is shown on each container.
fn subjects(step: &Step) -> Vec<(ResourceKind, String)> {
    match step {
        Step::Wait(wait) => {
            wait.containers.iter().map(|container| (ResourceKind::Container, container.name.clone())).collect()
        }
        other => {
            let (kind, name, _): (_, _, Act) = other.subject();
            vec![(kind, name)]
        }
    }
}
