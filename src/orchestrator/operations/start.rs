//! `start`: starts what is there, in the order of dependencies.

use std::sync::Arc;
use std::time::Duration;

use compose::Project;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use crate::engine::Engine;
use crate::event::Event;
use crate::operations::error::OperationError;
use crate::operations::sequence::run;
use crate::plan::Sequence;

/// The flags of `start`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StartOptions {
    /// Only these and what they depend on; empty: all.
    pub services: Vec<String>,
    /// Return only when every service is running or healthy.
    pub wait: bool,
    /// How long that may take.
    pub wait_timeout: Option<Duration>,
}

/// Starts the project's stopped containers. Without `project`, labels tell the order.
pub async fn start(
    engine: Arc<dyn Engine>,
    project_name: &str,
    project: Option<&Project>,
    options: &StartOptions,
    events: UnboundedSender<Event>,
) -> Result<(), OperationError> {
    let deadline = options.wait_timeout.map(|timeout| Instant::now() + timeout);
    let sequence = Sequence::Start { wait: options.wait };
    run(engine, project_name, project, &options.services, &sequence, deadline, events).await
}
