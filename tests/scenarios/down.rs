//! `down`, `stop`, `start`, `restart`: gone without a trace, or back as before.

use crate::support::checks;
use crate::support::engines::engines;
use crate::support::host::{Host, lacks_root};

const KEPT: &str = "
services:
  db:
    image: stand-in:1
    command: sleep 1000
    init: true
    volumes: [data:/data]
volumes: { data: {} }
";

#[test]
fn down_keeps_the_named_volume_and_down_v_forgets_it() {
    if lacks_root() {
        return;
    }
    let host = Host::with("kept", KEPT);
    host.motet(&["up", "-d"]).success();
    host.shell("db", "echo Ada > /data/user");
    host.motet(&["down"]).success();
    checks::nothing_is_there(&host);
    host.must_be_clean();
    host.motet(&["up", "-d"]).success();
    assert_eq!(host.shell("db", "cat /data/user"), "Ada");
    host.motet(&["down", "-v"]).success();
    host.motet(&["up", "-d"]).success();
    assert_eq!(host.shell("db", "cat /data/user 2>/dev/null || echo forgotten"), "forgotten");
}

#[test]
fn down_without_a_file_finds_the_project_by_its_name() {
    if lacks_root() {
        return;
    }
    let host = Host::with("nameless", KEPT);
    host.motet(&["up", "-d"]).success();
    std::fs::remove_file(host.folder.join("compose.yaml")).unwrap();
    host.motet(&["-p", "nameless", "down"]).success();
    host.must_be_clean();
}

#[test]
fn stop_start_and_restart_keep_the_container() {
    if lacks_root() {
        return;
    }
    let host = Host::with("cycle", KEPT);
    host.motet(&["up", "-d"]).success();
    let before = host.ps();
    host.shell("db", "touch /kept");
    host.motet(&["stop"]).success();
    assert_eq!(host.container("cycle-db-1")["State"], "exited");
    host.motet(&["start"]).success();
    checks::only_these_run(&host, &["cycle-db-1"]);
    host.motet(&["restart"]).success();
    checks::only_these_run(&host, &["cycle-db-1"]);
    checks::same_containers(&before, &host.ps());
    assert_eq!(host.shell("db", "ls /kept"), "/kept");
}

#[test]
fn a_program_deaf_to_its_stop_signal_is_not_waited_for() {
    if lacks_root() {
        return;
    }
    // Process 1 without a handler never sees TERM: the kernel drops it.
    let host =
        Host::with("deaf", "services: { web: { image: 'stand-in:1', command: sleep 1000, stop_grace_period: 1h } }");
    host.motet(&["up", "-d"]).success();
    host.motet(&["down"]).success().names(&["`deaf-web-1` does not catch SIGTERM", "init: true"]);
    // Who gives no grace expects no wait.
    host.motet(&["up", "-d"]).success();
    let outcome = host.motet(&["down", "-t", "0"]).success();
    assert!(!outcome.stderr.contains("does not catch"), "{}", outcome.stderr);
    host.must_be_clean();
}

#[test]
fn an_orphan_is_named_and_goes_when_asked() {
    if lacks_root() {
        return;
    }
    let two = "services: { a: { image: 'stand-in:1', command: sleep 1000 }, b: { image: 'stand-in:1', command: sleep 1000 } }";
    let host = Host::with("orphan", two);
    host.motet(&["up", "-d"]).success();
    host.write("compose.yaml", "services: { a: { image: 'stand-in:1', command: sleep 1000 } }");
    host.motet(&["up", "-d"]).success().names(&["orphan-b-1"]);
    host.motet(&["up", "-d", "--remove-orphans"]).success();
    checks::only_these_run(&host, &["orphan-a-1"]);
}

engines! {
    both: [
        down_keeps_the_named_volume_and_down_v_forgets_it,
        down_without_a_file_finds_the_project_by_its_name,
        stop_start_and_restart_keep_the_container,
        an_orphan_is_named_and_goes_when_asked,
    ],
    embedded: [
        a_program_deaf_to_its_stop_signal_is_not_waited_for: "a Docker Engine waits as long as it is told",
    ],
}
