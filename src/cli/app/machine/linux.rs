//! Linux: the runtime is part of this program.

use std::path::PathBuf;
use std::sync::Arc;

use engines::{EmbeddedOptions, open_embedded};
use orchestrator::engine::Engine;
use runtime::state::layout::Layout;

use crate::app::choose::{command_error, docker_folder};
use crate::app::given::registries;
use crate::app::surroundings;
use crate::args::{Environment, Settings};
use crate::error::{CommandError, Kind};

pub(crate) use runtime::hidden;
pub(crate) use runtime::sys::memory::expect as expect_memory;

/// Says why the embedded runtime can't work here.
pub(crate) fn hindrance() -> Option<&'static str> {
    (!rustix::process::geteuid().is_root()).then_some("containers of our own need root here, and you are not root")
}

/// Opens the embedded runtime.
pub(crate) fn embedded(settings: &Settings, environment: &Environment) -> Result<Arc<dyn Engine>, CommandError> {
    if let Some(hindrance) = hindrance() {
        return Err(CommandError::new(Kind::Environment, hindrance)
            .hint("run it with sudo: motet makes namespaces, mounts, links and control groups")
            .hint("or use a Docker Engine: `--engine docker`"));
    }
    let layout = match &settings.root {
        Some(root) => Layout::under(root),
        None => Layout::system(),
    };
    let surroundings = surroundings::read(environment, docker_folder(environment).as_deref())?;
    let options = EmbeddedOptions {
        no_bootstrap: settings.no_bootstrap,
        labelled: environment.is_on("MOTET_SELINUX"),
        registry: registries(environment),
        host_ca: surroundings.host_ca,
        proxies: surroundings.proxies,
        ssh_agent: environment.get("SSH_AUTH_SOCK").map(PathBuf::from),
    };
    open_embedded(layout, options).map_err(command_error)
}
