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
fn a_container_goes_on_when_its_keeper_is_killed_with_its_ports_and_names() {
    if lacks_root() {
        return;
    }
    let host = Host::with("keeperless", SERVED);
    host.motet(&["up", "-d"]).success();
    let id = host.container("keeperless-web-1")["ID"].as_str().unwrap().to_owned();
    let init = host.init_pid(&id).unwrap();
    for round in 0..5 {
        let keeper = host.keeper_pid(&id);
        signal(keeper, rustix::process::Signal::KILL);
        until("it has another keeper", || host.keeper_pid(&id) != keeper);
        assert_eq!(host.init_pid(&id), Some(init), "round {round}");
        for address in ["127.0.0.1", "::1"] {
            let socket = std::net::TcpStream::connect((address, 18_947)).unwrap();
            assert_eq!(fetch(socket), "served", "by {address} in round {round}");
        }
        assert_eq!(
            host.shell("web", "wget -q -O - http://web/page; nslookup client >/dev/null && echo ' named'"),
            "served named"
        );
    }
    // No-change `up` finds nothing to do: the containers are those that were there.
    host.motet(&["up", "-d"]).success();
    assert_eq!(host.init_pid(&id), Some(init));
    host.motet(&["down", "-t", "0"]).success();
    host.must_be_clean();
}

const SERVED: &str = "
services:
  web:
    image: 'stand-in:1'
    command: sh -c 'printf served > /page; exec httpd -f -p 80 -h /'
    ports: ['18947:80']
  client: { image: 'stand-in:1', command: sleep 1000, init: true }
";

fn fetch(mut socket: std::net::TcpStream) -> String {
    use std::io::{Read as _, Write as _};
    socket.write_all(b"GET /page HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer.rsplit_once("\r\n\r\n").unwrap().1.to_owned()
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
    // It is in no list any more; its folder of the kernel goes when nobody can hold it.
    until("the link's folder goes", || !link.exists());
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
        a_container_goes_on_when_its_keeper_is_killed_with_its_ports_and_names: "a Docker Engine has no keepers",
        a_network_half_made_or_half_removed_is_cleared_by_the_next_command: "it breaks the embedded runtime's own records",
    ],
}
