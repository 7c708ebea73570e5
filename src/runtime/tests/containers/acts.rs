//! Acts on containers that run: freezing, restarting in place, counting, and what is told of it all.

use std::time::Duration;

use runtime::container::act::ActError;
use runtime::container::remove::{RemoveError, RemoveRequest};
use runtime::container::request::{ContainerRequest, HealthcheckRequest};
use runtime::container::stop::StopRequest;
use runtime::container::{
    exec, kill, list, pause, processes, remove, rename, restart, resume, start, statistics, stop,
};
use runtime::state::container::{RestartRecord, Status, StatusRecord};
use runtime::state::occurrence::OccurrenceReader;
use runtime::state::record;

use crate::scratch::Scratch;

fn run(scratch: &Scratch, id: &str, line: &str) -> String {
    let args = ["sh", "-c", line].map(Into::into).to_vec();
    let (code, output) = scratch.exec(id, &exec::ExecRequest { args, ..exec::ExecRequest::default() }, "");
    assert_eq!(code.unwrap(), 0, "{output}");
    output
}

fn init(status: &StatusRecord) -> i32 {
    match status.status {
        Status::Running { init, .. } | Status::Paused { init, .. } => init.pid,
        _ => panic!("{status:?}"),
    }
}

pub fn a_frozen_container_goes_on_where_it_was(scratch: &Scratch) {
    let id = scratch.create("frozen", "i=0; while :; do i=$((i + 1)); echo $i; sleep 0.02; done");
    assert!(matches!(pause::pause(&scratch.rt, &id), Err(ActError::NotRunning { .. })));
    start::start(&scratch.rt, &id).unwrap();
    scratch.until_line(&id, "3");
    pause::pause(&scratch.rt, &id).unwrap();
    pause::pause(&scratch.rt, "frozen").unwrap();
    assert!(matches!(scratch.status(&id).status, Status::Paused { .. }));
    // All that was written before is in the log once a second exchange with the keeper is over.
    pause::pause(&scratch.rt, &id).unwrap();
    let before = scratch.lines(&id).len();
    let request = exec::ExecRequest { args: vec!["true".into()], ..exec::ExecRequest::default() };
    let null = || std::fs::File::options().read(true).write(true).open("/dev/null").unwrap().into();
    let stdio = exec::ExecStdio { stdin: null(), stdout: null(), stderr: null() };
    assert!(matches!(exec::exec(&scratch.rt, &id, &request, stdio), Err(exec::ExecError::Paused { .. })));
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", init(&scratch.status(&id)))).unwrap();
    pause::unpause(&scratch.rt, &id).unwrap();
    pause::unpause(&scratch.rt, &id).unwrap();
    assert!(matches!(scratch.status(&id).status, Status::Running { .. }), "{stat}");
    scratch.until_line(&id, &(before + 5).to_string());
    let lines = scratch.lines(&id);
    let numbers: Vec<String> = (1..=lines.len()).map(|number| number.to_string()).collect();
    assert_eq!(lines, numbers, "none is lost or doubled");
}

pub fn a_frozen_container_can_be_stopped_and_removed(scratch: &Scratch) {
    let id = scratch.create("stopped", "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.05; done");
    start::start(&scratch.rt, &id).unwrap();
    scratch.until_line(&id, "ready");
    pause::pause(&scratch.rt, &id).unwrap();
    stop::stop(&scratch.rt, &id, StopRequest::default()).unwrap();
    assert!(matches!(scratch.status(&id).status, Status::Exited { exit_code: 7, .. }));
    start::start(&scratch.rt, &id).unwrap();
    pause::pause(&scratch.rt, &id).unwrap();
    remove::remove(&scratch.rt, &id, RemoveRequest { force: true, volumes: false }).unwrap();
}

