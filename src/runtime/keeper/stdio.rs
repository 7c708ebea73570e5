//! The standard streams of the container's program: what it is given, and what the keeper reads of it.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::pipe::PipeFlags;

use crate::keeper::inbox::{BLOCK, Inbox};
use crate::keeper::joint::Joint;
use crate::keeper::log::{LogWriter, Stream};
use crate::sandbox::launch::Stdio;
use crate::state::container::ProcessRecord;
use crate::sys::terminal;

/// The keeper's ends.
#[derive(Debug)]
pub struct Streams {
    /// What the program writes.
    outputs: Vec<(Stream, File)>,
    /// What it reads; held open also while nobody is attached, so that it does not meet the end of it.
    input: Option<File>,
    /// Typed, but not taken yet.
    typed: Vec<u8>,
    /// No more is to come.
    is_closing: bool,
    /// The input has been closed, which others who hold it have not been told.
    has_closed: bool,
    /// The program's terminal.
    terminal: bool,
}

/// Makes both ends of a program's standard streams. `label` is the SELinux label of its terminal.
pub fn open(process: &ProcessRecord, label: Option<&str>) -> io::Result<(Streams, Stdio)> {
    if process.tty {
        let (master, stdio) = Stdio::on_terminal(label)?;
        rustix::io::ioctl_fionbio(&master, true)?;
        let master = File::from(master);
        let input = if process.stdin_open { Some(master.try_clone()?) } else { None };
        return Ok((Streams { terminal: true, ..Streams::new(vec![(Stream::Stdout, master)], input) }, stdio));
    }
    let (input, stdin) = if process.stdin_open {
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        // Of this end alone: the program's blocks.
        rustix::io::ioctl_fionbio(&write, true)?;
        (Some(File::from(write)), read)
    } else {
        (None, File::open("/dev/null")?.into())
    };
    let mut outputs = Vec::new();
    let mut output = |stream| -> io::Result<OwnedFd> {
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&read, true)?;
        outputs.push((stream, read.into()));
        unbreakable(&write)
    };
    let (stdout, stderr) = (output(Stream::Stdout)?, output(Stream::Stderr)?);
    Ok((Streams::new(outputs, input), Stdio { stdin, stdout, stderr, terminal: None, devpts: None }))
}

impl Streams {
    fn new(outputs: Vec<(Stream, File)>, input: Option<File>) -> Self {
        Self { outputs, input, typed: Vec::new(), is_closing: false, has_closed: false, terminal: false }
    }

