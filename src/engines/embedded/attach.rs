//! A person's streams joined to those of a container's program.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::thread;

use orchestrator::engine::attach::{AttachEnd, AttachIo};
use orchestrator::engine::error::EngineError;
use runtime::Runtime;
use runtime::container::attach::{self, StreamsEnd, Typist};
use rustix::event::{PollFd, PollFlags};
use tokio::sync::oneshot;

use crate::embedded::{engine, errors};

/// Lets go of the streams, and ends the threads, also when nobody waits for the end any more.
struct Guard {
    typist: Option<Typist>,
    _stop: OwnedFd,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(typist) = &self.typist {
            typist.let_go();
        }
    }
}

/// Joins until the program's streams end or the keys are typed.
pub(crate) async fn attach(rt: &Runtime, name: String, io: AttachIo) -> Result<AttachEnd, EngineError> {
    let failed = {
        let name = name.clone();
        move |error: &io::Error| errors::kernel(errors::container(&name), "attach to", error)
    };
    let (wanted, replay) = (name.clone(), io.replay);
    let attaching = engine::blocking(rt, move |rt| {
        attach::attach(rt, &wanted, replay).map_err(|error| errors::act(&wanted, &error))
    })
    .await?;
    if let Some(ready) = &io.ready {
        // Nobody waits any more: then nobody has to be told.
        let _ = ready.send(()).await;
    }
    let (stopped, stop) = io::pipe().map_err(|error| failed(&error))?;
    let mut guard = Guard { typist: None, _stop: stop.into() };
    let waiting = stopped.try_clone().map_err(|error| failed(&error))?;
    let error = failed.clone();
    let joined = engine::blocking(rt, move |_| attaching.join(waiting.as_fd()).map_err(|cause| error(&cause))).await?;
    let Some(attached) = joined else { return Ok(AttachEnd::Ended { exit_code: None }) };
    let mut typist = attached.typist().map_err(|error| failed(&error))?;
    guard.typist = Some(typist.another().map_err(|error| failed(&error))?);
    let mut size = io.size;
    if let Some(size) = &mut size {
        let (rows, columns) = *size.borrow_and_update();
        if rows > 0 && columns > 0 {
            typist.set_size(rows, columns).map_err(|error| failed(&error))?;
        }
    }
    let mut window = typist.another().map_err(|error| failed(&error))?;
    let (told, mut detached) = oneshot::channel();
    if let Some(stdin) = io.stdin {
        let keys = Keys::new(io.detach_keys);
        thread::spawn(move || type_in(stdin.into(), typist, stopped.into(), keys, told));
    }
    let (mut stdout, mut stderr) = (File::from(io.stdout), File::from(io.stderr));
    let (ended, mut end) = oneshot::channel();
    thread::spawn(move || ended.send(attached.copy_out(&mut stdout, &mut stderr)));
    let mut waits_for_keys = true;
    loop {
        tokio::select! {
            result = &mut end => {
                return match result {
                    Ok(Ok(StreamsEnd::Told { exit_code })) => Ok(AttachEnd::Ended { exit_code }),
                    Ok(Ok(StreamsEnd::LetGo)) => Ok(AttachEnd::Ended { exit_code: None }),
                    Ok(Err(error)) => Err(failed(&error)),
                    Err(_) => Err(errors::broken("a thread has ended early")),
                };
            }
            result = &mut detached, if waits_for_keys => {
                if result.is_ok() {
                    return Ok(AttachEnd::Detached);
                }
                waits_for_keys = false;
            }
            changed = changed(&mut size) => {
                match changed {
                    Some((rows, columns)) => drop(window.set_size(rows, columns)),
                    None => size = None,
                }
            }
        }
    }
}

async fn changed(size: &mut Option<tokio::sync::watch::Receiver<(u16, u16)>>) -> Option<(u16, u16)> {
    match size {
        Some(receiver) => match receiver.changed().await {
            Ok(()) => Some(*receiver.borrow_and_update()),
            Err(_) => None,
        },
        None => std::future::pending().await,
    }
}

/// Sends what is typed, until there is no more, the keys have been typed, or nobody is attached any more.
fn type_in(mut input: File, mut typist: Typist, stopped: OwnedFd, mut keys: Keys, detached: oneshot::Sender<()>) {
    let mut block = [0; 16 * 1024];
    let mut typed = Vec::new();
    loop {
        let mut fds = [
            PollFd::from_borrowed_fd(stopped.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(input.as_fd(), PollFlags::IN),
        ];
        match rustix::event::poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return,
            Ok(_) if !fds[0].revents().is_empty() => return,
            Ok(_) => {}
        }
        let length = match input.read(&mut block) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // A terminal that is gone.
            Err(_) => 0,
        };
        typed.clear();
        let is_detached = if length == 0 { keys.rest(&mut typed) } else { keys.take(&block[..length], &mut typed) };
        if !typed.is_empty() && typist.type_in(&typed).is_err() {
            return;
        }
        if is_detached {
            let _ = typist.detach();
            let _ = detached.send(());
            return;
        }
        if length == 0 {
            let _ = typist.close();
            return;
        }
    }
}

/// Looks for the keys that detach: what may be the beginning of them is held back until it is clear.
struct Keys {
    keys: Vec<u8>,
    held: usize,
}

impl Keys {
    fn new(keys: Vec<u8>) -> Self {
        Self { keys, held: 0 }
    }

    /// Passes on what is not of them; says whether all have been typed in a row.
    fn take(&mut self, bytes: &[u8], to: &mut Vec<u8>) -> bool {
        for byte in bytes {
            if self.keys.get(self.held) == Some(byte) {
                self.held += 1;
                if self.held == self.keys.len() {
                    return true;
                }
                continue;
            }
            to.extend_from_slice(&self.keys[..self.held]);
            self.held = 0;
            if self.keys.first() == Some(byte) && self.keys.len() > 1 {
                self.held = 1;
            } else {
                to.push(*byte);
            }
        }
        false
    }

    /// There is no more: what was held back was no beginning.
    fn rest(&mut self, to: &mut Vec<u8>) -> bool {
        to.extend_from_slice(&self.keys[..self.held]);
        self.held = 0;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &[u8], pieces: &[&[u8]]) -> (Vec<u8>, bool) {
        let (mut keys, mut to) = (Keys::new(keys.to_vec()), Vec::new());
        for piece in pieces {
            if keys.take(piece, &mut to) {
                return (to, true);
            }
        }
        keys.rest(&mut to);
        (to, false)
    }

    #[test]
    fn keys_in_a_row_detach_and_all_else_is_passed_on() {
        assert_eq!(typed(&[16, 17], &[b"ab\x10", b"\x11cd"]), (b"ab".to_vec(), true));
        assert_eq!(typed(&[16, 17], &[b"a\x10b\x10\x10\x11"]), (b"a\x10b\x10".to_vec(), true));
        assert_eq!(typed(&[16, 17], &[b"a\x10"]), (b"a\x10".to_vec(), false));
        assert_eq!(typed(&[], &[b"a\x10\x11"]), (b"a\x10\x11".to_vec(), false));
        assert_eq!(typed(b"x", &[b"axb"]), (b"a".to_vec(), true));
    }
}