pub fn a_restart_stays_in_place(scratch: &Scratch) {
    let line = "trap 'exit 7' TERM; echo kept >> /dev/shm/tmpfs; echo here; while :; do sleep 0.05; done";
    let id = scratch.create_with(ContainerRequest {
        restart: RestartRecord::OnFailure { max: Some(1) },
        ..scratch.shell("again", line)
    });
    start::start(&scratch.rt, &id).unwrap();
    scratch.until_line(&id, "here");
    let place = |pid: i32, name: &str| std::fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap();
    let first = init(&scratch.status(&id));
    let before = ["net", "ipc", "uts", "mnt", "cgroup"].map(|name| place(first, name));
    let masks = |pid: i32| {
        let mounts = std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
        let mut places: Vec<String> = mounts.lines().map(|line| line.split(' ').nth(4).unwrap().to_owned()).collect();
        places.sort();
        places
    };
    let masked = masks(first);
    assert!(masked.iter().any(|place| place == "/proc/sys"), "{masked:?}");
    for round in 2..5 {
        restart::restart(&scratch.rt, &id, StopRequest::default()).unwrap();
        let status = scratch.status(&id);
        let second = init(&status);
        assert_ne!(first, second);
        let after = ["net", "ipc", "uts", "mnt", "cgroup"].map(|name| place(second, name));
        assert_eq!(before, after, "{}", scratch.diary(&id));
        assert!(!status.stopped_by_user);
        assert_eq!(run(scratch, &id, "cat /proc/1/comm; cat /dev/shm/tmpfs | head -1"), "sh\nkept\n");
        scratch.until_lines(&id, round);
        let mounts = std::fs::read_to_string(format!("/proc/{second}/mountinfo")).unwrap();
        assert_eq!(mounts.lines().filter(|line| line.contains(" /proc rw")).count(), 1, "{mounts}");
        assert_eq!(masks(second), masked, "{mounts}");
    }
    stop::stop(&scratch.rt, &id, StopRequest::default()).unwrap();
    assert!(matches!(scratch.status(&id).status, Status::Exited { exit_code: 7, .. }));
}

pub fn a_restart_starts_what_has_ended(scratch: &Scratch) {
    let id = scratch.create("ended", "echo run; exit 3");
    restart::restart(&scratch.rt, &id, StopRequest::default()).unwrap();
    scratch.wait(&id);
    restart::restart(&scratch.rt, &id, StopRequest::default()).unwrap();
    scratch.wait(&id);
    assert_eq!(scratch.lines(&id), ["run", "run"]);
    assert!(restart::restart(&scratch.rt, "nobody", StopRequest::default()).is_err());
}

pub fn processes_and_counters_are_told(scratch: &Scratch) {
    let line = "yes > /dev/null & head -c 5000000 /dev/zero > /tmp/file; echo ready; sleep 1000";
    let mut request = scratch.shell("counted", line);
    request.limits.memory = Some(64 << 20);
    let id = scratch.create_with(request);
    assert!(matches!(statistics::read(&scratch.rt, &id), Err(ActError::NotRunning { .. })));
    start::start(&scratch.rt, &id).unwrap();
    scratch.until_line(&id, "ready");
    let table = processes::list(&scratch.rt, &id, &["-o".into(), "pid,ppid,args".into()]).unwrap();
    assert_eq!(table.titles, ["PID", "PPID", "COMMAND"]);
    let commands: Vec<&str> = table.rows.iter().map(|row| row[2].as_str()).collect();
    assert!(commands.contains(&"sleep 1000") && commands.len() == 2, "{table:?}");
    assert_eq!(table.rows[0][0], init(&scratch.status(&id)).to_string());
    let full = processes::list(&scratch.rt, &id, &[]).unwrap();
    assert_eq!((full.rows.len(), full.rows[0][0].as_str()), (table.rows.len(), "root"));
    let counters = statistics::read(&scratch.rt, &id).unwrap();
    assert!(counters.tasks == 2 && counters.processors >= 1, "{counters:?}");
    assert!(counters.memory > 0 && counters.memory_limit == 64 << 20, "{counters:?}");
    let mut later = counters.clone();
    while later.cpu_nanos < counters.cpu_nanos + 20_000_000 {
        later = statistics::read(&scratch.rt, &id).unwrap();
        assert!(later.read.duration_since(counters.read).unwrap() < Duration::from_secs(20), "{later:?}");
    }
    assert!(later.system_nanos >= counters.system_nanos);
}

