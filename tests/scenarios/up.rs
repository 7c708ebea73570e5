//! `up`: what the file says is what runs, and nothing is done twice.

use crate::support::checks;
use crate::support::engines::engines;
use crate::support::host::{Host, finish, free_port, http, lacks_root, signal, until};

const TWO: &str = "
services:
  web:
    image: stand-in:1
    command: sleep 1000
    init: true
    depends_on: [db]
  db:
    image: stand-in:1
    command: sleep 1000
    init: true
";

#[test]
fn up_starts_every_service_and_a_second_one_changes_nothing() {
    if lacks_root() {
        return;
    }
    let host = Host::with("up-twice", TWO);
    host.motet(&["up", "-d"]).success();
    checks::only_these_run(&host, &["up-twice-db-1", "up-twice-web-1"]);
    let before = host.ps();
    host.motet(&["up", "-d"]).success();
    checks::same_containers(&before, &host.ps());
    host.motet(&["down"]).success();
    host.must_be_clean();
}

#[test]
fn a_changed_service_is_recreated_and_the_others_are_left_alone() {
    if lacks_root() {
        return;
    }
    let host = Host::with("changed", TWO);
    host.motet(&["up", "-d"]).success();
    let (web, db) = (host.container("changed-web-1"), host.container("changed-db-1"));
    host.write("compose.yaml", &TWO.replacen("init: true", "init: true\n    environment: { MODE: new }", 1));
    host.motet(&["up", "-d"]).success();
    assert_ne!(host.container("changed-web-1")["ID"], web["ID"]);
    assert_eq!(host.container("changed-db-1")["ID"], db["ID"]);
    assert_eq!(host.shell("web", "echo $MODE"), "new");
}

#[test]
fn a_dependency_is_healthy_before_its_dependant_starts() {
    if lacks_root() {
        return;
    }
    let host = Host::with(
        "healthy",
        "
services:
  web:
    image: stand-in:1
    command: sh -c 'cat /shared/ready > /shared/seen; sleep 1000'
    init: true
    volumes: [shared:/shared]
    depends_on: { db: { condition: service_healthy } }
  db:
    image: stand-in:1
    command: sh -c 'sleep 0.3; echo yes > /shared/ready; sleep 1000'
    init: true
    volumes: [shared:/shared]
    healthcheck: { test: 'test -f /shared/ready', interval: 30s, retries: 3, start_period: 20s }
volumes: { shared: {} }
",
    );
    host.motet(&["up", "-d", "--wait"]).success();
    assert_eq!(host.shell("web", "cat /shared/seen"), "yes");
    assert_eq!(host.container("healthy-db-1")["Health"], "healthy");
    host.motet(&["down", "-v"]).success();
    host.must_be_clean();
}

#[test]
fn a_job_completes_before_its_dependant_starts_and_a_failed_one_fails_up() {
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
  job:
    image: stand-in:1
    command: sh -c 'exit CODE'
";
    let host = Host::with("job", &file.replace("CODE", "0"));
    host.motet(&["up", "-d"]).success();
    checks::only_these_run(&host, &["job-web-1"]);
    host.motet(&["down"]).success();
    host.write("compose.yaml", &file.replace("CODE", "3"));
    host.motet(&["up", "-d"]).failure().names(&["job", "3"]);
    host.motet(&["down"]).success();
    host.must_be_clean();
}

#[test]
fn attached_up_shows_the_first_line_and_ctrl_c_stops_what_it_started() {
    if lacks_root() {
        return;
    }
    let host = Host::with(
        "attached",
        "
services:
  web:
    image: stand-in:1
    command: sh -c 'echo first line; sleep 1000'
    init: true
",
    );
    let child = host.spawn(&["up"]);
    until("the container runs", || host.ps().iter().any(|container| container["State"] == "running"));
    signal(child.id().cast_signed(), rustix::process::Signal::INT);
    let outcome = finish(child, "up after Ctrl-C");
    assert_eq!(outcome.code, 130, "{}", outcome.stderr);
    assert_eq!(outcome.stdout.matches("first line").count(), 1, "{}", outcome.stdout);
    assert!(outcome.stdout.contains("web-1  | first line"), "{}", outcome.stdout);
    assert_eq!(host.container("attached-web-1")["State"], "exited");
}

#[test]
fn an_attached_up_goes_on_with_the_container_that_takes_the_place_of_another() {
    if lacks_root() {
        return;
    }
    let host = Host::with(
        "replaced",
        "services: { web: { image: 'stand-in:1', command: sh -c 'echo first line; sleep 1000', init: true } }",
    );
    let child = host.spawn(&["up"]);
    until("the container runs", || host.ps().iter().any(|container| container["State"] == "running"));
    host.motet(&["up", "-d", "--force-recreate"]).success();
    until("it has written", || host.motet(&["logs"]).stdout.contains("first line"));
    signal(child.id().cast_signed(), rustix::process::Signal::INT);
    let outcome = finish(child, "up after a replacement");
    assert_eq!(outcome.code, 130, "{}", outcome.stderr);
    assert_eq!(outcome.stdout, "web-1  | first line\nweb-1  | first line\n");
    assert_eq!(host.container("replaced-web-1")["State"], "exited");
}

