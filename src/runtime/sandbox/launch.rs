//! The parent's half of a launch, with its handshake.

use std::io;
use std::os::fd::OwnedFd;

use crate::sandbox::spec::SandboxSpec;

pub use crate::sandbox::error::{LaunchError, Step};

/// The standard streams of a contained process.
#[derive(Debug)]
pub struct Stdio {
    /// Descriptor 0.
    pub stdin: OwnedFd,
    /// Descriptor 1.
    pub stdout: OwnedFd,
    /// Descriptor 2.
    pub stderr: OwnedFd,
    /// The subordinate end of a pseudo-terminal: then it is all three, and the controlling terminal.
    pub terminal: Option<OwnedFd>,
}

/// A child that sets up its sandbox and has not run its program yet.
#[derive(Debug)]
pub struct Born {
    /// Its number in our pid namespace.
    pub pid: i32,
    /// Itself.
    pub pidfd: OwnedFd,
}

impl Born {
    /// Opens the network namespace of the child.
    pub fn network_namespace(&self) -> io::Result<OwnedFd> {
        Ok(std::fs::File::open(format!("/proc/{}/ns/net", self.pid))?.into())
    }
}

/// A contained process that runs its program.
#[derive(Debug)]
pub struct Launched {
    /// Its number in our pid namespace.
    pub pid: i32,
    /// Itself.
    pub pidfd: OwnedFd,
}

/// What the caller does to a child while that mounts: attach the network.
pub type Prepare<'a> = &'a mut dyn FnMut(&Born) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Launches a sandbox and returns once its program runs.
pub fn launch(spec: &SandboxSpec, stdio: Stdio, prepare: Prepare<'_>) -> Result<Launched, LaunchError> {
    let _ = (spec, stdio, prepare);
    Err(LaunchError::new(Step::Clone, libc::ENOSYS, ""))
}
