//! Descriptors of a running program, kept where they outlive the keeper: in flight between both ends of a socket that the
//! guard holds, too. Who takes them over peeks, so that they stay there for the next one.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};
use serde::{Deserialize, Serialize};

use crate::state::process::ProcessId;
use crate::sys::rights;

const LONGEST: usize = 1024;

/// What is kept of a run, beside its descriptors: a pidfd, the outputs, and the input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Which run it is; a later one has a higher number.
    pub generation: u64,
    /// Process 1.
    pub init: ProcessId,
    /// Who waits for process 1 once the keeper is gone: the guard, unless it has been replaced since.
    pub reaper: Option<i32>,
    /// Kills for want of memory before this run.
    pub oom_kills: u64,
    /// Which streams the outputs are: 0 is stdout, 1 is stderr.
    pub outputs: Vec<u8>,
    /// The last descriptor is its input.
    pub has_input: bool,
}

/// Both ends of the socket.
#[derive(Debug)]
pub struct Store {
    sender: OwnedFd,
    receiver: OwnedFd,
}

impl Store {
    /// Makes one that is empty.
    pub fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (sender, receiver) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok(Self { sender, receiver })
    }

    /// Puts a run's descriptors there, beside those of the run before.
    pub fn put(&self, note: &Note, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let text = serde_json::to_vec(note)?;
        rights::send(self.sender.as_fd(), &text, descriptors).map(drop)
    }

    /// Returns the run of that number, and lets go of all before it.
    pub fn find(&self, generation: u64) -> Option<(Note, Vec<OwnedFd>)> {
        loop {
            let (note, descriptors) = self.receive(RecvFlags::PEEK)?;
            if note.generation == generation {
                return Some((note, descriptors));
            }
            drop(self.receive(RecvFlags::empty()));
        }
    }

    fn receive(&self, flags: RecvFlags) -> Option<(Note, Vec<OwnedFd>)> {
        let mut text = [0; LONGEST];
        let mut descriptors = Vec::new();
        let length = rights::receive(self.receiver.as_fd(), &mut text, flags, &mut descriptors).ok()?;
        let note = serde_json::from_slice(&text[..length]).ok()?;
        Some((note, descriptors))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read as _, Write as _};
    use std::os::fd::AsFd as _;

    use super::*;

    fn note(generation: u64) -> Note {
        let init = ProcessId { pid: 7, start_time: 8 };
        Note { generation, init, reaper: Some(1), oom_kills: 0, outputs: vec![0, 1], has_input: false }
    }

    #[test]
    fn descriptors_are_found_again_and_again_and_older_ones_are_let_go() {
        let store = Store::open().unwrap();
        let (old, mut old_write) = io::pipe().unwrap();
        let (new, mut new_write) = io::pipe().unwrap();
        store.put(&note(1), &[old.as_fd()]).unwrap();
        store.put(&note(2), &[new.as_fd(), new.as_fd()]).unwrap();
        drop((old, new));
        old_write.write_all(b"old").unwrap();
        new_write.write_all(b"new").unwrap();
        drop(new_write);
        for round in ["new", ""] {
            let (found, mut descriptors) = store.find(2).unwrap();
            assert_eq!((found, descriptors.len()), (note(2), 2));
            let mut text = String::new();
            File::from(descriptors.remove(0)).read_to_string(&mut text).unwrap();
            assert_eq!(text, round, "it is one pipe, however often it is found");
        }
        assert_eq!(old_write.write_all(b"more").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert!(store.find(3).is_none());
    }
}
