//! A person's terminal, or a pipe, joined to the streams of a container's own program.

use std::os::fd::OwnedFd;

use tokio::sync::{mpsc, watch};

/// What is joined, and to what. With a terminal, `size` follows the person's window.
#[derive(Debug)]
pub struct AttachIo {
    /// What the program reads; `None`: nothing is sent. Ignored by a container without `stdin_open`.
    pub stdin: Option<OwnedFd>,
    /// Where its output goes.
    pub stdout: OwnedFd,
    /// Where its errors go.
    pub stderr: OwnedFd,
    /// Rows and columns of the person's terminal.
    pub size: Option<watch::Receiver<(u16, u16)>>,
    /// The bytes that detach when typed in a row; empty: none do.
    pub detach_keys: Vec<u8>,
    /// Write first what the container has written already.
    pub replay: bool,
    /// Told once the streams are joined, so that the container can be started without losing a byte.
    pub ready: Option<mpsc::Sender<()>>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttachEnd {
    /// The keys were typed; the container goes on.
    Detached,
    /// The container's streams ended.
    Ended {
        /// The program's exit code; `None`: the container's state tells it.
        exit_code: Option<i32>,
    },
}
