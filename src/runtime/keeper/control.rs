//! The keeper's socket: one JSON line asks, one answers.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::net::RecvFlags;
use serde::{Deserialize, Serialize};

use crate::state::container::ProcessRecord;
use crate::state::layout::Bundle;
use crate::sys::rights;

/// Longest request that is read: none is even near.
const LONGEST: usize = 4096;

/// As many keepers in a row may be killed while they are asked.
const MOST_KEEPERS: u32 = 100;

/// What a keeper can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Stop; the answer comes when the container is gone.
    Stop {
        /// `None`: the container's own.
        signal: Option<i32>,
        /// `None`: the container's own.
        grace_ms: Option<u64>,
        /// It is about to be removed: that it stops is not told.
        #[serde(default)]
        for_removal: bool,
    },
    /// Stop and run again; the answer comes when the program runs.
    Restart {
        /// `None`: the container's own.
        signal: Option<i32>,
        /// `None`: the container's own.
        grace_ms: Option<u64>,
    },
    /// Join the asker to the container's streams; the socket then carries the frames of [`crate::keeper::joint`].
    Attach {
        /// Send the beginning of a line that has not ended yet, too.
        replay: bool,
    },
    /// Run another program in the container. With it come an [`Order`] in a file, and the program's standard streams. It
    /// is answered by [`Told`]: when the program runs, and when it has ended.
    Execute,
    /// Freeze its processes.
    Pause,
    /// Let them go on.
    Unpause,
    /// Read again which networks it is on, and join and leave them so.
    Networks,
    /// Read again its limits and when it is started again.
    Update,
    /// Send a signal.
    Signal {
        /// Its number.
        signal: i32,
    },
}

/// Another program to run in the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// It has the container's environment under its own.
    pub process: ProcessRecord,
    /// With every capability and no filter.
    pub privileged: bool,
}

/// What it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Done.
    Done,
    /// Not done.
    Failed {
        /// Why.
        message: String,
    },
    /// This host can't do it.
    Unsupported {
        /// Why.
        message: String,
    },
}

/// What it tells of another program that it was to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    /// It runs; its pidfd comes beside.
    Started {
        /// Its number.
        pid: i32,
    },
    /// It can't be run.
    NotRun {
        /// Why.
        message: String,
        /// As a shell has it: 125, 126 or 127.
        exit_code: i32,
    },
    /// Nothing can be run, for now or for good: the container does not run.
    Refused,
    /// It has ended.
    Ended {
        /// With this code.
        code: i32,
    },
}

/// Returns a path to a socket that is short enough for a socket address (108 bytes, unix(7)), and what must stay open
/// while it is used.
pub fn short_path(path: &Path) -> io::Result<(OwnedFd, PathBuf)> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidFilename.into());
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(folder, flags, Mode::empty())?;
    let path = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name);
    Ok((folder, path))
}

/// Opens the keeper's end. Only the keeper, which holds the container's lock, may do this.
pub fn listen(bundle: &Bundle) -> io::Result<UnixListener> {
    std::fs::create_dir_all(&bundle.run)?;
    let (_folder, path) = short_path(&bundle.socket())?;
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Connects to a container's keeper; `None`: there is none.
pub fn connect(bundle: &Bundle) -> io::Result<Option<UnixStream>> {
    match short_path(&bundle.socket()).and_then(|(_folder, path)| UnixStream::connect(path)) {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotFound};
    matches!(error.kind(), NotFound | ConnectionRefused | BrokenPipe | ConnectionReset)
}

/// Sends a request.
pub fn send(stream: &mut UnixStream, request: &Request) -> io::Result<()> {
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// Asks a container's keeper and waits for the answer; `None`: there is no keeper, or it ended before it answered.
///
/// One that is killed before it answers has a successor, who listens at the same socket and is asked again.
pub fn ask(bundle: &Bundle, request: &Request) -> io::Result<Option<Reply>> {
    for _ in 0..MOST_KEEPERS {
        let Some(mut stream) = connect(bundle)? else { return Ok(None) };
        let mut answer = String::new();
        match send(&mut stream, request).and_then(|()| BufReader::new(stream).read_line(&mut answer)) {
            Ok(0) => {}
            Ok(_) => return Ok(Some(serde_json::from_str(&answer)?)),
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// One who asks, as the keeper sees them.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    received: Vec<u8>,
    /// What came beside.
    descriptors: Vec<OwnedFd>,
}

/// What a client's socket had for us.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// A whole request.
    Request(Request),
    /// Nothing whole yet.
    Nothing,
    /// It is gone, or speaks another language.
    Gone,
}

impl Client {
    /// Takes the next one who connects, if any.
    pub fn accept(listener: &UnixListener) -> Option<Self> {
        let (stream, _) = listener.accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        Some(Self { stream, received: Vec::new(), descriptors: Vec::new() })
    }

    /// Reads what is there; never blocks.
    pub fn receive(&mut self) -> Received {
        let mut bytes = [0; 1024];
        match rights::receive(self.stream.as_fd(), &mut bytes, RecvFlags::empty(), &mut self.descriptors) {
            Ok(0) => return Received::Gone,
            Ok(length) => self.received.extend_from_slice(&bytes[..length]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => return Received::Gone,
        }
        match self.received.iter().position(|byte| *byte == b'\n') {
            Some(end) => {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                serde_json::from_slice(&line).map_or(Received::Gone, Received::Request)
            }
            None if self.received.len() > LONGEST => Received::Gone,
            None => Received::Nothing,
        }
    }

    /// Gives up asking: the socket, and what came after the request.
    pub fn into_parts(self) -> (UnixStream, Vec<u8>) {
        (self.stream, self.received)
    }

    /// Takes the descriptors that came with the request.
    pub fn take_descriptors(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.descriptors)
    }

    /// Answers; whoever does not listen any more misses it.
    pub fn answer(&mut self, reply: &Reply) {
        self.send(reply, &[]);
    }

    /// Tells of a program that was to be run.
    pub fn tell(&mut self, told: &Told, descriptors: &[BorrowedFd<'_>]) {
        self.send(told, descriptors);
    }

    /// Sends a line. It is short: the socket has room for it.
    fn send(&mut self, line: &impl Serialize, descriptors: &[BorrowedFd<'_>]) {
        if let Ok(mut line) = serde_json::to_vec(line) {
            line.push(b'\n');
            let _ = rights::send(self.stream.as_fd(), &line, descriptors);
        }
    }
}

impl std::os::fd::AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_answered_over_a_path_of_any_length() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("d".repeat(120));
        let bundle = Bundle { lib: deep.clone(), run: deep };
        assert_eq!(ask(&bundle, &Request::Signal { signal: 1 }).unwrap(), None, "no keeper");
        let listener = listen(&bundle).unwrap();
        let asking = std::thread::spawn(move || ask(&bundle, &Request::Signal { signal: 1 }).unwrap());
        listener.set_nonblocking(false).unwrap();
        let mut client = Client::accept(&listener).unwrap();
        client.stream.set_nonblocking(false).unwrap();
        assert_eq!(client.receive(), Received::Request(Request::Signal { signal: 1 }));
        client.answer(&Reply::Done);
        assert_eq!(asking.join().unwrap(), Some(Reply::Done));
    }

    #[test]
    fn a_keeper_that_dies_is_no_answer() {
        let folder = tempfile::tempdir().unwrap();
        let bundle = Bundle { lib: folder.path().into(), run: folder.path().into() };
        drop(listen(&bundle).unwrap());
        assert_eq!(ask(&bundle, &Request::Signal { signal: 1 }).unwrap(), None);
    }
}
