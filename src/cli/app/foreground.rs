//! A container's own program in front of the person: joined before it starts, so that no byte is lost, signals passed
//! on, its exit code returned. What `run`, `attach` and `start --attach` share.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use orchestrator::engine::Engine;
use orchestrator::engine::attach::{AttachEnd, AttachIo};
use orchestrator::engine::container::{ContainerId, ContainerState};
use orchestrator::engine::error::EngineError;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinHandle;

use crate::app::streams::{Streams, unable};
use crate::error::{CommandError, Kind};

/// Ctrl-P Ctrl-Q, as in Docker.
pub(crate) const DETACH_KEYS: &[u8] = &[0x10, 0x11];

/// How the program is joined.
#[derive(Debug, Clone, Default)]
pub(crate) struct Foreground {
    /// It has a terminal.
    pub(crate) tty: bool,
    /// It reads what we read.
    pub(crate) stdin: bool,
    /// Start it once the streams are joined.
    pub(crate) start: bool,
    /// Pass signals on.
    pub(crate) forward_signals: bool,
    /// The bytes that detach when typed in a row.
    pub(crate) detach_keys: Vec<u8>,
    /// What the program writes to its standard output is not shown.
    pub(crate) hides_stdout: bool,
    /// What it writes to its standard error is not shown.
    pub(crate) hides_stderr: bool,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With this code.
    Exited(i32),
    /// The person has left, and it goes on.
    Detached,
}

impl Ended {
    /// Makes the command's result of it: the program's code is ours.
    pub(crate) fn into_result(self) -> Result<(), CommandError> {
        match self {
            Self::Detached | Self::Exited(0) => Ok(()),
            Self::Exited(code) => Err(CommandError::program(code)),
        }
    }
}

/// Stays with the container until its program ends or the person leaves.
pub(crate) async fn stay(engine: &Arc<dyn Engine>, id: &ContainerId, how: &Foreground) -> Result<Ended, CommandError> {
    let mut states = engine.watch_container(id).await?;
    // The state before: the end of an earlier run is no end of this one.
    let before = states.recv().await;
    if !how.start && matches!(before, Some(ContainerState::Exited { .. } | ContainerState::Created) | None) {
        return Err(CommandError::new(Kind::Failed, "the container does not run").hint("`start` starts it"));
    }
    let Streams { stdin, stdout, stderr, size, raw } = Streams::of_process(how.tty)?;
    let (ready, mut is_ready) = channel(1);
    let shown = |output: OwnedFd, is_hidden: bool| {
        if !is_hidden {
            return Ok(output);
        }
        let nowhere = File::options().write(true).open("/dev/null");
        nowhere.map(OwnedFd::from).map_err(|error| unable("open `/dev/null`", &error))
    };
    let io = AttachIo {
        stdin: how.stdin.then_some(stdin),
        stdout: shown(stdout, how.hides_stdout)?,
        stderr: shown(stderr, how.hides_stderr)?,
        size,
        detach_keys: how.detach_keys.clone(),
        replay: false,
        ready: Some(ready),
    };
    let mut signals = Signals::listen(how.forward_signals)?;
    let mut joined = {
        let (engine, id) = (Arc::clone(engine), id.clone());
        Task(tokio::spawn(async move { engine.attach_container(&id, io).await }))
    };
    if how.start {
        tokio::select! {
            Some(()) = is_ready.recv() => {}
            end = &mut joined.0 => drop(attached(end)?),
        }
        engine.start_container(id).await?;
    }
    let mut code = None;
    let mut is_attached = true;
    loop {
        tokio::select! {
            end = &mut joined.0, if is_attached => {
                match attached(end)? {
                    AttachEnd::Detached => return Ok(Ended::Detached),
                    // A container that removes itself may be gone before its state could be read.
                    AttachEnd::Ended { exit_code } => code = code.or(exit_code),
                }
                is_attached = false;
            }
            state = next_end(&mut states), if code.is_none() => code = Some(state),
            name = signals.next() => drop(engine.kill_container(id, name).await),
        }
        if let (Some(code), false) = (code, is_attached) {
            drop(raw);
            return Ok(Ended::Exited(code));
        }
    }
}

/// Waits for a container's end and returns its code.
pub(crate) async fn wait_for_end(engine: &Arc<dyn Engine>, id: &ContainerId) -> Result<i32, CommandError> {
    let mut states = engine.watch_container(id).await?;
    Ok(next_end(&mut states).await)
}

/// Returns the code of the next end.
async fn next_end(states: &mut Receiver<ContainerState>) -> i32 {
    while let Some(state) = states.recv().await {
        match state {
            ContainerState::Exited { exit_code, .. } => return exit_code,
            ContainerState::Dead { .. } => return 125,
            ContainerState::Removed => return 0,
            ContainerState::Created
            | ContainerState::Running { .. }
            | ContainerState::Paused { .. }
            | ContainerState::Restarting { .. } => {}
        }
    }
    0
}

fn attached(end: Result<Result<AttachEnd, EngineError>, tokio::task::JoinError>) -> Result<AttachEnd, CommandError> {
    match end {
        Ok(end) => Ok(end?),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(CommandError::silent(Kind::Interrupted)),
    }
}

/// A task that ends with whoever waits for it.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The signals that are the program's rather than ours.
struct Signals(Vec<(&'static str, Signal)>);

impl Signals {
    fn listen(forward: bool) -> Result<Self, CommandError> {
        if !forward {
            return Ok(Self(Vec::new()));
        }
        let kinds = [
            ("SIGINT", SignalKind::interrupt()),
            ("SIGTERM", SignalKind::terminate()),
            ("SIGHUP", SignalKind::hangup()),
            ("SIGQUIT", SignalKind::quit()),
            ("SIGUSR1", SignalKind::user_defined1()),
            ("SIGUSR2", SignalKind::user_defined2()),
        ];
        let listen = |(name, kind)| Ok((name, signal(kind).map_err(|error| unable("take signals", &error))?));
        kinds.into_iter().map(listen).collect::<Result<_, CommandError>>().map(Self)
    }

    /// Returns the name of the next one.
    async fn next(&mut self) -> &'static str {
        std::future::poll_fn(|context| {
            for (name, signal) in &mut self.0 {
                if signal.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(*name);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}
