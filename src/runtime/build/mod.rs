//! Builds images from Dockerfiles: text, stages, context, cache, and each instruction carried out.
// What is asked for, and the texts: on any system.
mod agent;
pub mod dockerfile;
mod keyring;
pub mod lint;
mod lint_variables;
pub mod remote;
pub mod request;
pub mod scope;

// How it is carried out: Linux alone can.
#[cfg(target_os = "linux")]
mod agent_socket;
#[cfg(target_os = "linux")]
pub mod archive;
#[cfg(target_os = "linux")]
pub mod cache;
#[cfg(target_os = "linux")]
mod cache_mount;
#[cfg(target_os = "linux")]
mod carried;
#[cfg(target_os = "linux")]
pub mod change;
#[cfg(target_os = "linux")]
pub mod context;
#[cfg(target_os = "linux")]
mod epoch;
#[cfg(target_os = "linux")]
pub mod error;
#[cfg(target_os = "linux")]
pub mod execute;
#[cfg(target_os = "linux")]
pub mod fetch;
#[cfg(target_os = "linux")]
pub mod hashes;
#[cfg(target_os = "linux")]
pub mod host_ca;
#[cfg(target_os = "linux")]
mod instruct;
#[cfg(target_os = "linux")]
mod job;
#[cfg(target_os = "linux")]
pub mod metadata;
#[cfg(target_os = "linux")]
mod mounts;
#[cfg(target_os = "linux")]
pub mod network;
#[cfg(target_os = "linux")]
pub mod owner;
#[cfg(target_os = "linux")]
mod parallel;
#[cfg(target_os = "linux")]
pub mod platforms;
#[cfg(target_os = "linux")]
pub mod prune;
#[cfg(target_os = "linux")]
mod regular;
#[cfg(target_os = "linux")]
mod rehearse;
#[cfg(target_os = "linux")]
mod reuse;
#[cfg(target_os = "linux")]
pub mod run;
#[cfg(target_os = "linux")]
mod same;
#[cfg(target_os = "linux")]
mod sources;
#[cfg(target_os = "linux")]
pub mod stages;
#[cfg(target_os = "linux")]
pub mod step;
#[cfg(target_os = "linux")]
mod style;
#[cfg(target_os = "linux")]
pub mod transfer;
#[cfg(target_os = "linux")]
pub mod view;
#[cfg(target_os = "linux")]
pub mod writer;
#[cfg(target_os = "linux")]
mod written;

pub use agent::{AgentError, SshAgent};
#[cfg(target_os = "linux")]
pub use error::BuildError;
#[cfg(target_os = "linux")]
pub use instruct::now;
#[cfg(target_os = "linux")]
pub use job::{build, check};
#[cfg(target_os = "linux")]
pub use platforms::build_all;
pub use request::{
    BuildRequest, CacheMode, CachePlace, CacheSource, CacheTarget, DockerfileSource, HostCa, Secret, Source,
};

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
