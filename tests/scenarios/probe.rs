//! What a program may do inside a container, fact by fact: the same as inside one of Docker's, but for a declared list.
//!
//! The probe and Docker's recorded answers lie beside the project, in `../shared/adversarial`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use crate::support::engines::engines;
use crate::support::host::{Host, lacks_root, workspace};

/// Where we answer otherwise than Docker 20.10 did: the fact, our answer, and why.
const DECLARED: [(&str, &str, &str); 50] = [
    // The profile has grown since: these need no capability on a kernel of today.
    ("syscall 303", "allowed", "name_to_handle_at: allowed by Docker 29"),
    ("syscall 310", "allowed", "process_vm_readv: allowed by Docker 29 from Linux 4.8 on"),
    ("syscall 311", "allowed", "process_vm_writev: allowed by Docker 29 from Linux 4.8 on"),
    ("syscall 329", "allowed", "pkey_mprotect: allowed by Docker 29"),
    ("syscall 330", "allowed", "pkey_alloc: allowed by Docker 29"),
    ("syscall 331", "allowed", "pkey_free: allowed by Docker 29"),
    ("syscall 450", "EPERM", "set_mempolicy_home_node: needs CAP_SYS_NICE in Docker 29"),
    ("syscall 451", "allowed", "cachestat: allowed by Docker 29"),
    ("syscall 452", "allowed", "fchmodat2: allowed by Docker 29"),
    ("syscall 453", "allowed", "map_shadow_stack: allowed by Docker 29"),
    ("syscall 454", "allowed", "futex_wake: allowed by Docker 29"),
    ("syscall 455", "allowed", "futex_wait: allowed by Docker 29"),
    ("syscall 456", "allowed", "futex_requeue: allowed by Docker 29"),
    ("syscall 457", "allowed", "statmount: allowed by Docker 29"),
    ("syscall 458", "allowed", "listmount: allowed by Docker 29"),
    ("syscall 459", "EPERM", "lsm_get_self_attr: not in the profile"),
    ("syscall 460", "EPERM", "lsm_set_self_attr: not in the profile"),
    ("syscall 461", "EPERM", "lsm_list_modules: not in the profile"),
    ("syscall 462", "allowed", "mseal: allowed by Docker 29"),
    ("syscall 463", "allowed", "setxattrat: allowed by Docker 29"),
    ("syscall 464", "allowed", "getxattrat: allowed by Docker 29"),
    ("syscall 465", "allowed", "listxattrat: allowed by Docker 29"),
    ("syscall 466", "allowed", "removexattrat: allowed by Docker 29"),
    ("syscall 467", "EPERM", "open_tree_attr: needs CAP_SYS_ADMIN"),
    ("syscall 135", "allowed", "personality(-1) only asks; the kernel looks at 32 bits of it, and so do we"),
    // The profile has shrunk since.
    ("syscall 425", "EPERM", "io_uring_setup: not in the profile since Docker 25"),
    ("syscall 426", "EPERM", "io_uring_enter: not in the profile since Docker 25"),
    ("syscall 427", "EPERM", "io_uring_register: not in the profile since Docker 25"),
    ("syscall 41", "EPERM", "socket(-1): families are allowed by name, this is none"),
    // Families of sockets that no program in a container has a use for, and that were ways out before.
    ("socket-family 40", "EPERM", "AF_VSOCK leads to the hypervisor"),
    ("socket-family 38", "EPERM", "AF_ALG: CVE-2026-31431"),
    ("socket-family 21", "EPERM", "AF_RDS: CVE-2010-3904"),
    ("socket-family 9", "EPERM", "AF_X25"),
    ("socket-family 12", "EPERM", "AF_DECnet"),
    ("socket-family 19", "EPERM", "AF_ECONET"),
    ("socket-family 20", "EPERM", "AF_ATMSVC"),
    ("socket-family 23", "EPERM", "AF_IRDA"),
    ("socket-family 25", "EPERM", "AF_WANPIPE"),
    ("socket-family 34", "EPERM", "AF_IUCV"),
    ("socket-family 37", "EPERM", "AF_CAIF"),
    ("mount /proc/interrupts", "rw,nosuid", "hidden since Docker 28"),
    ("open r /proc/interrupts", "ok", "empty: hidden since Docker 28"),
    // Without a limit of memory a container is in no memory group, so there is nothing to see.
    ("open r /sys/fs/cgroup/memory/memory.limit_in_bytes", "ENOENT", "no memory group"),
    ("open w /sys/fs/cgroup/memory/memory.limit_in_bytes", "ENOENT", "no memory group"),
    ("open r /sys/fs/cgroup/memory/release_agent", "ENOENT", "no memory group"),
    ("open w /sys/fs/cgroup/memory/release_agent", "ENOENT", "no memory group"),
    ("open r /sys/fs/cgroup/cgroup.procs", "ok", "v2 alone: the container's own group"),
    ("open w /sys/fs/cgroup/cgroup.procs", "EROFS", "v2 alone: the container's own group"),
    // The recorded answers were given by another image.
    ("Groups:", "0", "the image of the recording has root in the group `wheel`"),
    ("open r /proc/1/root/etc/shadow", "ENOENT", "the image has no such file"),
];

