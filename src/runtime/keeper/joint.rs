//! One who is attached to a container's streams: frames over a socket, both ways, with the keeper at one end.
//!
//! A frame is a byte for its kind, four for its length (little endian), and that many bytes. Nothing is dropped for
//! one who reads slowly: the keeper reads no more of the program until there is room again, so the program waits.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::keeper::log::Stream;

/// To the one attached: what the program wrote.
pub const STDOUT: u8 = b'o';
/// To the one attached: what the program wrote to its standard error.
pub const STDERR: u8 = b'e';
/// To the one attached: a [`Joined`], first of all.
pub const JOINED: u8 = b'j';
/// To the one attached: the streams have ended. With the program's exit code, four bytes, where that has ended for good.
pub const END: u8 = b'x';
/// From there: what was typed.
pub const INPUT: u8 = b'i';
/// From there: there is no more to type.
pub const CLOSE: u8 = b'c';
/// From there: rows and columns of the window, two bytes each.
pub const WINDOW: u8 = b'w';
/// From there: the keys were typed that detach.
pub const DETACH: u8 = b'd';

const HEAD: usize = 5;
/// None of ours is longer.
const LONGEST: usize = 1 << 20;
/// Bytes that may wait for one who reads slowly.
const ROOM: usize = 256 * 1024;
/// The longest that one who is gone without a word may hold up the end.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was there before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// The program's streams are one terminal.
    pub tty: bool,
    /// Inode number and length of the log file at that moment: what follows in frames is not in it yet.
    pub log: Option<(u64, u64)>,
}

/// Appends a frame to what is to be sent.
pub fn frame(kind: u8, payload: &[u8], to: &mut Vec<u8>) {
    for part in payload.chunks(LONGEST / 2).chain(payload.is_empty().then_some(payload)) {
        to.push(kind);
        to.extend_from_slice(&u32::try_from(part.len()).unwrap_or(0).to_le_bytes());
        to.extend_from_slice(part);
    }
}

/// Puts frames together again.
#[derive(Debug, Default)]
pub struct Frames {
    bytes: Vec<u8>,
}

impl Frames {
    /// Goes on from bytes that are there already.
    pub fn of(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    /// Takes what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Returns the next whole frame; one that is too long is an error.
    pub fn next_frame(&mut self) -> io::Result<Option<(u8, Vec<u8>)>> {
        let Some(head) = self.bytes.first_chunk::<HEAD>() else { return Ok(None) };
        let kind = head[0];
        let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > LONGEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if self.bytes.len() < HEAD + length {
            return Ok(None);
        }
        let payload = self.bytes[HEAD..HEAD + length].to_vec();
        self.bytes.drain(..HEAD + length);
        Ok(Some((kind, payload)))
    }
}

/// The keeper's end.
#[derive(Debug)]
pub struct Joint {
    stream: UnixStream,
    received: Frames,
    waiting: Vec<u8>,
    is_gone: bool,
}

impl Joint {
    /// Joins one at the other end of a socket; `received` has been read of it already.
    pub fn new(stream: UnixStream, received: Vec<u8>, joined: &Joined) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let mut waiting = Vec::new();
        frame(JOINED, &serde_json::to_vec(joined)?, &mut waiting);
        Ok(Self { stream, received: Frames::of(received), waiting, is_gone: false })
    }

    /// Says whether more may be sent.
    pub fn has_room(&self) -> bool {
        self.is_gone || self.waiting.len() < ROOM
    }

    /// Says whether something waits to be sent.
    pub fn is_behind(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Says whether the other end is gone.
    pub fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// Sends what the program wrote.
    pub fn send(&mut self, stream: Stream, bytes: &[u8]) {
        let kind = match stream {
            Stream::Stdout => STDOUT,
            Stream::Stderr => STDERR,
        };
        frame(kind, bytes, &mut self.waiting);
        self.flush();
    }

    /// Sends as much as there is room for.
    pub fn flush(&mut self) {
        let mut sent = 0;
        while sent < self.waiting.len() {
            match self.stream.write(&self.waiting[sent..]) {
                Ok(length) => sent += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    self.is_gone = true;
                    break;
                }
            }
        }
        self.waiting.drain(..sent);
        if self.waiting.is_empty() {
            // Whatever a flood has left of it.
            self.waiting.shrink_to(4096);
        }
    }

    /// Reads one block of what is there, and returns the frames that are whole.
    pub fn receive(&mut self) -> Vec<(u8, Vec<u8>)> {
        let mut block = [0; 16 * 1024];
        match self.stream.read(&mut block) {
            Ok(0) => self.is_gone = true,
            Ok(length) => self.received.push(&block[..length]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => self.is_gone = true,
        }
        let mut frames = Vec::new();
        loop {
            match self.received.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => return frames,
                Err(_) => {
                    self.is_gone = true;
                    return frames;
                }
            }
        }
    }

    /// Tells the end, with the exit code of a program that has ended for good, and sees to it that all has been sent, if
    /// that does not take for ever.
    pub fn end(mut self, exit_code: Option<i32>) {
        let code = exit_code.map(i32::to_le_bytes);
        frame(END, code.as_ref().map_or(&[], |code| code.as_slice()), &mut self.waiting);
        let is_blocking =
            self.stream.set_nonblocking(false).and_then(|()| self.stream.set_write_timeout(Some(PATIENCE)));
        if is_blocking.is_ok() && !self.is_gone {
            let _ = self.stream.write_all(&self.waiting);
        }
    }
}

impl AsFd for Joint {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_put_together_from_any_pieces() {
        let mut bytes = Vec::new();
        frame(INPUT, b"typed", &mut bytes);
        frame(CLOSE, b"", &mut bytes);
        let mut frames = Frames::default();
        let mut found = Vec::new();
        for byte in bytes {
            frames.push(&[byte]);
            found.extend(frames.next_frame().unwrap());
        }
        assert_eq!(found, [(INPUT, b"typed".to_vec()), (CLOSE, Vec::new())]);
        frames.push(&[INPUT, 255, 255, 255, 255]);
        assert!(frames.next_frame().is_err());
    }

    #[test]
    fn one_who_reads_slowly_has_no_room_and_loses_nothing() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut joint = Joint::new(ours, Vec::new(), &Joined { tty: false, log: None }).unwrap();
        let mut sent = 0;
        while joint.has_room() {
            joint.send(Stream::Stdout, &[7; 10_000]);
            sent += 10_000;
        }
        let reading = std::thread::spawn(move || {
            let (mut theirs, mut frames, mut received, mut block) = (theirs, Frames::default(), 0, [0; 4096]);
            loop {
                let length = theirs.read(&mut block).unwrap();
                frames.push(&block[..length]);
                while let Some((kind, payload)) = frames.next_frame().unwrap() {
                    match kind {
                        STDOUT => received += payload.len(),
                        END => return received,
                        kind => assert_eq!(kind, JOINED),
                    }
                }
            }
        });
        joint.end(Some(3));
        assert_eq!(reading.join().unwrap(), sent);
    }
}
