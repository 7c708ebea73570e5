//! Health: when to probe and what the answers mean (pure), as Docker does, only sooner.
//!
//! Docker probes for the first time after a whole interval. Here the first probe runs at once and the next ones
//! follow quickly until one passes, so that waiting for health costs nothing; but a failure only counts against
//! the container where Docker would have probed, so nothing is unhealthy earlier than there.

use std::time::Duration;

use crate::keeper::machine::Action;
use crate::state::container::{HealthRecord, HealthcheckRecord};

/// Shortest pause between probes while starting.
const SHORTEST: Duration = Duration::from_millis(10);

/// How a probe ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The program's code; `None`: it was killed at its timeout.
    pub exit_code: Option<i32>,
    /// What it wrote, at most 4 kB.
    pub output: String,
}

/// The health check of one container and where it stands.
#[derive(Debug)]
pub struct Probing {
    interval: Duration,
    timeout: Duration,
    retries: u32,
    start_period: Duration,
    start_interval: Duration,
    /// When the program was exec'd.
    started: Duration,
    /// When a failure counts again.
    counts_from: Duration,
    step: Step,
    verdict: HealthRecord,
    failures: u32,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Idle { next: Duration },
    Probing { since: Duration },
}

impl Probing {
    /// Takes over a health check.
    pub fn new(check: &HealthcheckRecord) -> Self {
        Self {
            interval: Duration::from_millis(check.interval_ms),
            timeout: Duration::from_millis(check.timeout_ms),
            retries: check.retries.max(1),
            start_period: Duration::from_millis(check.start_period_ms),
            start_interval: Duration::from_millis(check.start_interval_ms),
            started: Duration::ZERO,
            counts_from: Duration::ZERO,
            step: Step::Idle { next: Duration::ZERO },
            verdict: HealthRecord::Starting,
            failures: 0,
        }
    }

    /// Begins anew: the program has just been exec'd.
    pub fn start(&mut self, now: Duration) {
        self.started = now;
        self.counts_from = now + self.start_period.max(self.interval);
        self.step = Step::Idle { next: now };
        self.verdict = HealthRecord::Starting;
        self.failures = 0;
    }

    /// Returns the verdict so far.
    pub fn verdict(&self) -> HealthRecord {
        self.verdict.clone()
    }

    /// Returns when `due` must be called.
    pub fn deadline(&self) -> Duration {
        match self.step {
            Step::Idle { next } => next,
            Step::Probing { since } => since + self.timeout,
        }
    }

    /// Begins a probe, or ends one that takes too long.
    pub fn due(&mut self, now: Duration) -> Vec<Action> {
        match self.step {
            Step::Idle { .. } => {
                self.step = Step::Probing { since: now };
                vec![Action::Probe]
            }
            Step::Probing { .. } => {
                let seconds = self.timeout.as_secs_f64();
                self.ended(
                    Outcome { exit_code: None, output: format!("the probe did not end within {seconds} s") },
                    now,
                );
                vec![Action::AbortProbe]
            }
        }
    }

    /// Forgets the probe that runs; says whether there was one.
    pub fn abort(&mut self) -> bool {
        let is_running = matches!(self.step, Step::Probing { .. });
        self.step = Step::Idle { next: Duration::MAX };
        is_running
    }

    /// Goes on where a pause has cut it short, after a whole interval as in Docker.
    pub fn resume(&mut self, now: Duration) {
        self.step = Step::Idle { next: now + self.interval };
    }

    /// Goes on at once, after a probe that was let go of.
    pub fn again(&mut self, now: Duration) {
        self.step = Step::Idle { next: now };
    }

    /// Goes on with the verdict of a keeper that was killed, over a program exec'd at `since`.
    pub fn adopt(&mut self, verdict: &HealthRecord, since: Duration, now: Duration) {
        self.start(since);
        self.verdict = verdict.clone();
        match verdict {
            HealthRecord::Starting => {}
            HealthRecord::Healthy => self.counts_from = Duration::ZERO,
            HealthRecord::Unhealthy { failures, .. } => {
                self.counts_from = Duration::ZERO;
                self.failures = *failures;
            }
        }
        self.again(now);
    }

