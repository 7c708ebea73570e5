//! Verbs on services that are there: start, stop, restart, pause, rm, wait, and the ways in which `up` ends by itself.

use crate::support::checks;
use crate::support::engines::engines;
use crate::support::host::{Host, finish, lacks_root, signal, until};

/// Three services in a row, each after the one before.
const CHAIN: &str = "
services:
  web: { image: 'stand-in:1', command: sleep 1000, init: true, depends_on: [api] }
  api: { image: 'stand-in:1', command: sleep 1000, init: true, depends_on: [db] }
  db: { image: 'stand-in:1', command: sleep 1000, init: true }
";

/// The project's line of `ls`.
fn listed(host: &Host, project: &str) -> String {
    let printed = host.does("ls -a --format json").success().stdout;
    let all: Vec<serde_json::Value> = serde_json::from_str(&printed).unwrap();
    let mine = all.iter().find(|one| one["Name"] == project);
    mine.map(|one| one["Status"].as_str().unwrap().to_owned()).unwrap_or_default()
}

#[test]
fn the_first_end_ends_all_with_its_code_or_that_of_the_named_service() {
    if lacks_root() {
        return;
    }
    let file = "
services:
  forever: { image: 'stand-in:1', command: sleep 1000, init: true }
  job: { image: 'stand-in:1', command: [sh, -c, 'exit CODE'], depends_on: [forever] }
";
    let host = Host::with("cascade", &file.replace("CODE", "0"));
    assert_eq!(host.does("up --abort-on-container-exit").code, 0);
    assert_eq!(host.named("exited"), ["cascade-forever-1", "cascade-job-1"]);
    host.write("compose.yaml", &file.replace("CODE", "111"));
    assert_eq!(host.does("up --abort-on-container-failure").code, 111);
    assert_eq!(host.named("exited"), ["cascade-forever-1", "cascade-job-1"]);
    host.write("compose.yaml", &file.replace("CODE", "42"));
    assert_eq!(host.does("up --exit-code-from job").code, 42);
    // It is stopped since the job has ended, and passes that on.
    assert_eq!(host.does("up --exit-code-from forever").code, 143);
    host.does("down").success();
    // Who asks for failures alone is not told of a job that has done its work.
    let file = "
services:
  fine: { image: 'stand-in:1', command: 'true' }
  job: { image: 'stand-in:1', command: [sh, -c, 'sleep 1; exit 6'] }
";
    host.write("compose.yaml", file);
    assert_eq!(host.does("up --abort-on-container-failure --exit-code-from job").code, 6);
    host.does("down").success();
    host.must_be_clean();
}

#[test]
fn stopped_services_are_started_with_what_they_need_and_counted_in_ls() {
    if lacks_root() {
        return;
    }
    let host = Host::with("start-stop", CHAIN);
    host.does("up -d").success();
    assert_eq!(listed(&host, "start-stop"), "running(3)");
    assert_eq!(host.does("start").success().stderr, "", "what runs already is not mentioned");
    let stopped = host.does("--progress plain stop web").success().stderr;
    assert!(stopped.contains(" Container start-stop-web-1  Stopped"), "{stopped}");
    assert_eq!(host.named("running"), ["start-stop-api-1", "start-stop-db-1"]);
    host.does("stop").success();
    assert_eq!(listed(&host, "start-stop"), "exited(3)");
    assert!(!host.does("ls --format json").success().stdout.contains("start-stop\""), "only those that run");
    assert_eq!(host.does("ps -q").success().stdout, "");
    assert_eq!(host.does("ps -aq").success().stdout.lines().count(), 3);
    host.does("start api").success();
    assert_eq!(host.named("running"), ["start-stop-api-1", "start-stop-db-1"], "what it depends on, nothing else");
    host.does("down").success();
    host.must_be_clean();
}

#[test]
fn start_and_stop_leave_one_offs_and_services_of_other_files_alone() {
    if lacks_root() {
        return;
    }
    let host = Host::with("one-offs", CHAIN);
    host.write("more.yaml", "services: { more: { image: 'stand-in:1', command: sleep 1000, init: true } }");
    host.does("-f compose.yaml -f more.yaml up -d").success();
    let one_off = host.does("run -d --no-deps --name one-off db sleep 1000").success();
    assert!(!one_off.stdout.is_empty());
    host.does("stop db").success();
    assert_eq!(host.named("running").len(), 4, "{:?}", host.named("running"));
    host.does("stop").success();
    let left = host.named("running");
    assert_eq!(left, ["one-off", "one-offs-more-1"], "this file names three services, and none of them is a one-off");
    host.does("down --remove-orphans").success();
    host.must_be_clean();
}

