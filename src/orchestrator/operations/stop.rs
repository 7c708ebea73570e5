//! `stop` and `kill`: end what runs, dependants first, and keep the containers.

use std::sync::Arc;
use std::time::Duration;

use compose::Project;
use tokio::sync::mpsc::UnboundedSender;

use crate::engine::{Engine, container};
use crate::event::Event;
use crate::operations::error::OperationError;
use crate::operations::sequence::run;
use crate::plan::Sequence;

/// The flags of `stop`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StopOptions {
    /// Only these; empty: all.
    pub services: Vec<String>,
    /// Grace before force; `None`: each container's own.
    pub timeout: Option<Duration>,
}

/// Stops the project's running containers. Without `project`, labels tell the order.
pub async fn stop(
    engine: Arc<dyn Engine>,
    project_name: &str,
    project: Option<&Project>,
    options: &StopOptions,
    events: UnboundedSender<Event>,
) -> Result<(), OperationError> {
    let sequence = Sequence::Stop(container::StopOptions { signal: None, grace: options.timeout });
    run(engine, project_name, project, &options.services, &sequence, None, events).await
}

/// Sends `signal` to the running containers of `services` (empty: all), all at once.
pub async fn kill(
    engine: Arc<dyn Engine>,
    project_name: &str,
    services: &[String],
    signal: &str,
    events: UnboundedSender<Event>,
) -> Result<(), OperationError> {
    let sequence = Sequence::Kill { signal: signal.to_owned() };
    run(engine, project_name, None, services, &sequence, None, events).await
}
