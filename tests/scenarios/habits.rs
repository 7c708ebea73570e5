//! What who knows docker takes for granted of single containers, networks and volumes.

use std::os::unix::process::CommandExt as _;
use std::process::Stdio;

use crate::support::engines::engines;
use crate::support::host::{Host, Outcome, finish, lacks_root, until};

/// The program, called as `docker`.
fn docker(host: &Host, args: &[&str]) -> Outcome {
    let mut command = host.command(args);
    command.arg0("docker").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    finish(command.spawn().unwrap(), &format!("docker {}", args.join(" ")))
}

fn host(name: &str) -> Host {
    Host::with(name, "services: { web: { image: 'stand-in:1', init: true, command: sleep 1000 } }")
}

#[test]
fn three_networks_are_always_there_and_are_never_removed() {
    if lacks_root() {
        return;
    }
    let host = host("three");
    let list = || docker(&host, &["network", "ls", "--format", "{{.Name}} {{.Driver}}"]).success().stdout;
    let three = "bridge bridge\nhost host\nnone null\n";
    assert_eq!(list(), three);
    docker(&host, &["run", "--rm", "stand-in:1", "true"]).success();
    let id = |name: &str| docker(&host, &["network", "inspect", "-f", "{{.Id}}", name]).success().stdout;
    let ids = [id("bridge"), id("host"), id("none")];
    for name in ["bridge", "host", "none"] {
        docker(&host, &["network", "rm", name])
            .failure()
            .names(&[&format!("{name} is a pre-defined network and cannot be removed")]);
        docker(&host, &["network", "create", name]).failure().names(&["predefined", name]);
    }
    assert_eq!(docker(&host, &["network", "prune", "-f"]).success().stdout, "");
    docker(&host, &["system", "prune", "-f"]).success();
    assert_eq!(list(), three);
    assert_eq!([id("bridge"), id("host"), id("none")], ids);
    let subnet = "{{(index .IPAM.Config 0).Subnet}}";
    let before = docker(&host, &["network", "inspect", "bridge", "-f", subnet]).success().stdout;
    let route = docker(&host, &["run", "--rm", "stand-in:1", "ip", "route"]).success().stdout;
    assert!(route.contains(before.trim_end()), "{before}{route}");
    docker(&host, &["run", "-d", "--name", "outside", "--network", "none", "--init", "stand-in:1", "sleep", "1000"])
        .success();
    let there = docker(&host, &["network", "inspect", "none", "-f", "{{range .Containers}}{{.Name}}{{end}}"]);
    assert_eq!(there.success().stdout, "outside\n");
    docker(&host, &["rm", "-f", "outside"]).success();
}

#[test]
fn only_containers_that_run_hold_a_network() {
    if lacks_root() {
        return;
    }
    let host = host("holds");
    docker(&host, &["network", "create", "lan"]).success();
    docker(&host, &["run", "-d", "--name", "box", "--network", "lan", "--init", "stand-in:1", "sleep", "1000"])
        .success();
    docker(&host, &["network", "rm", "lan"]).failure().names(&["lan", "active endpoints"]);
    assert_eq!(docker(&host, &["network", "prune", "-f"]).success().stdout, "");
    docker(&host, &["pause", "box"]).success();
    docker(&host, &["network", "rm", "lan"]).failure();
    docker(&host, &["stop", "-t", "0", "box"]).success();
    assert_eq!(docker(&host, &["network", "prune", "-f"]).success().stdout, "Deleted Networks:\nlan\n\n");
    docker(&host, &["start", "box"]).failure().names(&["network", "not found"]);
    // A network of the same name is another one.
    docker(&host, &["network", "create", "lan"]).success();
    docker(&host, &["start", "box"]).failure().names(&["network", "not found"]);
    assert_eq!(docker(&host, &["ps", "-a", "--format", "{{.Names}} {{.State}}"]).success().stdout, "box exited\n");
    docker(&host, &["rm", "box"]).success();
    docker(&host, &["network", "rm", "lan"]).success();
}