#[test]
fn restart_starts_what_has_ended_and_takes_along_who_asked_for_it() {
    if lacks_root() {
        return;
    }
    let file = "
services:
  web:
    image: stand-in:1
    command: sleep 1000
    init: true
    depends_on: { db: { condition: service_healthy, restart: true } }
  other: { image: 'stand-in:1', command: sleep 1000, init: true, depends_on: [db] }
  db:
    image: stand-in:1
    command: sleep 1000
    init: true
    healthcheck: { test: 'true', interval: 1s }
  debug: { image: 'stand-in:1', command: sleep 1000, init: true, profiles: [tools] }
";
    let host = Host::with("restarts", file);
    host.does("--profile tools up -d").success();
    let pid = |name: &str| host.init_pid(&checks::text(&host.container(name), "ID")).unwrap();
    let names = ["restarts-web-1", "restarts-other-1", "restarts-db-1", "restarts-debug-1"];
    let before = names.map(pid);
    let printed = host.does("--progress plain restart db").success().stderr;
    assert!(printed.contains("restarts-db-1  Healthy"), "its dependant waits for it: {printed}");
    let after = names.map(pid);
    let changed: Vec<bool> = before.iter().zip(&after).map(|(before, after)| before != after).collect();
    assert_eq!(changed, [true, false, true, false]);
    host.does("restart --no-deps db").success();
    assert_eq!([pid(names[0]), pid(names[1])], [after[0], after[1]], "dependants are left alone if that is asked for");
    host.does("restart debug").success();
    assert_ne!(pid(names[3]), after[3], "who is named needs no profile");
    host.does("kill -s KILL other").success();
    until("it has ended", || host.container(names[1])["State"] == "exited");
    host.does("restart other").success();
    assert_eq!(host.container(names[1])["State"], "running");
    host.does("--profile tools down").success();
    host.must_be_clean();
}

#[test]
fn pausing_stops_the_programs_and_a_second_time_is_an_error() {
    if lacks_root() {
        return;
    }
    let host = Host::with("pausing", CHAIN);
    assert_eq!(host.does("pause").code, 0, "nothing is there to be paused");
    host.does("up -d").success();
    host.does("pause db").success();
    assert_eq!(host.container("pausing-db-1")["State"], "paused");
    assert_eq!(host.named("running"), ["pausing-api-1", "pausing-web-1"]);
    host.does("pause db").failure().names(&["already paused"]);
    host.does("unpause db").success();
    assert_eq!(host.container("pausing-db-1")["State"], "running");
    host.does("stop web").success();
    assert_eq!(host.does("pause web").code, 0, "what does not run is not paused");
    host.does("pause no-such-service").failure().names(&["no-such-service"]);
    host.does("down").success();
    host.must_be_clean();
}

#[test]
fn rm_takes_what_has_ended_or_is_stopped_for_it() {
    if lacks_root() {
        return;
    }
    let host = Host::with("rm", CHAIN);
    host.does("up -d").success();
    host.does("rm -f").success();
    assert_eq!(host.ps().len(), 3, "what runs stays");
    host.does("rm --stop --force web").success();
    assert_eq!(host.named("running"), ["rm-api-1", "rm-db-1"]);
    host.does("stop api").success();
    host.does("rm -f").success();
    assert_eq!(host.named("running"), ["rm-db-1"]);
    assert_eq!(host.ps().len(), 1);
    host.does("rm --stop --force").success();
    checks::nothing_is_there(&host);
    host.does("down").success();
    host.must_be_clean();
}

#[test]
fn wait_returns_the_first_end_and_can_take_all_down() {
    if lacks_root() {
        return;
    }
    let file = "
services:
  faster: { image: 'stand-in:1', command: [sh, -c, 'while [ ! -e /go ]; do sleep 0.05; done; exit 3'] }
  forever: { image: 'stand-in:1', command: sleep 1000, init: true }
";
    let host = Host::with("waiting", file);
    host.does("up -d").success();
    let id = checks::text(&host.container("waiting-faster-1"), "ID");
    let waiting = host.spawn(&["wait", "faster"]);
    host.shell("faster", "touch /go");
    let outcome = finish(waiting, "wait");
    assert_eq!(outcome.code, 3, "{}", outcome.stderr);
    assert!(outcome.stdout.contains(&format!("container \"{id}")), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("exited with status code 3"), "{}", outcome.stdout);
    let mut waiting = host.spawn(&["wait", "--down-project", "forever"]);
    assert!(waiting.try_wait().unwrap().is_none(), "it still runs");
    host.does("kill forever").success();
    assert_eq!(finish(waiting, "wait --down-project").code, 137);
    checks::nothing_is_there(&host);
    host.must_be_clean();
}

