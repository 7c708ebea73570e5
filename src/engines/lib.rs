//! The ways to act: an Engine over the embedded runtime; later, one over a Docker API.

pub mod embedded;

pub use embedded::{EmbeddedOptions, open_embedded};
