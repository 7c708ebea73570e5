//! Builds images from Dockerfiles: text, stages, context, cache, and each instruction carried out.
mod agent;
pub mod archive;
pub mod cache;
mod cache_mount;
mod carried;
pub mod change;
pub mod context;
pub mod dockerfile;
mod epoch;
pub mod error;
pub mod execute;
pub mod fetch;
pub mod hashes;
pub mod host_ca;
mod instruct;
mod job;
mod keyring;
pub mod lint;
mod lint_variables;
pub mod metadata;
mod mounts;
pub mod network;
pub mod owner;
mod parallel;
pub mod platforms;
pub mod prune;
mod regular;
mod rehearse;
pub mod remote;
pub mod request;
mod reuse;
pub mod run;
mod same;
pub mod scope;
mod sources;
pub mod stages;
pub mod step;
pub mod transfer;
pub mod view;
pub mod writer;

pub use agent::{AgentError, SshAgent};
pub use error::BuildError;
pub use instruct::now;
pub use job::{build, check};
pub use platforms::build_all;
pub use request::{
    BuildRequest, CacheMode, CachePlace, CacheSource, CacheTarget, DockerfileSource, HostCa, Secret, Source,
};

#[cfg(test)]
mod tests;
