//! Containers for real, as root: this binary is also their keeper, so it has a main of its own.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test with a main of its own: it fails by panic, says so itself, and hands on its keepers' codes"
)]

mod acts;
mod attached;
mod files;
mod killed;
mod scratch;

use std::io::{BufRead as _, BufReader, Write as _};
use std::time::Duration;

use runtime::container::logs::{LogQuery, LogReader};
use runtime::container::remove::RemoveRequest;
use runtime::container::request::{
    ContainerRequest, FileContent, FileRequest, HealthcheckRequest, MountRequest, MountSourceRequest,
};
use runtime::container::start::StartError;
use runtime::container::stop::StopRequest;
use runtime::container::{create, exec, kill, list, remove, rename, start, stop};
use runtime::state::container::{HealthRecord, RestartRecord, Status};

use scratch::Scratch;

type Test = (&'static str, fn(&Scratch));

const TESTS: &[Test] = &[
    ("a_container_runs_writes_and_ends", a_container_runs_writes_and_ends),
    ("a_listener_stops_gracefully", a_listener_stops_gracefully),
    ("a_deaf_program_is_not_waited_for", a_deaf_program_is_not_waited_for),
    ("an_unknown_program_is_an_error_of_the_start", an_unknown_program_is_an_error_of_the_start),
    ("a_failing_container_is_started_again", a_failing_container_is_started_again),
    (
        "a_health_check_passes_at_once_and_fails_with_its_output",
        a_health_check_passes_at_once_and_fails_with_its_output,
    ),
    ("a_probe_that_hangs_dies_with_its_children", a_probe_that_hangs_dies_with_its_children),
    ("an_exec_sees_the_container_and_gives_its_code", an_exec_sees_the_container_and_gives_its_code),
    ("an_exec_outlives_the_keeper_and_does_without_one", an_exec_outlives_the_keeper_and_does_without_one),
    (
        "a_container_whose_keepers_were_all_killed_while_it_ended_is_reported",
        a_container_whose_keepers_were_all_killed_while_it_ended_is_reported,
    ),
    (
        "no_line_is_lost_or_written_twice_and_the_exit_code_is_known",
        killed::no_line_is_lost_or_written_twice_and_the_exit_code_is_known,
    ),
    (
        "policy_health_and_limits_go_on_under_another_keeper",
        killed::policy_health_and_limits_go_on_under_another_keeper,
    ),
    (
        "the_next_command_gives_a_keeper_to_a_container_that_has_lost_both",
        killed::the_next_command_gives_a_keeper_to_a_container_that_has_lost_both,
    ),
    (
        "a_program_that_has_just_ended_is_not_told_as_running",
        killed::a_program_that_has_just_ended_is_not_told_as_running,
    ),
    ("a_stop_outlives_the_keeper_that_was_asked", killed::a_stop_outlives_the_keeper_that_was_asked),
    ("a_volume_is_filled_from_the_image_and_outlives", a_volume_is_filled_from_the_image_and_outlives),
    ("names_are_given_once_and_changed", names_are_given_once_and_changed),
    ("a_failed_create_leaves_nothing", a_failed_create_leaves_nothing),
    ("many_starts_at_once_run_one_keeper", many_starts_at_once_run_one_keeper),
    ("a_frozen_container_goes_on_where_it_was", acts::a_frozen_container_goes_on_where_it_was),
    ("a_frozen_container_can_be_stopped_and_removed", acts::a_frozen_container_can_be_stopped_and_removed),
    ("a_restart_stays_in_place", acts::a_restart_stays_in_place),
    ("a_restart_starts_what_has_ended", acts::a_restart_starts_what_has_ended),
    ("processes_and_counters_are_told", acts::processes_and_counters_are_told),
    ("what_happens_is_told_in_order", acts::what_happens_is_told_in_order),
    ("nothing_is_missed_by_those_who_wait_for_the_start", attached::nothing_is_missed_by_those_who_wait_for_the_start),
    ("what_was_written_before_is_replayed_once", attached::what_was_written_before_is_replayed_once),
    ("a_terminal_has_the_window_s_size_and_input", attached::a_terminal_has_the_window_s_size_and_input),
    ("a_container_removes_itself", attached::a_container_removes_itself),
    (
        "a_container_that_removes_itself_goes_with_a_failed_start_and_after_a_power_cut",
        attached::a_container_that_removes_itself_goes_with_a_failed_start_and_after_a_power_cut,
    ),
    ("a_removal_waits_for_another_one", acts::a_removal_waits_for_another_one),
    ("files_go_in_and_out_running_or_not", files::files_go_in_and_out_running_or_not),
    ("no_link_of_a_container_leads_out", files::no_link_of_a_container_leads_out),
    ("changes_are_told_exported_and_committed", files::changes_are_told_exported_and_committed),
    ("a_reboot_is_recognised_and_policies_hold", acts::a_reboot_is_recognised_and_policies_hold),
    ("a_million_lines_are_kept_in_order", a_million_lines_are_kept_in_order),
];

fn main() {
    let args: Vec<std::ffi::OsString> = std::env::args_os().skip(1).collect();
    if let Some(code) = runtime::hidden(&args) {
        std::process::exit(code);
    }
    // What `cargo test NAME` and nextest ask of a harness.
    let words: Vec<String> = args.iter().filter_map(|arg| arg.to_str().map(Into::into)).collect();
    let names: Vec<&String> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let exact = words.iter().any(|word| word == "--exact");
    let wanted = |name: &str| {
        names.is_empty() || names.iter().any(|word| if exact { name == *word } else { name.contains(*word) })
    };
    if words.iter().any(|word| word == "--list") {
        let ignored = words.iter().any(|word| word == "--ignored");
        for (name, _) in TESTS.iter().filter(|_| !ignored) {
            println!("{name}: test");
        }
        return;
    }
    let mut failed = Vec::new();
    for (name, test) in TESTS.iter().filter(|(name, _)| wanted(name)) {
        let begun = std::time::Instant::now();
        let result = std::panic::catch_unwind(|| test(&Scratch::new()));
        println!("test {name} ... {} ({:?})", if result.is_ok() { "ok" } else { "FAILED" }, begun.elapsed());
        if result.is_err() {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "failed: {failed:?}");
}

fn a_container_runs_writes_and_ends(scratch: &Scratch) {
    let id = scratch.create("first", "echo out; echo err >&2; hostname; printf rest; exit 3");
    assert!(matches!(scratch.status(&id).status, Status::Created));
    start::start(&scratch.rt, &id).unwrap();
    let Status::Exited { exit_code, out_of_memory, .. } = scratch.wait(&id) else { panic!("it must end") };
    assert_eq!((exit_code, out_of_memory), (3, false));
    let mut lines = scratch.lines(&id);
    lines.sort();
    let mut expected = vec!["out".to_owned(), "err".into(), id[..12].to_owned(), "rest".into()];
    expected.sort();
    assert_eq!(lines, expected);
    // Started again, it goes on in the same log.
    start::start(&scratch.rt, &id).unwrap();
    scratch.wait(&id);
    assert_eq!(scratch.lines(&id).len(), 8);
}

fn a_listener_stops_gracefully(scratch: &Scratch) {
    let id = scratch.create("listener", "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.05; done");
    start::start(&scratch.rt, &id).unwrap();
    scratch.until_line(&id, "ready");
    stop::stop(&scratch.rt, &id, StopRequest::default()).unwrap();
    let status = scratch.status(&id);
    assert!(matches!(status.status, Status::Exited { exit_code: 7, .. }), "{status:?}");
    assert!(status.stopped_by_user && status.deaf_to.is_none());
    assert_eq!(scratch.lines(&id), ["ready", "bye"]);
    stop::stop(&scratch.rt, &id, StopRequest::default()).unwrap();
}

fn a_deaf_program_is_not_waited_for(scratch: &Scratch) {
    let id = scratch.create_with(ContainerRequest {
        command: Some(["sleep", "1000"].map(Into::into).to_vec()),
        restart: RestartRecord::Always,
        ..scratch.request("deaf")
    });
    start::start(&scratch.rt, &id).unwrap();
    let begun = std::time::Instant::now();
    // The grace would be ten minutes.
    stop::stop(&scratch.rt, &id, StopRequest { grace_ms: Some(600_000), ..StopRequest::default() }).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(300), "{:?}", begun.elapsed());
    let status = scratch.status(&id);
    assert!(matches!(status.status, Status::Exited { exit_code: 137, .. }), "{status:?}");
    assert_eq!(status.deaf_to, Some(15));
}

fn an_unknown_program_is_an_error_of_the_start(scratch: &Scratch) {
    let id =
        scratch.create_with(ContainerRequest { command: Some(vec!["gunicorn".into()]), ..scratch.request("unknown") });
    match start::start(&scratch.rt, &id) {
        Err(StartError::Failed(failure)) => {
            assert_eq!(failure.exit_code, 127);
            let sentence =
                "cannot start container `unknown`: cannot run `gunicorn`: no such program in the container's PATH";
            assert_eq!(failure.message, sentence);
        }
        other => panic!("{other:?}"),
    }
    let status = scratch.status(&id);
    assert_eq!(status.status, Status::Created);
    assert_eq!(status.failure.map(|failure| failure.exit_code), Some(127));
    remove::remove(&scratch.rt, &id, RemoveRequest::default()).unwrap();
}

fn a_failing_container_is_started_again(scratch: &Scratch) {
    let id = scratch.create_with(ContainerRequest {
        restart: RestartRecord::OnFailure { max: Some(2) },
        ..scratch.shell("failing", "echo run; exit 5")
    });
    start::start(&scratch.rt, &id).unwrap();
    assert!(matches!(scratch.wait(&id), Status::Exited { exit_code: 5, .. }));
    assert_eq!(scratch.status(&id).restarts, 2);
    assert_eq!(scratch.lines(&id), ["run", "run", "run"]);
}

fn check(line: &str) -> HealthcheckRequest {
    HealthcheckRequest {
        test: Some(vec!["CMD-SHELL".into(), line.into()]),
        interval: Some(Duration::from_millis(200)),
        timeout: Some(Duration::from_millis(400)),
        retries: Some(2),
        ..HealthcheckRequest::default()
    }
}

fn a_health_check_passes_at_once_and_fails_with_its_output(scratch: &Scratch) {
    let id = scratch.create_with(ContainerRequest {
        healthcheck: Some(HealthcheckRequest {
            interval: Some(Duration::from_secs(3000)),
            ..check("test -e /tmp/ready || { echo not yet; exit 9; }")
        }),
        ..scratch.shell("healthy", "sleep 0.2; touch /tmp/ready; sleep 1000")
    });
    start::start(&scratch.rt, &id).unwrap();
    // Long before the first interval is over.
    scratch.until(&id, |status| status.health == Some(HealthRecord::Healthy));
    let id = scratch.create_with(ContainerRequest {
        healthcheck: Some(check("echo not well; exit 9")),
        ..scratch.shell("unhealthy", "sleep 1000")
    });
    start::start(&scratch.rt, &id).unwrap();
    let status = scratch.until(&id, |status| matches!(status.health, Some(HealthRecord::Unhealthy { .. })));
    let expected = HealthRecord::Unhealthy { failures: 2, exit_code: Some(9), output: "not well\n".into() };
    assert_eq!(status.health, Some(expected));
}

fn a_probe_that_hangs_dies_with_its_children(scratch: &Scratch) {
    let id = scratch.create_with(ContainerRequest {
        healthcheck: Some(check("yes | head -c 100000; sleep 777 & sleep 778")),
        ..scratch.shell("hanging", "sleep 1000")
    });
    start::start(&scratch.rt, &id).unwrap();
    let status = scratch.until(&id, |status| matches!(status.health, Some(HealthRecord::Unhealthy { .. })));
    let Some(HealthRecord::Unhealthy { exit_code: None, output, .. }) = status.health else { panic!("{status:?}") };
    assert_eq!(output, "the probe did not end within 0.4 s");
    stop::stop(&scratch.rt, &id, StopRequest::default()).unwrap();
}

fn an_exec_sees_the_container_and_gives_its_code(scratch: &Scratch) {
    let id = scratch.create_with(ContainerRequest {
        environment: [("A".to_owned(), Some("of the container".to_owned()))].into(),
        ..scratch.shell("entered", "sleep 1000")
    });
    start::start(&scratch.rt, &id).unwrap();
    let request = exec::ExecRequest {
        args: ["sh", "-c", "hostname; echo $A $B; cat; exit 42"].map(Into::into).to_vec(),
        env: vec!["B=of the caller".into()],
        ..exec::ExecRequest::default()
    };
    let (code, output) = scratch.exec(&id, &request, "typed\n");
    assert_eq!((code.unwrap(), output), (42, format!("{}\nof the container of the caller\ntyped\n", &id[..12])));
    let unknown = exec::ExecRequest { args: vec!["nonsense".into()], ..request };
    match scratch.exec(&id, &unknown, "").0 {
        Err(exec::ExecError::Program { exit_code: 127, .. }) => {}
        other => panic!("{other:?}"),
    }
    let tty = exec::ExecRequest { args: ["tty".into()].to_vec(), tty: true, ..exec::ExecRequest::default() };
    assert_eq!(scratch.exec_on_terminal(&id, &tty), "/dev/pts/0\r\n");
}

fn an_exec_outlives_the_keeper_and_does_without_one(scratch: &Scratch) {
    let id = scratch.create_with(scratch.shell("left", "sleep 1000"));
    start::start(&scratch.rt, &id).unwrap();
    let request = exec::ExecRequest {
        args: ["sh", "-c", "echo runs; read line; echo $line; exit 42"].map(Into::into).to_vec(),
        ..exec::ExecRequest::default()
    };
    let ((stdin, mut typed), (written, stdout)) = (std::io::pipe().unwrap(), std::io::pipe().unwrap());
    let stderr = stdout.try_clone().unwrap().into();
    let stdio = exec::ExecStdio { stdin: stdin.into(), stdout: stdout.into(), stderr };
    let execution = exec::exec(&scratch.rt, &id, &request, stdio).unwrap();
    let mut lines = BufReader::new(written).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "runs");
    let keeper = scratch.status(&id).keeper.unwrap();
    scratch.kill_both(keeper);
    typed.write_all(b"typed\n").unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "typed");
    // The kernel tells the code of a process that is not our child from Linux 6.15 on.
    assert!(matches!(execution.wait().unwrap(), 42 | 255));
    // Nobody is there to be asked: the program runs all the same.
    let (code, output) = scratch.exec(&id, &request, "again\n");
    assert_eq!((code.unwrap(), &*output), (42, "runs\nagain\n"));
}

