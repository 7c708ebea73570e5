//! What a program has written and its keeper has not logged yet, in memory that a killed keeper leaves to the next one.
//!
//! Bytes come in by one system call that also counts them. What is written to the log is announced before: where the
//! log file ends then, and how far the bytes are used up once it is written. So the next keeper neither loses a byte
//! nor writes one twice.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use crate::keeper::log::Stream;
use crate::sys::tray::{HEAD, Tray};

/// Room for each stream.
const ROOM: usize = 128 * 1024;
/// Bytes taken at once: what a pipe holds.
pub const BLOCK: usize = 64 * 1024;

/// Words of the tray; of those for streams there are two.
const GENERATION: usize = 1;
const FILLED: usize = 2;
const USED: usize = 4;
const MOVING: usize = 6;
const IS_ANNOUNCED: usize = 8;
const FILE: usize = 9;
const SIZE: usize = 10;
const LENGTH: usize = 11;
const ANNOUNCED_STREAM: usize = 12;
const ANNOUNCED_USED: usize = 13;
const LAST_TIME: usize = 14;
/// Inode numbers of both pipes.
const PIPES: usize = 16;

/// The bytes that wait.
#[derive(Debug)]
pub struct Inbox {
    tray: Tray,
    /// The file system of the tray takes nothing from pipes directly.
    only_reads: bool,
}

impl Inbox {
    /// Opens the inbox at `path`; what an earlier keeper has left there waits again, once [`Inbox::settle`] is done.
    pub fn open(path: &Path) -> io::Result<Self> {
        let inbox = Self { tray: Tray::open(path, 2 * ROOM)?, only_reads: false };
        for stream in 0..2 {
            let moving = inbox.tray.get(MOVING + stream);
            if inbox.tray.get(FILLED + stream) < base(stream) {
                inbox.reset(stream, 0);
            } else if moving > 0 {
                // The bytes are there; what tells where they are was being written.
                inbox.reset(stream, moving - 1);
            }
        }
        Ok(inbox)
    }

    /// Closes the file; another process goes on with it.
    pub fn let_go(&mut self) {
        self.tray.close();
    }

    /// Finishes what was announced: it is in the log, or is written again.
    pub fn settle(&self, log: Option<&File>) -> io::Result<()> {
        if self.tray.get(IS_ANNOUNCED) == 0 {
            return Ok(());
        }
        if let Some(log) = log {
            let metadata = log.metadata()?;
            let (before, length) = (self.tray.get(SIZE), self.tray.get(LENGTH));
            let is_that_file = metadata.ino() == self.tray.get(FILE);
            if !is_that_file || metadata.len() >= before + length {
                self.use_up_announced();
            } else if metadata.len() > before {
                log.set_len(before)?;
            }
        }
        self.tray.set(IS_ANNOUNCED, 0);
        Ok(())
    }

    /// Says that `length` bytes are about to be appended to a log file that has `size`, for all up to `used` bytes of what
    /// waits of a stream.
    pub fn announce(&self, stream: Stream, used: usize, file: u64, size: u64, length: u64) {
        let index = stream as usize;
        self.tray.set(FILE, file);
        self.tray.set(SIZE, size);
        self.tray.set(LENGTH, length);
        self.tray.set(ANNOUNCED_STREAM, index as u64);
        self.tray.set(ANNOUNCED_USED, self.tray.get(USED + index) + used as u64);
        self.tray.set(IS_ANNOUNCED, 1);
    }

    /// What was announced has been written, or can't be.
    pub fn confirm(&self) {
        self.use_up_announced();
        self.tray.set(IS_ANNOUNCED, 0);
    }

    fn use_up_announced(&self) {
        let stream = usize::from(self.tray.get(ANNOUNCED_STREAM) != 0);
        self.tray.set(USED + stream, self.tray.get(ANNOUNCED_USED));
    }

    /// Takes what a program has written; 0 is the end of the stream. Never waits.
    pub fn receive(&mut self, stream: Stream, from: BorrowedFd<'_>, is_pipe: bool) -> io::Result<usize> {
        let index = stream as usize;
        self.make_room(index);
        let most = self.end(index).saturating_sub(self.word(FILLED + index)).min(BLOCK);
        if is_pipe && !self.only_reads {
            match self.tray.move_in(from, FILLED + index, most) {
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => self.only_reads = true,
                result => return result,
            }
        }
        self.tray.read_in(from, FILLED + index, most)
    }

    /// Returns what waits.
    pub fn waiting(&self, stream: Stream) -> &[u8] {
        let index = stream as usize;
        let place = |word| self.word(word + index).saturating_sub(HEAD);
        self.tray.bytes(place(USED)..place(FILLED))
    }

    /// Forgets all that waits of a stream.
    pub fn clear(&self, stream: Stream) {
        self.reset(stream as usize, 0);
    }