#[test]
fn a_job_that_has_done_its_work_counts_as_ready() {
    if lacks_root() {
        return;
    }
    let file = "
services:
  web:
    image: stand-in:1
    command: sleep 1000
    init: true
    depends_on: { job: { condition: service_completed_successfully } }
  job: { image: 'stand-in:1', command: 'true' }
  alone: { image: 'stand-in:1', command: 'true' }
";
    let host = Host::with("jobs", file);
    host.does("up -d --wait --wait-timeout 30").success();
    assert_eq!(host.named("running"), ["jobs-web-1"]);
    host.does("down").success();
    host.must_be_clean();
}

#[test]
fn a_dependency_that_ends_or_is_never_healthy_is_named() {
    if lacks_root() {
        return;
    }
    let file = "
services:
  web:
    image: stand-in:1
    command: sleep 1000
    init: true
    depends_on: { db: { condition: service_healthy } }
  db:
    image: stand-in:1
    command: COMMAND
    init: true
    healthcheck: { test: 'false', interval: 100ms, retries: 1 }
";
    let host = Host::with("never-healthy", &file.replace("COMMAND", "sleep 1000"));
    host.does("up -d").failure().names(&["`db`", "unhealthy"]);
    host.does("down").success();
    host.write("compose.yaml", &file.replace("COMMAND", "sh -c 'exit 4'"));
    host.does("up -d").failure().names(&["`db`", "4"]);
    assert_eq!(host.named("running"), Vec::<String>::new());
    host.does("down").success();
    host.must_be_clean();
}

#[test]
fn ctrl_c_stops_the_services_that_were_named_and_nothing_else() {
    if lacks_root() {
        return;
    }
    let host = Host::with("named-only", CHAIN);
    host.write("more.yaml", "services: { more: { image: 'stand-in:1', command: sleep 1000, init: true } }");
    host.does("-f compose.yaml -f more.yaml up -d more").success();
    let up = host.spawn(&["up", "web"]);
    until("all run", || host.named("running").len() == 4);
    signal(up.id().cast_signed(), rustix::process::Signal::INT);
    assert_eq!(finish(up, "up after Ctrl-C").code, 130);
    assert_eq!(host.named("running"), ["named-only-api-1", "named-only-db-1", "named-only-more-1"]);
    host.does("down --remove-orphans").success();
    host.must_be_clean();
}

#[test]
fn an_attached_up_with_dependencies_ends_with_the_last_of_them() {
    if lacks_root() {
        return;
    }
    let file = "
services:
  web: { image: 'stand-in:1', command: echo from the web, depends_on: [db] }
  db: { image: 'stand-in:1', command: echo from the db }
";
    let host = Host::with("with-deps", file);
    let alone = host.does("up web").success();
    assert!(alone.stdout.contains("from the web") && !alone.stdout.contains("from the db"), "{}", alone.stdout);
    let all = host.does("up --force-recreate --always-recreate-deps --attach-dependencies web").success();
    assert!(all.stdout.contains("from the web") && all.stdout.contains("from the db"), "{}", all.stdout);
    host.does("down").success();
    host.must_be_clean();
}

#[test]
fn a_service_is_made_anew_alone_and_still_needs_no_word_of_its_healthy_dependency() {
    if lacks_root() {
        return;
    }
    let host = Host::with(
        "alone",
        "
services:
  web: { image: 'stand-in:1', command: sleep 1000, init: true, depends_on: { db: { condition: service_healthy } } }
  db:
    image: stand-in:1
    command: sleep 1000
    init: true
    healthcheck: { test: 'true', interval: 1s, start_period: 5s }
",
    );
    host.does("up -d --wait").success();
    let ids = || ["alone-web-1", "alone-db-1"].map(|name| host.container(name)["ID"].clone());
    let before = ids();
    host.does("up -d --force-recreate --no-deps web").success();
    let after = ids();
    assert_ne!(after[0], before[0], "it is another container");
    assert_eq!(after[1], before[1], "its dependency is left alone");
    assert_eq!(host.named("running"), ["alone-db-1", "alone-web-1"]);
    host.does("down").success();
    host.must_be_clean();
}

engines! {
    both: [
        a_service_is_made_anew_alone_and_still_needs_no_word_of_its_healthy_dependency,
        the_first_end_ends_all_with_its_code_or_that_of_the_named_service,
        stopped_services_are_started_with_what_they_need_and_counted_in_ls,
        start_and_stop_leave_one_offs_and_services_of_other_files_alone,
        restart_starts_what_has_ended_and_takes_along_who_asked_for_it,
        pausing_stops_the_programs_and_a_second_time_is_an_error,
        rm_takes_what_has_ended_or_is_stopped_for_it,
        wait_returns_the_first_end_and_can_take_all_down,
        a_job_that_has_done_its_work_counts_as_ready,
        a_dependency_that_ends_or_is_never_healthy_is_named,
        ctrl_c_stops_the_services_that_were_named_and_nothing_else,
        an_attached_up_with_dependencies_ends_with_the_last_of_them,
    ],
}
