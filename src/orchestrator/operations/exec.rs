//! `exec`: runs a program in a running container of a service.

use std::sync::Arc;

use crate::engine::Engine;
use crate::engine::container::{ContainerId, ContainerState};
use crate::engine::error::{EngineError, ErrorKind};
use crate::engine::exec::{ExecIo, ExecSpec};
use crate::identity::{self, Identity};
use crate::observed::{ObservedContainer, observe_containers};
use crate::operations::error::OperationError;

/// Runs `spec` in replica `index` of `service` (else in the first that runs) and returns its exit code.
pub async fn exec(
    engine: Arc<dyn Engine>,
    project_name: &str,
    service: &str,
    index: Option<u32>,
    spec: &ExecSpec,
    io: ExecIo,
) -> Result<i32, OperationError> {
    if let Some(id) = usual(&engine, project_name, service, index).await {
        return Ok(engine.exec(&id, spec, io).await?);
    }
    let containers = observe_containers(&engine, project_name).await?;
    let container = pick(&containers, service, index)?;
    Ok(engine.exec(&container.summary.id, spec, io).await?)
}

/// Looks where the wanted container is as a rule, which saves a look at all others: the first replica that runs is the
/// first one, if that runs.
async fn usual(engine: &Arc<dyn Engine>, project_name: &str, service: &str, index: Option<u32>) -> Option<ContainerId> {
    let number = index.unwrap_or(1);
    let found = engine.inspect_container(&identity::usual_name(project_name, service, number)).await.ok()?;
    let is_of_project = identity::is_of_project(&found, project_name);
    let identity = Identity::of(&found).filter(|_| is_of_project)?;
    let is_wanted = identity.service == service && identity.number == number && !identity.one_off;
    (is_wanted && matches!(found.state, ContainerState::Running { .. })).then_some(found.id)
}

/// Returns the container that a command for one container of a service means.
pub fn pick<'a>(
    containers: &'a [ObservedContainer],
    service: &str,
    index: Option<u32>,
) -> Result<&'a ObservedContainer, EngineError> {
    let of_service = || containers.iter().filter(|container| container.identity.service == service);
    let wanted = |container: &&ObservedContainer| match index {
        Some(index) => container.identity.number == index && !container.identity.one_off,
        None => true,
    };
    let runs = |container: &&ObservedContainer| matches!(container.summary.state, ContainerState::Running { .. });
    // Replicas before `run` containers.
    let mut candidates: Vec<_> = of_service().filter(wanted).filter(runs).collect();
    candidates.sort_by_key(|container| (container.identity.one_off, container.identity.number));
    if let Some(container) = candidates.first() {
        return Ok(container);
    }
    let which = index.map_or(String::new(), |index| format!(" container #{index}"));
    let error = match of_service().find(wanted).map(|container| &container.summary.state) {
        Some(ContainerState::Restarting { .. }) => EngineError::new(
            ErrorKind::Failed,
            format!("service `{service}`"),
            format!("service `{service}` is not running{which}: it has crashed and waits to be started again"),
        )
        .hint(format!("`logs {service}` shows what it wrote")),
        Some(ContainerState::Paused { .. }) => EngineError::new(
            ErrorKind::Failed,
            format!("service `{service}`"),
            format!("service `{service}` is paused{which}"),
        )
        .hint(format!("`unpause {service}` lets it go on")),
        Some(state) => EngineError::new(
            ErrorKind::Failed,
            format!("service `{service}`"),
            format!(
                "service `{service}` is not running{which}: it is {}",
                crate::plan::state_word(state).to_lowercase()
            ),
        )
        .hint(format!("`start {service}` starts it, `logs {service}` shows what it wrote")),
        None => EngineError::new(
            ErrorKind::NotFound,
            format!("service `{service}`"),
            format!("service `{service}` is not running{which}: it has no container"),
        )
        .hint(format!("`up {service}` creates it")),
    };
    Err(error)
}
