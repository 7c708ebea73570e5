//! What a keeper does next: pure, `on(event, now) -> actions`. The loop in `run` carries the actions out.
//!
//! Holds the restart policy with its back-off and the way to stop; the verdict on health is `health::Probing`'s.
//! `now` is time on a clock that no person can set, from any beginning.

use std::time::Duration;

use crate::keeper::health::{Outcome, Probing};
use crate::state::container::{HealthRecord, HealthcheckRecord, RestartRecord, StatusRecord};

/// First pause before a restart; it doubles with each that fails soon.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause before a restart.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A run of this length was no failed start: the next pause is the first one again.
const STEADY: Duration = Duration::from_secs(10);

const SIGINT: i32 = 2;
const SIGKILL: i32 = 9;

/// Something that the loop saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The program has been exec'd.
    Started,
    /// A restart failed before the program ran, with the code that stands for why.
    NotStarted {
        /// 125, 126 or 127.
        exit_code: i32,
    },
    /// Process 1 has ended and all its output has been read.
    Exited {
        /// Its own code, or 128 and the signal.
        exit_code: i32,
        /// The kernel killed it for memory.
        out_of_memory: bool,
    },
    /// Somebody wants it to stop.
    Stop {
        /// First signal.
        signal: i32,
        /// Time until it is killed.
        grace: Duration,
        /// What process 1 listens to.
        hearing: Hearing,
    },
    /// Somebody wants it to stop and to run again at once, in the same place.
    Restart {
        /// First signal.
        signal: i32,
        /// Time until it is killed.
        grace: Duration,
        /// What process 1 listens to.
        hearing: Hearing,
    },
    /// Its processes have been frozen.
    Paused,
    /// Its processes have been let go on.
    Unpaused,
    /// Somebody sent a signal that ends it for good (`kill`): it is not started again.
    Killed {
        /// The signal.
        signal: i32,
    },
    /// A probe ended, or could not be run.
    Probed(Outcome),
    /// A probe was let go of before it ended: it is run again.
    ProbeLost,
    /// `deadline` has passed.
    Due,
}

/// Something for the loop to do, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Launch the sandbox; answer with `Started` or `NotStarted`.
    Launch,
    /// Send process 1 this signal.
    Signal(i32),
    /// Kill every process of the container.
    KillAll,
    /// Run the health check's program; answer with `Probed`.
    Probe,
    /// Kill the probe that is running; no answer is expected.
    AbortProbe,
    /// Let frozen processes go on: what they were sent must reach them.
    Thaw,
    /// Write down the state.
    Record,
    /// The keeper's work is done.
    End,
}

/// The signals that process 1 would notice. The kernel drops every other one that is sent to it: a namespace's
/// process 1 has no default actions (pid_namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hearing {
    /// It could not be found out: take it for a good listener.
    Unknown,
    /// Bit `n - 1` for signal `n`: it has a handler, or is blocked and so kept for whoever waits for it.
    Signals(u64),
}

impl Hearing {
    /// Says whether `signal` would reach the program.
    pub fn hears(self, signal: i32) -> bool {
        match self {
            Self::Unknown => true,
            // SIGKILL and SIGSTOP always work from outside of the namespace.
            Self::Signals(mask) => {
                matches!(signal, SIGKILL | 19)
                    || u32::try_from(signal - 1).is_ok_and(|bit| bit < 64 && mask >> bit & 1 == 1)
            }
        }
    }
}

/// What the container is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not launched yet, or being launched.
    Starting,
    /// Its program runs.
    Running {
        /// When it was exec'd.
        since: Duration,
        /// It was told to stop: when it is killed, `None`: it has been.
        stopping: Option<Option<Duration>>,
        /// Its processes are frozen.
        paused: bool,
    },
    /// It ended and will be started again.
    Waiting {
        /// When.
        until: Duration,
        /// Code of the last run.
        exit_code: i32,
    },
    /// It ended for good.
    Ended {
        /// Code of the last run.
        exit_code: i32,
        /// The kernel killed it for memory.
        out_of_memory: bool,
    },
}

/// The policy of one container and where it stands.
#[derive(Debug)]
pub struct Machine {
    restart: RestartRecord,
    probing: Option<Probing>,
    phase: Phase,
    pause: Duration,
    restarts: u32,
    stopped_by_user: bool,
    /// It is being stopped only to be run again.
    again: bool,
    deaf_to: Option<i32>,
}

impl Machine {
    /// Makes the machine of a container that is about to be launched for the first time.
    pub fn new(restart: RestartRecord, health: Option<&HealthcheckRecord>) -> Self {
        Self {
            restart,
            probing: health.map(Probing::new),
            phase: Phase::Starting,
            pause: FIRST_PAUSE,
            restarts: 0,
            stopped_by_user: false,
            again: false,
            deaf_to: None,
        }
    }

