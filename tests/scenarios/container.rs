//! Single containers by name, and the docker command's own words for them.

use std::os::unix::process::CommandExt as _;
use std::process::Stdio;

use crate::support::engines::engines;
use crate::support::host::{Host, Outcome, finish, lacks_root, until};

/// The program, called as `docker`.
fn docker(host: &Host, args: &[&str]) -> Outcome {
    let mut command = host.command(args);
    command.arg0("docker").stdout(Stdio::piped()).stderr(Stdio::piped());
    finish(command.spawn().unwrap(), &format!("docker {}", args.join(" ")))
}

fn host(name: &str) -> Host {
    Host::with(name, "services: { web: { image: 'stand-in:1' } }")
}

#[test]
fn a_container_of_flags_alone_lives_and_goes() {
    if lacks_root() {
        return;
    }
    let host = host("single");
    let outcome =
        docker(&host, &["run", "--rm", "-e", "A=1", "-w", "/tmp", "stand-in:1", "sh", "-c", "echo $A; pwd; exit 9"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (9, "1\n/tmp\n"), "{}", outcome.stderr);
    let id = docker(&host, &["run", "-d", "--name", "one", "--init", "stand-in:1", "sleep", "1000"]).success().stdout;
    assert_eq!(id.trim_end().len(), 64, "{id}");
    assert_eq!(docker(&host, &["ps", "--format", "{{.Names}} {{.State}}"]).success().stdout, "one running\n");
    assert_eq!(docker(&host, &["inspect", "-f", "{{.State.Status}}", "one"]).success().stdout, "running\n");
    assert_eq!(docker(&host, &["exec", "one", "sh", "-c", "echo in; exit 3"]).code, 3);
    docker(&host, &["rm", "one"]).failure().names(&["one", "runs"]);
    docker(&host, &["pause", "one"]).success();
    assert_eq!(docker(&host, &["ps", "-f", "status=paused", "-q"]).success().stdout.lines().count(), 1);
    docker(&host, &["unpause", "one"]).success();
    docker(&host, &["rename", "one", "two"]).success();
    docker(&host, &["stop", "-t", "1", "two"]).success();
    assert_eq!(docker(&host, &["wait", "two"]).success().stdout.lines().count(), 1);
    docker(&host, &["rm", "two"]).success();
    assert_eq!(docker(&host, &["ps", "-aq"]).success().stdout, "");
}

#[test]
fn failures_of_our_own_are_125_and_a_program_that_is_not_there_is_127() {
    if lacks_root() {
        return;
    }
    let host = host("codes");
    assert_eq!(docker(&host, &["run", "--no-such-flag", "stand-in:1"]).code, 125);
    assert_eq!(docker(&host, &["run", "--pull", "never", "no-such-image:1"]).code, 125);
    assert_eq!(docker(&host, &["run", "--rm", "stand-in:1", "no-such-program"]).code, 127);
    assert_eq!(docker(&host, &["ps", "-aq"]).success().stdout, "");
}

#[test]
fn files_go_in_and_out_and_what_changed_is_told() {
    if lacks_root() {
        return;
    }
    let host = host("files");
    host.write("site/a/b.txt", "text");
    docker(&host, &["run", "-d", "--name", "box", "--init", "stand-in:1", "sleep", "1000"]).success();
    docker(&host, &["cp", "site", "box:/tmp/new"]).success();
    let seen = docker(&host, &["exec", "box", "cat", "/tmp/new/a/b.txt"]).success().stdout;
    assert_eq!(seen, "text");
    docker(&host, &["cp", "site/.", "box:/tmp"]).success();
    docker(&host, &["exec", "box", "test", "-f", "/tmp/a/b.txt"]).success();
    docker(&host, &["cp", "box:/tmp/new", "back"]).success();
    assert_eq!(std::fs::read_to_string(host.folder.join("back/a/b.txt")).unwrap(), "text");
    docker(&host, &["cp", "box:/tmp/new/a/b.txt", "renamed.txt"]).success();
    assert_eq!(std::fs::read_to_string(host.folder.join("renamed.txt")).unwrap(), "text");
    let changes = docker(&host, &["diff", "box"]).success().stdout;
    assert!(changes.lines().any(|line| line == "A /tmp/new"), "{changes}");
    docker(&host, &["rm", "-f", "box"]).success();
}

#[test]
fn networks_and_volumes_have_names_of_their_own() {
    if lacks_root() {
        return;
    }
    let host = host("named");
    docker(&host, &["network", "create", "--label", "mine=1", "lan"]).success();
    docker(&host, &["network", "create", "lan"]).failure().names(&["lan", "already"]);
    docker(&host, &["volume", "create", "store"]).success();
    let mount = "store:/data";
    docker(&host, &["run", "--rm", "-v", mount, "--network", "lan", "stand-in:1", "sh", "-c", "echo kept > /data/f"])
        .success();
    let read = docker(&host, &["run", "--rm", "-v", mount, "stand-in:1", "cat", "/data/f"]).success();
    assert_eq!(read.stdout, "kept\n");
    assert_eq!(docker(&host, &["volume", "ls", "-q"]).success().stdout, "store\n");
    docker(&host, &["volume", "rm", "store"]).success();
    docker(&host, &["network", "rm", "lan"]).success();
    docker(&host, &["network", "rm", "lan"]).failure().names(&["lan"]);
    docker(&host, &["network", "prune", "-f"]).success();
}

#[test]
fn one_who_waits_is_told_the_code() {
    if lacks_root() {
        return;
    }
    let host = host("waits");
    docker(&host, &["run", "-d", "--name", "ends", "stand-in:1", "sh", "-c", "echo said; exit 5"]).success();
    assert_eq!(docker(&host, &["wait", "ends"]).success().stdout, "5\n");
    until("its line is there", || docker(&host, &["logs", "ends"]).stdout == "said\n");
    docker(&host, &["container", "prune", "-f"]).success();
    assert_eq!(docker(&host, &["ps", "-aq"]).success().stdout, "");
}

engines! {
    alone: [
        a_container_of_flags_alone_lives_and_goes,
        failures_of_our_own_are_125_and_a_program_that_is_not_there_is_127,
        files_go_in_and_out_and_what_changed_is_told,
        networks_and_volumes_have_names_of_their_own,
        one_who_waits_is_told_the_code,
    ],
}
