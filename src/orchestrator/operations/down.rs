//! `down`: stops and removes what the project has on the engine; needs no file, labels tell.

use std::sync::Arc;
use std::time::Duration;

use compose::Project;
use tokio::sync::mpsc::UnboundedSender;

use crate::engine::Engine;
use crate::event::Event;
use crate::operations::error::OperationError;

/// Which images `down` removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoveImages {
    /// Those without a name of their own in the file.
    Local,
    /// Those of any service.
    All,
}

/// The flags of `down`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the flags of `down`, named as in Docker Compose")]
pub struct DownOptions {
    /// Only these; empty: all, and the networks.
    pub services: Vec<String>,
    pub volumes: bool,
    pub remove_orphans: bool,
    pub rmi: Option<RemoveImages>,
    /// Grace for containers that are stopped; `None`: each one's own.
    pub timeout: Option<Duration>,
}

/// Takes the project down. Without `project`, all that bears its name in labels goes.
pub async fn down(
    engine: Arc<dyn Engine>,
    project_name: &str,
    project: Option<&Project>,
    options: &DownOptions,
    events: UnboundedSender<Event>,
) -> Result<(), OperationError> {
    let _ = (engine, project_name, project, options, events);
    Ok(())
}