fn a_container_whose_keepers_were_all_killed_while_it_ended_is_reported(scratch: &Scratch) {
    let id = scratch
        .create_with(ContainerRequest { restart: RestartRecord::No, ..scratch.shell("orphan", "echo up; sleep 1000") });
    start::start(&scratch.rt, &id).unwrap();
    scratch.until_line(&id, "up");
    let status = scratch.status(&id);
    let Status::Running { init, .. } = status.status else { panic!("{status:?}") };
    scratch.power_cut(status.keeper.unwrap(), init);
    // The code that it ended with where the kernel still knows it, else that of an end which nobody saw.
    let status = scratch.wait(&id);
    assert!(matches!(status, Status::Exited { exit_code: 137 | 255, .. }), "{status:?}");
    assert!(!init.is_running());
    start::start(&scratch.rt, &id).unwrap();
    let status = scratch.status(&id);
    assert!(matches!(status.status, Status::Running { .. }), "{status:?}");
    kill::kill(&scratch.rt, &id, 9).unwrap();
    assert!(matches!(scratch.status(&id).status, Status::Exited { .. }), "it has ended by then");
    assert!(matches!(scratch.wait(&id), Status::Exited { exit_code: 137, .. }));
}

fn a_volume_is_filled_from_the_image_and_outlives(scratch: &Scratch) {
    let mount = MountRequest {
        source: MountSourceRequest::Volume { name: "data".into(), nocopy: false, subpath: None },
        target: "/srv/data".into(),
        read_only: false,
    };
    let request = ContainerRequest {
        mounts: vec![mount],
        files: vec![FileRequest {
            target: "/run/secrets/key".into(),
            content: FileContent::Inline(b"secret".to_vec()),
            uid: None,
            gid: None,
            mode: Some(0o400),
        }],
        ..scratch.shell("writer", "cat /srv/data/seed /run/secrets/key; echo more > /srv/data/more")
    };
    let id = scratch.create_with(request.clone());
    start::start(&scratch.rt, &id).unwrap();
    assert!(matches!(scratch.wait(&id), Status::Exited { exit_code: 0, .. }));
    assert_eq!(scratch.lines(&id), ["seed", "secret"]);
    assert!(runtime::volume::remove(&scratch.rt, "data").is_err(), "a container has it");
    remove::remove(&scratch.rt, &id, RemoveRequest { force: false, volumes: true }).unwrap();
    let id = scratch
        .create_with(ContainerRequest { command: Some(["cat", "/srv/data/more"].map(Into::into).to_vec()), ..request });
    start::start(&scratch.rt, &id).unwrap();
    scratch.wait(&id);
    assert_eq!(scratch.lines(&id), ["more"]);
}

