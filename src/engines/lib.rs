//! The ways to act: an Engine over the embedded runtime; later, one over a Docker API.

pub mod docker;
pub mod embedded;
mod moment;

pub use docker::{DockerSettings, open_docker};
pub use embedded::{EmbeddedOptions, open_embedded};
