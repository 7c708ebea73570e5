//! Keepers and guards are killed: the container goes on, and nothing that it does is missed.

use std::sync::mpsc;
use std::time::Duration;

use runtime::container::exec::ExecRequest;
use runtime::container::request::{ContainerRequest, HealthcheckRequest};
use runtime::container::stop::StopRequest;
use runtime::container::{list, start, stop};
use runtime::state::container::{HealthRecord, LogRecord, RestartRecord, Status, StatusRecord};
use runtime::state::process::ProcessId;

use crate::scratch::Scratch;

/// Which of the two is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Keeper,
    Guard,
}

fn init(status: &StatusRecord) -> ProcessId {
    let Status::Running { init, .. } = status.status else { panic!("{status:?}") };
    init
}

/// Kills one, and waits until another keeper has written down that it is there.
fn kill(scratch: &Scratch, id: &str, victim: Victim) {
    let keeper = scratch.status(id).keeper.unwrap();
    match victim {
        Victim::Keeper => scratch.kill_process(keeper),
        Victim::Guard => scratch.kill_process(Scratch::parent(keeper)),
    }
    scratch.until(id, |status| status.keeper.is_none_or(|next| next != keeper));
}

pub fn no_line_is_lost_or_written_twice_and_the_exit_code_is_known(scratch: &Scratch) {
    let line = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); echo $i; done; printf rest; exit 9";
    let id = scratch.create_with(ContainerRequest {
        log: LogRecord { disabled: false, max_size: Some(1 << 20), max_files: 1000 },
        ..scratch.shell("writer", line)
    });
    start::start(&scratch.rt, &id).unwrap();
    let first = init(&scratch.status(&id));
    let victims = [Victim::Keeper, Victim::Guard, Victim::Keeper, Victim::Keeper, Victim::Guard, Victim::Guard];
    for victim in victims.into_iter().cycle().take(18) {
        let status = scratch.status(&id);
        if !matches!(status.status, Status::Running { .. }) {
            break;
        }
        assert_eq!(init(&status), first);
        kill(scratch, &id, victim);
    }
    let status = scratch.wait(&id);
    let is_told = matches!(status, Status::Exited { exit_code: 9, .. })
        // Once the guard that waited for it is gone, only the kernel knows, from 6.15 on.
        || !kernel_tells_ends() && matches!(status, Status::Exited { exit_code: 255, .. });
    assert!(is_told, "{status:?}");
    let lines = scratch.lines(&id);
    let expected = (1..=300_000).map(|number: u32| number.to_string()).chain(["rest".to_owned()]);
    for (found, expected) in lines.iter().zip(expected) {
        assert_eq!(*found, expected);
    }
    assert_eq!(lines.len(), 300_001);
}

fn kernel_tells_ends() -> bool {
    let name = rustix::system::uname();
    let mut numbers = name.release().to_str().unwrap().split(['.', '-']).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (6, 15)
}