    /// Returns all descriptors, as [`Streams::of`] takes them: outputs, then the input if there is one.
    pub fn all(&self) -> Vec<BorrowedFd<'_>> {
        self.outputs.iter().map(|(_, file)| file.as_fd()).chain(self.input.as_ref().map(File::as_fd)).collect()
    }

    /// Goes on with the streams of a program that runs; each output with its stream.
    pub fn of(outputs: Vec<(Stream, File)>, input: Option<File>, terminal: bool) -> Self {
        Self { terminal, ..Self::new(outputs, input) }
    }

    /// Returns which streams are still open, as [`Streams::all`] orders them.
    pub fn open_outputs(&self) -> Vec<Stream> {
        self.outputs.iter().map(|(stream, _)| *stream).collect()
    }

    /// Notes which pipes they are, for one who has to find them again.
    pub fn note_pipes(&self, inbox: &Inbox) {
        for (stream, file) in self.outputs.iter().filter(|_| !self.terminal) {
            inbox.set_pipe(*stream, file.metadata().map_or(0, |metadata| metadata.ino()));
        }
    }

    /// Takes what somebody typed; a program whose input is closed misses it.
    pub fn type_in(&mut self, bytes: &[u8]) {
        if self.input.is_some() && !self.is_closing {
            self.typed.extend_from_slice(bytes);
            self.pump_input();
        }
    }

    /// Closes the program's input once it has taken all that was typed. A terminal stays open.
    pub fn close_input(&mut self) {
        if !self.terminal {
            self.is_closing = true;
            self.pump_input();
        }
    }

    /// Says, once, that the input has been closed: whoever else holds it must let go of it, for the program to meet its end.
    pub fn take_closed(&mut self) -> bool {
        std::mem::take(&mut self.has_closed)
    }

    /// Says whether more may be typed.
    pub fn takes_input(&self) -> bool {
        self.typed.len() < BLOCK
    }

    /// Returns what to wait for until the program takes more of what was typed.
    pub fn input(&self) -> Option<BorrowedFd<'_>> {
        if self.typed.is_empty() { None } else { self.input.as_ref().map(File::as_fd) }
    }

    /// Gives the program as much as it takes.
    pub fn pump_input(&mut self) {
        let Some(input) = &mut self.input else { return };
        let mut given = 0;
        while given < self.typed.len() {
            match input.write(&self.typed[given..]) {
                Ok(length) => given += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // It reads no more.
                Err(_) => given = self.typed.len(),
            }
        }
        self.typed.drain(..given);
        if self.is_closing && self.typed.is_empty() {
            self.has_closed |= self.input.take().is_some();
        }
    }

    /// Sets the size of the program's terminal.
    pub fn set_size(&self, rows: u16, columns: u16) {
        if let (true, Some((_, terminal))) = (self.terminal, self.outputs.first()) {
            // One whose last program has just gone.
            let _ = terminal::set_size(terminal, rows, columns);
        }
    }

    /// Returns what to wait for.
    pub fn fds(&self) -> impl DoubleEndedIterator<Item = (Stream, BorrowedFd<'_>)> {
        self.outputs.iter().map(|(stream, file)| (*stream, file.as_fd()))
    }

    /// Moves what an output holds into the log and to those attached; an output that has ended is let go.
    ///
    /// At most one block: whoever floods one stream must not starve the rest.
    pub fn pump(&mut self, stream: Stream, log: &mut LogWriter, joints: &mut [Joint]) -> io::Result<Pumped> {
        let Some(index) = self.outputs.iter().position(|(open, _)| *open == stream) else { return Ok(Pumped::Nothing) };
        let file = &mut self.outputs[index].1;
        match log.receive(stream, file.as_fd(), !self.terminal) {
            Ok(length) if length > 0 => {
                let waiting = log.waiting(stream);
                for joint in joints {
                    joint.send(stream, &waiting[waiting.len().saturating_sub(length)..]);
                }
                log.write_lines(stream, now()).map(|()| Pumped::Some)
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Ok(Pumped::Nothing)
            }
            Err(error) if is_full(&error) => {
                // No room to keep it: the program goes on all the same.
                let mut block = [0; BLOCK];
                let length = file.read(&mut block).unwrap_or(0);
                for joint in joints {
                    joint.send(stream, &block[..length]);
                }
                Err(error)
            }
            // A terminal that its last program has closed is an error (EIO), not an end.
            Ok(_) | Err(_) => {
                self.outputs.remove(index);
                log.end(stream, now()).map(|()| Pumped::End)
            }
        }
    }

    /// Reads all that is left of a program that has ended, even where a stray process holds the streams open.
    pub fn drain(&mut self, log: &mut LogWriter, joints: &mut [Joint]) -> io::Result<()> {
        let mut result = Ok(());
        while let Some((stream, _)) = self.outputs.first() {
            match self.pump(*stream, log, joints) {
                Ok(Pumped::Some | Pumped::End) => {}
                Ok(Pumped::Nothing) => {
                    let (stream, _) = self.outputs.remove(0);
                    result = result.and(log.end(stream, now()));
                }
                Err(error) => result = result.and(Err(error)),
            }
        }
        result
    }
}

/// Says whether there was no room for what was to be kept.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

/// Opens the writing end of a pipe for reading, too. Then there is always one who reads, and the program meets no broken
/// pipe while its keeper is replaced: it waits when the pipe is full.
fn unbreakable(write: &OwnedFd) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", write.as_raw_fd());
    Ok(File::options().read(true).write(true).open(path)?.into())
}

/// What a pump moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pumped {
    /// Some bytes.
    Some,
    /// None that are there now.
    Nothing,
    /// The stream has ended.
    End,
}

/// Time since 1970.
pub fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keeper::log::CURRENT;
    use crate::state::container::LogRecord;

    #[test]
    fn what_is_left_in_the_pipes_is_drained_although_they_stay_open() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = LogWriter::open_in(folder.path(), &LogRecord::default());
        let (mut streams, stdio) = open(&ProcessRecord::default(), None).unwrap();
        File::from(stdio.stdout.try_clone().unwrap()).write_all(b"one\ntwo").unwrap();
        streams.drain(&mut log, &mut []).unwrap();
        let text = std::fs::read_to_string(folder.path().join(CURRENT)).unwrap();
        assert_eq!(text.lines().map(|line| &line[23..]).collect::<Vec<_>>(), ["one", "two"]);
    }

    #[test]
    fn a_terminal_is_one_stream() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = LogWriter::open_in(folder.path(), &LogRecord::default());
        let process = ProcessRecord { tty: true, ..ProcessRecord::default() };
        let (mut streams, stdio) = open(&process, None).unwrap();
        File::from(stdio.stderr.try_clone().unwrap()).write_all(b"hello\n").unwrap();
        drop(stdio);
        streams.drain(&mut log, &mut []).unwrap();
        assert_eq!(&std::fs::read(folder.path().join(CURRENT)).unwrap()[23..], b"hello\r\n");
    }
}