fn names_are_given_once_and_changed(scratch: &Scratch) {
    let id = scratch.create("one", "true");
    match create::create(&scratch.rt, &scratch.shell("one", "true")) {
        Err(create::CreateError::NameTaken { id: holder, .. }) => assert_eq!(holder, id),
        other => panic!("{other:?}"),
    }
    rename::rename(&scratch.rt, "one", "two").unwrap();
    assert_eq!(list::find(&scratch.rt, "two").unwrap().record.id, id);
    assert!(list::find(&scratch.rt, "one").is_err());
    scratch.create("one", "true");
    // Killed before the record was written, or before the former name was taken back: the next one finishes it.
    std::fs::write(scratch.rt.layout.name("three"), &id).unwrap();
    rename::rename(&scratch.rt, "two", "three").unwrap();
    std::fs::write(scratch.rt.layout.name("two"), &id).unwrap();
    rename::rename(&scratch.rt, "two", "three").unwrap();
    assert_eq!(list::find(&scratch.rt, "three").unwrap().record.name, "three");
    assert!(list::find(&scratch.rt, "two").is_err());
    // Nobody finishes it: the former name goes with the container.
    std::fs::write(scratch.rt.layout.name("two"), &id).unwrap();
    std::fs::write(scratch.rt.layout.bundle(&id).renaming(), "").unwrap();
    remove::remove(&scratch.rt, "three", RemoveRequest::default()).unwrap();
    assert!(!scratch.rt.layout.name("two").exists());
    let names: Vec<String> =
        list::list(&scratch.rt).unwrap().into_iter().map(|container| container.record.name).collect();
    assert_eq!(names, ["one"]);
}