pub fn a_reboot_is_recognised_and_policies_hold(scratch: &Scratch) {
    let rt = &scratch.rt;
    let policies = [
        ("no", RestartRecord::No, false, false),
        ("always", RestartRecord::Always, true, true),
        ("unless-stopped", RestartRecord::UnlessStopped, false, true),
        ("unless-stopped-was", RestartRecord::UnlessStopped, true, false),
        ("on-failure", RestartRecord::OnFailure { max: None }, false, true),
    ];
    for (name, restart, is_stopped, _) in policies {
        let id = scratch.create_with(ContainerRequest { restart, ..scratch.shell(name, "echo up; sleep 1000") });
        start::start(rt, &id).unwrap();
        let status = scratch.status(&id);
        if is_stopped {
            stop::stop(rt, &id, StopRequest { grace_ms: Some(0), ..Default::default() }).unwrap();
        } else {
            let Status::Running { init, .. } = status.status else { panic!("{status:?}") };
            scratch.power_cut(status.keeper.unwrap(), init);
        }
        // As another boot has left it.
        let path = rt.layout.bundle(&id).status();
        let mut status: StatusRecord = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        status.boot = "an earlier one".into();
        std::fs::write(&path, serde_json::to_vec(&status).unwrap()).unwrap();
    }
    let mut resumed: Vec<String> =
        resume::resume(rt).unwrap().into_iter().map(|one| one.result.map(|()| one.name).unwrap()).collect();
    resumed.sort();
    let mut expected: Vec<&str> = policies.iter().filter(|policy| policy.3).map(|policy| policy.0).collect();
    expected.sort_unstable();
    assert_eq!(resumed, expected);
    for (name, _, _, is_resumed) in policies {
        assert_eq!(matches!(scratch.status(name).status, Status::Running { .. }), is_resumed, "{name}");
    }
    assert!(resume::resume(rt).unwrap().is_empty(), "once is enough");
}

pub fn what_happens_is_told_in_order(scratch: &Scratch) {
    let mut reader = OccurrenceReader::open(&scratch.rt.layout, true).unwrap();
    let request = ContainerRequest {
        labels: [("tier".to_owned(), "web".to_owned())].into(),
        healthcheck: Some(HealthcheckRequest {
            test: Some(["CMD", "true"].map(Into::into).to_vec()),
            interval: Some(Duration::from_secs(30)),
            ..HealthcheckRequest::default()
        }),
        ..scratch.shell("told", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.02; done")
    };
    let id = scratch.create_with(request);
    start::start(&scratch.rt, &id).unwrap();
    scratch.until(&id, |status| status.health == Some(runtime::state::container::HealthRecord::Healthy));
    scratch.until_line(&id, "ready");
    pause::pause(&scratch.rt, &id).unwrap();
    pause::unpause(&scratch.rt, &id).unwrap();
    rename::rename(&scratch.rt, &id, "renamed").unwrap();
    kill::kill(&scratch.rt, &id, 9).unwrap();
    scratch.wait(&id);
    start::start(&scratch.rt, &id).unwrap();
    scratch.until_lines(&id, 2);
    restart::restart(&scratch.rt, &id, StopRequest::default()).unwrap();
    scratch.until_lines(&id, 3);
    stop::stop(&scratch.rt, &id, StopRequest::default()).unwrap();
    remove::remove(&scratch.rt, &id, RemoveRequest::default()).unwrap();
    let all = reader.read().unwrap();
    let told: Vec<&str> = all.iter().map(|one| one.action.as_str()).filter(|it| !it.starts_with("health")).collect();
    let expected = [
        "create", "start", "pause", "unpause", "rename", "kill", "die", "start", "kill", "die", "stop", "start",
        "restart", "kill", "die", "stop", "destroy",
    ];
    assert_eq!(told, expected);
    assert!(all.iter().any(|one| one.action == "health_status: healthy"), "{all:?}");
    assert!(all.iter().all(|one| one.id == id && one.attributes["tier"] == "web" && one.attributes["image"] == "box"));
    let last = all.iter().rfind(|one| one.action == "die").unwrap();
    assert_eq!((last.attributes["exitCode"].as_str(), last.attributes["name"].as_str()), ("7", "renamed"));
}

pub fn a_removal_waits_for_another_one(scratch: &Scratch) {
    let id = scratch.create_with(scratch.shell("going", "true"));
    let (whole, going) = (scratch.rt.layout.bundle(&id), scratch.rt.layout.unfinished(&id));
    // As one who removes it has it: taken away from the others, and not cleared yet.
    let act = record::lock(&whole.act_lock()).unwrap();
    std::fs::rename(&whole.lib, &going.lib).unwrap();
    let (told, end) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| told.send(remove::remove(&scratch.rt, &id, RemoveRequest::default())).unwrap());
        let early = end.recv_timeout(Duration::from_millis(300));
        assert!(early.is_err(), "it has returned before the container was gone: {early:?}");
        drop(act);
        let late = end.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(matches!(late, Err(RemoveError::Find(list::FindError::NotFound { .. }))), "{late:?}");
    });
    // Whoever held the lock was killed: the one that waited has cleared up.
    assert!(!going.lib.exists());
}
