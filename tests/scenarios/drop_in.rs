//! Called by the name `docker-compose`, the program says what Docker Compose says and ends with its codes: both are run
//! on one engine, command by command.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::scenarios::docker::docker_compose;
use crate::support::dockerd;
use crate::support::engines::engines;
use crate::support::host::Host;

const FILE: &str = "
services:
  web: { image: 'stand-in:1', command: sleep 1000, init: true, depends_on: [db], stop_grace_period: 1s }
  db:
    image: stand-in:1
    command: sleep 1000
    init: true
    stop_grace_period: 1s
    volumes: ['data:/data']
    healthcheck: { test: 'true', interval: 1s }
  job: { image: 'stand-in:1', command: [sh, -c, 'exit 3'], profiles: [jobs] }
  built: { build: { dockerfile_inline: \"FROM stand-in:1\\nRUN true\\n\" }, command: sleep 1000, init: true, profiles: [building] }
volumes: { data: {} }
";

/// What is run, in this order. Lines of a project that goes on from the one before.
const COMMANDS: &[&str] = &[
    "up -d",
    "up -d",
    "ps -q no-such-service",
    "stop",
    "stop",
    "start",
    "start",
    "restart",
    "restart db",
    "pause db",
    "pause db",
    "unpause db",
    "kill web",
    "rm -f",
    "rm -fsv db",
    "create",
    "up -d --force-recreate",
    "up -d --scale web=3",
    "up -d --scale web=1",
    "up -d --wait",
    "scale web=2",
    "run --rm -T --no-deps web sh -c 'exit 7'",
    "exec -T web sh -c 'exit 9'",
    "up --exit-code-from job job",
    "up -d no-such-service",
    "pull no-such-service",
    "--profile building build built",
    "--profile building up -d built",
    "logs no-such-service",
    "kill -s NOSUCH web",
    "port web 80",
    "cp compose.yaml web:/tmp/copy",
    "wait no-such-service",
    "--profile * down -v --rmi local",
    "down",
    "--no-such-flag",
    "no-such-verb",
];

/// What a command ended with: its code, and the lines of its progress, in no order since services are done side by side.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    code: i32,
    lines: Vec<String>,
}

fn say(program: &Path, host: &Host, line: &str) -> Said {
    let script = format!("exec \"$0\" --progress plain {}", line.replace('*', "\\*"));
    let output = Command::new("sh")
        .args(["-c", &script])
        .arg(program)
        .current_dir(&host.folder)
        .env("DOCKER_HOST", format!("unix://{}", dockerd::ours().unwrap().socket.display()))
        .env("MOTET_ENGINE", "docker")
        .env("MOTET_ROOT", &host.root)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    // ` Container web-1  Started`, ` built  Built`; a build's own lines begin with `#`.
    let is_progress = |line: &&str| line.starts_with(' ') && line.trim().contains("  ") && !line.contains('|');
    let mut lines: Vec<_> = printed.lines().filter(is_progress).map(without_random).collect();
    lines.sort();
    lines.dedup();
    Said { code: output.status.code().unwrap_or(-1), lines }
}

/// A line without the random part of a name.
fn without_random(line: &str) -> String {
    let words = line.split(' ').map(|word| match word.rsplit_once("-run-") {
        Some((before, _)) => format!("{before}-run-*"),
        None => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

fn every_verb_ends_with_the_code_and_the_words_of_docker_compose() {
    let Some(theirs) = docker_compose() else { return };
    let host = Host::with("drop-in", FILE);
    let ours: PathBuf = host.folder.parent().unwrap().join("docker-compose");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_motet"), &ours).unwrap();
    let run = |program: &Path| COMMANDS.iter().map(|line| say(program, &host, line)).collect::<Vec<_>>();
    let (theirs, ours) = (run(&theirs), run(&ours));
    let mut differences = String::new();
    for ((line, theirs), ours) in COMMANDS.iter().zip(&theirs).zip(&ours) {
        if theirs == ours {
            continue;
        }
        differences.push_str(&format!("{line}\n  codes: docker-compose {}, ours {}\n", theirs.code, ours.code));
        let missing = theirs.lines.iter().filter(|line| !ours.lines.contains(line));
        missing.for_each(|line| differences.push_str(&format!("  only docker-compose: {line}\n")));
        let more = ours.lines.iter().filter(|line| !theirs.lines.contains(line));
        more.for_each(|line| differences.push_str(&format!("  only ours: {line}\n")));
    }
    assert!(differences.is_empty(), "{differences}");
}

engines! {
    both: [
        every_verb_ends_with_the_code_and_the_words_of_docker_compose,
    ],
}