    /// Makes the machine of a container whose keeper was killed, from what that has written down.
    pub fn adopt(
        restart: RestartRecord,
        health: Option<&HealthcheckRecord>,
        status: &StatusRecord,
        phase: Phase,
        now: Duration,
    ) -> Self {
        let mut probing = health.map(Probing::new);
        if let (Some(probing), Phase::Running { since, .. }, Some(verdict)) = (&mut probing, phase, &status.health) {
            probing.adopt(verdict, since, now);
        }
        let pause = (0..status.restarts).try_fold(FIRST_PAUSE, |pause, _| {
            let next = pause * 2;
            (next < LONGEST_PAUSE).then_some(next)
        });
        Self {
            restart,
            probing,
            phase,
            pause: pause.unwrap_or(LONGEST_PAUSE),
            restarts: status.restarts,
            stopped_by_user: status.stopped_by_user,
            again: false,
            deaf_to: status.deaf_to,
        }
    }

    /// Returns what the container is doing.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Takes another policy; it holds from the next end on.
    pub fn set_restart(&mut self, restart: RestartRecord) {
        self.restart = restart;
    }

    /// Says whether it is being stopped only to be run again at once.
    pub fn is_again(&self) -> bool {
        self.again
    }

    /// Returns how often it has been started again.
    pub fn restarts(&self) -> u32 {
        self.restarts
    }

    /// Says whether somebody wanted it to stop.
    pub fn stopped_by_user(&self) -> bool {
        self.stopped_by_user
    }

    /// Returns the stop signal that process 1 did not listen to, if so.
    pub fn deaf_to(&self) -> Option<i32> {
        self.deaf_to
    }

    /// Returns the verdict of the health check while the program runs.
    pub fn health(&self) -> Option<HealthRecord> {
        match self.phase {
            Phase::Running { .. } => self.probing.as_ref().map(Probing::verdict),
            Phase::Starting | Phase::Waiting { .. } | Phase::Ended { .. } => None,
        }
    }

    /// Returns when `Due` must be sent; `None`: nothing is waited for.
    pub fn deadline(&self) -> Option<Duration> {
        match self.phase {
            Phase::Running { stopping: Some(kill_at), .. } => kill_at,
            Phase::Running { stopping: None, paused: false, .. } => self.probing.as_ref().map(Probing::deadline),
            Phase::Running { stopping: None, paused: true, .. } => None,
            Phase::Waiting { until, .. } => Some(until),
            Phase::Starting | Phase::Ended { .. } => None,
        }
    }

    /// Takes one event.
    pub fn on(&mut self, event: Event, now: Duration) -> Vec<Action> {
        match event {
            Event::Started => {
                self.phase = Phase::Running { since: now, stopping: None, paused: false };
                self.deaf_to = None;
                if let Some(probing) = &mut self.probing {
                    probing.start(now);
                }
                vec![Action::Record]
            }
            Event::NotStarted { exit_code } => self.ended(exit_code, false, Duration::ZERO, now),
            Event::Exited { exit_code, out_of_memory } => {
                let lasted = match self.phase {
                    Phase::Running { since, .. } => now.saturating_sub(since),
                    Phase::Starting | Phase::Waiting { .. } | Phase::Ended { .. } => Duration::ZERO,
                };
                let mut actions = self.stop_probing();
                actions.extend(self.ended(exit_code, out_of_memory, lasted, now));
                actions
            }
            Event::Stop { signal, grace, hearing } => self.stop(signal, grace, hearing, now),
            Event::Restart { signal, grace, hearing } => self.restart(signal, grace, hearing, now),
            Event::Paused => self.pause(),
            Event::Unpaused => self.unpause(now),
            Event::Killed { signal } => self.kill(signal),
            Event::Probed(outcome) => match (&mut self.probing, self.phase) {
                (Some(probing), Phase::Running { stopping: None, .. }) => {
                    let before = probing.verdict();
                    probing.ended(outcome, now);
                    // Every failure is news only while its number or output is: a healthy one writes nothing.
                    if probing.verdict() == before { vec![] } else { vec![Action::Record] }
                }
                _ => vec![],
            },
            Event::ProbeLost => {
                if let (Some(probing), Phase::Running { stopping: None, paused: false, .. }) =
                    (&mut self.probing, self.phase)
                {
                    probing.again(now);
                }
                vec![]
            }
            Event::Due => self.due(now),
        }
    }

    fn ended(&mut self, exit_code: i32, out_of_memory: bool, lasted: Duration, now: Duration) -> Vec<Action> {
        if std::mem::take(&mut self.again) {
            self.pause = FIRST_PAUSE;
            self.phase = Phase::Starting;
            return vec![Action::Launch];
        }
        if !self.is_restarted(exit_code) {
            self.phase = Phase::Ended { exit_code, out_of_memory };
            return vec![Action::Record, Action::End];
        }
        if lasted >= STEADY {
            self.pause = FIRST_PAUSE;
        }
        self.phase = Phase::Waiting { until: now + self.pause, exit_code };
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        vec![Action::Record]
    }

