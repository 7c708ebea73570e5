//! `run`: one more container of a service, for one command.

use std::io::Write as _;
use std::process::Stdio;

use crate::support::engines::engines;
use crate::support::host::{Host, lacks_root, until};

const FILE: &str = "
services:
  web:
    image: stand-in:1
    command: sleep 1000
    init: true
    environment: { A: file }
    depends_on: [db]
  db: { image: 'stand-in:1', command: sleep 1000, init: true }
";

#[test]
fn run_passes_streams_code_and_variables_and_starts_what_the_service_needs() {
    if lacks_root() {
        return;
    }
    let host = Host::with("oneoff", FILE);
    let line = "echo $A $B; echo err >&2; exit 42";
    let outcome = host.motet(&["run", "--rm", "-T", "-e", "B=flag", "web", "sh", "-c", line]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (42, "file flag\n"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("err\n"), "{}", outcome.stderr);
    let names: Vec<_> = host.ps().iter().map(|container| container["Name"].clone()).collect();
    assert_eq!(names, ["oneoff-db-1"], "the service itself is not started, and --rm leaves nothing");
}

#[test]
fn run_reads_what_is_piped_in() {
    if lacks_root() {
        return;
    }
    let host = Host::with("piped", "services: { web: { image: 'stand-in:1' } }");
    let mut command = host.command(&["run", "--rm", "web", "cat"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"through\0the pipe").unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"through\0the pipe");
}

#[test]
fn a_detached_run_is_a_one_off_with_a_name_and_labels_and_without_the_services_ports() {
    if lacks_root() {
        return;
    }
    let host = Host::with(
        "apart",
        "services: { web: { image: 'stand-in:1', command: sleep 1000, init: true, ports: ['38917:80'] } }",
    );
    let printed = host.motet(&["run", "-d", "-l", "mine=1", "web", "sleep", "500"]).success().stdout;
    let name = printed.trim_end();
    assert!(name.starts_with("apart-web-run-") && name.len() == "apart-web-run-".len() + 12, "{name}");
    let container = host.container(name);
    let labels = container["Labels"].as_str().unwrap();
    assert!(labels.contains("com.docker.compose.oneoff=True") && labels.contains("mine=1"), "{labels}");
    assert!(!container["Ports"].as_str().unwrap().contains("38917"), "{container}");
    host.motet(&["up", "-d"]).success();
    assert_eq!(host.container("apart-web-1")["State"], "running");
    host.motet(&["stop"]).success();
    assert_eq!(host.container(name)["State"], "running", "one-offs are left alone by `stop`");
    host.motet(&["down", "--remove-orphans", "-t", "0"]).success();
    assert!(host.ps().is_empty());
}

#[test]
fn signals_reach_the_program() {
    if lacks_root() {
        return;
    }
    let host = Host::with("told", "services: { web: { image: 'stand-in:1' } }");
    let trap = "trap 'exit 7' TERM; echo ready > /tmp/ready; while true; do sleep 0.1; done";
    let child = host.spawn(&["run", "-T", "--name", "told-one", "web", "sh", "-c", trap]);
    until("the program waits for its signal", || {
        let seen = host.motet(&["container", "exec", "told-one", "cat", "/tmp/ready"]);
        seen.stdout == "ready\n"
    });
    crate::support::host::signal(i32::try_from(child.id()).unwrap(), rustix::process::Signal::TERM);
    assert_eq!(crate::support::host::finish(child, "run").code, 7);
}

#[test]
fn what_a_killed_run_with_rm_leaves_goes_when_its_program_ends() {
    if lacks_root() {
        return;
    }
    let host = Host::with("orphaned", "services: { web: { image: 'stand-in:1' } }");
    let by_file = ["run", "--rm", "-T", "--name", "orphaned-one", "web", "sleep", "1000"];
    let by_flags = ["container", "run", "--rm", "--name", "orphaned-one", "stand-in:1", "sleep", "1000"];
    for args in [&by_file[..], &by_flags] {
        let mut child = host.spawn(args);
        let state = || host.motet(&["container", "inspect", "-f", "{{.State.Status}}", "orphaned-one"]);
        until("it runs", || state().stdout == "running\n");
        child.kill().unwrap();
        child.wait().unwrap();
        host.motet(&["container", "kill", "orphaned-one"]).success();
        until("it is gone", || state().code != 0);
    }
    assert!(host.ps().is_empty());
}

#[test]
fn a_short_run_with_rm_has_its_code_and_all_of_its_output() {
    if lacks_root() {
        return;
    }
    let host = Host::with("short", "services: { web: { image: 'stand-in:1' } }");
    let wanted: String = (1..=5000).map(|number| format!("{number}\n")).collect();
    for code in 0..20 {
        let outcome = host.motet(&["run", "--rm", "-T", "web", "sh", "-c", &format!("seq 1 5000; exit {code}")]);
        assert_eq!(outcome.code, code, "{}", outcome.stderr);
        assert!(outcome.stdout == wanted, "{} bytes", outcome.stdout.len());
    }
    assert!(host.ps().is_empty());
}

engines! {
    both: [
        what_a_killed_run_with_rm_leaves_goes_when_its_program_ends,
        a_short_run_with_rm_has_its_code_and_all_of_its_output,
        run_passes_streams_code_and_variables_and_starts_what_the_service_needs,
        run_reads_what_is_piped_in,
        a_detached_run_is_a_one_off_with_a_name_and_labels_and_without_the_services_ports,
        signals_reach_the_program,
    ],
}
