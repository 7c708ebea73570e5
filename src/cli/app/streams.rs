//! Our own streams, as a program in a container is given them.

use std::fs::File;
use std::io::IsTerminal as _;
use std::os::fd::{AsFd, OwnedFd};

use orchestrator::engine::exec::ExecIo;
use tokio::sync::watch;

use crate::app::terminal::{RawTerminal, follow_size};
use crate::error::{CommandError, Kind};

/// Copies of our standard streams. The terminal is raw while it lives, if it was asked to be.
pub(crate) struct Streams {
    /// Where input comes from.
    pub(crate) stdin: OwnedFd,
    /// Where data goes.
    pub(crate) stdout: OwnedFd,
    /// Where the rest goes.
    pub(crate) stderr: OwnedFd,
    /// Rows and columns of the person's terminal, where the program has it.
    pub(crate) size: Option<watch::Receiver<(u16, u16)>>,
    /// Dropped: the terminal is as before.
    pub(crate) raw: Option<RawTerminal>,
}

/// Says whether a person types and reads here.
pub(crate) fn on_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

impl Streams {
    /// Copies them; with `tty` the terminal becomes raw and its size is followed.
    pub(crate) fn of_process(tty: bool) -> Result<Self, CommandError> {
        let (stdin, stdout) = (copy(&std::io::stdin())?, copy(&std::io::stdout())?);
        let stderr = copy(&std::io::stderr())?;
        let on_terminal = tty && std::io::stdin().is_terminal();
        let raw = on_terminal.then(RawTerminal::enter).transpose();
        let raw = raw.map_err(|error| unable("set up the terminal", &error))?;
        let followed = tty && std::io::stdout().is_terminal();
        let size = followed.then(follow_size).transpose();
        let size = size.map_err(|error| unable("follow the terminal's size", &error))?;
        Ok(Self { stdin, stdout, stderr, size, raw })
    }

    /// Hands them to a program. The terminal stays raw while the second value lives.
    pub(crate) fn into_exec(self) -> (ExecIo, Option<RawTerminal>) {
        let io = ExecIo { stdin: Some(self.stdin), stdout: self.stdout, stderr: self.stderr, size: self.size };
        (io, self.raw)
    }
}

/// Returns streams that lead nowhere.
pub(crate) fn nowhere() -> Result<ExecIo, CommandError> {
    let null = || {
        let null = File::options().read(true).write(true).open("/dev/null");
        null.map(OwnedFd::from).map_err(|error| unable("open `/dev/null`", &error))
    };
    Ok(ExecIo { stdin: None, stdout: null()?, stderr: null()?, size: None })
}

/// Makes the error of something that this process is refused.
pub(crate) fn unable(what: &str, error: &dyn std::error::Error) -> CommandError {
    CommandError::new(Kind::Environment, format!("cannot {what}: {error}"))
}

fn copy(stream: &dyn AsFd) -> Result<OwnedFd, CommandError> {
    stream.as_fd().try_clone_to_owned().map_err(|error| unable("copy a stream", &error))
}
