//! The keeper: parent of one container's process 1, and the one poll loop that serves it until it ends for good.
//!
//! It holds the container's lock while it lives, writes its status, and tells who started it over a pipe how that went.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{WaitId, WaitIdOptions};

use crate::Runtime;
use crate::cgroup::group::Group;
use crate::keeper::control::{self, Client, Received, Reply, Request};
use crate::keeper::health::Outcome;
use crate::keeper::launch::{self, Held, Run};
use crate::keeper::log::LogWriter;
use crate::keeper::machine::{Action, Event, Machine, Phase};
use crate::keeper::probe::{self, Probe, Progress};
use crate::keeper::ready::{Ready, StartFailure};
use crate::keeper::{hearing, stdio};
use crate::state::container::{ContainerRecord, NamespaceRecord, Status, StatusRecord, VERSION};
use crate::state::layout::Bundle;
use crate::state::process::{ProcessId, boot_id};
use crate::state::record::{self, Lock};
use crate::sys::termination::Termination;

struct Keeper<'a> {
    rt: &'a Runtime,
    record: ContainerRecord,
    bundle: Bundle,
    machine: Machine,
    clock: Instant,
    log: LogWriter,
    listener: UnixListener,
    /// The machine is going down, or somebody ends the keeper.
    termination: Option<Termination>,
    clients: Vec<Client>,
    /// They asked it to stop and wait for the end.
    waiting: Vec<Client>,
    held: Held,
    run: Option<Run>,
    probe: Option<Probe>,
    boot: String,
    me: Option<ProcessId>,
    since_ms: u64,
    at_ms: u64,
    /// Said once: a full disk would otherwise be told with each line.
    log_has_failed: bool,
    is_ended: bool,
    _lock: Lock,
}

/// Which descriptor is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Listener,
    Termination,
    Client(usize),
    Init,
    Output(usize),
    Names,
    Proxy,
    Probe,
}

/// Keeps a container from its start to its end; `ready` is told how the start went. Returns the exit code.
///
/// `act` is the lock of the act of starting: it is let go once the start has succeeded or failed.
pub fn keep(rt: &Runtime, id: &str, act: OwnedFd, ready: OwnedFd) -> i32 {
    let mut ready = Some(File::from(ready));
    let mut tell = |message: &Ready| {
        // Once; whoever started us may be gone by now.
        if let Some(mut pipe) = ready.take()
            && let Ok(text) = serde_json::to_vec(message)
        {
            let _ = pipe.write_all(&text);
        }
    };
    let begun = begin(rt, id);
    drop(act);
    match begun {
        Ok(mut keeper) => {
            tell(&Ready::Running);
            keeper.serve();
            0
        }
        Err(failure) => {
            tracing::error!("{failure}");
            let code = failure.exit_code;
            tell(&Ready::Failed(failure));
            code
        }
    }
}

fn begin<'a>(rt: &'a Runtime, id: &str) -> Result<Keeper<'a>, StartFailure> {
    let bundle = rt.layout.bundle(id);
    let fail = |error: &(dyn std::error::Error + 'static)| StartFailure::of("cannot start the container", error);
    // The command that started us made sure that no other keeper holds it for long.
    let lock = record::lock(&bundle.lock()).map_err(|error| fail(&error))?;
    let record: ContainerRecord = record::read(&bundle.record())
        .map_err(|error| fail(&error))?
        .ok_or_else(|| fail(&std::io::Error::from(std::io::ErrorKind::NotFound)))?;
    let mut keeper = Keeper {
        rt,
        machine: Machine::new(record.restart, record.healthcheck.as_ref()),
        clock: Instant::now(),
        log: launch::open_log(rt, &record)?,
        listener: control::listen(&bundle).map_err(|error| fail(&error))?,
        termination: Termination::listen().ok(),
        clients: Vec::new(),
        waiting: Vec::new(),
        held: Held::default(),
        run: None,
        probe: None,
        boot: boot_id(),
        me: ProcessId::of(std::process::id().cast_signed()),
        since_ms: 0,
        at_ms: 0,
        log_has_failed: false,
        is_ended: false,
        record,
        bundle,
        _lock: lock,
    };
    if let Err(failure) = keeper.first_launch() {
        keeper.write_status(Status::Dead { reason: failure.message.clone() });
        keeper.clear_away();
        return Err(failure);
    }
    keeper.on(Event::Started);
    Ok(keeper)
}

