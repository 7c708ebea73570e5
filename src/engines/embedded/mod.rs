//! The Engine over the embedded runtime: our words for its, and back.

mod acts;
mod asked_network;
mod attach;
mod build;
mod cache;
mod cdi;
mod describe;
pub mod engine;
mod enter;
mod errors;
mod files;
mod follow;
mod images;
mod observe;
mod picture;
mod predefined;
mod request;
mod security;
mod stamp;
mod summary;
mod surroundings;
mod update;
mod usage;

use std::path::PathBuf;
use std::sync::Arc;

use orchestrator::engine::Engine;
use orchestrator::engine::error::EngineError;
use runtime::Runtime;
use runtime::build::HostCa;
use runtime::registry::client::Settings;
use runtime::state::layout::Layout;

/// What the caller has read of the environment and of its command line.
#[derive(Debug, Clone, Default)]
pub struct EmbeddedOptions {
    /// Never assemble an image from the host's packages.
    pub no_bootstrap: bool,
    /// Whether RUN of a build is given the host's certificate authorities.
    pub host_ca: HostCa,
    /// Proxies that builds and containers are given: variable and value.
    pub proxies: Vec<(String, String)>,
    /// Containers get SELinux labels, where the host has them, unless they ask for none.
    pub labelled: bool,
    /// How registries are talked to.
    pub registry: Settings,
    /// Socket of the ssh agent that builds may use (`SSH_AUTH_SOCK`).
    pub ssh_agent: Option<PathBuf>,
}

/// Opens the embedded runtime on its state roots.
pub fn open_embedded(layout: Layout, options: EmbeddedOptions) -> Result<Arc<dyn Engine>, EngineError> {
    let rt = Runtime::open(layout).map_err(|error| errors::open(&error))?;
    let rt = rt.with_registry(options.registry.clone());
    Ok(Arc::new(engine::Embedded { rt, options }))
}
