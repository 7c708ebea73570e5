//! Which engine runs the containers: what was asked for, else what this machine allows.

use std::path::PathBuf;
use std::sync::Arc;

use engines::docker::{DockerSettings, Place};
use engines::open_docker;
use orchestrator::engine::Engine;
use orchestrator::engine::error::EngineError;

use crate::app::machine::{embedded, hindrance};
use crate::args::global::EngineChoice;
use crate::args::{Environment, Settings};
use crate::error::{CommandError, Kind};

/// An engine, and why it was taken where that is not what everybody expects.
pub(crate) struct Chosen {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) why: Option<String>,
}

/// Opens the engine that the flags and the environment ask for.
pub(crate) fn open(settings: &Settings, environment: &Environment) -> Result<Chosen, CommandError> {
    let docker = docker_settings(environment);
    match settings.engine {
        EngineChoice::Docker => Ok(Chosen { engine: open_docker(&docker).map_err(command_error)?, why: None }),
        EngineChoice::Embedded => Ok(Chosen { engine: embedded(settings, environment)?, why: None }),
        EngineChoice::Auto => match (hindrance(), there(&docker)) {
            (None, _) | (Some(_), None) => Ok(Chosen { engine: embedded(settings, environment)?, why: None }),
            (Some(hindrance), Some(place)) => Ok(Chosen {
                engine: open_docker(&docker).map_err(command_error)?,
                why: Some(format!("the Docker Engine at `{place}` runs the containers: {hindrance}")),
            }),
        },
    }
}

/// Returns where a Docker Engine is: one that somebody named, or the usual socket.
fn there(docker: &DockerSettings) -> Option<Place> {
    match docker.place().ok()? {
        Place::Unix(path) => path.exists().then_some(Place::Unix(path)),
        place @ (Place::Tcp { .. } | Place::Ssh { .. }) => Some(place),
    }
}

/// Returns the folder of the docker command's settings.
pub(crate) fn docker_folder(environment: &Environment) -> Option<PathBuf> {
    match environment.get("DOCKER_CONFIG") {
        Some(folder) => Some(PathBuf::from(folder)),
        None => environment.get("HOME").map(|home| PathBuf::from(home).join(".docker")),
    }
}

fn docker_settings(environment: &Environment) -> DockerSettings {
    let locks = match environment.get("XDG_RUNTIME_DIR") {
        Some(folder) => PathBuf::from(folder).join("motet"),
        None if rustix::process::geteuid().is_root() => PathBuf::from("/run/motet/docker"),
        None => std::env::temp_dir().join(format!("motet-{}", rustix::process::geteuid().as_raw())),
    };
    DockerSettings {
        host: environment.get("DOCKER_HOST").map(str::to_owned),
        context: environment.get("DOCKER_CONTEXT").map(str::to_owned),
        config: docker_folder(environment),
        cert_path: environment.get("DOCKER_CERT_PATH").map(PathBuf::from),
        tls_verify: environment.get("DOCKER_TLS_VERIFY").is_some(),
        tls: environment.get("DOCKER_TLS").is_some(),
        api_version: environment.get("DOCKER_API_VERSION").map(str::to_owned),
        locks: Some(locks),
        ssh_agent: environment.get("SSH_AUTH_SOCK").map(PathBuf::from),
        classic_builds: environment.get("DOCKER_BUILDKIT").is_some_and(|value| matches!(value, "0" | "false")),
    }
}

/// Tells what the engine says as the command does.
pub(crate) fn command_error(error: EngineError) -> CommandError {
    let start = CommandError::new(Kind::Environment, error.message);
    error.hints.into_iter().fold(start, CommandError::hint)
}