#[test]
fn replicas_follow_the_scale_up_and_down() {
    if lacks_root() {
        return;
    }
    let host = Host::with("scaled", "services: { web: { image: 'stand-in:1', command: sleep 1000, init: true } }");
    host.motet(&["up", "-d", "--scale", "web=3"]).success();
    checks::only_these_run(&host, &["scaled-web-1", "scaled-web-2", "scaled-web-3"]);
    let first = host.container("scaled-web-1");
    host.motet(&["up", "-d", "--scale", "web=1"]).success();
    checks::only_these_run(&host, &["scaled-web-1"]);
    assert_eq!(host.container("scaled-web-1")["ID"], first["ID"]);
}

#[test]
fn ten_services_and_their_ports_come_up_together() {
    if lacks_root() {
        return;
    }
    let ports: Vec<u16> = (0..10).map(|_| free_port()).collect();
    let mut file = String::from("services:\n");
    for (number, port) in ports.iter().enumerate() {
        file.push_str(&format!(
            "  s{number}:\n    image: stand-in:1\n    command: httpd -f -p 80 -h /www\n    init: true\n    ports: ['{port}:80']\n"
        ));
    }
    let host = Host::with("ten", &file);
    host.motet(&["up", "-d"]).success();
    for port in &ports {
        let address = format!("127.0.0.1:{port}");
        until("the server listens", || http(&address, "GET / HTTP/1.0\r\n\r\n").is_some());
        checks::port_answers(&address, "hello");
    }
    host.motet(&["down"]).success();
    for port in &ports {
        checks::port_is_closed(&format!("127.0.0.1:{port}"));
    }
    host.must_be_clean();
}

#[test]
fn the_program_is_confined_as_docker_confines_it() {
    if lacks_root() {
        return;
    }
    let host = Host::with(
        "confined",
        "
services:
  plain: { image: 'stand-in:1', command: sleep 1000, init: true }
  user: { image: 'stand-in:1', command: sleep 1000, init: true, user: bob }
  dropped: { image: 'stand-in:1', command: sleep 1000, init: true, cap_drop: [ALL], security_opt: ['no-new-privileges:true'], read_only: true }
  limited: { image: 'stand-in:1', command: sleep 1000, init: true, mem_limit: 64m, pids_limit: 77, cpus: 0.5 }
",
    );
    host.motet(&["up", "-d"]).success();
    let status = host.shell("plain", "cat /proc/self/status");
    assert!(status.contains("CapEff:\t00000000a80425fb"), "{status}");
    assert!(status.contains("CapBnd:\t00000000a80425fb") && status.contains("Seccomp:\t2"), "{status}");
    assert!(status.contains("CapInh:\t0000000000000000") && status.contains("NoNewPrivs:\t0"), "{status}");
    assert_eq!(host.shell("plain", "mount -t tmpfs x /tmp 2>&1 || echo denied").lines().last(), Some("denied"));
    assert_eq!(host.shell("plain", "cat /proc/kcore | wc -c"), "0");
    assert_eq!(
        host.shell("plain", "echo 1 > /proc/sys/kernel/panic 2>/dev/null && echo open || echo closed"),
        "closed"
    );
    assert_eq!(host.shell("user", "id -u; id -G"), "1000\n1000 29");
    let status = host.shell("dropped", "cat /proc/self/status");
    assert!(status.contains("CapBnd:\t0000000000000000") && status.contains("NoNewPrivs:\t1"), "{status}");
    assert_eq!(host.shell("dropped", "touch /x 2>/dev/null && echo written || echo refused"), "refused");
    assert_eq!(host.shell("plain", "ls /proc/self/fd | wc -l"), "4", "the standard streams and ls's own, no more");
}

#[test]
fn an_attached_up_whose_service_fails_fails_with_its_code_and_last_lines() {
    if lacks_root() {
        return;
    }
    let file = "
services:
  fine: { image: stand-in:1, command: echo done }
  bad: { image: stand-in:1, command: [sh, -c, \"echo the disk is full >&2; exit 3\"] }
";
    let host = Host::with("failing", file);
    let outcome = host.motet(&["up"]).failure().names(&["service `bad` failed", "exit code 3", "the disk is full"]);
    assert_eq!(outcome.code, 7);
    assert!(outcome.stderr.contains("compose.yaml:4"), "the card points into the file: {}", outcome.stderr);
    host.motet(&["down"]).success();
    // A code that was asked for is given as it is.
    assert_eq!(host.motet(&["up", "--abort-on-container-failure"]).code, 3);
    host.motet(&["down"]).success();
    host.must_be_clean();
}

engines! {
    both: [
        up_starts_every_service_and_a_second_one_changes_nothing,
        a_changed_service_is_recreated_and_the_others_are_left_alone,
        a_dependency_is_healthy_before_its_dependant_starts,
        a_job_completes_before_its_dependant_starts_and_a_failed_one_fails_up,
        attached_up_shows_the_first_line_and_ctrl_c_stops_what_it_started,
        an_attached_up_goes_on_with_the_container_that_takes_the_place_of_another,
        replicas_follow_the_scale_up_and_down,
        ten_services_and_their_ports_come_up_together,
        the_program_is_confined_as_docker_confines_it,
        an_attached_up_whose_service_fails_fails_with_its_code_and_last_lines,
    ],
}
