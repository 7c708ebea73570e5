//! What a keeper does: it carries out what the machine decides, and writes down what becomes of the container.

use std::error::Error;
use std::os::fd::AsFd as _;

use rustix::process::{Signal, WaitId, WaitIdOptions};

use crate::cgroup::group::Group;
use crate::keeper::control::Reply;
use crate::keeper::health::Outcome;
use crate::keeper::launch::{self, Ending};
use crate::keeper::log::Stream;
use crate::keeper::machine::{Action, Event, Phase};
use crate::keeper::probe;
use crate::keeper::ready::StartFailure;
use crate::keeper::run::{Keeper, millis, now_ms};
use crate::keeper::stdio::{self, Streams};
use crate::sandbox::launch::Born;
use crate::state::container::{
    ContainerRecord, FailureRecord, HealthRecord, NamespaceRecord, Status, StatusRecord, VERSION,
};
use crate::state::occurrence;
use crate::state::record;
use crate::sys::aside;

impl Keeper<'_> {
    pub(super) fn on_exit(&mut self) {
        let Some(run) = &self.run else { return };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let exit_code = match run.ending {
            Ending::Child => match rustix::process::waitid(WaitId::PidFd(run.pidfd.as_fd()), options) {
                Ok(None) => return,
                Ok(Some(status)) => {
                    status.exit_status().or(status.terminating_signal().map(|signal| 128 + signal)).unwrap_or(255)
                }
                Err(error) => {
                    tracing::error!(%error, "cannot wait for the container's process");
                    255
                }
            },
            Ending::Told => return,
            // The guard may have told it all the same.
            Ending::Seen => self
                .shared
                .end_of(run.init.pid)
                .or_else(|| crate::sys::process::code_of_ended(run.pidfd.as_fd(), run.init.pid))
                .unwrap_or_else(|| {
                    tracing::warn!("nobody knows how the program ended");
                    255
                }),
        };
        self.at_ms = now_ms();
        let oom_kills = self.held.group.as_ref().map_or(0, Group::oom_kills);
        let out_of_memory = oom_kills > run.oom_kills;
        self.ended(exit_code, out_of_memory);
    }

    /// Takes what the guard tells.
    pub(super) fn on_told(&mut self) {
        let pid = self.run.as_ref().map_or(0, |run| run.init.pid);
        let Some(exit_code) = self.shared.end_of(pid) else { return };
        let Some(run) = self.run.as_ref().filter(|run| run.ending == Ending::Told) else { return };
        self.at_ms = now_ms();
        let oom_kills = self.held.group.as_ref().map_or(0, Group::oom_kills);
        let out_of_memory = oom_kills > run.oom_kills;
        self.ended(exit_code, out_of_memory);
    }

    /// Does all that is to be done when the program has ended.
    pub(super) fn ended(&mut self, exit_code: i32, out_of_memory: bool) {
        let mut run = self.run.take();
        if let Some(probe) = self.probe.take() {
            probe.abort();
        }
        // The end of a namespace's process 1 is that of all in it; without one of its own, others may live on.
        if self.record.namespaces.pid != NamespaceRecord::Private {
            self.kill_group();
        }
        if let Some(run) = &mut run {
            let drained = run.streams.drain(&mut self.log, &mut self.joints);
            self.check_log(drained);
        }
        // What an earlier keeper has left of a stream that was not found again.
        for stream in [Stream::Stdout, Stream::Stderr] {
            let rest = self.log.end(stream, stdio::now());
            self.check_log(rest);
        }
        if out_of_memory {
            self.tell("oom", &[]);
        }
        let seconds = self.at_ms.saturating_sub(self.since_ms) / 1000;
        self.tell("die", &[("exitCode", exit_code.to_string()), ("execDuration", seconds.to_string())]);
        let is_again = self.machine.is_again();
        if is_again {
            if self.place.is_none() {
                launch::tell_unplugged(self.rt, &self.record);
            }
            self.tell("stop", &[]);
        }
        match &mut self.place {
            Some(place) if is_again => place.names = run.as_mut().and_then(|run| run.names.take()),
            Some(_) | None => self.place = None,
        }
        drop(run);
        if self.place.is_none() && is_again {
            launch::unplug(self.rt, &self.record);
        }
        self.on(Event::Exited { exit_code, out_of_memory });
        if !is_again {
            // After it is written down how it ended.
            self.end_joints();
        }
        if !self.is_ended && !is_again {
            launch::unplug(self.rt, &self.record);
        }
    }

    pub(super) fn kill_group(&self) {
        if let Some(group) = &self.held.group
            && let Err(error) = group.kill_all()
        {
            tracing::warn!(error = &error as &dyn Error, "cannot kill the container's group");
        }
    }

    pub(super) fn on(&mut self, event: Event) {
        let now = self.now();
        for action in self.machine.on(event, now) {
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Launch => {
                let (event, reply) = match self.launch_again() {
                    Ok(()) => (Event::Started, Reply::Done),
                    Err(failure) => {
                        tracing::error!("{failure}");
                        self.at_ms = now_ms();
                        let reply = Reply::Failed { message: failure.message };
                        (Event::NotStarted { exit_code: failure.exit_code }, reply)
                    }
                };
                let is_running = event == Event::Started;
                self.on(event);
                if is_running {
                    self.tell("start", &[]);
                    if !self.restarting.is_empty() {
                        self.tell("restart", &[]);
                    }
                }
                self.answer_restarts(&reply);
            }
            Action::Signal(signal) => {
                self.tell_stop_signal(signal);
                self.send(signal);
            }
            Action::KillAll => {
                self.tell_stop_signal(Signal::KILL.as_raw());
                self.send(Signal::KILL.as_raw());
                if self.record.namespaces.pid != NamespaceRecord::Private {
                    self.kill_group();
                }
            }
            Action::Thaw => {
                if let Some(Err(error)) = self.held.group.as_ref().map(Group::thaw) {
                    tracing::warn!(error = &error as &dyn Error, "cannot let the frozen processes go on");
                }
                self.tell("unpause", &[]);
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
                self.tell_health();
            }
            Action::End => self.is_ended = true,
        }
    }

    /// Runs the program anew, where the last run was if that has been kept.
    fn launch_again(&mut self) -> Result<(), StartFailure> {
        // A terminal of its own ends with its session: it gets another one, with all around it.
        if let Some(place) = self.place.take_if(|_| !self.record.process.tty) {
            let keep = |born: &Born, streams: &Streams, kills| self.keep_run(born, streams, kills);
            match launch::relaunch(self.rt, &self.record, &self.held, place, &keep) {
                Ok(run) => {
                    self.begin_run(run);
                    return Ok(());
                }
                Err(failure) => tracing::warn!("{failure}: running it in new namespaces"),
            }
            launch::unplug(self.rt, &self.record);
        } else if self.place.take().is_some() {
            launch::unplug(self.rt, &self.record);
        }
        self.launch()
    }

    /// Writes down what happens to the container, under the name that it has by now.
    pub(super) fn tell(&self, action: &str, more: &[(&str, String)]) {
        let now: Option<ContainerRecord> = record::read(&self.bundle.record()).ok().flatten();
        occurrence::of_container(&self.rt.layout, now.as_ref().unwrap_or(&self.record), action, more);
    }

    /// A stop is told by its signals; a `kill` has been told already.
    fn tell_stop_signal(&self, signal: i32) {
        if matches!(self.machine.phase(), Phase::Running { stopping: Some(_), .. }) {
            self.tell("kill", &[("signal", signal.to_string())]);
        }
    }

    fn send(&self, signal: i32) {
        if let Some(run) = &self.run
            && let Err(error) = crate::sys::process::signal(run.pidfd.as_fd(), signal)
        {
            // It has ended just now.
            tracing::debug!(%error, signal, "cannot signal process 1");
        }
        if let Some(deaf_to) = self.machine.deaf_to().filter(|deaf_to| *deaf_to != signal) {
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

    /// Returns the verdict on its health in a word.
    pub(super) fn health_word(&self) -> Option<&'static str> {
        self.machine.health().map(|health| match health {
            HealthRecord::Starting => "starting",
            HealthRecord::Healthy => "healthy",
            HealthRecord::Unhealthy { .. } => "unhealthy",
        })
    }

    fn tell_health(&mut self) {
        let verdict = self.health_word();
        // As in Docker a start has no verdict to tell, the first one or a later one.
        if let Some(verdict) = verdict.filter(|verdict| *verdict != "starting" && self.told_health != Some(*verdict)) {
            self.tell(&format!("health_status: {verdict}"), &[]);
        }
        self.told_health = verdict;
    }

    pub(super) fn status(&self) -> Status {
        match self.machine.phase() {
            Phase::Starting => Status::Created,
            Phase::Running { paused, .. } => match &self.run {
                Some(run) if paused => Status::Paused { init: run.init, since_ms: self.since_ms },
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

    pub(super) fn write_status(&self, status: Status) {
        let is_over = status.is_over();
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
            failure: None,
        };
        self.put_status(&record);
    }

    /// Writes down why it could not be started; else it is what it was before.
    pub(super) fn write_failure(&self, before: StatusRecord, failure: &StartFailure) {
        let exit_code = if matches!(failure.exit_code, 126 | 127) { failure.exit_code } else { 128 };
        let status = match before.status {
            Status::Exited { exit_code: last, at_ms, since_ms, out_of_memory } => {
                let exit_code = if exit_code == 128 && last != 0 { last } else { exit_code };
                Status::Exited { exit_code, at_ms, since_ms, out_of_memory }
            }
            Status::Created
            | Status::Running { .. }
            | Status::Paused { .. }
            | Status::Restarting { .. }
            | Status::Dead { .. } => Status::Created,
        };
        let record = StatusRecord {
            status,
            boot: self.boot.clone(),
            stopped_by_user: before.stopped_by_user,
            failure: Some(FailureRecord { message: failure.message.clone(), exit_code }),
            ..StatusRecord::created()
        };
        self.put_status(&record);
    }

    fn put_status(&self, record: &StatusRecord) {
        if let Err(error) = record::write(&self.bundle.status(), record) {
            tracing::error!(error = &error as &dyn Error, "cannot write the status");
        }
    }

    /// Whoever waits is answered as soon as nothing of the container can be met any more; the rest is ours alone.
    pub(super) fn clear_away(&mut self) {
        launch::let_go(self.rt, &self.record, &mut self.held);
        self.answer_restarts(&Reply::Failed { message: "it has ended meanwhile".into() });
        launch::tell_unplugged(self.rt, &self.record);
        if !self.waiting.is_empty() && !self.is_removed {
            self.tell("stop", &[]);
        }
        for client in &mut self.waiting {
            client.answer(&Reply::Done);
        }
        launch::unplug(self.rt, &self.record);
        if let Some(group) = self.held.group.take()
            && let Err(error) = group.remove()
        {
            tracing::warn!(error = &error as &dyn Error, "cannot remove the container's group");
        }
        let _ = std::fs::remove_dir_all(&self.bundle.run);
        self.end_joints();
        // It syncs the disk: whoever waits for our end need not wait for that.
        if let Some(root) = self.held.root.take() {
            aside::close(root);
        }
    }
}
