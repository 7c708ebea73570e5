//! More of `watch`: several services at once, filters, what was changed before, a network that stays.

use std::fs;
use std::process::Child;

use crate::support::checks;
use crate::support::engines::engines;
use crate::support::host::{Host, Outcome, finish, lacks_root, signal, until};

/// Starts `watch`, and returns it once it has said that it watches, with the file of what it says.
fn start(host: &Host) -> (Child, std::path::PathBuf) {
    let path = host.folder.parent().unwrap().join("said");
    let said = fs::File::create(&path).unwrap();
    let child = host.command(&["watch"]).stdout(std::process::Stdio::null()).stderr(said).spawn().unwrap();
    until("it watches", || fs::read_to_string(&path).unwrap().contains("Watch enabled"));
    (child, path)
}

fn stop(child: Child) -> Outcome {
    signal(child.id().cast_signed(), rustix::process::Signal::INT);
    let outcome = finish(child, "watch");
    assert_eq!(outcome.code, 130);
    outcome
}

fn reads(host: &Host, service: &str, path: &str) -> String {
    host.motet(&["exec", "-T", service, "cat", path]).stdout
}

#[test]
fn one_save_rebuilds_every_service_that_is_about_it_on_the_network_that_was_there() {
    if lacks_root() {
        return;
    }
    let mut file = String::from("services:\n");
    for name in ["a", "b", "c"] {
        file.push_str(&format!(
            "  {name}:\n    build: .\n    command: sleep 1000\n    init: true\n    networks: [outside]\n    develop: {{ watch: [{{ action: rebuild, path: ./version }}] }}\n"
        ));
    }
    file.push_str("networks: { outside: { external: true, name: motet-outside } }\n");
    let host = Host::with("watch-three", &file);
    host.motet(&["network", "create", "motet-outside"]).success();
    host.write("Dockerfile", "FROM stand-in:1\nCOPY version /version\n");
    host.write("version", "one");
    let (child, _) = start(&host);
    let network = host.does("network inspect --format {{.Id}} motet-outside").success().stdout;
    host.write("version", "two");
    until("all three run the new image", || ["a", "b", "c"].iter().all(|name| reads(&host, name, "/version") == "two"));
    stop(child);
    assert_eq!(host.does("network inspect --format {{.Id}} motet-outside").success().stdout, network);
    assert!(checks::text(&host.container("watch-three-a-1"), "Networks").contains("motet-outside"));
    host.does("down --rmi local").success();
    host.does("network rm motet-outside").success();
    host.must_be_clean();
}

#[test]
fn only_what_is_included_is_copied_and_older_files_are_if_that_is_asked_for() {
    if lacks_root() {
        return;
    }
    let file = "
services:
  web:
    image: stand-in:1
    command: sleep 1000
    init: true
    develop:
      watch:
        - { action: sync, path: ./src, target: /some, include: ['*.txt'] }
        - { action: sync, path: ./src, target: /all, initial_sync: true }
";
    let host = Host::with("watch-filter", file);
    host.write("src/before.txt", "before");
    let (child, path) = start(&host);
    until("what was there is copied", || reads(&host, "web", "/all/before.txt") == "before");
    host.write("src/code.rs", "code");
    host.write("src/text.txt", "text");
    until("a file is in both", || {
        reads(&host, "web", "/some/text.txt") == "text" && reads(&host, "web", "/all/text.txt") == "text"
    });
    until("the other is in one", || reads(&host, "web", "/all/code.rs") == "code");
    assert_eq!(host.shell("web", "ls /some"), "text.txt", "{}", fs::read_to_string(&path).unwrap());
    stop(child);
    host.does("down").success();
    host.must_be_clean();
}

#[test]
fn a_checkout_of_many_files_ends_with_all_of_them_and_nothing_else() {
    if lacks_root() {
        return;
    }
    let file = "
services:
  web:
    image: stand-in:1
    command: sleep 1000
    init: true
    develop: { watch: [{ action: sync, path: ./src, target: /app, ignore: [ignored/] }] }
";
    let host = Host::with("watch-many", file);
    fs::create_dir_all(host.folder.join("src/ignored")).unwrap();
    let (child, path) = start(&host);
    for number in 0..5000 {
        host.write(&format!("src/{}/file{number}", number % 50), "x");
        if number % 10 == 0 {
            host.write(&format!("src/ignored/{number}"), "x");
        }
    }
    for number in (0..5000).step_by(5) {
        fs::remove_file(host.folder.join(format!("src/{}/file{number}", number % 50))).unwrap();
    }
    host.write("src/last", "x");
    let inside = || {
        host.motet(&["exec", "-T", "web", "sh", "-c", "ls /app/*/file* | wc -l; ls -d /app/ignored /app/last"]).stdout
    };
    until("all is there", || inside() == "4000\n/app/last\n");
    stop(child);
    let said = fs::read_to_string(&path).unwrap();
    assert!(said.lines().count() < 500, "a burst is told in few lines: {}", said.lines().count());
    host.does("down").success();
    host.must_be_clean();
}

engines! {
    both: [
        one_save_rebuilds_every_service_that_is_about_it_on_the_network_that_was_there,
        only_what_is_included_is_copied_and_older_files_are_if_that_is_asked_for,
        a_checkout_of_many_files_ends_with_all_of_them_and_nothing_else,
    ],
}
