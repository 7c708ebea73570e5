//! Faults of a Docker Engine: each is said clearly, and the next `up` goes on from what is there.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::checks;
use crate::support::dockerd;
use crate::support::engines::engines;
use crate::support::host::{Host, Outcome, finish, lacks_root, until};
use crate::support::program;

/// An engine's socket that answers the first call as an engine does and every other one with `answer`.
fn faulty(socket: &Path, answer: &'static str) {
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            std::thread::spawn(move || serve(stream, answer));
        }
    });
}

fn serve(mut stream: UnixStream, answer: &str) {
    let mut read = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut piece) {
        read.extend_from_slice(&piece[..length]);
        if read.windows(4).any(|end| end == b"\r\n\r\n") {
            let is_ping = read.starts_with(b"GET /_ping");
            let pong = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\nOK";
            if answer.is_empty() {
                // It takes the call and never says a word.
                read.clear();
                continue;
            }
            let _ = stream.write_all(if is_ping { pong } else { answer }.as_bytes());
            if !is_ping {
                return;
            }
            read.clear();
        }
    }
}

#[track_caller]
fn on_socket(answer: Option<&'static str>, parts: &[&str]) {
    let mut host = Host::empty("faulty");
    host.engine = "docker";
    host.write("compose.yaml", "services: { web: { image: 'stand-in:1' } }");
    let socket = host.root.with_file_name("engine.sock");
    if let Some(answer) = answer {
        faulty(&socket, answer);
    }
    let mut command = host.command(&["up", "-d"]);
    command.env("DOCKER_HOST", format!("unix://{}", socket.display()));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    finish(command.spawn().unwrap(), "up").failure().names(parts);
}

#[test]
fn an_engine_that_is_not_there_is_named_with_what_to_do() {
    on_socket(None, &["no Docker Engine is there", "engine.sock", "DOCKER_HOST", "--engine embedded"]);
}

#[test]
fn an_engine_that_fails_is_quoted() {
    let answer = "HTTP/1.1 500 Oops\r\nContent-Length: 27\r\n\r\n{\"message\":\"disk is broken\"}";
    on_socket(Some(answer), &["disk is broken"]);
}

#[test]
fn a_stream_that_is_closed_half_way_is_said_to_be() {
    on_socket(Some("HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n[{"), &["closed the connection half-way"]);
}

#[test]
fn an_engine_that_never_answers_is_not_waited_for_without_end() {
    on_socket(Some(""), &["did not answer in", "cannot"]);
}

#[test]
fn who_may_not_use_the_engine_is_told_whom_to_be() {
    if lacks_root() {
        return;
    }
    let mut host = Host::empty("forbidden");
    host.engine = "docker";
    host.write("compose.yaml", "services: { web: { image: 'stand-in:1' } }");
    let socket = host.root.with_file_name("engine.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o660)).unwrap();
    // The scratch folder and the program must be open to one who is nobody.
    let scratch = host.root.parent().unwrap().to_owned();
    std::fs::set_permissions(&scratch, std::fs::Permissions::from_mode(0o755)).unwrap();
    let program = scratch.join("motet");
    program::install(env!("CARGO_BIN_EXE_motet").as_ref(), &program);
    let mut command = Command::new(&program);
    command.args(["--engine", "docker", "up", "-d"]).current_dir(&host.folder).uid(65534).gid(65534);
    let runtime = scratch.join("runtime");
    std::fs::create_dir(&runtime).unwrap();
    std::fs::set_permissions(&runtime, std::fs::Permissions::from_mode(0o777)).unwrap();
    command.env("DOCKER_HOST", format!("unix://{}", socket.display())).env("XDG_RUNTIME_DIR", runtime);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let outcome = finish(command.spawn().unwrap(), "up of nobody").failure();
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    outcome.names(&["you may not use the Docker Engine", "engine.sock", "group `docker`"]);
}

/// What a proxy before the real engine does to the first call of a kind; all others pass.
#[derive(Clone, Copy)]
enum Fault {
    /// The connection ends instead of an answer.
    Close,
    /// The engine fails, for this reason.
    Fail(&'static str),
    /// Every call of the kind is late.
    Late(Duration),
}

/// Stands before the suite's engine; the result is its socket.
fn proxy(host: &Host, call: &'static str, fault: Fault) -> PathBuf {
    let socket = host.root.with_file_name("proxy.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let engine = dockerd::ours().unwrap().socket.clone();
    let is_done = Arc::new(AtomicBool::new(false));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            let (engine, is_done) = (engine.clone(), Arc::clone(&is_done));
            std::thread::spawn(move || between(stream, &engine, call, fault, &is_done));
        }
    });
    socket
}

