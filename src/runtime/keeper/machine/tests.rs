//! What the machine answers, event by event.

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
    assert_eq!(shell.on(stop(mask(&[17])), seconds(1)), [Action::Signal(TERM), Action::KillAll]);
    assert_eq!(shell.deaf_to(), Some(TERM));
}

#[test]
fn a_second_stop_only_shortens_the_grace() {
    let mut machine = running(RestartRecord::No);
    machine.on(stop(Hearing::Unknown), seconds(1));
    machine.on(Event::Stop { signal: TERM, grace: seconds(60), hearing: Hearing::Unknown }, seconds(2));
    assert_eq!(machine.deadline(), Some(seconds(11)));
    let now = Event::Stop { signal: TERM, grace: Duration::ZERO, hearing: Hearing::Unknown };
    assert_eq!(machine.on(now, seconds(3)), [Action::Signal(TERM), Action::KillAll]);
}

#[test]
fn a_stop_between_two_runs_ends_it_with_the_last_code() {
    let mut machine = running(RestartRecord::Always);
    exit(&mut machine, 4, seconds(1));
    assert_eq!(machine.on(stop(Hearing::Unknown), seconds(1)), [Action::Record, Action::End]);
    assert_eq!(machine.phase(), Phase::Ended { exit_code: 4, out_of_memory: false });
}

#[test]
fn a_restart_stops_and_runs_again_whatever_the_policy() {
    let restart = Event::Restart { signal: TERM, grace: seconds(10), hearing: mask(&[TERM]) };
    let mut machine = running(RestartRecord::No);
    assert_eq!(machine.on(restart.clone(), seconds(1)), [Action::Signal(TERM)]);
    assert_eq!(exit(&mut machine, 143, seconds(2)), [Action::Launch]);
    assert_eq!(machine.on(Event::Started, seconds(2)), [Action::Record]);
    assert!(!machine.stopped_by_user());
    assert_eq!(exit(&mut machine, 3, seconds(3)), [Action::Record, Action::End]);
    let mut stopped = running(RestartRecord::Always);
    stopped.on(restart, seconds(1));
    stopped.on(stop(Hearing::Unknown), seconds(1));
    assert_eq!(exit(&mut stopped, 143, seconds(2)), [Action::Record, Action::End], "the later word counts");
}

#[test]
fn a_frozen_container_is_let_go_on_to_hear_its_end() {
    let mut machine = running(RestartRecord::No);
    assert_eq!(machine.on(Event::Paused, seconds(1)), [Action::Record]);
    assert_eq!(machine.on(Event::Paused, seconds(1)), []);
    assert_eq!(machine.on(Event::Unpaused, seconds(1)), [Action::Record]);
    machine.on(Event::Paused, seconds(2));
    assert_eq!(machine.on(stop(Hearing::Unknown), seconds(3)), [Action::Signal(TERM), Action::Thaw]);
    let mut killed = running(RestartRecord::No);
    killed.on(Event::Paused, seconds(1));
    assert_eq!(killed.on(Event::Killed { signal: SIGKILL }, seconds(1)), [Action::KillAll, Action::Thaw]);
}

#[test]
fn a_killed_container_is_not_started_again() {
    let mut machine = running(RestartRecord::Always);
    assert_eq!(machine.on(Event::Killed { signal: SIGKILL }, seconds(1)), [Action::KillAll]);
    assert_eq!(exit(&mut machine, 137, seconds(1)), [Action::Record, Action::End]);
}