#[test]
fn a_stranger_that_has_stopped_does_not_hold_the_network_of_a_project() {
    if lacks_root() {
        return;
    }
    let host = host("guest");
    host.motet(&["up", "-d"]).success();
    docker(
        &host,
        &["run", "-d", "--name", "guest", "--network", "guest_default", "--init", "stand-in:1", "sleep", "1000"],
    )
    .success();
    docker(&host, &["kill", "guest"]).success();
    until("it has ended", || docker(&host, &["inspect", "-f", "{{.State.Status}}", "guest"]).stdout == "exited\n");
    host.motet(&["down", "-t", "0"]).success();
    assert!(!docker(&host, &["network", "ls"]).success().stdout.contains("guest_default"));
    docker(&host, &["rm", "guest"]).success();
}

#[test]
fn what_could_not_be_started_stays_created_and_tells_why() {
    if lacks_root() {
        return;
    }
    let host = host("unstarted");
    let state =
        |name: &str| docker(&host, &["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", name]).success().stdout;
    assert_eq!(docker(&host, &["run", "--name", "absent", "stand-in:1", "no-such-program"]).code, 127);
    assert_eq!(state("absent"), "created 127\n");
    let why = docker(&host, &["inspect", "-f", "{{.State.Error}}", "absent"]).success().stdout;
    assert!(why.contains("no-such-program"), "{why}");
    assert_eq!(docker(&host, &["run", "-d", "--name", "text", "stand-in:1", "/etc/passwd"]).code, 126);
    assert_eq!(state("text"), "created 126\n");
    assert_eq!(docker(&host, &["start", "absent"]).code, 1);
    let rows = docker(&host, &["ps", "-a", "--format", "{{.Names}} {{.Status}}"]).success().stdout;
    assert_eq!(rows, "text Created\nabsent Created\n");
    docker(&host, &["rm", "absent", "text"]).success();
}

#[test]
fn a_volume_that_nobody_named_goes_with_the_first_prune() {
    if lacks_root() {
        return;
    }
    let host = host("unnamed");
    let name = docker(&host, &["volume", "create"]).success().stdout;
    let name = name.trim_end();
    assert!(name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}");
    let labels = docker(&host, &["volume", "inspect", "-f", "{{json .Labels}}", name]).success().stdout;
    assert_eq!(labels, "{\"com.docker.volume.anonymous\":\"\"}\n");
    docker(&host, &["volume", "create", "--label", "of=habit", "named"]).success();
    // The end of the input is a no.
    let asked = docker(&host, &["volume", "prune"]).success().stdout;
    let question = "WARNING! This will remove anonymous local volumes not used by at least one container.\n\
                    Are you sure you want to continue? [y/N] ";
    assert_eq!(asked, question);
    let pruned = docker(&host, &["volume", "prune", "-f"]).success().stdout;
    // Others may have left some on a Docker Engine.
    assert!(pruned.starts_with("Deleted Volumes:\n") && pruned.contains("\n\nTotal reclaimed space: "), "{pruned}");
    assert!(pruned.lines().any(|line| line == name) && !pruned.contains("named"), "{pruned}");
    docker(&host, &["run", "--rm", "-v", "named:/n", "stand-in:1", "sh", "-c", "printf 12345 > /n/f"]).success();
    // Others have left some, too.
    let pruned = docker(&host, &["volume", "prune", "-af", "--filter", "label=of=habit"]).success().stdout;
    assert_eq!(pruned, "Deleted Volumes:\nnamed\n\nTotal reclaimed space: 5B\n");
}

#[test]
fn containers_are_pruned_when_somebody_says_yes() {
    if lacks_root() {
        return;
    }
    let host = host("says-yes");
    let id = docker(&host, &["create", "--name", "old", "stand-in:1", "true"]).success().stdout;
    let question = "WARNING! This will remove all stopped containers.\nAre you sure you want to continue? [y/N] ";
    assert_eq!(docker(&host, &["container", "prune"]).success().stdout, question);
    assert_eq!(
        docker(&host, &["container", "prune", "-f", "--filter", "until=1h"]).success().stdout,
        "Total reclaimed space: 0B\n"
    );
    docker(&host, &["container", "prune", "-f", "--filter", "colour=red"]).failure().names(&["colour"]);
    let mut command = host.command(&["container", "prune"]);
    command.arg0("docker").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"y\n").unwrap();
    let pruned = finish(child, "docker container prune").success().stdout;
    assert_eq!(pruned, format!("{question}Deleted Containers:\n{id}\nTotal reclaimed space: 0B\n"));
}