fn between(mut person: UnixStream, engine: &Path, call: &str, fault: Fault, is_done: &AtomicBool) {
    let Ok(mut engine) = UnixStream::connect(engine) else { return };
    let (mut from, mut to) = (engine.try_clone().unwrap(), person.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
    let mut piece = vec![0; 64 << 10];
    while let Ok(length @ 1..) = person.read(&mut piece) {
        // A request is written at once, so that it begins a piece.
        let line = String::from_utf8_lossy(&piece[..length.min(512)]).lines().next().unwrap_or_default().to_owned();
        let is_meant = (line.starts_with("POST ") || line.starts_with("DELETE ")) && line.contains(call);
        match fault {
            Fault::Late(time) if is_meant => std::thread::park_timeout(time),
            Fault::Close | Fault::Fail(_) if is_meant && !is_done.swap(true, Ordering::SeqCst) => {
                if let Fault::Fail(why) = fault {
                    let body = format!("{{\"message\":\"{why}\"}}");
                    let length = body.len();
                    let _ = write!(person, "HTTP/1.1 500 Oops\r\nContent-Length: {length}\r\n\r\n{body}");
                }
                let _ = person.shutdown(std::net::Shutdown::Both);
                return;
            }
            Fault::Late(_) | Fault::Close | Fault::Fail(_) => {}
        }
        if engine.write_all(&piece[..length]).is_err() {
            return;
        }
    }
    let _ = engine.shutdown(std::net::Shutdown::Write);
}

const TWO: &str = "
services:
  web: { image: 'stand-in:1', command: sleep 1000, init: true, depends_on: [db], volumes: ['data:/data'] }
  db: { image: 'stand-in:1', command: sleep 1000, init: true }
volumes: { data: {} }
";

#[track_caller]
fn through(host: &Host, socket: &Path) -> Outcome {
    let mut command = host.command(&["up", "-d"]);
    command.env("DOCKER_HOST", format!("unix://{}", socket.display()));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    finish(command.spawn().unwrap(), "up through the proxy")
}

/// `up` fails at `call` with these words, and the next one brings all up.
#[track_caller]
fn recovers(name: &str, call: &'static str, fault: Fault, parts: &[&str]) {
    let host = Host::with(name, TWO);
    through(&host, &proxy(&host, call, fault)).failure().names(parts);
    host.motet(&["up", "-d"]).success();
    checks::only_these_run(&host, &[&format!("{name}-db-1"), &format!("{name}-web-1")]);
    host.motet(&["down", "-v", "-t", "0"]).success();
    host.must_be_clean();
}

fn an_engine_that_fails_in_the_middle_is_quoted_and_the_next_up_goes_on() {
    let full = Fault::Fail("the disk is full");
    recovers("fails-start", "/start", full, &["cannot start container", "the disk is full"]);
    recovers("fails-create", "/containers/create", full, &["cannot create container", "the disk is full"]);
    recovers("fails-net", "/networks/create", full, &["cannot create network", "the disk is full"]);
}

fn a_folder_that_the_engine_could_not_empty_is_given_to_it_again() {
    let host = Host::with("not-empty", TWO);
    host.motet(&["up", "-d"]).success();
    host.write("compose.yaml", &TWO.replace("sleep 1000", "sleep 2000"));
    let race = "unable to remove filesystem for 0123: unlinkat /var/lib/docker/containers/0123: directory not empty";
    through(&host, &proxy(&host, "?force=1", Fault::Fail(race))).success();
    checks::only_these_run(&host, &["not-empty-db-1", "not-empty-web-1"]);
}

fn a_connection_that_ends_in_the_middle_is_said_and_the_next_up_goes_on() {
    recovers("cut-start", "/start", Fault::Close, &["cannot start container", "closed the connection half-way"]);
    recovers("cut-create", "/containers/create", Fault::Close, &["cannot create", "goes on from there"]);
}

fn a_slow_engine_is_waited_for() {
    let host = Host::with("late", TWO);
    through(&host, &proxy(&host, "/containers/", Fault::Late(Duration::from_millis(700)))).success();
    checks::only_these_run(&host, &["late-db-1", "late-web-1"]);
}

const WAITS: &str = "
services:
  web: { image: 'stand-in:1', command: sleep 1000, init: true, depends_on: { db: { condition: service_healthy } } }
  db:
    image: stand-in:1
    command: sleep 1000
    init: true
    volumes: ['./gate:/gate']
    healthcheck: { test: 'test -e /gate/open', interval: 1s, retries: 100, start_period: 60s }
";

fn a_container_that_somebody_removes_during_the_plan_is_named_and_made_by_the_next_up() {
    let host = Host::with("stolen", WAITS);
    std::fs::create_dir(host.folder.join("gate")).unwrap();
    let child = host.spawn(&["up", "-d"]);
    until("both are made", || host.ps().len() == 2);
    let other = host.command(&["container", "rm", "-f", "stolen-web-1"]).output().unwrap();
    assert!(other.status.success());
    host.write("gate/open", "");
    finish(child, "up").failure().names(&["cannot start container `stolen-web-1`", "removed by another command"]);
    host.motet(&["up", "-d"]).success();
    checks::only_these_run(&host, &["stolen-db-1", "stolen-web-1"]);
}

fn an_engine_that_restarts_in_the_middle_of_up_is_said_and_the_next_up_goes_on() {
    let host = Host::with("restarted", WAITS);
    std::fs::create_dir(host.folder.join("gate")).unwrap();
    let child = host.spawn(&["up", "-d"]);
    until("the first runs", || host.ps().iter().any(|container| container["State"] == "running"));
    dockerd::ours().unwrap().restart();
    let outcome = finish(child, "up while the engine restarts");
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
    if outcome.code != 0 {
        assert!(
            outcome.stderr.contains("Docker Engine") || outcome.stderr.contains("restarted-db-1"),
            "{}",
            outcome.stderr
        );
    }
    host.write("gate/open", "");
    host.motet(&["up", "-d"]).success();
    checks::only_these_run(&host, &["restarted-db-1", "restarted-web-1"]);
}

engines! {
    both: [
        an_engine_that_fails_in_the_middle_is_quoted_and_the_next_up_goes_on,
        a_folder_that_the_engine_could_not_empty_is_given_to_it_again,
        a_connection_that_ends_in_the_middle_is_said_and_the_next_up_goes_on,
        a_slow_engine_is_waited_for,
        a_container_that_somebody_removes_during_the_plan_is_named_and_made_by_the_next_up,
    ],
    alone: [
        an_engine_that_restarts_in_the_middle_of_up_is_said_and_the_next_up_goes_on,
    ],
    neither: [
        an_engine_that_is_not_there_is_named_with_what_to_do,
        an_engine_that_fails_is_quoted,
        a_stream_that_is_closed_half_way_is_said_to_be,
        an_engine_that_never_answers_is_not_waited_for_without_end,
        who_may_not_use_the_engine_is_told_whom_to_be,
    ],
}