impl Keeper<'_> {
    fn first_launch(&mut self) -> Result<(), StartFailure> {
        self.held = launch::hold(self.rt, &self.record)?;
        self.launch()
    }

    fn launch(&mut self) -> Result<(), StartFailure> {
        self.run = Some(launch::launch(self.rt, &self.record, &mut self.held)?);
        self.since_ms = now_ms();
        Ok(())
    }

    fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    fn serve(&mut self) {
        while !self.is_ended {
            for source in self.wait() {
                self.on_ready(source);
            }
            if self.machine.deadline().is_some_and(|deadline| deadline <= self.now()) {
                self.on(Event::Due);
            }
        }
        self.clear_away();
    }

    /// Waits for something to do, and returns what.
    fn wait(&self) -> Vec<Source> {
        let mut sources = Vec::with_capacity(8);
        let mut fds = Vec::with_capacity(8);
        let mut add = |source, fd, events| {
            sources.push(source);
            fds.push(PollFd::from_borrowed_fd(fd, events));
        };
        add(Source::Listener, self.listener.as_fd(), PollFlags::IN);
        if let Some(termination) = &self.termination {
            add(Source::Termination, termination.as_fd(), PollFlags::IN);
        }
        for (index, client) in self.clients.iter().enumerate() {
            add(Source::Client(index), client.as_fd(), PollFlags::IN);
        }
        if let Some(run) = &self.run {
            add(Source::Init, run.pidfd.as_fd(), PollFlags::IN);
            for (index, fd) in run.streams.fds().enumerate() {
                add(Source::Output(index), fd, PollFlags::IN);
            }
            for (fd, events) in run.names.iter().flat_map(|names| names.poll_fds()) {
                add(Source::Names, fd, events);
            }
        }
        for (fd, events) in self.held.proxy.iter().flat_map(|proxy| proxy.poll_fds()) {
            add(Source::Proxy, fd, events);
        }
        for fd in self.probe.iter().flat_map(Probe::fds) {
            add(Source::Probe, fd, PollFlags::IN);
        }
        let timeout = self.machine.deadline().map(|deadline| timespec(deadline.saturating_sub(self.now())));
        if rustix::event::poll(&mut fds, timeout.as_ref()).is_err() {
            return Vec::new();
        }
        let mut ready: Vec<Source> = sources
            .into_iter()
            .zip(&fds)
            .filter(|(_, fd)| !fd.revents().is_empty())
            .map(|(source, _)| source)
            .collect();
        // From the last to the first: what is let go must not move those that are still to come.
        ready.reverse();
        ready.dedup();
        ready
    }

    fn on_ready(&mut self, source: Source) {
        match source {
            Source::Listener => self.clients.extend(Client::accept(&self.listener)),
            Source::Termination => {
                if self.termination.as_ref().is_some_and(Termination::arrived) {
                    self.stop(None, None);
                }
            }
            Source::Client(index) => self.on_client(index),
            Source::Init => self.on_exit(),
            Source::Output(index) => {
                if let Some(run) = &mut self.run {
                    let result = run.streams.pump(index, &mut self.log).map(|_| ());
                    self.check_log(result);
                }
            }
            Source::Names => {
                if let Some(names) = self.run.as_mut().and_then(|run| run.names.as_mut()) {
                    names.on_ready();
                }
            }
            Source::Proxy => {
                if let Some(proxy) = &mut self.held.proxy {
                    proxy.on_ready();
                }
            }
            Source::Probe => {
                if let Some(Progress::Ended(outcome)) = self.probe.as_mut().map(Probe::on_ready) {
                    self.probe = None;
                    self.on(Event::Probed(outcome));
                }
            }
        }
    }

    fn check_log(&mut self, result: std::io::Result<()>) {
        if let Err(error) = result
            && !std::mem::replace(&mut self.log_has_failed, true)
        {
            tracing::error!(%error, "cannot write the container's log: lines are lost");
        }
    }

    fn on_client(&mut self, index: usize) {
        match self.clients[index].receive() {
            Received::Nothing => {}
            Received::Gone => {
                self.clients.remove(index);
            }
            Received::Request(Request::Stop { signal, grace_ms }) => {
                let client = self.clients.remove(index);
                self.waiting.push(client);
                self.stop(signal, grace_ms);
            }
            Received::Request(Request::Signal { signal }) => {
                let reply = self.signal(signal);
                self.clients[index].answer(&reply);
            }
        }
    }

    fn stop(&mut self, signal: Option<i32>, grace_ms: Option<u64>) {
        let hearing = self
            .run
            .as_ref()
            .map_or(crate::keeper::machine::Hearing::Unknown, |run| hearing::of(&self.record, run.init.pid));
        self.on(Event::Stop {
            signal: signal.unwrap_or(self.record.stop_signal),
            grace: Duration::from_millis(grace_ms.unwrap_or(self.record.stop_grace_ms)),
            hearing,
        });
    }

    /// Signals that end it for good keep it from being started again, as Docker's `kill` does; others are passed on.
    fn signal(&mut self, signal: i32) -> Reply {
        if signal == rustix::process::Signal::KILL.as_raw() || signal == self.record.stop_signal {
            self.on(Event::Killed { signal });
            return Reply::Done;
        }
        match &self.run {
            Some(run) => match crate::sys::process::signal(run.pidfd.as_fd(), signal) {
                Ok(()) => Reply::Done,
                Err(error) => Reply::Failed { message: error.to_string() },
            },
            None => Reply::Failed { message: "it does not run".into() },
        }
    }

    fn on_exit(&mut self) {
        let Some(run) = &self.run else { return };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let exit_code = match rustix::process::waitid(WaitId::PidFd(run.pidfd.as_fd()), options) {
            Ok(None) => return,
            Ok(Some(status)) => {
                status.exit_status().or(status.terminating_signal().map(|signal| 128 + signal)).unwrap_or(255)
            }
            Err(error) => {
                tracing::error!(%error, "cannot wait for the container's process");
                255
            }
        };
        let Some(mut run) = self.run.take() else { return };
        self.at_ms = now_ms();
        if let Some(probe) = self.probe.take() {
            probe.abort();
        }
        // The end of a namespace's process 1 is that of all in it; without one of its own, others may live on.
        if self.record.namespaces.pid != NamespaceRecord::Private {
            self.kill_group();
        }
        let drained = run.streams.drain(&mut self.log);
        self.check_log(drained);
        let oom_kills = self.held.group.as_ref().map_or(0, Group::oom_kills);
        let out_of_memory = oom_kills > run.oom_kills;
        drop(run);
        self.on(Event::Exited { exit_code, out_of_memory });
        if !self.is_ended {
            launch::unplug(self.rt, &self.record);
        }
    }

    fn kill_group(&self) {
        if let Some(group) = &self.held.group
            && let Err(error) = group.kill_all()
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot kill the container's group");
        }
    }

    fn on(&mut self, event: Event) {
        let now = self.now();
        for action in self.machine.on(event, now) {
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Launch => {
                let event = match self.launch() {
                    Ok(()) => Event::Started,
                    Err(failure) => {
                        tracing::error!("{failure}");
                        self.at_ms = now_ms();
                        Event::NotStarted { exit_code: failure.exit_code }
                    }
                };
                self.on(event);
            }
            Action::Signal(signal) => self.send(signal),
            Action::KillAll => {
                self.send(rustix::process::Signal::KILL.as_raw());
                if self.record.namespaces.pid != NamespaceRecord::Private {
                    self.kill_group();
                }
            }
            Action::Probe => self.start_probe(),
            Action::AbortProbe => {
                if let Some(probe) = self.probe.take() {
                    probe.abort();
                }
            }
            Action::Record => {
                let status = self.status();
                self.write_status(status);
            }
            Action::End => self.is_ended = true,
        }
    }

    fn send(&self, signal: i32) {
        if let Some(run) = &self.run
            && let Err(error) = crate::sys::process::signal(run.pidfd.as_fd(), signal)
        {
            // It has ended just now.
            tracing::debug!(%error, signal, "cannot signal process 1");
        }
        if let Some(deaf_to) = self.machine.deaf_to() {
            tracing::info!("process 1 does not listen to signal {deaf_to}: sent {signal} without a wait");
        }
    }

    fn start_probe(&mut self) {
        let (Some(run), Some(check)) = (&self.run, &self.record.healthcheck) else { return };
        match probe::start(&run.target, check, &self.record.process) {
            Ok(probe) => self.probe = Some(probe),
            Err(error) => {
                let exit_code = Some(error.exit_code());
                self.on(Event::Probed(Outcome { exit_code, output: error.to_string() }));
            }
        }
    }

    fn status(&self) -> Status {
        match self.machine.phase() {
            Phase::Starting => Status::Created,
            Phase::Running { .. } => match &self.run {
                Some(run) => Status::Running { init: run.init, since_ms: self.since_ms },
                None => Status::Created,
            },
            Phase::Waiting { until, exit_code } => Status::Restarting {
                exit_code,
                at_ms: self.at_ms,
                next_ms: now_ms() + millis(until.saturating_sub(self.now())),
            },
            Phase::Ended { exit_code, out_of_memory } => {
                Status::Exited { exit_code, at_ms: self.at_ms, since_ms: self.since_ms, out_of_memory }
            }
        }
    }

    fn write_status(&self, status: Status) {
        let is_over = matches!(status, Status::Exited { .. } | Status::Dead { .. });
        let record = StatusRecord {
            version: VERSION,
            status,
            health: self.machine.health(),
            restarts: self.machine.restarts(),
            stopped_by_user: self.machine.stopped_by_user(),
            keeper: if is_over { None } else { self.me },
            ports: if is_over { Vec::new() } else { self.held.ports.clone() },
            boot: self.boot.clone(),
            deaf_to: self.machine.deaf_to(),
        };
        if let Err(error) = record::write(&self.bundle.status(), &record) {
            tracing::error!(error = &error as &dyn std::error::Error, "cannot write the status");
        }
    }

    /// Whoever waits is answered as soon as nothing of the container can be met any more; the rest is ours alone.
    fn clear_away(&mut self) {
        launch::let_go(self.rt, &self.record, &mut self.held);
        for client in &mut self.waiting {
            client.answer(&Reply::Done);
        }
        launch::unplug(self.rt, &self.record);
        if let Some(group) = self.held.group.take()
            && let Err(error) = group.remove()
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot remove the container's group");
        }
        let _ = std::fs::remove_dir_all(&self.bundle.run);
    }
}

fn now_ms() -> u64 {
    millis(stdio::now())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Rounded up, so that what is waited for has come when poll(2) returns; a day is as good as for ever.
fn timespec(duration: Duration) -> Timespec {
    let duration = duration.min(Duration::from_secs(86_400)) + Duration::from_micros(1);
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(86_400),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}