fn a_failed_create_leaves_nothing(scratch: &Scratch) {
    let anonymous = MountSourceRequest::Anonymous { name: None };
    let missing = MountSourceRequest::Bind {
        path: "/nonexistent/x".into(),
        create: false,
        propagation: None,
        recursive: true,
        relabel: None,
    };
    let mounts = [(anonymous, "/a"), (missing, "/b")];
    let request = ContainerRequest {
        mounts: mounts
            .map(|(source, target)| MountRequest { source, target: target.into(), read_only: false })
            .to_vec(),
        ..scratch.shell("half", "true")
    };
    let error = create::create(&scratch.rt, &request).unwrap_err();
    assert_eq!(error.to_string(), "no file or folder `/nonexistent/x` on the host to mount");
    assert!(list::list(&scratch.rt).unwrap().is_empty());
    assert!(runtime::volume::list(&scratch.rt).unwrap().is_empty());
    scratch.create("half", "true");
}

fn many_starts_at_once_run_one_keeper(scratch: &Scratch) {
    let id = scratch.create("busy", "echo up; sleep 1000");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| start::start(&scratch.rt, &id).unwrap());
        }
    });
    assert!(matches!(scratch.status(&id).status, Status::Running { .. }));
    scratch.until_line(&id, "up");
    remove::remove(&scratch.rt, &id, RemoveRequest { force: true, volumes: false }).unwrap();
    assert!(list::find(&scratch.rt, &id).is_err());
}

fn a_million_lines_are_kept_in_order(scratch: &Scratch) {
    let id = scratch.create("flood", "seq 1 1000000");
    start::start(&scratch.rt, &id).unwrap();
    scratch.wait(&id);
    let (mut expected, mut sum) = (1_u64, 0);
    let begun = std::time::Instant::now();
    let mut reader = LogReader::open(&scratch.rt.layout.bundle(&id).log(), &LogQuery::default()).unwrap();
    reader
        .read(&mut |line| {
            let number: u64 = std::str::from_utf8(line.bytes).unwrap().parse().unwrap();
            assert_eq!(number, expected);
            expected += 1;
            sum += number;
            true
        })
        .unwrap();
    assert_eq!((expected, sum), (1_000_001, 500_000_500_000));
    println!("read back in {:?}", begun.elapsed());
}
