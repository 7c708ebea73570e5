//! A contained process: namespaces, cgroup, root and limits around one program.

pub mod capabilities;
pub mod devices;
mod error;
pub mod init;
pub mod join;
pub mod launch;
pub mod mounts;
pub mod rlimits;
pub mod root;
pub mod seccomp;
pub mod spec;
pub mod user;
