//! `down`: stops and removes what the project has on the engine; needs no file, labels tell.

use std::collections::BTreeSet;
use std::sync::Arc;

use compose::Project;
use tokio::sync::mpsc::UnboundedSender;

use crate::desired::desired_to_remove;
use crate::engine::Engine;
use crate::event::{Event, ResourceKind};
use crate::execute::execute;
use crate::observed::observe;
use crate::operations::error::OperationError;
use crate::operations::sequence::tell_of_stop;
use crate::plan::{Plan, Step, plan_down};

pub use crate::plan::{DownOptions, RemoveImages};

/// Takes the project down. Without `project`, all that bears its name in labels goes.
pub async fn down(
    engine: Arc<dyn Engine>,
    project_name: &str,
    project: Option<&Project>,
    options: &DownOptions,
    events: UnboundedSender<Event>,
) -> Result<(), OperationError> {
    let desired = project.map(desired_to_remove);
    let observed = observe(&engine, project_name, &BTreeSet::new()).await?;
    let plan = plan_down(project_name, desired.as_ref(), &observed, options).map_err(OperationError::of)?;
    for text in &plan.warnings {
        let _ = events.send(Event::Warning(text.clone()));
    }
    if plan.ids().next().is_none() {
        let _ = events.send(Event::Warning(format!("no resource found to remove for project `{project_name}`")));
    }
    for name in ended_already(&plan) {
        tell_of_stop(&events, ResourceKind::Container, &name);
    }
    let execution = execute(engine, &plan, None, events).await;
    OperationError::check(execution)
}

/// Returns the containers that are removed without being stopped, since they have ended.
fn ended_already(plan: &Plan) -> BTreeSet<String> {
    let (mut removed, mut stopped) = (BTreeSet::new(), BTreeSet::new());
    for id in plan.ids() {
        let step = &plan.step(id).step;
        if let Step::RemoveContainer { container, .. } = step {
            removed.insert(container.name.clone());
        } else if let Step::StopContainer { container, .. } = step {
            stopped.insert(container.name.clone());
        }
    }
    removed.retain(|name| !stopped.contains(name));
    removed
}
