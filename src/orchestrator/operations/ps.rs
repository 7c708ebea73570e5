//! `ps`: what the project has running.

use std::sync::Arc;

use crate::engine::Engine;
use crate::engine::container::ContainerSummary;
use crate::observed::{ObservedContainer, observe_containers};
use crate::operations::error::OperationError;
use crate::operations::scope::Scope;

/// A container of the project.
#[derive(Debug, Clone, PartialEq)]
pub struct Replica {
    /// Service that it belongs to.
    pub service: String,
    /// Its number among the replicas; 0 for a `run` container.
    pub number: u32,
    /// It is a `run` container.
    pub one_off: bool,
    /// The container.
    pub container: ContainerSummary,
}

impl From<ObservedContainer> for Replica {
    fn from(observed: ObservedContainer) -> Self {
        Self {
            service: observed.identity.service,
            number: observed.identity.number,
            one_off: observed.identity.one_off,
            container: observed.summary,
        }
    }
}

/// Returns the containers in `scope`, whatever their state, by service and number. A service of which the engine
/// has no container is not an error: the caller knows whether the file has it.
pub async fn list(engine: Arc<dyn Engine>, project_name: &str, scope: &Scope) -> Result<Vec<Replica>, OperationError> {
    let containers = observe_containers(&engine, project_name).await?;
    Ok(containers.into_iter().filter(|container| scope.contains(container)).map(Replica::from).collect())
}
