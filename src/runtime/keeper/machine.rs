//! What a keeper does next: pure, `on(event, now) -> actions`. The loop in `run` carries the actions out.
//!
//! Holds the restart policy with its back-off and the way to stop; the verdict on health is `health::Probing`'s.
//! `now` is time on a clock that no person can set, from any beginning.

use std::time::Duration;

use crate::keeper::health::{Outcome, Probing};
use crate::state::container::{HealthRecord, HealthcheckRecord, RestartRecord};

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
    /// Somebody sent a signal that ends it for good (`kill`): it is not started again.
    Killed {
        /// The signal.
        signal: i32,
    },
    /// A probe ended, or could not be run.
    Probed(Outcome),
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
            deaf_to: None,
        }
    }

    /// Returns what the container is doing.
    pub fn phase(&self) -> Phase {
        self.phase
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
            Phase::Running { stopping: None, .. } => self.probing.as_ref().map(Probing::deadline),
            Phase::Waiting { until, .. } => Some(until),
            Phase::Starting | Phase::Ended { .. } => None,
        }
    }

    /// Takes one event.
    pub fn on(&mut self, event: Event, now: Duration) -> Vec<Action> {
        match event {
            Event::Started => {
                self.phase = Phase::Running { since: now, stopping: None };
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
            Event::Due => self.due(now),
        }
    }

    fn ended(&mut self, exit_code: i32, out_of_memory: bool, lasted: Duration, now: Duration) -> Vec<Action> {
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
        match self.phase {
            Phase::Waiting { exit_code, .. } => {
                self.phase = Phase::Ended { exit_code, out_of_memory: false };
                vec![Action::Record, Action::End]
            }
            Phase::Running { since, stopping } => {
                // A second, more impatient stop shortens the first one's grace; it never lengthens it.
                let kill_at = (now + grace).min(stopping.flatten().unwrap_or(Duration::MAX));
                let mut actions = self.stop_probing();
                let deaf = !hearing.hears(signal);
                if deaf {
                    self.deaf_to = Some(signal);
                }
                let stopping = if grace.is_zero() || (deaf && !hearing.hears(SIGINT)) {
                    actions.push(Action::KillAll);
                    None
                } else {
                    actions.push(Action::Signal(if deaf { SIGINT } else { signal }));
                    Some(kill_at)
                };
                self.phase = Phase::Running { since, stopping: Some(stopping) };
                actions
            }
            Phase::Starting | Phase::Ended { .. } => vec![],
        }
    }

    fn kill(&mut self, signal: i32) -> Vec<Action> {
        self.stopped_by_user = true;
        match self.phase {
            Phase::Waiting { exit_code, .. } => {
                self.phase = Phase::Ended { exit_code, out_of_memory: false };
                vec![Action::Record, Action::End]
            }
            Phase::Running { .. } if signal == SIGKILL => vec![Action::KillAll],
            Phase::Running { .. } => vec![Action::Signal(signal)],
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
            Phase::Running { since, stopping: Some(Some(_)) } => {
                self.phase = Phase::Running { since, stopping: Some(None) };
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
mod tests {
    use super::*;

    const TERM: i32 = 15;

    fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    fn millis(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    fn running(restart: RestartRecord) -> Machine {
        let mut machine = Machine::new(restart, None);
        assert_eq!(machine.on(Event::Started, Duration::ZERO), [Action::Record]);
        machine
    }

    fn exit(machine: &mut Machine, exit_code: i32, now: Duration) -> Vec<Action> {
        machine.on(Event::Exited { exit_code, out_of_memory: false }, now)
    }

    fn stop(hearing: Hearing) -> Event {
        Event::Stop { signal: TERM, grace: seconds(10), hearing }
    }

    fn mask(signals: &[i32]) -> Hearing {
        Hearing::Signals(signals.iter().map(|signal| 1 << (signal - 1)).sum())
    }

    #[test]
    fn without_a_policy_the_first_end_is_the_last() {
        let mut machine = running(RestartRecord::No);
        assert_eq!(exit(&mut machine, 3, seconds(1)), [Action::Record, Action::End]);
        assert_eq!(machine.phase(), Phase::Ended { exit_code: 3, out_of_memory: false });
    }

    #[test]
    fn pauses_double_up_to_a_minute() {
        let mut machine = running(RestartRecord::Always);
        let mut now = Duration::ZERO;
        let mut pauses = Vec::new();
        for _ in 0..12 {
            assert_eq!(exit(&mut machine, 0, now), [Action::Record]);
            let until = machine.deadline().unwrap();
            pauses.push(u64::try_from((until - now).as_millis()).unwrap());
            assert_eq!(machine.on(Event::Due, until - millis(1)), []);
            assert_eq!(machine.on(Event::Due, until), [Action::Launch]);
            assert_eq!(machine.on(Event::Started, until), [Action::Record]);
            now = until;
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000]);
        assert_eq!(machine.restarts(), 12);
    }

    #[test]
    fn a_steady_run_makes_the_next_pause_short_again() {
        let mut machine = running(RestartRecord::Always);
        exit(&mut machine, 1, Duration::ZERO);
        machine.on(Event::Due, millis(100));
        machine.on(Event::Started, millis(100));
        exit(&mut machine, 1, millis(10_100));
        assert_eq!(machine.deadline(), Some(millis(10_200)));
    }

    #[test]
    fn on_failure_leaves_success_alone_and_counts() {
        assert_eq!(
            exit(&mut running(RestartRecord::OnFailure { max: None }), 0, seconds(1)),
            [Action::Record, Action::End]
        );
        let mut machine = running(RestartRecord::OnFailure { max: Some(1) });
        exit(&mut machine, 1, seconds(1));
        machine.on(Event::Due, seconds(2));
        machine.on(Event::Started, seconds(2));
        assert_eq!(exit(&mut machine, 1, seconds(3)), [Action::Record, Action::End]);
    }

    #[test]
    fn a_restart_that_can_not_be_launched_counts_as_a_failed_run() {
        let mut machine = running(RestartRecord::Always);
        exit(&mut machine, 1, Duration::ZERO);
        machine.on(Event::Due, millis(100));
        assert_eq!(machine.on(Event::NotStarted { exit_code: 125 }, millis(100)), [Action::Record]);
        assert_eq!(machine.phase(), Phase::Waiting { until: millis(300), exit_code: 125 });
    }

    #[test]
    fn a_listener_gets_its_grace_and_is_killed_after_it() {
        let mut machine = running(RestartRecord::Always);
        assert_eq!(machine.on(stop(mask(&[TERM])), seconds(1)), [Action::Signal(TERM)]);
        assert_eq!(machine.on(Event::Due, seconds(10)), []);
        assert_eq!(machine.on(Event::Due, seconds(11)), [Action::KillAll]);
        assert_eq!(machine.deadline(), None);
        assert_eq!(exit(&mut machine, 137, seconds(11)), [Action::Record, Action::End]);
        assert!(machine.stopped_by_user());
        assert_eq!(machine.deaf_to(), None);
    }

    #[test]
    fn a_deaf_program_is_interrupted_or_killed_at_once() {
        let mut python = running(RestartRecord::No);
        assert_eq!(python.on(stop(mask(&[SIGINT])), seconds(1)), [Action::Signal(SIGINT)]);
        assert_eq!(python.deaf_to(), Some(TERM));
        assert_eq!(python.deadline(), Some(seconds(11)));
        let mut shell = running(RestartRecord::No);
        assert_eq!(shell.on(stop(mask(&[17])), seconds(1)), [Action::KillAll]);
        assert_eq!(shell.deaf_to(), Some(TERM));
    }

    #[test]
    fn a_second_stop_only_shortens_the_grace() {
        let mut machine = running(RestartRecord::No);
        machine.on(stop(Hearing::Unknown), seconds(1));
        machine.on(Event::Stop { signal: TERM, grace: seconds(60), hearing: Hearing::Unknown }, seconds(2));
        assert_eq!(machine.deadline(), Some(seconds(11)));
        let now = Event::Stop { signal: TERM, grace: Duration::ZERO, hearing: Hearing::Unknown };
        assert_eq!(machine.on(now, seconds(3)), [Action::KillAll]);
    }

    #[test]
    fn a_stop_between_two_runs_ends_it_with_the_last_code() {
        let mut machine = running(RestartRecord::Always);
        exit(&mut machine, 4, seconds(1));
        assert_eq!(machine.on(stop(Hearing::Unknown), seconds(1)), [Action::Record, Action::End]);
        assert_eq!(machine.phase(), Phase::Ended { exit_code: 4, out_of_memory: false });
    }

    #[test]
    fn a_killed_container_is_not_started_again() {
        let mut machine = running(RestartRecord::Always);
        assert_eq!(machine.on(Event::Killed { signal: SIGKILL }, seconds(1)), [Action::KillAll]);
        assert_eq!(exit(&mut machine, 137, seconds(1)), [Action::Record, Action::End]);
    }
}
