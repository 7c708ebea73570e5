//! Terminals of containers: handed over at a socket, or joined to our own.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use runtime::sandbox::launch::Stdio;
use runtime::sys::terminal;
use rustix::event::{PollFd, PollFlags};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use rustix::termios::{OptionalActions, Termios};

use crate::config::ConsoleSize;
use crate::failure::{Failure, cannot};

/// Returns our own streams, for a program.
pub(crate) fn own_streams() -> io::Result<Stdio> {
    let take = |fd: BorrowedFd<'_>| rustix::io::fcntl_dupfd_cloexec(fd, 3);
    Ok(Stdio {
        stdin: take(rustix::stdio::stdin())?,
        stdout: take(rustix::stdio::stdout())?,
        stderr: take(rustix::stdio::stderr())?,
        terminal: None,
        devpts: None,
    })
}

/// Makes a terminal: our end, and a program's streams.
pub(crate) fn open(size: Option<ConsoleSize>) -> io::Result<(OwnedFd, Stdio)> {
    let (ours, stdio) = Stdio::on_terminal(None)?;
    if let Some(size) = size {
        terminal::set_size(&ours, size.height, size.width)?;
    }
    Ok((ours, stdio))
}

/// Hands our end over to who listens at a socket, as runc does: one message with the name and the descriptor.
pub(crate) fn hand_over(ours: &OwnedFd, socket: &Path) -> Result<(), Failure> {
    let act = || format!("hand the terminal over at `{}`", socket.display());
    let stream = UnixStream::connect(socket).map_err(cannot(act()))?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let fds = [ours.as_fd()];
    ancillary.push(SendAncillaryMessage::ScmRights(&fds));
    rustix::net::sendmsg(&stream, &[IoSlice::new(b"/dev/ptmx")], &mut ancillary, SendFlags::empty())
        .map_err(cannot(act()))?;
    Ok(())
}

/// Our own terminal without echo and line editing, until dropped.
struct Raw(Option<Termios>);

impl Raw {
    fn enter() -> Self {
        let old = rustix::termios::tcgetattr(rustix::stdio::stdin()).ok();
        if let Some(mut raw) = old.clone() {
            raw.make_raw();
            let _ = rustix::termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &raw);
        }
        Self(old)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(old) = &self.0 {
            let _ = rustix::termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, old);
        }
    }
}

/// Joins our streams to a program's terminal until that ends.
pub(crate) fn join(ours: &OwnedFd) -> io::Result<()> {
    if let Ok(size) = rustix::termios::tcgetwinsize(rustix::stdio::stdin()) {
        terminal::set_size(ours, size.ws_row, size.ws_col)?;
    }
    let _raw = Raw::enter();
    let mut takes_input = true;
    let mut buffer = [0; 8192];
    loop {
        let stdin = if takes_input { PollFlags::IN } else { PollFlags::empty() };
        let mut fds = [
            PollFd::from_borrowed_fd(ours.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(rustix::stdio::stdin(), stdin),
        ];
        match rustix::event::poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other?,
        };
        let (output, input) = (fds[0].revents(), fds[1].revents());
        if !output.is_empty() {
            match rustix::io::read(ours, &mut buffer) {
                // The other end is closed by all (EIO), or nothing is left.
                Ok(0) | Err(rustix::io::Errno::IO) => return Ok(()),
                Ok(count) => write_all(rustix::stdio::stdout(), &buffer[..count])?,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if takes_input && !input.is_empty() {
            match rustix::io::read(rustix::stdio::stdin(), &mut buffer) {
                Ok(0) | Err(_) => {
                    takes_input = false;
                    // What a terminal takes for the end of its input.
                    write_all(ours.as_fd(), &[4])?;
                }
                Ok(count) => write_all(ours.as_fd(), &buffer[..count])?,
            }
        }
    }
}

fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = rustix::io::write(fd, bytes)?;
        bytes = &bytes[count..];
    }
    Ok(())
}
