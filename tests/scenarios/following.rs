//! Lines on their way: over restarts, recreation and scaling each once, kept apart by stream, many at once.

use std::collections::BTreeMap;
use std::process::Child;

use crate::support::engines::engines;
use crate::support::host::{Host, Outcome, finish, lacks_root, signal, until};

/// Writes a number, once a start, which the folder keeps, and then counts up, ten lines a start and then waits.
const COUNTING: &str = "
services:
  web:
    image: stand-in:1
    init: true
    stop_grace_period: 0s
    volumes: ['./state:/state']
    environment: { VERSION: one }
    command:
      - sh
      - -c
      - 'echo x >> /state/starts; n=$$(wc -l < /state/starts); for i in 0 1 2 3 4 5 6 7 8 9; do echo $$n.$$i; done; exec sleep 1000'
";

/// How often each line was shown.
fn counted(printed: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in printed.lines() {
        *counts.entry(line.split("| ").last().unwrap().to_owned()).or_insert(0) += 1;
    }
    counts
}

/// Every line of so many starts, each once.
fn all_once(starts: usize) -> BTreeMap<String, usize> {
    (1..=starts).flat_map(|start| (0..10).map(move |line| (format!("{start}.{line}"), 1))).collect()
}

fn end(host: &Host, child: Child) -> Outcome {
    // The last line of the last start is in the log, so it is on its way.
    signal(child.id().cast_signed(), rustix::process::Signal::INT);
    let outcome = finish(child, "what follows");
    assert_eq!(outcome.code, 130, "{}", outcome.stderr);
    host.does("down -t 0").success();
    host.must_be_clean();
    outcome
}

/// Waits until a child has shown a text; what it prints goes to a file of the folder.
fn following(host: &Host, args: &[&str]) -> (Child, std::path::PathBuf) {
    let path = host.folder.join("shown");
    let file = std::fs::File::create(&path).unwrap();
    let child = host.command(args).stdout(file).stderr(std::process::Stdio::piped()).spawn().unwrap();
    (child, path)
}

fn shows(path: &std::path::Path, text: &str) {
    until(&format!("`{text}` is shown"), || std::fs::read_to_string(path).unwrap_or_default().contains(text));
}

/// Follows with `args` while the service is restarted, made anew and killed.
fn over_all_changes(name: &str, args: &[&str], prepare: &str) {
    if lacks_root() {
        return;
    }
    let host = Host::with(name, COUNTING);
    if !prepare.is_empty() {
        host.does(prepare).success();
    }
    let (child, path) = following(&host, args);
    shows(&path, "| 1.9");
    host.does("restart web").success();
    shows(&path, "| 2.9");
    host.write("compose.yaml", &COUNTING.replace("VERSION: one", "VERSION: two"));
    host.does("up -d").success();
    shows(&path, "| 3.9");
    host.does("restart -t 0 web").success();
    shows(&path, "| 4.9");
    host.does("up -d --force-recreate").success();
    shows(&path, "| 5.9");
    end(&host, child);
    assert_eq!(counted(&std::fs::read_to_string(&path).unwrap()), all_once(5));
}

#[test]
fn logs_go_on_over_restart_and_recreation_with_each_line_once() {
    over_all_changes("go-on", &["logs", "-f"], "up -d");
}

#[test]
fn an_attached_up_goes_on_over_restart_and_recreation_with_each_line_once() {
    over_all_changes("go-on-up", &["up"], "");
}

#[test]
fn logs_follow_replicas_and_services_that_come_later() {
    if lacks_root() {
        return;
    }
    let file = "
services:
  web: { image: 'stand-in:1', init: true, command: [sh, -c, 'echo begun; exec sleep 1000'] }
  db: { image: 'stand-in:1', init: true, command: [sh, -c, 'echo begun; exec sleep 1000'] }
";
    let host = Host::with("come-later", file);
    host.does("up -d web").success();
    let (child, path) = following(&host, &["logs", "-f"]);
    shows(&path, "web-1  | begun");
    host.does("up -d --scale web=3").success();
    for name in ["web-2  | begun", "web-3  | begun", "db-1  | begun"] {
        until(name, || {
            let shown = std::fs::read_to_string(&path).unwrap();
            // The gutter may be wider than the name.
            shown.lines().any(|line| line.replace("   |", "  |") == name)
        });
    }
    host.does("up -d --scale web=1").success();
    host.does("up -d --scale web=2").success();
    until("the second is there again", || {
        std::fs::read_to_string(&path).unwrap().lines().filter(|line| line.starts_with("web-2")).count() == 2
    });
    end(&host, child);
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 5);
}