    /// Judges a probe.
    pub fn ended(&mut self, outcome: Outcome, now: Duration) {
        let Step::Probing { since } = self.step else { return };
        if outcome.exit_code == Some(0) {
            self.verdict = HealthRecord::Healthy;
            self.failures = 0;
            self.counts_from = Duration::ZERO;
            self.step = Step::Idle { next: now + self.interval };
            return;
        }
        if now >= self.counts_from {
            self.failures += 1;
            self.counts_from = now + self.interval;
        }
        if self.failures >= self.retries {
            self.verdict = HealthRecord::Unhealthy {
                failures: self.failures,
                exit_code: outcome.exit_code,
                output: outcome.output,
            };
        }
        self.step = Step::Idle { next: now + self.pause(now - since, now) };
    }

    /// While it starts, a quarter of the time that it has been at it: late by at most that much, and few probes in
    /// all. A costly probe must not slow down what it waits for, so four times its own length at least.
    fn pause(&self, took: Duration, now: Duration) -> Duration {
        match self.verdict {
            HealthRecord::Starting => {
                let at_most = if now < self.started + self.start_period {
                    self.interval.min(self.start_interval)
                } else {
                    self.interval
                };
                ((now - self.started) / 4).max(took * 4).max(SHORTEST).min(at_most)
            }
            HealthRecord::Healthy | HealthRecord::Unhealthy { .. } => self.interval,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    fn probing(start_period_ms: u64) -> Probing {
        let mut probing = Probing::new(&HealthcheckRecord {
            args: vec!["probe".into()],
            interval_ms: 1000,
            timeout_ms: 500,
            retries: 3,
            start_period_ms,
            start_interval_ms: 5000,
        });
        probing.start(Duration::ZERO);
        probing
    }

    fn code(exit_code: i32) -> Outcome {
        Outcome { exit_code: Some(exit_code), output: "no".into() }
    }

    /// Fails every probe, each of which takes 1 ms, until the container is unhealthy; returns when each began.
    fn fail(probing: &mut Probing) -> Vec<u64> {
        let mut begun = Vec::new();
        while !matches!(probing.verdict(), HealthRecord::Unhealthy { .. }) {
            let now = probing.deadline();
            assert_eq!(probing.due(now), [Action::Probe]);
            probing.ended(code(1), now + millis(1));
            begun.push(u64::try_from(now.as_millis()).unwrap());
        }
        begun
    }

    #[test]
    fn the_first_probe_runs_at_once_and_a_pass_is_believed() {
        let mut probing = probing(0);
        assert_eq!(probing.deadline(), Duration::ZERO);
        assert_eq!(probing.due(Duration::ZERO), [Action::Probe]);
        probing.ended(code(0), millis(3));
        assert_eq!(probing.verdict(), HealthRecord::Healthy);
        assert_eq!(probing.deadline(), millis(1003));
    }

    #[test]
    fn early_failures_come_quickly_and_do_not_count() {
        let begun = fail(&mut probing(0));
        assert_eq!(&begun[..4], [0, 11, 22, 33]);
        assert!(begun.len() < 40, "few probes in all: {begun:?}");
        assert!(*begun.last().unwrap() >= 3000, "three failures an interval apart: {begun:?}");
    }

    #[test]
    fn nothing_counts_within_the_start_period() {
        let begun = fail(&mut probing(60_000));
        assert!(*begun.last().unwrap() >= 62_000, "{begun:?}");
    }

    #[test]
    fn a_healthy_container_fails_after_its_retries_and_recovers() {
        let mut probing = probing(0);
        probing.due(Duration::ZERO);
        probing.ended(code(0), millis(1));
        for failures in 1..=3 {
            assert_eq!(probing.verdict(), HealthRecord::Healthy, "after {failures} failures");
            let now = probing.deadline();
            probing.due(now);
            probing.ended(code(7), now);
        }
        assert_eq!(probing.verdict(), HealthRecord::Unhealthy { failures: 3, exit_code: Some(7), output: "no".into() });
        let now = probing.deadline();
        probing.due(now);
        probing.ended(code(0), now);
        assert_eq!(probing.verdict(), HealthRecord::Healthy);
    }

    #[test]
    fn a_probe_that_hangs_is_ended_at_its_timeout() {
        let mut probing = probing(0);
        probing.due(Duration::ZERO);
        assert_eq!(probing.deadline(), millis(500));
        assert_eq!(probing.due(millis(500)), [Action::AbortProbe]);
        assert!(probing.deadline() > millis(500));
    }

    #[test]
    fn a_costly_probe_is_run_a_fifth_of_the_time_at_most() {
        let mut probing = probing(0);
        probing.due(Duration::ZERO);
        probing.ended(code(1), millis(100));
        assert_eq!(probing.deadline(), millis(500));
    }
}
