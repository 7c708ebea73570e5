//! `watch`: saved files are in their containers, programs restarted, images rebuilt.

use std::fs;
use std::process::Child;

use crate::support::engines::engines;
use crate::support::host::{Host, finish, lacks_root, signal, until};

const SYNC: &str = "
services:
  web:
    image: stand-in:1
    command: [sh, -c, 'trap \"exit 0\" TERM; echo begun; while :; do sleep 0.05; done']
    scale: 2
    develop:
      watch:
        - { action: sync, path: ./src, target: /app, ignore: ['*.log', node_modules] }
        - { action: sync+restart, path: ./conf, target: /conf }
        - { action: sync+exec, path: ./hooked, target: /hooked, exec: { command: touch /ran } }
";

/// Starts `watch` and returns once everything is followed: what was saved before the walk is not synced.
fn start(host: &Host, args: &[&str]) -> Child {
    let child = host.spawn(args);
    fs::create_dir_all(host.folder.join("src/probe")).unwrap();
    let mut number = 0;
    until("watching has begun", || {
        number += 1;
        host.write("src/probe/begun", &number.to_string());
        host.motet(&["exec", "-T", "web", "test", "-e", "/app/probe/begun"]).code == 0
    });
    child
}

fn in_each(host: &Host, line: &str) -> bool {
    ["1", "2"].iter().all(|index| host.motet(&["exec", "-T", "--index", index, "web", "sh", "-c", line]).code == 0)
}

#[test]
fn saves_reach_every_replica_and_ignored_files_none() {
    if lacks_root() {
        return;
    }
    let host = Host::with("sync", SYNC);
    for folder in ["src", "conf", "hooked"] {
        fs::create_dir_all(host.folder.join(folder)).unwrap();
    }
    let child = start(&host, &["watch"]);
    host.write("src/noise.log", "x");
    host.write("src/deep/er/a.py", "print(1)");
    until("a new file in new folders is there", || in_each(&host, "grep -q 1 /app/deep/er/a.py"));
    fs::write(host.folder.join("src/.a.swap"), "print(2)").unwrap();
    fs::rename(host.folder.join("src/.a.swap"), host.folder.join("src/deep/er/a.py")).unwrap();
    until("a file that is renamed into place is there", || in_each(&host, "grep -q 2 /app/deep/er/a.py"));
    fs::remove_dir_all(host.folder.join("src/deep")).unwrap();
    until("what is deleted is gone", || in_each(&host, "test ! -e /app/deep"));
    assert!(in_each(&host, "test ! -e /app/noise.log"), "an ignored file stays outside");

    let before = host.ps();
    host.write("conf/app.ini", "[x]");
    until("both are restarted", || host.motet(&["logs", "web"]).stdout.matches("begun").count() == 4);
    assert!(in_each(&host, "test -e /conf/app.ini"));
    let id = |list: &[serde_json::Value]| list.iter().map(|it| it["ID"].clone()).collect::<Vec<_>>();
    assert_eq!(id(&before), id(&host.ps()), "the containers are the same");
    host.write("hooked/file", "x");
    until("the command has run after the sync", || in_each(&host, "test -e /hooked/file && test -e /ran"));

    signal(i32::try_from(child.id()).unwrap(), rustix::process::Signal::INT);
    let outcome = finish(child, "watch");
    assert_eq!(outcome.code, 130);
    assert!(outcome.stderr.contains("src/deep/er/a.py -> sync web, 2 containers"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("conf/app.ini -> sync+restart web"), "{}", outcome.stderr);
    host.motet(&["down"]).success();
    host.must_be_clean();
}

#[test]
fn a_rebuild_replaces_the_container() {
    if lacks_root() {
        return;
    }
    let file = "
services:
  web:
    build: .
    command: sleep 1000
    init: true
    develop:
      watch:
        - { action: rebuild, path: ./app }
        - { action: sync, path: ./src, target: /app }
";
    let host = Host::with("rebuild", file);
    host.write("Dockerfile", "FROM stand-in:1\nCOPY app /built\nRUN mkdir /app\n");
    host.write("app/version", "1");
    fs::create_dir_all(host.folder.join("src")).unwrap();
    let child = start(&host, &["watch", "--quiet"]);
    let before = host.container("rebuild-web-1")["ID"].clone();
    host.write("app/version", "2");
    until("the new image runs", || {
        host.motet(&["exec", "-T", "web", "cat", "/built/version"]).stdout.trim() == "2"
            && host.container("rebuild-web-1")["ID"] != before
    });
    signal(i32::try_from(child.id()).unwrap(), rustix::process::Signal::INT);
    let outcome = finish(child, "watch");
    assert!(outcome.stderr.contains("app/version -> rebuild web"), "{}", outcome.stderr);
    host.motet(&["down", "--rmi", "local"]).success();
    host.must_be_clean();
}

#[test]
fn watching_nothing_is_an_error_that_shows_how() {
    let host = Host::with("nothing", "services: { web: { image: stand-in:1 } }");
    host.motet(&["watch"]).failure().names(&["develop.watch", "action: sync+restart"]);
}

engines! {
    both: [
        saves_reach_every_replica_and_ignored_files_none,
        a_rebuild_replaces_the_container,
        watching_nothing_is_an_error_that_shows_how,
    ],
}
