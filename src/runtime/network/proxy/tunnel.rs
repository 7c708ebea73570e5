//! One connection carried to a container: bytes go from socket to pipe to socket inside the kernel (splice(2)).

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, sockopt};
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};

/// Bytes moved at once: a pipe's usual size.
const CHUNK: usize = 64 * 1024;
/// Chunks moved before others get their turn.
const BURST: usize = 16;

/// What became of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nothing more can be done before one of its sockets is ready again.
    Waits,
    /// It had its turn, and there is more.
    HasMore,
    /// Both sides are done, or one is broken.
    Ended,
}

/// Two connections joined.
#[derive(Debug)]
pub struct Tunnel {
    /// The asker's.
    pub client: OwnedFd,
    /// The container's.
    pub server: OwnedFd,
    forth: Lane,
    back: Lane,
}

/// One direction.
#[derive(Debug)]
struct Lane {
    reader: OwnedFd,
    writer: OwnedFd,
    /// Bytes in the pipe.
    held: usize,
    /// The source will send no more.
    is_ended: bool,
    /// And the drain was told.
    is_closed: bool,
}

impl Tunnel {
    /// Begins to connect to `target`.
    pub fn open(client: OwnedFd, target: SocketAddr) -> io::Result<Self> {
        let family = if target.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let server = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
        for socket in [&client, &server] {
            // Whatever was sent in one piece goes on as one: nothing gained by waiting for more.
            sockopt::set_tcp_nodelay(socket, true)?;
        }
        match rustix::net::connect(&server, &target) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(Self { client, server, forth: Lane::open()?, back: Lane::open()? })
    }

    /// Moves what can be moved now.
    pub fn pump(&mut self) -> Progress {
        for _ in 0..BURST {
            let moved = self.forth.pump(&self.client, &self.server).and_then(|forth| {
                let back = self.back.pump(&self.server, &self.client)?;
                Ok(forth | back)
            });
            match moved {
                Ok(true) => {}
                Ok(false) if self.forth.is_closed && self.back.is_closed => return Progress::Ended,
                Ok(false) => return Progress::Waits,
                Err(_) => return Progress::Ended,
            }
        }
        Progress::HasMore
    }
}

impl Lane {
    fn open() -> io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Self { reader, writer, held: 0, is_ended: false, is_closed: false })
    }

    /// Says whether anything moved.
    fn pump(&mut self, source: &OwnedFd, drain: &OwnedFd) -> Result<bool, Errno> {
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        let mut moved = false;
        if !self.is_ended {
            match splice(source, None, &self.writer, None, CHUNK, flags) {
                Ok(0) => (self.is_ended, moved) = (true, true),
                Ok(count) => (self.held, moved) = (self.held + count, true),
                // Nothing there, or the pipe is full.
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        if self.held > 0 {
            match splice(&self.reader, None, drain, None, self.held, flags) {
                Ok(count) => (self.held, moved) = (self.held - count, true),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        if self.is_ended && self.held == 0 && !self.is_closed {
            self.is_closed = true;
            moved = true;
            match rustix::net::shutdown(drain, Shutdown::Write) {
                Ok(()) | Err(Errno::NOTCONN) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(moved)
    }
}
