//! Keeps `^C` out of what is drawn: the terminal's echo would move the cursor, and the next redraw miss its rows.

use std::io;
use std::os::fd::AsFd;

use rustix::process::getpgrp;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

/// Control characters are not echoed; dropping it restores what was.
pub(crate) struct ControlEcho {
    before: Termios,
}

impl ControlEcho {
    /// Turns it off, if the terminal is ours to set: a background job would be stopped for trying.
    pub(crate) fn off() -> Option<Self> {
        if !is_ours() {
            return None;
        }
        mute(io::stdin()).ok().map(|before| Self { before })
    }
}

impl Drop for ControlEcho {
    fn drop(&mut self) {
        if is_ours() {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
        }
    }
}

fn is_ours() -> bool {
    tcgetpgrp(io::stdin()).is_ok_and(|foreground| foreground == getpgrp())
}

/// Turns the echo off and returns what was.
fn mute(terminal: impl AsFd) -> io::Result<Termios> {
    let before = tcgetattr(&terminal)?;
    let mut muted = before.clone();
    muted.local_modes.remove(LocalModes::ECHOCTL);
    tcsetattr(&terminal, OptionalActions::Now, &muted)?;
    Ok(before)
}

#[cfg(test)]
mod tests {
    use rustix::fs::{Mode, OFlags};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;

    #[test]
    fn nothing_but_the_echo_of_control_characters_changes() {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let terminal = rustix::fs::open(&*name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let before = mute(&terminal).unwrap();
        assert!(before.local_modes.contains(LocalModes::ECHOCTL));
        let muted = tcgetattr(&terminal).unwrap();
        assert_eq!(muted.local_modes, before.local_modes.difference(LocalModes::ECHOCTL));
    }
}