#[test]
fn logs_are_those_of_the_service_and_the_replica_asked_for() {
    if lacks_root() {
        return;
    }
    let file = "
services:
  web: { image: 'stand-in:1', command: 'hostname', scale: 2 }
  db: { image: 'stand-in:1', command: echo of the db }
";
    let host = Host::with("asked-for", file);
    host.does("up -d").success();
    until("all have ended", || host.named("exited").len() == 3);
    let printed = host.does("logs web").success().stdout;
    assert!(printed.contains("web-1  | ") && printed.contains("web-2  | "), "{printed}");
    assert!(!printed.contains("of the db"), "{printed}");
    let printed = host.does("logs --index 2 web").success().stdout;
    assert!(printed.starts_with("web-2  | ") && printed.lines().count() == 1, "{printed}");
    let printed = host.does("logs").success().stdout;
    assert_eq!(printed.lines().count(), 3, "{printed}");
    host.does("down").success();
    host.must_be_clean();
}

#[test]
fn three_hundred_thousand_lines_go_through_an_attached_up() {
    if lacks_root() {
        return;
    }
    let file = "services: { web: { image: 'stand-in:1', command: seq 1 300000 } }";
    let host = Host::with("many-lines", file);
    let printed = host.does("up --no-log-prefix").success().stdout;
    let lines = printed.lines().filter(|line| line.parse::<u32>().is_ok()).count();
    assert_eq!(lines, 300_000);
    assert_eq!(host.does("logs --no-log-prefix").success().stdout.lines().count(), 300_000);
    host.does("down").success();
    host.must_be_clean();
}

#[test]
fn what_goes_to_stderr_inside_goes_to_stderr_outside() {
    if lacks_root() {
        return;
    }
    let file = "services: { web: { image: 'stand-in:1', command: [sh, -c, 'echo to out; echo to err >&2'] } }";
    let host = Host::with("two-streams", file);
    for line in ["up", "logs"] {
        let outcome = host.does(line).success();
        assert!(outcome.stdout.contains("web-1  | to out") && !outcome.stdout.contains("to err"), "{}", outcome.stdout);
        assert!(outcome.stderr.contains("web-1  | to err") && !outcome.stderr.contains("to out"), "{}", outcome.stderr);
    }
    host.does("down").success();
    host.must_be_clean();
}

#[test]
fn the_lines_of_the_others_go_on_when_one_has_ended() {
    if lacks_root() {
        return;
    }
    let file = "
services:
  short: { image: 'stand-in:1', command: echo a short life }
  long:
    image: stand-in:1
    init: true
    command: [sh, -c, 'while [ ! -e /go ]; do sleep 0.05; done; echo the last word']
    post_start: [{ command: [sh, -c, 'echo said by the hook'] }]
";
    let host = Host::with("mixed", file);
    let (child, path) = following(&host, &["up"]);
    shows(&path, "| a short life");
    shows(&path, "said by the hook");
    until("the short one has ended", || host.named("exited") == ["mixed-short-1"]);
    host.shell("long", "touch /go");
    assert_eq!(finish(child, "up").code, 0);
    let shown = std::fs::read_to_string(&path).unwrap();
    assert!(shown.contains("long-1     | the last word"), "{shown}");
    assert!(shown.contains("long-1 ->  | said by the hook"), "a hook's lines bear its mark: {shown}");
    host.does("down").success();
    host.must_be_clean();
}

engines! {
    both: [
        logs_go_on_over_restart_and_recreation_with_each_line_once,
        an_attached_up_goes_on_over_restart_and_recreation_with_each_line_once,
        logs_follow_replicas_and_services_that_come_later,
        logs_are_those_of_the_service_and_the_replica_asked_for,
        three_hundred_thousand_lines_go_through_an_attached_up,
        what_goes_to_stderr_inside_goes_to_stderr_outside,
        the_lines_of_the_others_go_on_when_one_has_ended,
    ],
}
