//! `restart`: stops and starts what is there, in the order of dependencies.

use std::sync::Arc;
use std::time::Duration;

use compose::Project;
use tokio::sync::mpsc::UnboundedSender;

use crate::engine::Engine;
use crate::engine::container::StopOptions;
use crate::engine::hold::restart_of;
use crate::event::Event;
use crate::operations::error::OperationError;
use crate::operations::sequence::run;
use crate::plan::Sequence;

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
    // Whoever follows these containers learns by it that their end is not the end.
    let _hold = engine.hold(&restart_of(project_name), Box::new(|| {})).await?;
    let stop = StopOptions { signal: None, grace: options.timeout };
    let sequence = Sequence::Restart { options: stop, no_deps: options.no_deps };
    run(engine, project_name, project, &options.services, &sequence, None, events).await
}
