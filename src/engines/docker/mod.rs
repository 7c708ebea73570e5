//! The Engine over a Docker API: our words for its, and back.

mod acts;
mod build;
mod client;
mod create;
mod credentials;
pub mod engine;
mod fault;
mod files;
mod follow;
mod frames;
mod host_config;
mod hub;
mod images;
mod lines;
mod logs;
pub mod place;
mod ports;
mod resources;
mod streams;
mod summary;
mod tls;
mod transport;
mod usage;

use std::sync::Arc;

use orchestrator::engine::Engine;
use orchestrator::engine::error::EngineError;

pub use place::{DockerSettings, Place};

use crate::docker::client::Client;
use crate::docker::credentials::Logins;
use crate::docker::transport::Transport;

/// Makes an engine over the Docker API; it is connected to when it is first asked for something.
pub fn open_docker(settings: &DockerSettings) -> Result<Arc<dyn Engine>, EngineError> {
    let place = settings.place()?;
    let transport = Transport::new(place).map_err(|fault| fault.at("reach", "the Docker Engine"))?;
    Ok(Arc::new(engine::Docker {
        client: Client::new(settings, transport),
        hub: Arc::default(),
        logins: Logins { config: settings.config.clone() },
        locks: settings.locks.clone(),
        ssh_agent: settings.ssh_agent.clone(),
        classic_builds: settings.classic_builds,
    }))
}
