//! `ps`: what the project has running.

use std::sync::Arc;

use crate::engine::Engine;
use crate::engine::container::ContainerSummary;
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

/// Returns the containers in `scope`, whatever their state, by service and number.
pub async fn list(engine: Arc<dyn Engine>, project_name: &str, scope: &Scope) -> Result<Vec<Replica>, OperationError> {
    let _ = (engine, project_name, scope);
    Ok(Vec::new())
}
