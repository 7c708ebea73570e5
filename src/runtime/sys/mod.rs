//! The only unsafe code: system calls that rustix lacks, one a function; and mounts and paths by descriptor.

pub mod aside;
pub mod bpf;
pub mod fd;
pub mod memory;
pub mod mount;
pub mod namespace;
pub mod netlink;
pub mod netns;
pub mod process;
pub mod quota;
pub mod rights;
pub mod self_exe;
pub mod signal;
pub mod terminal;
pub mod termination;
pub mod tray;
