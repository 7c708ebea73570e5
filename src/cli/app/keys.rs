//! The keys of the person's terminal, one by one, while the program writes to it. Ctrl-C and Ctrl-Z stay signals.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;

use rustix::fs::OFlags;
use rustix::process::getpgrp;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, isatty, tcgetattr, tcgetpgrp, tcsetattr,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::terminal::restore_on_panic;

/// What the terminal tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// A key was pressed.
    Pressed(u8),
    /// The terminal is of another size, or ours again: what stands on it is to be drawn anew.
    Redraw,
}

/// The terminal told key by key and without echo; dropping it restores what was.
pub(crate) struct Keys {
    /// A description of its own: that of the standard input is shared with the shell, which expects it to block.
    terminal: AsyncFd<OwnedFd>,
    before: Termios,
    continued: Signal,
    resized: Signal,
    pressed: VecDeque<u8>,
}

impl Keys {
    /// Listens, if the standard input is a terminal that is ours to read; a background job would be stopped for trying.
    pub(crate) fn listen() -> Option<Self> {
        if !isatty(io::stdin()) || !is_ours(io::stdin()) {
            return None;
        }
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
        let terminal = OpenOptions::new().read(true).write(true).custom_flags(flags).open("/proc/self/fd/0").ok()?;
        Self::on(OwnedFd::from(terminal)).ok()
    }

    fn on(terminal: OwnedFd) -> io::Result<Self> {
        let before = tcgetattr(&terminal)?;
        let (continued, resized) = (signal(SignalKind::from_raw(CONTINUED))?, signal(SignalKind::window_change())?);
        #[expect(
            deprecated,
            reason = "its successor is unsafe, for descriptors that are closed early: an OwnedFd is not"
        )]
        let terminal = AsyncFd::with_interest(terminal, Interest::READABLE)?;
        restore_on_panic(&before);
        set(terminal.get_ref(), &before)?;
        Ok(Self { terminal, before, continued, resized, pressed: VecDeque::new() })
    }

    /// Returns the next key; waits for ever when the terminal is gone.
    pub(crate) async fn next(&mut self) -> Key {
        loop {
            if let Some(key) = self.pressed.pop_front() {
                return Key::Pressed(key);
            }
            let mut bytes = [0; 64];
            tokio::select! {
                read = read(&self.terminal, &mut bytes) => match read {
                    Ok(count) if count > 0 => self.pressed.extend(plain(&bytes[..count])),
                    Ok(_) | Err(_) => return std::future::pending().await,
                },
                // The shell has set the terminal as it likes it while we were stopped.
                _ = self.continued.recv() => if is_ours(&self.terminal) {
                    let _ = set(self.terminal.get_ref(), &self.before);
                    return Key::Redraw;
                },
                _ = self.resized.recv() => return Key::Redraw,
            }
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if is_ours(&self.terminal) {
            let _ = tcsetattr(self.terminal.get_ref(), OptionalActions::Now, &self.before);
        }
    }
}

/// `SIGCONT`
const CONTINUED: i32 = rustix::process::Signal::CONT.as_raw();

const ESCAPE: u8 = 0x1b;

/// Leaves out what arrows and the like send: sequences that begin with Escape are no keys of ours.
fn plain(bytes: &[u8]) -> Vec<u8> {
    let mut keys = Vec::new();
    let mut rest = bytes.iter().copied();
    while let Some(byte) = rest.next() {
        if byte != ESCAPE {
            keys.push(byte);
        } else if matches!(rest.next(), Some(b'[' | b'O')) {
            // ECMA-48, 5.4: parameters, then one final byte.
            let _ = rest.find(|byte| matches!(byte, 0x40..=0x7e));
        }
    }
    keys
}

/// Waits for keys. What is typed while a shell has the terminal is the shell's: reading it would stop us (SIGTTIN).
async fn read(terminal: &AsyncFd<OwnedFd>, bytes: &mut [u8]) -> io::Result<usize> {
    loop {
        let mut ready = terminal.readable().await?;
        let read = ready.try_io(|terminal| {
            if !is_ours(terminal) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(rustix::io::read(terminal.get_ref(), &mut *bytes)?)
        });
        if let Ok(result) = read {
            return result;
        }
    }
}

/// Says whether the terminal is in the foreground for us.
fn is_ours(terminal: impl AsFd) -> bool {
    tcgetpgrp(terminal).is_ok_and(|foreground| foreground == getpgrp())
}

/// Key by key and without echo, signals and output as before.
fn set(terminal: &OwnedFd, before: &Termios) -> io::Result<()> {
    let mut modes = before.clone();
    modes.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
    modes.special_codes[SpecialCodeIndex::VMIN] = 1;
    modes.special_codes[SpecialCodeIndex::VTIME] = 0;
    Ok(tcsetattr(terminal, OptionalActions::Now, &modes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_and_alt_keys_are_left_out() {
        assert_eq!(plain(b"\x1b[Dw\x1b[1;5Cd\x1bOP\x1bwx\x1b"), b"wdx");
    }
}