    fn is_restarted(&self, exit_code: i32) -> bool {
        if self.stopped_by_user {
            return false;
        }
        match self.restart {
            RestartRecord::No => false,
            RestartRecord::Always | RestartRecord::UnlessStopped => true,
            RestartRecord::OnFailure { max } => exit_code != 0 && max.is_none_or(|max| self.restarts < max),
        }
    }

    fn stop(&mut self, signal: i32, grace: Duration, hearing: Hearing, now: Duration) -> Vec<Action> {
        self.stopped_by_user = true;
        self.again = false;
        match self.phase {
            Phase::Waiting { exit_code, .. } => {
                self.phase = Phase::Ended { exit_code, out_of_memory: false };
                vec![Action::Record, Action::End]
            }
            Phase::Running { since, stopping, paused } => {
                // A second, more impatient stop shortens the first one's grace; it never lengthens it.
                let kill_at = (now + grace).min(stopping.flatten().unwrap_or(Duration::MAX));
                let mut actions = self.stop_probing();
                let deaf = !hearing.hears(signal);
                if deaf {
                    self.deaf_to = Some(signal);
                }
                let stopping = if grace.is_zero() || (deaf && !hearing.hears(SIGINT)) {
                    // It is sent all the same, as Docker does: what has happened is told by both.
                    actions.extend((signal != SIGKILL).then_some(Action::Signal(signal)));
                    actions.push(Action::KillAll);
                    None
                } else {
                    actions.push(Action::Signal(if deaf { SIGINT } else { signal }));
                    Some(kill_at)
                };
                if paused {
                    actions.push(Action::Thaw);
                }
                self.phase = Phase::Running { since, stopping: Some(stopping), paused: false };
                actions
            }
            Phase::Starting | Phase::Ended { .. } => vec![],
        }
    }

    fn restart(&mut self, signal: i32, grace: Duration, hearing: Hearing, now: Duration) -> Vec<Action> {
        match self.phase {
            Phase::Running { .. } => {
                let actions = self.stop(signal, grace, hearing, now);
                self.stopped_by_user = false;
                self.again = true;
                self.restarts = 0;
                actions
            }
            Phase::Waiting { .. } => {
                self.phase = Phase::Starting;
                vec![Action::Launch]
            }
            Phase::Starting | Phase::Ended { .. } => vec![],
        }
    }

    fn pause(&mut self) -> Vec<Action> {
        match &mut self.phase {
            Phase::Running { paused: paused @ false, .. } => {
                *paused = true;
                let mut actions = self.stop_probing();
                actions.push(Action::Record);
                actions
            }
            Phase::Running { .. } | Phase::Starting | Phase::Waiting { .. } | Phase::Ended { .. } => vec![],
        }
    }

    fn unpause(&mut self, now: Duration) -> Vec<Action> {
        match &mut self.phase {
            Phase::Running { paused: paused @ true, .. } => {
                *paused = false;
                if let Some(probing) = &mut self.probing {
                    probing.resume(now);
                }
                vec![Action::Record]
            }
            Phase::Running { .. } | Phase::Starting | Phase::Waiting { .. } | Phase::Ended { .. } => vec![],
        }
    }

    fn kill(&mut self, signal: i32) -> Vec<Action> {
        self.stopped_by_user = true;
        self.again = false;
        match self.phase {
            Phase::Waiting { exit_code, .. } => {
                self.phase = Phase::Ended { exit_code, out_of_memory: false };
                vec![Action::Record, Action::End]
            }
            Phase::Running { since, stopping, paused } => {
                let mut actions = vec![if signal == SIGKILL { Action::KillAll } else { Action::Signal(signal) }];
                if paused {
                    actions.push(Action::Thaw);
                    self.phase = Phase::Running { since, stopping, paused: false };
                }
                actions
            }
            Phase::Starting | Phase::Ended { .. } => vec![],
        }
    }

    fn stop_probing(&mut self) -> Vec<Action> {
        let was_running = self.probing.as_mut().is_some_and(Probing::abort);
        if was_running { vec![Action::AbortProbe] } else { vec![] }
    }

    fn due(&mut self, now: Duration) -> Vec<Action> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return vec![];
        }
        match self.phase {
            Phase::Running { since, stopping: Some(Some(_)), paused } => {
                self.phase = Phase::Running { since, stopping: Some(None), paused };
                vec![Action::KillAll]
            }
            Phase::Running { stopping: None, .. } => match &mut self.probing {
                Some(probing) => {
                    let before = probing.verdict();
                    let mut actions = probing.due(now);
                    if probing.verdict() != before {
                        actions.push(Action::Record);
                    }
                    actions
                }
                None => vec![],
            },
            Phase::Waiting { .. } => {
                self.restarts += 1;
                self.phase = Phase::Starting;
                vec![Action::Launch]
            }
            Phase::Running { stopping: Some(None), .. } | Phase::Starting | Phase::Ended { .. } => vec![],
        }
    }
}

#[cfg(test)]
mod tests;
