//! What the project asks for, in the engine's words: services with a template for their containers, networks, volumes.

pub(crate) mod build;
mod container;
mod files;
mod limits;
mod mounts;
mod networks;
mod pre_start;
mod project;
mod providers;
mod unsupported;

pub use pre_start::PreStart;
pub use project::{ContextImage, Desired, DesiredNetwork, DesiredService, DesiredVolume, desired, desired_to_remove};
pub use providers::{DesiredModel, DesiredProvider, Provided, desired_with};
