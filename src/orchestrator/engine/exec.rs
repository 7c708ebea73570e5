//! A program run in a running container.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use tokio::sync::watch;

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the flags of `exec`, named as in Docker Compose")]
pub struct ExecSpec {
    pub command: Vec<String>,
    pub environment: BTreeMap<String, String>,
    pub user: Option<String>,
    pub working_dir: Option<String>,
    pub privileged: bool,
    pub tty: bool,
    /// Return at once and let it run.
    pub detach: bool,
}

/// What its standard streams are. With a terminal, `stdout` is what its output is written to and `stdin` what is
/// read from, and `size` follows the person's window.
#[derive(Debug)]
pub struct ExecIo {
    /// `None`: empty input.
    pub stdin: Option<OwnedFd>,
    /// Where its output goes.
    pub stdout: OwnedFd,
    /// Where its errors go.
    pub stderr: OwnedFd,
    /// Rows and columns of the person's terminal.
    pub size: Option<watch::Receiver<(u16, u16)>>,
}