#[test]
fn what_is_frozen_is_not_started_by_any_verb() {
    if lacks_root() {
        return;
    }
    let host = host("frozen-start");
    let why = "cannot start a paused container, try unpause instead";
    host.motet(&["up", "-d"]).success();
    host.motet(&["pause"]).success();
    let name = "frozen-start-web-1";
    let status = docker(&host, &["ps", "--format", "{{.State}} {{.Status}}"]).success().stdout;
    assert!(status.starts_with("paused Up ") && status.ends_with(" (Paused)\n"), "{status}");
    docker(&host, &["start", name]).failure().names(&[why]);
    docker(&host, &["start", "-a", name]).failure().names(&["paused", "unpause"]);
    host.motet(&["start"]).failure().names(&[why]);
    host.motet(&["up", "-d"]).failure().names(&[why]);
    // A restart is none: it is stopped first.
    host.motet(&["restart", "-t", "0"]).success();
    let row = host.motet(&["ps", "--format", "json"]).success().stdout;
    assert!(row.contains("\"State\":\"running\",\"Status\":\"Up "), "{row}");
    host.motet(&["start"]).success();
}

#[test]
fn what_crashes_says_when_and_what_is_mounted_is_named() {
    if lacks_root() {
        return;
    }
    let host = host("crashes");
    docker(&host, &["run", "-d", "--name", "bad", "--restart", "always", "stand-in:1", "sh", "-c", "exit 3"]).success();
    until("it waits for its next run", || {
        let status = docker(&host, &["ps", "-a", "--format", "{{.Status}}"]).success().stdout;
        status.starts_with("Restarting (3) ") && status.ends_with(" ago\n")
    });
    docker(&host, &["rm", "-f", "bad"]).success();
    let volume = "a-volume-of-a-long-name:/second";
    docker(&host, &["create", "--name", "box", "-v", "/tmp:/first", "-v", volume, "--tmpfs", "/third", "stand-in:1"])
        .success();
    let mounts =
        |more: &[&str]| docker(&host, &[&["ps", "-a", "--format", "{{.Mounts}}"], more].concat()).success().stdout;
    assert_eq!(mounts(&[]), "/tmp,a-volume-of-a-…\n");
    assert_eq!(mounts(&["--no-trunc"]), "/tmp,a-volume-of-a-long-name\n");
    docker(&host, &["rm", "-v", "box"]).success();
    docker(&host, &["volume", "rm", "a-volume-of-a-long-name"]).success();
}

#[test]
fn limits_and_policy_of_a_container_change_while_it_runs() {
    if lacks_root() {
        return;
    }
    let host = host("changes");
    docker(&host, &["run", "-d", "--name", "box", "--init", "stand-in:1", "sleep", "1000"]).success();
    docker(&host, &["update", "box"]).failure().names(&["flags"]);
    let change = ["update", "--cpus", "0.5", "--cpu-shares", "300", "--restart", "always", "box"];
    assert_eq!(docker(&host, &change).success().stdout, "box\n");
    docker(&host, &["update", "--pids-limit", "77", "-m", "64m", "--memory-swap", "128m", "box"]).success();
    let told = "{{.HostConfig.NanoCpus}} {{.HostConfig.CpuShares}} {{.HostConfig.PidsLimit}} {{.HostConfig.Memory}} \
                {{.HostConfig.RestartPolicy.Name}}";
    let told = docker(&host, &["inspect", "-f", told, "box"]).success().stdout;
    assert_eq!(told, "500000000 300 77 67108864 always\n");
    docker(&host, &["update", "--cpu-quota", "1000", "box"]).failure().names(&["onflicting options"]);
    docker(&host, &["update", "-m", "256m", "box"]).failure().names(&["memoryswap"]);
    docker(&host, &["update", "-m", "256m", "no-such-box"]).failure().names(&["no-such-box"]);
    docker(&host, &["update", "-m", "256m", "--memory-swap", "512m", "box"]).success();
    // The new policy holds from now on.
    let exec = ["exec", "box", "kill", "-9", "-1"];
    docker(&host, &exec);
    until("it has been started again", || {
        docker(&host, &["inspect", "-f", "{{.RestartCount}} {{.State.Status}}", "box"]).stdout == "1 running\n"
    });
    docker(&host, &["rm", "-f", "box"]).success();
}

