//! A contained process: namespaces, cgroup, root and limits around one program.

pub mod again;
pub mod apparmor;
pub mod capabilities;
mod confine;
mod devices;
mod error;
mod init;
pub mod join;
pub mod launch;
mod masks;
mod mounts;
mod program;
mod reaper;
pub mod relabel;
mod report;
mod rlimits;
mod root;
pub mod seccomp;
pub mod selinux;
pub mod spec;
#[cfg(test)]
mod tests;
pub mod user;

pub(crate) use mounts::detached;
