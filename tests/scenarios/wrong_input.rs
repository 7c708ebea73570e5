//! Wrong input: a clear error at its place, and nothing left behind.

use crate::support::checks;
use crate::support::engines::engines;
use crate::support::host::{Host, lacks_root};
use crate::support::program;

/// A file that is wrong, and what the error must name.
fn check(text: &str, names: &[&str]) {
    let host = Host::empty("wrong");
    host.write("compose.yaml", text);
    host.motet(&["up", "-d"]).failure().names(names);
    host.must_be_clean();
}

#[test]
fn no_file_lists_the_names_that_were_looked_for() {
    let host = Host::empty("wrong");
    host.motet(&["up", "-d"]).failure().names(&["compose.yaml"]);
}

#[test]
fn bad_yaml_is_shown_at_line_and_column() {
    check("services:\n  web:\n    image: a\n   environment: b\n", &["compose.yaml:4:"]);
    check("services:\n  web:\n\timage: a\n", &["compose.yaml:3:1", "tab"]);
}

#[test]
fn an_unknown_key_is_shown_with_the_one_that_was_meant() {
    check("services:\n  web:\n    image: a\n    comand: b\n", &["compose.yaml:4:5", "comand", "command"]);
}

#[test]
fn an_undefined_dependency_is_shown_with_the_one_that_was_meant() {
    check(
        "services:\n  web: { image: a, depends_on: [databse] }\n  database: { image: a }\n",
        &["compose.yaml:2:", "databse", "database"],
    );
}

#[test]
fn a_cycle_is_named_in_full() {
    check(
        "services:\n  a: { image: x, depends_on: [b] }\n  b: { image: x, depends_on: [c] }\n  c: { image: x, depends_on: [a] }\n",
        &["a -> b -> c -> a"],
    );
}

#[test]
fn a_port_in_use_names_its_holder() {
    if lacks_root() {
        return;
    }
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let host = Host::with(
        "port",
        &format!("services:\n  web:\n    image: stand-in:1\n    command: sleep 1000\n    ports: ['{port}:80']\n"),
    );
    let pid = std::process::id().to_string();
    host.motet(&["up", "-d"]).failure().names(&[&port.to_string(), &pid]);
    checks::nothing_is_there(&host);
    host.must_be_clean();
}

#[test]
fn a_port_of_another_project_names_the_project_and_what_frees_it() {
    if lacks_root() {
        return;
    }
    let port = crate::support::host::free_port();
    let file = format!("services: {{ web: {{ image: 'stand-in:1', command: sleep 1000, ports: ['{port}:80'] }} }}");
    let host = Host::with("holder", &file);
    host.motet(&["up", "-d"]).success();
    let outcome = host.motet(&["-p", "second", "up", "-d"]).failure();
    assert_eq!(outcome.code, 8);
    outcome.names(&[&port.to_string(), "`holder-web-1`", "project `holder`", "-p holder stop"]);
    host.motet(&["-p", "holder", "stop"]).success();
    host.motet(&["-p", "second", "up", "-d"]).success();
    host.motet(&["-p", "second", "down"]).success();
    host.motet(&["down"]).success();
    host.must_be_clean();
}

#[test]
fn an_image_that_is_nowhere_is_named_with_the_cause() {
    if lacks_root() {
        return;
    }
    let host = Host::empty("image");
    host.write("compose.yaml", "services:\n  web:\n    image: localhost:1/nobody/nothing:1\n");
    host.motet(&["up", "-d"]).failure().names(&["localhost:1/nobody/nothing:1", "compose.yaml:3:"]);
    host.must_be_clean();
}

#[test]
fn a_missing_program_is_named() {
    if lacks_root() {
        return;
    }
    let host = Host::with("program", "services: { web: { image: 'stand-in:1', command: gunicorn app } }");
    host.motet(&["up", "-d"]).failure().names(&["gunicorn"]);
    host.motet(&["down"]).success();
    host.must_be_clean();
}

#[test]
fn a_failing_health_check_shows_the_probes_output() {
    if lacks_root() {
        return;
    }
    let host = Host::with(
        "sick",
        "
services:
  web: { image: 'stand-in:1', command: sleep 1000, init: true, depends_on: { db: { condition: service_healthy } } }
  db:
    image: stand-in:1
    command: sleep 1000
    init: true
    healthcheck: { test: 'echo cannot connect to 5432; exit 1', interval: 50ms, retries: 2 }
",
    );
    host.motet(&["up", "-d"]).failure().names(&["db", "cannot connect to 5432"]);
    host.motet(&["down"]).success();
    host.must_be_clean();
}

#[test]
fn a_user_who_is_not_root_is_told_what_is_missing() {
    if lacks_root() {
        return;
    }
    use std::os::unix::process::CommandExt as _;
    let host = Host::empty("nobody");
    host.write("compose.yaml", "services: { web: { image: 'stand-in:1' } }");
    // The folder of the build may be closed to others: the program is given by a path that is not.
    let program = host.folder.join("motet");
    program::install(env!("CARGO_BIN_EXE_motet").as_ref(), &program);
    let mut command = std::process::Command::new(&program);
    command
        .args(["up", "-d"])
        .current_dir(&host.folder)
        .env("MOTET_ROOT", "/var/lib/motet-of-nobody")
        .uid(65534)
        .gid(65534);
    for folder in host.folder.ancestors().take(2) {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let output = command.output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && message.contains("root"), "{message}");
}

engines! {
    both: [
        a_port_in_use_names_its_holder,
        a_port_of_another_project_names_the_project_and_what_frees_it,
        an_image_that_is_nowhere_is_named_with_the_cause,
        a_missing_program_is_named,
        a_failing_health_check_shows_the_probes_output,
    ],
    neither: [
        no_file_lists_the_names_that_were_looked_for,
        bad_yaml_is_shown_at_line_and_column,
        an_unknown_key_is_shown_with_the_one_that_was_meant,
        an_undefined_dependency_is_shown_with_the_one_that_was_meant,
        a_cycle_is_named_in_full,
        a_user_who_is_not_root_is_told_what_is_missing,
    ],
}