#[test]
fn codes_and_words_are_those_that_scripts_know() {
    if lacks_root() {
        return;
    }
    let host = host("codes");
    for (line, code) in [
        ("nosuch", 1),
        ("container nosuch", 1),
        ("rm", 1),
        ("run", 1),
        ("ps --nosuch", 125),
        ("run --nosuch", 125),
        ("run -it --rm stand-in:1 true", 1),
        ("stop nosuch", 1),
        ("search x", 1),
        ("rmi nosuch", 1),
        ("rmi -f nosuch", 0),
        ("create --link nosuch:db stand-in:1", 1),
        ("run --link nosuch:db stand-in:1", 125),
        ("run --rm --restart always stand-in:1 true", 125),
        ("run --rm --cidfile compose.yaml stand-in:1 true", 125),
    ] {
        assert_eq!(docker(&host, &line.split(' ').collect::<Vec<_>>()).code, code, "{line}");
    }
    docker(&host, &["search", "x"]).failure().names(&["search", "registry"]);
    docker(&host, &["create", "--name", "coded", "-e", "A=b", "stand-in:1", "sh", "-c", "a b"]).success();
    let command = docker(&host, &["ps", "-a", "--format", "{{.Command}}"]).success().stdout;
    assert_eq!(command, "\"sh -c 'a b'\"\n");
    docker(&host, &["rename", "coded", "coded"]).failure().names(&["coded"]);
    let env = docker(&host, &["inspect", "-f", "{{json .Config.Env}}", "coded"]).success().stdout;
    assert!(env.starts_with("[\"A=b\",\"PATH=") && !env.contains("HOSTNAME"), "{env}");
    let sized = docker(&host, &["inspect", "-s", "-f", "{{.SizeRw}} {{.SizeRootFs}}", "coded"]).success().stdout;
    let sizes: Vec<u64> = sized.split_whitespace().map(|size| size.parse().unwrap()).collect();
    assert!(sizes[0] < sizes[1] && sizes[1] > 100_000, "{sizes:?}");
    docker(&host, &["rmi", "-f", "nosuch"]).success().names(&["nosuch"]);
    docker(&host, &["create", "--link", "nosuch:db", "stand-in:1"]).failure().names(&["nosuch"]);
    let archive = crate::support::image::stand_in();
    let loaded = docker(&host, &["load", "-q", "-i", archive.to_str().unwrap()]).success().stdout;
    assert_eq!(loaded, "Loaded image: stand-in:1\n");
    docker(&host, &["rm", "coded"]).success();
}

/// What the kernel holds a container to, as a file of its control group says.
fn limit(host: &Host, name: &str, files: &[&str]) -> String {
    let pid = docker(host, &["inspect", "-f", "{{.State.Pid}}", name]).success().stdout;
    let groups = std::fs::read_to_string(format!("/proc/{}/cgroup", pid.trim())).unwrap();
    let found = groups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let mount = if controllers.is_empty() { "" } else { controllers };
        let at = |file: &&str| std::fs::read_to_string(format!("/sys/fs/cgroup/{mount}{path}/{file}")).ok();
        files.iter().find_map(at)
    });
    found.unwrap_or_else(|| panic!("none of {files:?} in {groups}")).trim().to_owned()
}

#[test]
fn the_kernel_holds_a_running_container_to_its_new_limits() {
    if lacks_root() {
        return;
    }
    let host = host("held");
    docker(&host, &["run", "-d", "--name", "box", "--init", "stand-in:1", "sleep", "1000"]).success();
    docker(&host, &["update", "--pids-limit", "77", "-m", "64m", "--cpus", "0.5", "box"]).success();
    assert_eq!(limit(&host, "box", &["pids.max"]), "77");
    assert_eq!(limit(&host, "box", &["memory.max", "memory.limit_in_bytes"]), "67108864");
    assert!(["50000", "50000 100000"].contains(&limit(&host, "box", &["cpu.max", "cpu.cfs_quota_us"]).as_str()));
    // Up, and then down again.
    for (memory, swap, bytes) in [("256m", "512m", "268435456"), ("32m", "48m", "33554432")] {
        docker(&host, &["update", "-m", memory, "--memory-swap", swap, "box"]).success();
        assert_eq!(limit(&host, "box", &["memory.max", "memory.limit_in_bytes"]), bytes);
    }
    docker(&host, &["update", "--pids-limit", "-1", "box"]).success();
    assert_eq!(limit(&host, "box", &["pids.max"]), "max");
    // All of it still holds after a start anew.
    docker(&host, &["restart", "-t", "0", "box"]).success();
    docker(&host, &["stop", "-t", "0", "box"]).success();
    docker(&host, &["update", "--pids-limit", "55", "box"]).success();
    docker(&host, &["start", "box"]).success();
    assert_eq!(limit(&host, "box", &["pids.max"]), "55");
    assert_eq!(limit(&host, "box", &["memory.max", "memory.limit_in_bytes"]), "33554432");
    docker(&host, &["rm", "-f", "box"]).success();
}

