//! Any system but Linux: a Docker Engine runs the containers.

use std::ffi::OsString;
use std::sync::Arc;

use orchestrator::engine::Engine;

use crate::args::{Environment, Settings};
use crate::error::{CommandError, Kind};

/// No program of ours runs in a container here: the arguments are a person's.
pub(crate) fn hidden(_: &[OsString]) -> Option<i32> {
    None
}

/// What memory comes in is this system's affair.
pub(crate) fn expect_memory(_: usize) {}

const HINDRANCE: &str = "containers of our own need Linux, and this system is another";

/// Says why the embedded runtime can't work here.
pub(crate) fn hindrance() -> Option<&'static str> {
    Some(HINDRANCE)
}

/// Refuses: the embedded runtime is not part of this program.
pub(crate) fn embedded(_: &Settings, _: &Environment) -> Result<Arc<dyn Engine>, CommandError> {
    Err(CommandError::new(Kind::Environment, HINDRANCE)
        .hint("start a Docker Engine and use it: `--engine docker`, or `DOCKER_HOST` for one elsewhere"))
}
