//! Builds images from Dockerfiles: text, stages, context, cache, and each instruction carried out.
pub mod archive;
pub mod cache;
pub mod context;
pub mod dockerfile;
pub mod error;
pub mod execute;
pub mod hashes;
pub mod host_ca;
mod instruct;
pub mod metadata;
mod mounts;
pub mod network;
pub mod owner;
pub mod request;
pub mod run;
pub mod scope;
pub mod stages;
pub mod step;
pub mod transfer;
pub mod view;
pub mod writer;

pub use error::BuildError;
pub use request::{BuildRequest, DockerfileSource, HostCa, build};

#[cfg(test)]
mod tests;
