//! Kills at the worst moment: the next command repairs, and nothing leaks.

use crate::support::checks;
use crate::support::engines::engines;
use crate::support::host::{Host, finish, lacks_root, signal, until};

const THREE: &str = "
services:
  a: { image: 'stand-in:1', command: sleep 1000, init: true, depends_on: [b] }
  b: { image: 'stand-in:1', command: sleep 1000, init: true, depends_on: [c] }
  c: { image: 'stand-in:1', command: sleep 1000, init: true }
";

#[test]
fn the_command_may_be_killed_and_the_services_go_on() {
    if lacks_root() {
        return;
    }
    let host = Host::with("goes-on", THREE);
    let child = host.spawn(&["up"]);
    until("all run", || host.ps().iter().filter(|container| container["State"] == "running").count() == 3);
    signal(child.id().cast_signed(), rustix::process::Signal::KILL);
    finish(child, "a killed up");
    checks::only_these_run(&host, &["goes-on-a-1", "goes-on-b-1", "goes-on-c-1"]);
}

#[test]
fn up_killed_at_any_moment_converges_at_the_next() {
    if lacks_root() {
        return;
    }
    let host = Host::with("killed-up", THREE);
    for step in 0..15 {
        let child = host.spawn(&["up", "-d"]);
        // The moments differ by what the scheduler makes of them: each round is another cut through the work.
        std::thread::park_timeout(std::time::Duration::from_millis(4 * step));
        signal(child.id().cast_signed(), rustix::process::Signal::KILL);
        finish(child, "a killed up");
        host.motet(&["up", "-d"]).success();
        checks::only_these_run(&host, &["killed-up-a-1", "killed-up-b-1", "killed-up-c-1"]);
        host.motet(&["down", "-t", "0"]).success();
        host.must_be_clean();
    }
}

#[test]
fn down_killed_at_any_moment_is_finished_by_the_next() {
    if lacks_root() {
        return;
    }
    let host = Host::with("killed-down", THREE);
    for step in 0..10 {
        host.motet(&["up", "-d"]).success();
        let child = host.spawn(&["down"]);
        std::thread::park_timeout(std::time::Duration::from_millis(6 * step));
        signal(child.id().cast_signed(), rustix::process::Signal::KILL);
        finish(child, "a killed down");
        host.motet(&["down"]).success();
        host.must_be_clean();
    }
}

#[test]
fn a_killed_keeper_leaves_nothing_unsupervised_and_up_brings_it_back() {
    if lacks_root() {
        return;
    }
    let host = Host::with("keeperless", THREE);
    host.motet(&["up", "-d"]).success();
    let id = host.container("keeperless-c-1")["ID"].as_str().unwrap().to_owned();
    let init = host.init_pid(&id).unwrap();
    signal(host.keeper_pid(&id), rustix::process::Signal::KILL);
    until("its program is gone too", || !std::path::Path::new(&format!("/proc/{init}")).exists());
    assert_eq!(host.container("keeperless-c-1")["State"], "exited");
    host.motet(&["up", "-d"]).success();
    checks::only_these_run(&host, &["keeperless-a-1", "keeperless-b-1", "keeperless-c-1"]);
    host.motet(&["down"]).success();
    host.must_be_clean();
}

#[test]
fn many_commands_at_once_end_in_one_valid_state() {
    if lacks_root() {
        return;
    }
    let host = Host::with("crowd", THREE);
    let children: Vec<_> = (0..8).map(|_| host.spawn(&["up", "-d"])).collect();
    for child in children {
        finish(child, "one of eight ups").success();
    }
    checks::only_these_run(&host, &["crowd-a-1", "crowd-b-1", "crowd-c-1"]);
    host.motet(&["down"]).success();
    host.must_be_clean();
}

#[test]
fn a_network_half_made_or_half_removed_is_cleared_by_the_next_command() {
    if lacks_root() {
        return;
    }
    let host = Host::with("half", THREE);
    host.motet(&["up", "-d"]).success();
    host.motet(&["rm", "-s", "-f"]).success();
    let networks = host.root.join("lib/networks");
    let network = std::fs::read_dir(&networks).unwrap().next().unwrap().unwrap().path();
    let record: serde_json::Value =
        serde_json::from_slice(&std::fs::read(network.join("network.json")).unwrap()).unwrap();
    let link = std::path::Path::new("/sys/class/net").join(record["bridge"].as_str().unwrap());
    assert!(link.exists());
    // As a kill leaves it in the middle of `down`, and another in the middle of `up`.
    std::fs::rename(&network, network.with_extension("leaving")).unwrap();
    std::fs::create_dir(networks.join("0".repeat(64))).unwrap();
    host.motet(&["down"]).success();
    assert!(!link.exists());
    host.must_be_clean();
}

engines! {
    both: [
        the_command_may_be_killed_and_the_services_go_on,
        up_killed_at_any_moment_converges_at_the_next,
        down_killed_at_any_moment_is_finished_by_the_next,
        many_commands_at_once_end_in_one_valid_state,
    ],
    embedded: [
        a_killed_keeper_leaves_nothing_unsupervised_and_up_brings_it_back: "a Docker Engine has no keepers",
        a_network_half_made_or_half_removed_is_cleared_by_the_next_command: "it breaks the embedded runtime's own records",
    ],
}
