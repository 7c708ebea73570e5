//! A terminal for the program: what it draws is kept, keys are typed.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::support::host::{Host, Outcome, finish, until};

/// The program on a terminal of its own.
pub struct OnTerminal {
    child: Option<Child>,
    keys: File,
    terminal: OwnedFd,
    drawn: Arc<Mutex<Vec<u8>>>,
    modes: LocalModes,
}

impl OnTerminal {
    /// Starts it with a terminal of so many columns and 24 lines, and these variables.
    pub fn start(host: &Host, args: &[&str], columns: u16, variables: &[(&str, &str)]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let terminal = rustix::fs::open(&*name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&terminal, size).unwrap();
        let modes = tcgetattr(&terminal).unwrap().local_modes;
        let program = host.command(args);
        // The terminal must be the program's controlling one, or Ctrl-C is a mere byte.
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait"]).arg(program.get_program()).args(program.get_args());
        command.current_dir(&host.folder).env("TERM", "xterm-256color");
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.envs(variables.iter().copied());
        let stream = || Stdio::from(terminal.try_clone().unwrap());
        let child = command.stdin(stream()).stdout(stream()).stderr(stream()).spawn().unwrap();
        drop(command);
        let drawn = Arc::new(Mutex::new(Vec::new()));
        let (mut reader, kept) = (File::from(master.try_clone().unwrap()), Arc::clone(&drawn));
        // Ends with the terminal.
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                kept.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&bytes[..count]);
            }
        });
        Self { child: Some(child), keys: File::from(master), terminal, drawn, modes }
    }

    /// All that was drawn so far.
    pub fn drawn(&self) -> String {
        String::from_utf8_lossy(&self.drawn.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Waits until this was drawn so many times.
    #[track_caller]
    pub fn shows(&self, text: &str, times: usize) {
        until(&format!("`{text}` is on the terminal"), || self.drawn().matches(text).count() >= times);
    }

    /// Types.
    pub fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for the end, and fails the scenario if the terminal is left in other modes than it was found in.
    #[track_caller]
    pub fn ends(&mut self) -> Outcome {
        let outcome = finish(self.child.take().unwrap(), "the program on a terminal");
        assert_eq!(tcgetattr(&self.terminal).unwrap().local_modes, self.modes, "the terminal is as it was");
        outcome
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
