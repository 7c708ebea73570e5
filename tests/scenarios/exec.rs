//! `exec`: a second program in a running container.

use crate::support::engines::engines;
use crate::support::host::{Host, lacks_root};

#[test]
fn exec_sees_what_the_service_sees_and_passes_its_code() {
    if lacks_root() {
        return;
    }
    let host = Host::with(
        "exec",
        "
services:
  web:
    image: stand-in:1
    command: sleep 1000
    init: true
    hostname: box
    environment: { A: file }
    working_dir: /tmp
",
    );
    host.motet(&["up", "-d"]).success();
    assert_eq!(host.shell("web", "hostname; pwd; echo $A"), "box\n/tmp\nfile");
    assert_eq!(host.motet(&["exec", "-T", "web", "sh", "-c", "exit 42"]).code, 42);
    // Docker Engine 20.10 calls both what is not there and what can't be run 126.
    let absent = if host.engine == "docker" { [126, 127] } else { [127, 127] };
    assert!(absent.contains(&host.motet(&["exec", "-T", "web", "no-such-program"]).code));
    let outcome = host
        .motet(&["exec", "-T", "-u", "bob", "-w", "/", "-e", "A=flag", "web", "sh", "-c", "id -un; pwd; echo $A"])
        .success();
    assert_eq!(outcome.stdout, "bob\n/\nflag\n");
    let outcome = host.motet(&["exec", "-T", "-w", "/not-there", "web", "pwd"]).failure();
    // A Docker Engine says it in the program's place.
    assert!(format!("{}{}", outcome.stderr, outcome.stdout).contains("/not-there"), "{}", outcome.stderr);
    assert_eq!(host.shell("web", "ls -d /not-there 2>/dev/null || echo absent"), "absent");
    host.motet(&["stop"]).success();
    host.motet(&["exec", "-T", "web", "true"]).failure().names(&["web", "not running"]);
}

#[test]
fn exec_keeps_the_two_streams_apart_and_reads_its_input() {
    if lacks_root() {
        return;
    }
    let host = Host::with("streams", "services: { web: { image: 'stand-in:1', command: sleep 1000, init: true } }");
    host.motet(&["up", "-d"]).success();
    let outcome = host.motet(&["exec", "-T", "web", "sh", "-c", "echo out; echo err >&2"]).success();
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("out\n", "err\n"));

    use std::io::Write as _;
    let mut command = host.command(&["exec", "-T", "web", "cat"]);
    let mut child = command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"through\0the pipe").unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"through\0the pipe");
}

engines! {
    both: [
        exec_sees_what_the_service_sees_and_passes_its_code,
        exec_keeps_the_two_streams_apart_and_reads_its_input,
    ],
}
