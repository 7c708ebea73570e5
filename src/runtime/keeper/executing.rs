//! Programs that the keeper runs in its container for whoever asks: `exec`. They are its children, so that no process of
//! the asker's has to be started only to enter the container.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::process::{WaitId, WaitIdOptions};

use crate::keeper::control::{Client, Order, Told};
use crate::keeper::machine::Phase;
use crate::keeper::run::Keeper;
use crate::sandbox::join::{self, Joining};
use crate::sandbox::launch::{LaunchError, Launched, Stdio};

/// A program that runs for somebody, or is about to.
#[derive(Debug)]
pub(super) struct Executing {
    client: Client,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Joining(Joining),
    Running(Launched),
}

impl AsFd for Executing {
    /// What is ready when there is news of it.
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.stage {
            Stage::Joining(joining) => joining.as_fd(),
            Stage::Running(launched) => launched.pidfd.as_fd(),
        }
    }
}

impl Keeper<'_> {
    /// Begins to run what a client has ordered.
    pub(super) fn execute(&mut self, mut client: Client) {
        let runs = matches!(self.machine.phase(), Phase::Running { paused: false, .. });
        let Some(run) = self.run.as_ref().filter(|_| runs) else {
            return client.tell(&Told::Refused, &[]);
        };
        // Whoever asks in another way is hung up on.
        let Ok((order, stdio)) = read(client.take_descriptors()) else { return };
        match join::begin(&run.target, &order.process, stdio, order.privileged) {
            Ok(joining) => self.executing.push(Executing { client, stage: Stage::Joining(joining) }),
            Err(error) => client.tell(&not_run(&error), &[]),
        }
    }

    /// There is news of one of those programs.
    pub(super) fn on_executing(&mut self, index: usize) {
        let Executing { mut client, stage } = self.executing.remove(index);
        match stage {
            Stage::Joining(joining) => match joining.finish() {
                Ok(launched) => {
                    client.tell(&Told::Started { pid: launched.pid }, &[launched.pidfd.as_fd()]);
                    self.executing.insert(index, Executing { client, stage: Stage::Running(launched) });
                }
                Err(error) => client.tell(&not_run(&error), &[]),
            },
            Stage::Running(launched) => match end_of(&launched) {
                Ok(Some(code)) => client.tell(&Told::Ended { code }, &[]),
                Ok(None) => self.executing.insert(index, Executing { client, stage: Stage::Running(launched) }),
                // Somebody else has waited for it: the client sees us hang up, and looks for itself.
                Err(error) => tracing::warn!(%error, "cannot tell how a program ended"),
            },
        }
    }
}

fn not_run(error: &LaunchError) -> Told {
    Told::NotRun { message: error.to_string(), exit_code: error.exit_code() }
}

/// Reads an order, and makes what was handed over with it the program's streams.
fn read(descriptors: Vec<OwnedFd>) -> io::Result<(Order, Stdio)> {
    let Ok([order, stdin, stdout, stderr]) = <[OwnedFd; 4]>::try_from(descriptors) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let mut file = File::from(order);
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    // It shows the client that it was read.
    file.set_len(0)?;
    let order: Order = serde_json::from_str(&text)?;
    let terminal = if order.process.tty { Some(stdin.try_clone()?) } else { None };
    Ok((order, Stdio { stdin, stdout, stderr, terminal, devpts: None }))
}

fn end_of(launched: &Launched) -> io::Result<Option<i32>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let status = rustix::process::waitid(WaitId::PidFd(launched.pidfd.as_fd()), options)?;
    Ok(status.map(|status| {
        let signal = status.terminating_signal().map(|signal| 128 + signal);
        status.exit_status().or(signal).unwrap_or(255)
    }))
}
