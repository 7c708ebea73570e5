//! What `stop`, `start`, `restart` and `kill` have in common: one look, one plan, one walk.

use std::sync::Arc;

use compose::Project;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use crate::desired::desired_to_remove;
use crate::engine::Engine;
use crate::event::{Act, Event, ResourceKind};
use crate::execute::execute;
use crate::observed::observe_containers;
use crate::operations::error::OperationError;
use crate::plan::{Sequence, plan_sequence};

/// Plans and carries out `sequence` on the containers of `services`.
pub(crate) async fn run(
    engine: Arc<dyn Engine>,
    project_name: &str,
    project: Option<&Project>,
    services: &[String],
    sequence: &Sequence,
    deadline: Option<Instant>,
    events: UnboundedSender<Event>,
) -> Result<(), OperationError> {
    let desired = project.map(desired_to_remove);
    let containers = observe_containers(&engine, project_name).await?;
    let plan = plan_sequence(desired.as_ref(), &containers, services, sequence).map_err(OperationError::of)?;
    // Docker Compose tells of each container that it stops, whether it still ran or not.
    for stopped in &plan.unchanged {
        tell_of_stop(&events, stopped.kind, &stopped.name);
    }
    OperationError::check(execute(engine, &plan, deadline, events).await)
}

/// Reports the stop of what did not run any more.
pub(crate) fn tell_of_stop(events: &UnboundedSender<Event>, kind: ResourceKind, name: &str) {
    let (name, act) = (name.to_owned(), Act::Stop);
    let _ = events.send(Event::Started { kind, name: name.clone(), act });
    let _ = events.send(Event::Done { kind, name, act });
}
