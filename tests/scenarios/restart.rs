//! Restart policies, exit codes, and what a container's end looks like.

use crate::support::engines::engines;
use crate::support::host::{Host, lacks_root, signal, until};

#[test]
fn on_failure_is_tried_so_often_and_no_more() {
    if lacks_root() {
        return;
    }
    let host = Host::with(
        "tries",
        "
services:
  web:
    image: stand-in:1
    command: sh -c 'echo try >> /data/tries; exit 7'
    restart: on-failure:2
    volumes: ['./data:/data']
",
    );
    std::fs::create_dir(host.folder.join("data")).unwrap();
    host.motet(&["up", "-d"]).success();
    until("it gives up", || host.container("tries-web-1")["State"] == "exited");
    assert_eq!(std::fs::read_to_string(host.folder.join("data/tries")).unwrap(), "try\ntry\ntry\n");
    assert_eq!(host.container("tries-web-1")["ExitCode"], 7);
}

#[test]
fn a_killed_program_comes_back_under_always_but_not_after_stop() {
    if lacks_root() {
        return;
    }
    let host = Host::with("always", "services: { web: { image: 'stand-in:1', command: sleep 1000, restart: always } }");
    host.motet(&["up", "-d"]).success();
    let id = host.container("always-web-1")["ID"].as_str().unwrap().to_owned();
    let first = host.init_pid(&id).unwrap();
    signal(first, rustix::process::Signal::KILL);
    until("it runs again", || host.init_pid(&id).is_some_and(|pid| pid != first));
    assert_eq!(host.container("always-web-1")["State"], "running");
    host.motet(&["stop"]).success();
    assert_eq!(host.container("always-web-1")["State"], "exited");
    host.motet(&["down"]).success();
    host.must_be_clean();
}

#[test]
fn the_exit_code_is_the_programs_own_or_its_signals() {
    if lacks_root() {
        return;
    }
    let host = Host::with(
        "codes",
        "
services:
  three: { image: 'stand-in:1', command: sh -c 'exit 3' }
  killed: { image: 'stand-in:1', command: sh -c 'kill -9 $$$$', init: true }
",
    );
    host.motet(&["up", "-d"]).success();
    until("both end", || host.ps().iter().all(|container| container["State"] == "exited"));
    assert_eq!(host.container("codes-three-1")["ExitCode"], 3);
    assert_eq!(host.container("codes-killed-1")["ExitCode"], 137);
}

engines! {
    both: [
        on_failure_is_tried_so_often_and_no_more,
        a_killed_program_comes_back_under_always_but_not_after_stop,
        the_exit_code_is_the_programs_own_or_its_signals,
    ],
}
