//! The standard streams of the container's program: what it is given, and what the keeper reads of it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::pipe::PipeFlags;
use rustix::pty::OpenptFlags;

use crate::keeper::log::{LogWriter, Stream};
use crate::sandbox::launch::Stdio;
use crate::state::container::ProcessRecord;

/// Bytes read at once: what a pipe holds.
const BLOCK: usize = 64 * 1024;

/// The keeper's ends.
#[derive(Debug)]
pub struct Streams {
    /// What the program writes.
    outputs: Vec<(Stream, File)>,
    /// Never written to: it keeps a program that reads its input from meeting the end of it.
    _input: Option<OwnedFd>,
}

/// Makes both ends of a program's standard streams.
pub fn open(process: &ProcessRecord, is_logged: bool) -> io::Result<(Streams, Stdio)> {
    if process.tty {
        let (master, terminal) = open_terminal()?;
        let stdio = Stdio {
            stdin: terminal.try_clone()?,
            stdout: terminal.try_clone()?,
            stderr: terminal.try_clone()?,
            terminal: Some(terminal),
        };
        return Ok((Streams { outputs: vec![(Stream::Stdout, master.into())], _input: None }, stdio));
    }
    let (input, stdin) = if process.stdin_open {
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        (Some(write), read)
    } else {
        (None, File::open("/dev/null")?.into())
    };
    let mut outputs = Vec::new();
    let mut output = |stream| -> io::Result<OwnedFd> {
        if !is_logged {
            return Ok(OpenOptions::new().write(true).open("/dev/null")?.into());
        }
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&read, true)?;
        outputs.push((stream, read.into()));
        Ok(write)
    };
    let (stdout, stderr) = (output(Stream::Stdout)?, output(Stream::Stderr)?);
    Ok((Streams { outputs, _input: input }, Stdio { stdin, stdout, stderr, terminal: None }))
}

/// Makes a pseudo-terminal: the keeper's end, which does not block, and the program's.
fn open_terminal() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = rustix::pty::openpt(flags)?;
    rustix::pty::unlockpt(&master)?;
    let terminal = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
    rustix::io::ioctl_fionbio(&master, true)?;
    Ok((master, terminal))
}

impl Streams {
    /// Returns what to wait for.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.outputs.iter().map(|(_, file)| file.as_fd())
    }

    /// Moves what output `index` holds into the log; an output that has ended is let go.
    ///
    /// At most one block: whoever floods one stream must not starve the rest.
    pub fn pump(&mut self, index: usize, log: &mut LogWriter) -> io::Result<Pumped> {
        let mut block = [0; BLOCK];
        let (stream, file) = &mut self.outputs[index];
        match file.read(&mut block) {
            Ok(length) if length > 0 => log.take(*stream, &block[..length], now()).map(|()| Pumped::Some),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Ok(Pumped::Nothing)
            }
            // A terminal that its last program has closed is an error (EIO), not an end.
            Ok(_) | Err(_) => {
                let stream = *stream;
                self.outputs.remove(index);
                log.end(stream, now()).map(|()| Pumped::End)
            }
        }
    }

    /// Reads all that is left of a program that has ended, even where a stray process holds the streams open.
    pub fn drain(&mut self, log: &mut LogWriter) -> io::Result<()> {
        let mut result = Ok(());
        while !self.outputs.is_empty() {
            match self.pump(0, log) {
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
    use std::io::Write as _;

    use super::*;
    use crate::keeper::log::CURRENT;
    use crate::state::container::LogRecord;

    #[test]
    fn what_is_left_in_the_pipes_is_drained_although_they_stay_open() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = LogWriter::open(folder.path(), &LogRecord::default()).unwrap();
        let (mut streams, stdio) = open(&ProcessRecord::default(), true).unwrap();
        File::from(stdio.stdout.try_clone().unwrap()).write_all(b"one\ntwo").unwrap();
        streams.drain(&mut log).unwrap();
        let text = std::fs::read_to_string(folder.path().join(CURRENT)).unwrap();
        assert_eq!(text.lines().map(|line| &line[23..]).collect::<Vec<_>>(), ["one", "two"]);
    }

    #[test]
    fn a_terminal_is_one_stream() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = LogWriter::open(folder.path(), &LogRecord::default()).unwrap();
        let process = ProcessRecord { tty: true, ..ProcessRecord::default() };
        let (mut streams, stdio) = open(&process, true).unwrap();
        File::from(stdio.stderr.try_clone().unwrap()).write_all(b"hello\n").unwrap();
        drop(stdio);
        streams.drain(&mut log).unwrap();
        assert_eq!(&std::fs::read(folder.path().join(CURRENT)).unwrap()[23..], b"hello\r\n");
    }
}
