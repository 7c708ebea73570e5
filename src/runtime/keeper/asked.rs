//! What a keeper is asked over its socket, and how it answers.

use std::error::Error;
use std::os::fd::AsFd as _;
use std::time::Duration;

use crate::cgroup::group::{Group, GroupError};
use crate::keeper::control::{Client, Received, Reply, Request};
use crate::keeper::hearing;
use crate::keeper::launch::Place;
use crate::keeper::machine::{Event, Hearing, Phase};
use crate::keeper::ready::sentence;
use crate::keeper::run::Keeper;
use crate::state::container::ContainerRecord;
use crate::state::record;

impl Keeper<'_> {
    pub(super) fn on_client(&mut self, index: usize) {
        match self.clients[index].receive() {
            Received::Nothing => {}
            Received::Gone => {
                self.clients.remove(index);
            }
            Received::Request(Request::Stop { signal, grace_ms, for_removal }) => {
                let client = self.clients.remove(index);
                self.is_removed |= for_removal;
                self.waiting.push(client);
                self.stop(signal, grace_ms);
            }
            Received::Request(Request::Restart { signal, grace_ms }) => {
                let client = self.clients.remove(index);
                self.restart(client, signal, grace_ms);
            }
            Received::Request(Request::Signal { signal }) => {
                let reply = self.signal(signal);
                self.clients[index].answer(&reply);
            }
            Received::Request(Request::Attach { replay }) => {
                let client = self.clients.remove(index);
                self.attach(client, replay);
            }
            Received::Request(Request::Execute) => {
                let client = self.clients.remove(index);
                self.execute(client);
            }
            Received::Request(Request::Pause) => {
                let reply = self.freeze();
                self.clients[index].answer(&reply);
            }
            Received::Request(Request::Networks) => {
                let reply = self.settle_networks();
                self.clients[index].answer(&reply);
            }
            Received::Request(Request::Update) => {
                let reply = self.read_again();
                self.clients[index].answer(&reply);
            }
            Received::Request(Request::Unpause) => {
                let reply = self.thaw();
                self.clients[index].answer(&reply);
            }
        }
    }

    fn read_again(&mut self) -> Reply {
        match record::read::<ContainerRecord>(&self.bundle.record()) {
            Ok(Some(record)) => {
                self.machine.set_restart(record.restart);
                self.record.restart = record.restart;
                self.record.limits = record.limits;
                Reply::Done
            }
            Ok(None) => Reply::Failed { message: "its record is gone".into() },
            Err(error) => Reply::Failed { message: sentence(&error) },
        }
    }

    fn hearing(&self) -> Hearing {
        self.run.as_ref().map_or(Hearing::Unknown, |run| hearing::of(&self.record, run.init.pid))
    }

    pub(super) fn stop(&mut self, signal: Option<i32>, grace_ms: Option<u64>) {
        // They are told that something else was asked for meanwhile.
        self.answer_restarts(&Reply::Failed { message: "it was stopped meanwhile".into() });
        self.place = None;
        self.on(Event::Stop {
            signal: signal.unwrap_or(self.record.stop_signal),
            grace: Duration::from_millis(grace_ms.unwrap_or(self.record.stop_grace_ms)),
            hearing: self.hearing(),
        });
    }

    fn restart(&mut self, client: Client, signal: Option<i32>, grace_ms: Option<u64>) {
        self.restarting.push(client);
        if let Some(run) = &self.run
            && self.place.is_none()
        {
            // Opened while there is somebody to show them: held so, they outlive him.
            self.place = match Place::of(run.init.pid) {
                Ok(place) => Some(place),
                Err(error) => {
                    tracing::warn!(%error, "cannot keep the namespaces: the next run gets new ones");
                    None
                }
            };
        }
        self.on(Event::Restart {
            signal: signal.unwrap_or(self.record.stop_signal),
            grace: Duration::from_millis(grace_ms.unwrap_or(self.record.stop_grace_ms)),
            hearing: self.hearing(),
        });
    }

    pub(super) fn answer_restarts(&mut self, reply: &Reply) {
        for mut client in self.restarting.drain(..) {
            client.answer(reply);
        }
    }

    /// Signals that end it for good keep it from being started again, as Docker's `kill` does; others are passed on.
    fn signal(&mut self, signal: i32) -> Reply {
        self.tell("kill", &[("signal", signal.to_string())]);
        if signal == rustix::process::Signal::KILL.as_raw() || signal == self.record.stop_signal {
            self.place = None;
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

    fn is_paused(&self) -> bool {
        matches!(self.machine.phase(), Phase::Running { paused: true, .. })
    }

    fn freeze(&mut self) -> Reply {
        if self.is_paused() {
            return Reply::Done;
        }
        if self.run.is_none() {
            return Reply::Failed { message: "it does not run".into() };
        }
        let Some(group) = &self.held.group else { return Reply::Unsupported { message: NO_GROUP.into() } };
        match group.freeze() {
            Ok(()) => {
                self.on(Event::Paused);
                self.tell("pause", &[]);
                Reply::Done
            }
            Err(error) => {
                // Half frozen is worse than not.
                let _ = group.thaw();
                refusal(&error)
            }
        }
    }

    fn thaw(&mut self) -> Reply {
        if !self.is_paused() {
            return Reply::Done;
        }
        match self.held.group.as_ref().map_or(Ok(()), Group::thaw) {
            Ok(()) => {
                self.on(Event::Unpaused);
                self.tell("unpause", &[]);
                Reply::Done
            }
            Err(error) => refusal(&error),
        }
    }
}

const NO_GROUP: &str = "this host has no control groups to freeze processes with";

fn refusal(error: &GroupError) -> Reply {
    let message = sentence(error as &(dyn Error + 'static));
    match error {
        GroupError::Unsupported { .. } => Reply::Unsupported { message },
        GroupError::Rule { .. }
        | GroupError::BlockDevice { .. }
        | GroupError::Parent { .. }
        | GroupError::Io { .. } => Reply::Failed { message },
    }
}
