//! Runs one probe of a health check inside the container.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::pipe::PipeFlags;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use crate::keeper::health::Outcome;
use crate::sandbox::join::{self, Target};
use crate::sandbox::launch::{LaunchError, Launched, Stdio};
use crate::state::container::{HealthcheckRecord, ProcessRecord};

/// Bytes of a probe's output that are kept, as Docker does.
const KEPT: usize = 4096;

/// A probe that runs.
#[derive(Debug)]
pub struct Probe {
    launched: Launched,
    /// `None`: its program has closed it.
    output: Option<File>,
    kept: Vec<u8>,
}

/// What a probe's descriptors had for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It goes on.
    Running,
    /// It has ended.
    Ended(Outcome),
}

/// Starts a probe.
pub fn start(target: &Target, check: &HealthcheckRecord, process: &ProcessRecord) -> Result<Probe, LaunchError> {
    let error = |error: io::Error| LaunchError {
        step: crate::sandbox::launch::Step::Prepare,
        errno: error.raw_os_error().unwrap_or(0),
        what: "probe".into(),
        source: None,
    };
    let (output, stdio) = streams().map_err(error)?;
    let process =
        ProcessRecord { args: check.args.clone(), env: Vec::new(), tty: false, stdin_open: false, ..process.clone() };
    let launched = join::join(target, &process, stdio, false)?;
    Ok(Probe { launched, output: Some(output), kept: Vec::new() })
}

fn streams() -> io::Result<(File, Stdio)> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&read, true)?;
    let stdin: OwnedFd = File::open("/dev/null")?.into();
    let stderr = write.try_clone()?;
    Ok((read.into(), Stdio { stdin, stdout: write, stderr, terminal: None, devpts: None }))
}

impl Probe {
    /// Returns what to wait for: its end, then its output.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(self.launched.pidfd.as_fd()).chain(self.output.as_ref().map(File::as_fd))
    }

    /// Takes what is there; never blocks.
    pub fn on_ready(&mut self) -> Progress {
        self.read();
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        match rustix::process::waitid(WaitId::PidFd(self.launched.pidfd.as_fd()), options) {
            Ok(None) => Progress::Running,
            Ok(Some(status)) => {
                self.read();
                self.kill_group();
                let signal = status.terminating_signal().map(|signal| 128 + signal);
                let exit_code = status.exit_status().or(signal);
                Progress::Ended(Outcome { exit_code, output: String::from_utf8_lossy(&self.kept).into_owned() })
            }
            Err(error) => Progress::Ended(Outcome { exit_code: Some(125), output: error.to_string() }),
        }
    }

    /// Kills it with all its children, and waits for its end.
    pub fn abort(self) {
        self.kill_group();
        let _ = rustix::process::pidfd_send_signal(&self.launched.pidfd, Signal::KILL);
        let _ = rustix::process::waitid(WaitId::PidFd(self.launched.pidfd.as_fd()), WaitIdOptions::EXITED);
    }

    /// Joining begins a session, so the process leads a group of its own.
    fn kill_group(&self) {
        if let Some(group) = Pid::from_raw(self.launched.pid) {
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }

    /// Reads on past what is kept, a bounded bit at a time: a probe that writes without end must not be blocked by
    /// us, nor keep us from all else.
    fn read(&mut self) {
        let mut block = [0; 16 * 1024];
        for _ in 0..4 {
            let Some(output) = &mut self.output else { return };
            match output.read(&mut block) {
                Ok(0) => self.output = None,
                Ok(length) => {
                    let wanted = length.min(KEPT - self.kept.len());
                    self.kept.extend_from_slice(&block[..wanted]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.output = None,
            }
        }
    }
}