    /// Makes the room of a stream that is used up free again; of one that is not, when it gets narrow.
    fn make_room(&mut self, index: usize) {
        let (used, filled) = (self.word(USED + index), self.word(FILLED + index));
        let left = filled.saturating_sub(used);
        if left == 0 {
            if filled as u64 != base(index) {
                self.reset(index, 0);
            }
        } else if self.end(index) - filled < BLOCK {
            let base = usize::try_from(base(index)).unwrap_or(HEAD);
            self.tray.copy(used - HEAD..filled - HEAD, base - HEAD);
            self.reset(index, left as u64);
        }
    }

    /// Notes that `length` bytes wait at the beginning of a stream's room, in steps of which any may be the last.
    fn reset(&self, index: usize, length: u64) {
        self.tray.set(MOVING + index, length + 1);
        self.tray.set(FILLED + index, base(index) + length);
        self.tray.set(USED + index, base(index));
        self.tray.set(MOVING + index, 0);
    }

    fn end(&self, index: usize) -> usize {
        HEAD + (index + 1) * ROOM
    }

    fn word(&self, number: usize) -> usize {
        usize::try_from(self.tray.get(number)).unwrap_or(HEAD)
    }

    /// Returns the latest time that was written.
    pub fn last_time(&self) -> Duration {
        Duration::from_nanos(self.tray.get(LAST_TIME))
    }

    /// Keeps the latest time that was written.
    pub fn set_last_time(&self, time: Duration) {
        self.tray.set(LAST_TIME, u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Returns the number of the present run; 0: there has been none.
    pub fn generation(&self) -> u64 {
        self.tray.get(GENERATION)
    }

    /// Begins to take what the run of that number writes.
    pub fn set_generation(&self, generation: u64) {
        self.tray.set(GENERATION, generation);
    }

    /// Returns the inode number of a stream's pipe; 0: none is known.
    pub fn pipe(&self, stream: Stream) -> u64 {
        self.tray.get(PIPES + stream as usize)
    }

    /// Keeps the inode number of a stream's pipe.
    pub fn set_pipe(&self, stream: Stream, inode: u64) {
        self.tray.set(PIPES + stream as usize, inode);
    }
}

/// Where the room of a stream begins in the file.
fn base(index: usize) -> u64 {
    (HEAD + index * ROOM) as u64
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::AsFd as _;

    use super::*;

    fn inbox(folder: &Path) -> Inbox {
        Inbox::open(&folder.join("inbox")).unwrap()
    }

    fn fill(inbox: &mut Inbox, stream: Stream, bytes: &[u8]) {
        let (read, mut write) = io::pipe().unwrap();
        write.write_all(bytes).unwrap();
        assert_eq!(inbox.receive(stream, read.as_fd(), true).unwrap(), bytes.len());
    }

    fn use_up(inbox: &Inbox, stream: Stream, used: usize) {
        inbox.announce(stream, used, 0, 0, 0);
        inbox.confirm();
    }

    #[test]
    fn what_waits_is_there_for_the_next_keeper() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = inbox(folder.path());
        fill(&mut first, Stream::Stdout, b"out");
        fill(&mut first, Stream::Stderr, b"one two");
        use_up(&first, Stream::Stderr, 4);
        drop(first);
        let next = inbox(folder.path());
        assert_eq!((next.waiting(Stream::Stdout), next.waiting(Stream::Stderr)), (&b"out"[..], &b"two"[..]));
    }

    #[test]
    fn a_write_that_was_announced_counts_once_whether_it_was_done_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        for (written, left, size) in [("", "line\nbe", 2), ("li", "line\nbe", 2), ("line\n", "be", 7)] {
            std::fs::write(&path, "a\n").unwrap();
            let mut log = File::options().append(true).open(&path).unwrap();
            let mut first = inbox(folder.path());
            fill(&mut first, Stream::Stdout, b"line\nbe");
            first.announce(Stream::Stdout, 5, log.metadata().unwrap().ino(), 2, 5);
            log.write_all(written.as_bytes()).unwrap();
            drop(first);
            let next = inbox(folder.path());
            next.settle(Some(&log)).unwrap();
            assert_eq!(next.waiting(Stream::Stdout), left.as_bytes(), "after `{written}`");
            assert_eq!(log.metadata().unwrap().len(), size);
            next.settle(Some(&log)).unwrap();
            assert_eq!(next.waiting(Stream::Stdout), left.as_bytes(), "only once");
            next.clear(Stream::Stdout);
        }
    }

    #[test]
    fn room_is_made_while_something_waits() {
        let folder = tempfile::tempdir().unwrap();
        let mut inbox = inbox(folder.path());
        for round in 0_u8..20 {
            fill(&mut inbox, Stream::Stdout, &[round; 30_000]);
            let waiting = inbox.waiting(Stream::Stdout);
            let (old, new) = waiting.split_at(waiting.len() - 30_000);
            assert!(new.iter().all(|byte| *byte == round));
            assert!(old.iter().all(|byte| *byte == round - 1) && old.len() <= 100);
            let used = waiting.len() - 100;
            use_up(&inbox, Stream::Stdout, used);
        }
    }
}