/// What depends on how busy the machine is, or on the image alone.
const UNSTEADY: [&str; 2] = ["syscall 162", "open w /proc/1/root/etc/shadow"];

fn shared() -> Option<PathBuf> {
    let folder = workspace().parent()?.join("shared/adversarial");
    folder.join("probe.c").is_file().then_some(folder)
}

/// A fact is what comes before a line's last word, which is the answer.
fn split(line: &str) -> (&str, &str) {
    line.trim().rsplit_once([' ', '\t']).unwrap_or((line.trim(), ""))
}

fn facts(text: &str) -> BTreeSet<String> {
    text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

/// Compares with Docker's answers; returns what no entry of the table explains.
fn unexplained(docker: &BTreeSet<String>, ours: &BTreeSet<String>) -> Vec<String> {
    let is_declared = |fact: &str, answer: Option<&str>| {
        UNSTEADY.contains(&fact)
            || DECLARED.iter().any(|(known, ours, _)| *known == fact && answer.is_none_or(|answer| answer == *ours))
    };
    let mut left: Vec<String> = Vec::new();
    for line in ours.difference(docker) {
        let (fact, answer) = split(line);
        if !is_declared(fact, Some(answer)) {
            left.push(format!("ours: {line}"));
        }
    }
    for line in docker.difference(ours) {
        if !is_declared(split(line).0, None) && !line.starts_with("Groups:") {
            left.push(format!("Docker's: {line}"));
        }
    }
    left
}

#[test]
fn what_a_program_may_do_is_what_docker_lets_it_but_for_a_declared_list() {
    if lacks_root() {
        return;
    }
    let Some(shared) = shared() else {
        println!("skipped: the probe and Docker's answers are not beside the project");
        return;
    };
    let host = Host::with(
        "probe",
        "
services:
  run: { image: 'stand-in:1', command: /probe, volumes: ['./probe:/probe:ro'] }
  wait: { image: 'stand-in:1', command: sleep 1000, stop_signal: SIGKILL, volumes: ['./probe:/probe:ro'] }
",
    );
    let program = host.folder.join("probe");
    let mut compiler = Command::new("gcc");
    compiler.args(["-static", "-O1", "-w", "-o"]).arg(&program).arg(shared.join("probe.c"));
    if !compiler.status().is_ok_and(|status| status.success()) {
        println!("skipped: no gcc that links statically is here");
        return;
    }
    let docker = facts(&std::fs::read_to_string(shared.join("probe.docker20.txt")).unwrap());
    assert!(docker.len() > 600);
    host.motet(&["up", "-d"]).success();
    // The first process itself, and one that came later.
    host.motet(&["wait", "run"]);
    let first = host.motet(&["logs", "--no-log-prefix", "--no-color", "run"]).success();
    let later = host.motet(&["exec", "-T", "wait", "/probe"]).success();
    for (how, outcome) in [("run", first), ("exec", later)] {
        let ours = facts(&outcome.stdout);
        assert!(ours.len() > 600, "{how}: {} facts\n{}", ours.len(), outcome.stderr);
        let left = unexplained(&docker, &ours);
        assert!(left.is_empty(), "{how}:\n{}", left.join("\n"));
    }
    host.motet(&["down", "-v"]).success();
    host.must_be_clean();
}

engines! {
    both: [
        what_a_program_may_do_is_what_docker_lets_it_but_for_a_declared_list,
    ],
}
