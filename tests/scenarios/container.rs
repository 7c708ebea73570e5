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

#[test]
fn a_container_joins_and_leaves_networks_whether_it_runs_or_not() {
    if lacks_root() {
        return;
    }
    let host = host("joins");
    docker(&host, &["network", "create", "one"]).success();
    docker(&host, &["network", "create", "--subnet", "10.123.45.0/24", "two"]).success();
    for (name, network) in [("asker", "one"), ("other", "two")] {
        docker(&host, &["run", "-d", "--name", name, "--network", network, "--init", "stand-in:1", "sleep", "1000"])
            .success();
    }
    let ask = |name: &str| docker(&host, &["exec", "asker", "nslookup", name]).code;
    assert_ne!(ask("other"), 0);
    let join = ["network", "connect", "--alias", "second", "--ip", "10.123.45.9", "two", "asker"];
    docker(&host, &join).success();
    docker(&host, &join).success();
    assert_eq!(ask("other"), 0, "names of the new network are known at once");
    assert_eq!(docker(&host, &["exec", "other", "nslookup", "second"]).code, 0, "and its own name there");
    let address = "ip -4 addr show eth1 | grep -c 10.123.45.9/24; grep -c 10.123.45.9 /etc/hosts";
    assert_eq!(docker(&host, &["exec", "asker", "sh", "-c", address]).success().stdout, "1\n1\n");
    let taken = docker(&host, &["network", "connect", "--ip", "10.123.45.9", "two", "other"]).code;
    assert_eq!(taken, 0, "it is there already, as it is");
    docker(&host, &["run", "-d", "--name", "third", "--network", "one", "--init", "stand-in:1", "sleep", "1000"])
        .success();
    docker(&host, &["network", "connect", "--ip", "10.123.45.9", "two", "third"])
        .failure()
        .names(&["two", "10.123.45.9 is taken"]);
    let second = docker(&host, &["exec", "third", "test", "-e", "/sys/class/net/eth1"]);
    assert_eq!(second.code, 1, "nothing is half done");

    docker(&host, &["restart", "-t", "0", "asker"]).success();
    assert_eq!(ask("other"), 0, "a restart keeps it");
    docker(&host, &["network", "disconnect", "two", "asker"]).success();
    docker(&host, &["network", "disconnect", "two", "asker"]).success();
    assert_ne!(ask("other"), 0);
    assert_eq!(docker(&host, &["exec", "asker", "grep", "10.123.45.9", "/etc/hosts"]).code, 1);

    docker(&host, &["stop", "-t", "0", "asker"]).success();
    docker(&host, &join).success();
    docker(&host, &["network", "disconnect", "one", "asker"]).success();
    docker(&host, &["start", "asker"]).success();
    assert_eq!(ask("other"), 0);
    let networks = docker(&host, &["inspect", "-f", "{{json .NetworkSettings.Networks}}", "asker"]).success().stdout;
    assert!(networks.contains("\"two\"") && !networks.contains("\"one\""), "{networks}");
    docker(&host, &["run", "-d", "--name", "alone", "--network", "none", "--init", "stand-in:1", "sleep", "9"])
        .success();
    docker(&host, &["network", "connect", "one", "alone"]).failure().names(&["alone", "no network"]);
    docker(&host, &["rm", "-f", "asker", "other", "third", "alone"]).success();
    docker(&host, &["network", "rm", "one", "two"]).success();
}

#[test]
fn published_ports_follow_the_networks_of_a_container() {
    if lacks_root() {
        return;
    }
    let host = host("moves");
    let port = crate::support::host::free_port();
    for name in ["one", "two"] {
        docker(&host, &["network", "create", name]).success();
    }
    let publish = format!("{port}:80");
    let web = ["run", "-d", "--name", "web", "--network", "one", "-p", &publish, "--init", "stand-in:1"];
    docker(&host, &[&web[..], &["httpd", "-f", "-p", "80", "-h", "/www"]].concat()).success();
    let address = format!("127.0.0.1:{port}");
    let answers =
        || crate::support::host::http(&address, "GET / HTTP/1.0\r\n\r\n").is_some_and(|text| text.contains("hello"));
    until("the server answers", answers);
    docker(&host, &["network", "connect", "two", "web"]).success();
    docker(&host, &["network", "disconnect", "one", "web"]).success();
    assert!(answers(), "the port leads to what is left");
    docker(&host, &["network", "disconnect", "two", "web"]).success();
    assert!(!answers(), "no network, no way in");
    docker(&host, &["network", "connect", "one", "web"]).success();
    assert!(answers());
    docker(&host, &["rm", "-f", "web"]).success();
    docker(&host, &["network", "rm", "one", "two"]).success();
}

#[test]
fn what_follows_the_image_is_the_program_s_own() {
    if lacks_root() {
        return;
    }
    let host = host("follows");
    let outcome = docker(&host, &["run", "--rm", "-h", "h9", "--entrypoint", "sh", "stand-in:1", "-c", "hostname"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, "h9\n"), "{}", outcome.stderr);
    docker(&host, &["run", "-dl", "a=b", "--name", "one", "--init", "stand-in:1", "sleep", "1000"]).success();
    docker(&host, &["run", "-d", "--name", "two", "--init", "stand-in:1", "sleep", "1000"]).success();
    assert_eq!(docker(&host, &["ps", "-q", "-f", "since=one"]).success().stdout.lines().count(), 1);
    assert_eq!(docker(&host, &["ps", "-f", "before=two", "--format", "{{.Names}} {{.Label \"a\"}}"]).stdout, "one b\n");
    docker(&host, &["ps", "-f", "before=nobody"]).failure().names(&["nobody"]);
    docker(&host, &["rm", "-f", "one", "two"]).success();
}

engines! {
    alone: [
        a_container_of_flags_alone_lives_and_goes,
        failures_of_our_own_are_125_and_a_program_that_is_not_there_is_127,
        files_go_in_and_out_and_what_changed_is_told,
        networks_and_volumes_have_names_of_their_own,
        one_who_waits_is_told_the_code,
    ],
    embedded: [
        a_container_joins_and_leaves_networks_whether_it_runs_or_not: "its messages and the names of links are those of our own runtime",
        published_ports_follow_the_networks_of_a_container: "that ports follow at once is a promise of our own runtime",
        what_follows_the_image_is_the_program_s_own: "it looks at the command line, not at the engine",
    ],
}
