//! The handshake between parent and child: what failed goes up, and the leave to go on comes down.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::pipe::{PipeFlags, pipe_with};

use crate::sandbox::error::{LaunchError, Step};

/// A pipe that no program inherits: its reading and its writing end.
pub(super) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(pipe_with(PipeFlags::CLOEXEC)?)
}

/// Sends a failure up, in one write: step, errno, what.
pub(super) fn send(pipe: BorrowedFd<'_>, error: &LaunchError) {
    let mut bytes = vec![error.step as u8];
    bytes.extend(error.errno.to_le_bytes());
    bytes.extend(error.what.bytes().take(1024));
    // The parent is gone: nobody to tell.
    let _ = rustix::io::write(pipe, &bytes);
}

/// No number of a step: all is mounted.
const MOUNTED: u8 = 0;

/// Says that all is mounted.
pub(super) fn tell_mounted(pipe: BorrowedFd<'_>) {
    let _ = rustix::io::write(pipe, &[MOUNTED]);
}

/// Waits until all is mounted, or why it is not.
pub(super) fn is_mounted(pipe: BorrowedFd<'_>) -> Result<(), LaunchError> {
    let mut byte = [0];
    loop {
        match rustix::io::read(pipe, &mut byte) {
            Ok(1) if byte[0] == MOUNTED => return Ok(()),
            Ok(count) => return Err(parse(&[&byte[..count], &rest(pipe)?].concat()).unwrap_or_else(killed)),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(LaunchError::new(Step::Exec, error.raw_os_error(), "")),
        }
    }
}

/// The error of a child that could not even say why.
fn killed() -> LaunchError {
    LaunchError::new(Step::Ready, libc::EPIPE, "")
}

/// Waits for a failure; `None`: the pipe was closed by exec.
pub(super) fn receive(pipe: BorrowedFd<'_>) -> Option<LaunchError> {
    match rest(pipe) {
        Ok(bytes) => parse(&bytes),
        Err(error) => Some(error),
    }
}

fn rest(pipe: BorrowedFd<'_>) -> Result<Vec<u8>, LaunchError> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 2048];
    loop {
        match rustix::io::read(pipe, &mut buffer) {
            Ok(0) => return Ok(bytes),
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(LaunchError::new(Step::Exec, error.raw_os_error(), "")),
        }
    }
}

fn parse(bytes: &[u8]) -> Option<LaunchError> {
    let (step, rest) = bytes.split_first()?;
    let (errno, what) = rest.split_first_chunk()?;
    let step = Step::from_number(*step)?;
    Some(LaunchError::new(step, i32::from_le_bytes(*errno), String::from_utf8_lossy(what)))
}

/// Gives leave for the next part.
pub(super) fn open(gate: BorrowedFd<'_>) {
    // A child that is gone has said why on the other pipe.
    let _ = rustix::io::write(gate, b".");
}

/// Waits for the leave; a parent that is gone gives none.
pub(super) fn pass(gate: BorrowedFd<'_>, step: Step) -> Result<(), LaunchError> {
    let mut byte = [0];
    loop {
        match rustix::io::read(gate, &mut byte) {
            Ok(1) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Err(LaunchError::new(step, libc::EPIPE, "")),
            Err(error) => return Err(LaunchError::new(step, error.raw_os_error(), "")),
        }
    }
}