pub fn policy_health_and_limits_go_on_under_another_keeper(scratch: &Scratch) {
    let id = scratch.create_with(ContainerRequest {
        restart: RestartRecord::Always,
        healthcheck: Some(HealthcheckRequest {
            test: Some(["CMD", "test", "-e", "/tmp/well"].map(Into::into).to_vec()),
            interval: Some(Duration::from_millis(50)),
            retries: Some(1),
            ..HealthcheckRequest::default()
        }),
        ..scratch.shell("checked", "mkdir -p /tmp; trap 'exit 3' USR1; echo up; while :; do sleep 0.02; done")
    });
    start::start(&scratch.rt, &id).unwrap();
    scratch.until(&id, |status| matches!(status.health, Some(HealthRecord::Unhealthy { .. })));
    kill(scratch, &id, Victim::Keeper);
    let status = scratch.status(&id);
    assert!(matches!(status.health, Some(HealthRecord::Unhealthy { .. })), "it is remembered: {status:?}");
    let request = |line: &str| ExecRequest { args: ["sh", "-c", line].map(Into::into).to_vec(), ..Default::default() };
    assert_eq!(scratch.exec(&id, &request("touch /tmp/well"), "").0.unwrap(), 0);
    scratch.until(&id, |status| status.health == Some(HealthRecord::Healthy));
    for restarts in 1..=2 {
        scratch.until_lines(&id, usize::try_from(restarts).unwrap());
        runtime::container::kill::kill(&scratch.rt, &id, 10).unwrap();
        let status =
            scratch.until(&id, |status| status.restarts == restarts && matches!(status.status, Status::Running { .. }));
        assert!(status.keeper.is_some());
        kill(scratch, &id, Victim::Keeper);
    }
    stop::stop(&scratch.rt, &id, StopRequest { grace_ms: Some(0), ..Default::default() }).unwrap();
    assert!(matches!(scratch.status(&id).status, Status::Exited { .. }));
    // It answers first and clears away then.
    std::fs::File::open(scratch.rt.layout.bundle(&id).lock()).unwrap().lock().unwrap();
    assert!(!scratch.group_exists(&id));
}

pub fn the_next_command_gives_a_keeper_to_a_container_that_has_lost_both(scratch: &Scratch) {
    let id = scratch.create("lonely", "i=0; while [ $i -lt 100 ]; do i=$((i+1)); echo $i; sleep 0.01; done; exit 5");
    start::start(&scratch.rt, &id).unwrap();
    let status = scratch.status(&id);
    let (before, keeper) = (init(&status), status.keeper.unwrap());
    scratch.kill_both(keeper);
    assert!(before.is_running());
    let status = scratch.status(&id);
    assert_eq!(init(&status), before);
    assert!(status.keeper.is_some_and(|next| next != keeper && next.is_running()), "{status:?}");
    let status = scratch.wait(&id);
    if kernel_tells_ends() {
        assert!(matches!(status, Status::Exited { exit_code: 5, .. }), "{status:?}");
    }
    let expected: Vec<String> = (1..=100).map(|number: u32| number.to_string()).collect();
    assert_eq!(scratch.lines(&id), expected);
}

pub fn a_program_that_has_just_ended_is_not_told_as_running(scratch: &Scratch) {
    let id = scratch.create("ended", "sleep 1000");
    start::start(&scratch.rt, &id).unwrap();
    let status = scratch.status(&id);
    let keeper = rustix::process::Pid::from_raw(status.keeper.unwrap().pid).unwrap();
    rustix::process::kill_process(keeper, rustix::process::Signal::STOP).unwrap();
    scratch.kill_process(init(&status));
    let (begun, begins) = mpsc::channel();
    let rt = scratch.rt.clone();
    let looking = std::thread::spawn(move || {
        begun.send(()).unwrap();
        list::find(&rt, &id).unwrap().status.status
    });
    begins.recv().unwrap();
    rustix::process::kill_process(keeper, rustix::process::Signal::CONT).unwrap();
    let status = looking.join().unwrap();
    assert!(matches!(status, Status::Exited { exit_code: 137, .. }), "{status:?}");
}

pub fn a_stop_outlives_the_keeper_that_was_asked(scratch: &Scratch) {
    let id = scratch.create("slow", "trap 'echo asked' TERM; echo ready; while :; do sleep 0.05; done");
    start::start(&scratch.rt, &id).unwrap();
    scratch.until_line(&id, "ready");
    let rt = scratch.rt.clone();
    let stopping = {
        let id = id.clone();
        std::thread::spawn(move || stop::stop(&rt, &id, StopRequest { grace_ms: Some(1500), ..Default::default() }))
    };
    scratch.until_line(&id, "asked");
    kill(scratch, &id, Victim::Keeper);
    stopping.join().unwrap().unwrap();
    let status = scratch.status(&id);
    assert!(matches!(status.status, Status::Exited { exit_code: 137, .. }), "{status:?}");
    assert!(status.stopped_by_user);
}
