//! Attaches to the streams of a container's program: to one that runs, or ahead of its start, so that no byte is missed.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::event::{PollFd, PollFlags};

use crate::Runtime;
use crate::container::act::ActError;
use crate::container::list::{self, FindError};
use crate::container::logs::{LogQuery, LogReader};
use crate::keeper::control::{self, Request};
use crate::keeper::joint::{self, Frames, Joined};
use crate::keeper::log::Stream;
use crate::state::record;

const ACT: &str = "attach to";

/// On the way to be joined.
#[derive(Debug)]
pub struct Attaching {
    way: Way,
    log: PathBuf,
    replay: bool,
}

#[derive(Debug)]
enum Way {
    /// Asked the keeper.
    Asked(UnixStream),
    /// The keeper will come when the container is started.
    Waits { listener: UnixListener, path: PathBuf },
}

impl Drop for Way {
    fn drop(&mut self) {
        if let Self::Waits { path, .. } = self {
            // Gone already if the keeper has come.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Begins to attach. From here on nothing that the program writes is missed.
pub fn attach(rt: &Runtime, name: &str, replay: bool) -> Result<Attaching, ActError> {
    let id = list::find_id(rt, name)?;
    let bundle = rt.layout.bundle(&id);
    let failed = |source| ActError::Io { act: ACT, name: name.into(), source };
    // Whoever starts it holds this until its program runs: then it is either started already, or not before we wait.
    let _act = record::lock(&bundle.act_lock()).map_err(FindError::Record)?;
    list::read(rt, &id)?.ok_or_else(|| FindError::NotFound { name: name.into() })?;
    let way = match control::connect(&bundle).map_err(failed)? {
        Some(mut stream) => {
            control::send(&mut stream, &Request::Attach { replay }).map_err(failed)?;
            Way::Asked(stream)
        }
        None => {
            std::fs::create_dir_all(bundle.attach()).map_err(failed)?;
            static NEXT: AtomicU64 = AtomicU64::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = bundle.attach().join(format!("{}-{number}", std::process::id()));
            // Of an earlier process with our number.
            let _ = std::fs::remove_file(&path);
            let listener = control::short_path(&path).and_then(|(_folder, path)| UnixListener::bind(path));
            Way::Waits { listener: listener.map_err(failed)?, path }
        }
    };
    Ok(Attaching { way, log: bundle.log(), replay })
}

impl Attaching {
    /// Waits until it is joined; `None`: `stop` became readable or was closed before the container was started.
    pub fn join(self, stop: BorrowedFd<'_>) -> io::Result<Option<Attached>> {
        let stream = match &self.way {
            Way::Asked(stream) => stream.try_clone()?,
            Way::Waits { listener, .. } => {
                let mut fds = [PollFd::new(listener, PollFlags::IN), PollFd::from_borrowed_fd(stop, PollFlags::IN)];
                while let Err(error) = rustix::event::poll(&mut fds, None) {
                    if error != rustix::io::Errno::INTR {
                        return Err(error.into());
                    }
                }
                if fds[0].revents().is_empty() {
                    return Ok(None);
                }
                listener.accept()?.0
            }
        };
        Ok(Some(Attached { stream, frames: Frames::default(), log: self.log.clone(), replay: self.replay }))
    }
}

/// How the streams of one who is attached end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamsEnd {
    /// They are the program's no more.
    Told {
        /// How that ended; `None`: it may begin anew.
        exit_code: Option<i32>,
    },
    /// We have been let go of, for example by a keeper that was killed.
    LetGo,
}

/// Joined to the streams.
#[derive(Debug)]
pub struct Attached {
    stream: UnixStream,
    frames: Frames,
    log: PathBuf,
    replay: bool,
}

impl Attached {
    /// Returns the way to the program's input.
    pub fn typist(&self) -> io::Result<Typist> {
        Ok(Typist { stream: self.stream.try_clone()? })
    }

    /// Writes what the program has written, if that is wanted, and what it writes, until its streams end.
    pub fn copy_out(mut self, stdout: &mut File, stderr: &mut File) -> io::Result<StreamsEnd> {
        let mut block = vec![0; 64 * 1024];
        loop {
            let length = match self.stream.read(&mut block) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
                Err(error) => return Err(error),
            };
            if length == 0 {
                return Ok(StreamsEnd::LetGo);
            }
            self.frames.push(&block[..length]);
            while let Some((kind, payload)) = self.frames.next_frame()? {
                match kind {
                    joint::JOINED => {
                        let joined: Joined = serde_json::from_slice(&payload)?;
                        if self.replay {
                            self.write_log(&joined, stdout, stderr)?;
                        }
                    }
                    joint::STDOUT => stdout.write_all(&payload)?,
                    joint::STDERR => stderr.write_all(&payload)?,
                    joint::END => {
                        let exit_code = payload.try_into().ok().map(i32::from_le_bytes);
                        return Ok(StreamsEnd::Told { exit_code });
                    }
                    // Of a later version.
                    _ => {}
                }
            }
        }
    }

    fn write_log(&self, joined: &Joined, stdout: &mut File, stderr: &mut File) -> io::Result<()> {
        // A log that is not kept has nothing to replay.
        let Some(position) = joined.log else { return Ok(()) };
        let mut reader = LogReader::open(&self.log, &LogQuery::default())?;
        reader.stop_at(position);
        let mut result = Ok(());
        reader.read(&mut |line| {
            let output = match line.stream {
                Stream::Stdout => &mut *stdout,
                Stream::Stderr => &mut *stderr,
            };
            result = output.write_all(line.bytes).and_then(|()| output.write_all(b"\n"));
            result.is_ok()
        })?;
        result?;
        stdout.write_all(reader.unfinished(Stream::Stdout))?;
        stderr.write_all(reader.unfinished(Stream::Stderr))
    }
}

/// Types into the program's input.
#[derive(Debug)]
pub struct Typist {
    stream: UnixStream,
}

impl Typist {
    fn send(&mut self, kind: u8, payload: &[u8]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(payload.len() + 8);
        joint::frame(kind, payload, &mut bytes);
        self.stream.write_all(&bytes)
    }

    /// Returns another one for the same input.
    pub fn another(&self) -> io::Result<Self> {
        Ok(Self { stream: self.stream.try_clone()? })
    }

    /// Types; waits while the program takes nothing.
    pub fn type_in(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.send(joint::INPUT, bytes)
    }

    /// Says that there is no more to type.
    pub fn close(&mut self) -> io::Result<()> {
        self.send(joint::CLOSE, &[])
    }

    /// Tells the size of the window.
    pub fn set_size(&mut self, rows: u16, columns: u16) -> io::Result<()> {
        let ([a, b], [c, d]) = (rows.to_le_bytes(), columns.to_le_bytes());
        self.send(joint::WINDOW, &[a, b, c, d])
    }

    /// Says that a person has let go.
    pub fn detach(&mut self) -> io::Result<()> {
        self.send(joint::DETACH, &[])
    }

    /// Lets go: whoever copies out of the same socket ends.
    pub fn let_go(&self) {
        // Closed already by the other end.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

impl AsFd for Typist {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
