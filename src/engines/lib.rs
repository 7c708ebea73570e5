//! The ways to act: an Engine over a Docker API, on any system; on Linux another over the embedded runtime.

pub mod docker;
#[cfg(target_os = "linux")]
pub mod embedded;
mod moment;

pub use docker::{DockerSettings, open_docker};
#[cfg(target_os = "linux")]
pub use embedded::{EmbeddedOptions, open_embedded};
