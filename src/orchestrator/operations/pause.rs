//! `pause` and `unpause`: what runs is frozen, what is frozen goes on.

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

use crate::engine::Engine;
use crate::engine::container::ContainerState;
use crate::engine::error::{EngineError, ErrorKind};
use crate::event::{Act, Event, Failure, ResourceKind};
use crate::observed::observe_containers;
use crate::operations::error::OperationError;
use crate::operations::scope::Scope;

/// Freezes the running containers in `scope`, all at once. One that is frozen already is a failure, as in Docker
/// Compose; one that does not run is left alone.
pub async fn pause(
    engine: Arc<dyn Engine>,
    project_name: &str,
    scope: &Scope,
    events: UnboundedSender<Event>,
) -> Result<(), OperationError> {
    let is_meant =
        |state: &ContainerState| matches!(state, ContainerState::Running { .. } | ContainerState::Paused { .. });
    each(engine, project_name, scope, Act::Pause, is_meant, events).await
}

/// Lets the frozen containers in `scope` go on, all at once.
pub async fn unpause(
    engine: Arc<dyn Engine>,
    project_name: &str,
    scope: &Scope,
    events: UnboundedSender<Event>,
) -> Result<(), OperationError> {
    let is_meant = |state: &ContainerState| matches!(state, ContainerState::Paused { .. });
    each(engine, project_name, scope, Act::Unpause, is_meant, events).await
}

async fn each(
    engine: Arc<dyn Engine>,
    project_name: &str,
    scope: &Scope,
    act: Act,
    is_meant: impl Fn(&ContainerState) -> bool,
    events: UnboundedSender<Event>,
) -> Result<(), OperationError> {
    let containers = observe_containers(&engine, project_name).await?;
    let mut acts = JoinSet::new();
    for container in containers {
        if !scope.contains(&container) || !is_meant(&container.summary.state) {
            continue;
        }
        let (engine, events, summary) = (Arc::clone(&engine), events.clone(), container.summary);
        let path = format!("services.{}", container.identity.service);
        acts.spawn(async move {
            let (kind, name) = (ResourceKind::Container, summary.name);
            let done = match act {
                Act::Pause if matches!(summary.state, ContainerState::Paused { .. }) => Err(already_paused(&name)),
                Act::Pause => engine.pause_container(&summary.id).await,
                Act::Unpause => engine.unpause_container(&summary.id).await,
                other => unreachable!("{other:?} is no act of pausing"),
            };
            match done {
                Ok(()) => {
                    let _ = events.send(Event::Done { kind, name, act });
                    None
                }
                Err(error) => Some(Failure::new(error, Some(path))),
            }
        });
    }
    let mut failures: Vec<Failure> = acts.join_all().await.into_iter().flatten().collect();
    failures.sort_by(|a, b| a.error.resource.cmp(&b.error.resource));
    if failures.is_empty() { Ok(()) } else { Err(OperationError::of(failures)) }
}

fn already_paused(name: &str) -> EngineError {
    EngineError::new(ErrorKind::Failed, format!("container `{name}`"), format!("container `{name}` is already paused"))
        .hint("`unpause` lets it go on")
}
