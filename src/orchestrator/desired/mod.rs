//! What the project asks for, in the engine's words: services with a template for their containers, networks, volumes.

mod build;
mod container;
mod files;
mod limits;
mod mounts;
mod networks;
mod project;
mod unsupported;

pub use project::{Desired, DesiredNetwork, DesiredService, DesiredVolume, desired, desired_to_remove};