#[test]
fn what_happens_to_a_container_is_told_in_docker_s_words() {
    if lacks_root() {
        return;
    }
    let host = host("tells");
    docker(&host, &["network", "create", "told-lan"]).success();
    docker(&host, &["run", "-d", "--name", "told", "--network", "told-lan", "--init", "stand-in:1", "sleep", "1000"])
        .success();
    docker(&host, &["kill", "told"]).success();
    until("it has ended", || docker(&host, &["inspect", "-f", "{{.State.Status}}", "told"]).stdout == "exited\n");
    // One that does not run is restarted, too.
    docker(&host, &["restart", "told"]).success();
    docker(&host, &["update", "--cpus", "1", "told"]).success();
    docker(&host, &["rm", "-f", "told"]).success();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 1;
    let now = now.to_string();
    let query = ["events", "--since", "0", "--until", &now, "-f", "container=told", "--format", "{{.Action}}"];
    let told = docker(&host, &query).success().stdout;
    let expected = "create\nstart\nkill\ndie\nstart\nrestart\nupdate\nkill\ndie\ndestroy\n";
    assert_eq!(told, expected);
    let query = ["events", "--since", "0", "--until", &now, "-f", "network=told-lan", "--format", "{{.Action}}"];
    let told = docker(&host, &query).success().stdout;
    assert_eq!(told, "create\nconnect\ndisconnect\nconnect\ndisconnect\n");
    docker(&host, &["network", "rm", "told-lan"]).success();
}

#[test]
fn a_stop_is_told_with_both_of_its_signals_and_after_its_networks() {
    if lacks_root() {
        return;
    }
    let host = host("ends");
    docker(&host, &["network", "create", "ends-lan"]).success();
    docker(&host, &["run", "-d", "--name", "ends", "--network", "ends-lan", "stand-in:1", "sleep", "1000"]).success();
    docker(&host, &["stop", "-t", "0", "ends"]).success();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 1;
    let format = "{{.Type}} {{.Action}} {{.Actor.Attributes.signal}}";
    let told = docker(&host, &["events", "--since", "0", "--until", &now.to_string(), "--format", format]).success();
    let told: Vec<&str> = told.stdout.lines().collect();
    let expected = [
        "container kill 15",
        "container kill 9",
        "container die <no value>",
        "network disconnect <no value>",
        "container stop <no value>",
    ];
    assert_eq!(told[told.len() - 5..], expected);
    docker(&host, &["rm", "ends"]).success();
    docker(&host, &["network", "rm", "ends-lan"]).success();
}

engines! {
    alone: [
        a_stop_is_told_with_both_of_its_signals_and_after_its_networks,
        three_networks_are_always_there_and_are_never_removed,
        only_containers_that_run_hold_a_network,
        a_stranger_that_has_stopped_does_not_hold_the_network_of_a_project,
        what_could_not_be_started_stays_created_and_tells_why,
        a_volume_that_nobody_named_goes_with_the_first_prune,
        containers_are_pruned_when_somebody_says_yes,
        what_is_frozen_is_not_started_by_any_verb,
        what_crashes_says_when_and_what_is_mounted_is_named,
        limits_and_policy_of_a_container_change_while_it_runs,
        what_happens_to_a_container_is_told_in_docker_s_words,
        codes_and_words_are_those_that_scripts_know,
    ],
    embedded: [
        the_kernel_holds_a_running_container_to_its_new_limits: "the engine's processes are numbered in a namespace of their own",
    ],
}
