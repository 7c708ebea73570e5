//! The keys of an attached `up` on a terminal.

use std::fs;

use crate::support::engines::engines;
use crate::support::host::{Host, lacks_root, until};
use crate::support::pty::OnTerminal;

const WATCHED: &str = "
services:
  web:
    image: stand-in:1
    command: [sh, -c, 'echo the first line; exec sleep 1000']
    init: true
    develop:
      watch:
        - { action: sync, path: ./src, target: /app }
";

#[test]
fn w_follows_saved_files_and_d_leaves_the_services_running() {
    if lacks_root() {
        return;
    }
    let host = Host::with("menu", WATCHED);
    fs::create_dir_all(host.folder.join("src")).unwrap();
    let mut up = OnTerminal::start(&host, &["up", "--menu"], 100, &[]);
    up.shows("w Enable Watch   d Detach", 1);
    up.shows("the first line", 1);
    up.types("w");
    up.shows("Watch enabled: 1 rule", 1);
    up.shows("w Disable Watch", 1);
    host.write("src/saved", "x");
    up.shows("src/saved -> sync web", 1);
    assert_eq!(host.shell("web", "cat /app/saved"), "x");
    // Arrows are no keys of ours, nor are those that nobody named.
    up.types("\u{1b}[Dxq");
    up.types("w");
    up.shows("Watch disabled", 1);
    up.types("d");
    assert_eq!(up.ends().code, 0, "{}", up.drawn());
    assert_eq!(host.container("menu-web-1")["State"], "running");
    host.motet(&["down"]).success();
    host.must_be_clean();
}

#[test]
fn ctrl_c_is_no_key_and_a_menu_that_is_not_wanted_is_not_there() {
    if lacks_root() {
        return;
    }
    let host = Host::with("menu-off", WATCHED);
    for (args, variable) in [(&["up"][..], "false"), (&["up", "--menu=false"], "true")] {
        let mut up = OnTerminal::start(&host, args, 60, &[("COMPOSE_MENU", variable)]);
        up.shows("the first line", 1);
        up.types("\u{3}");
        assert_eq!(up.ends().code, 130, "{}", up.drawn());
        assert!(!up.drawn().contains("Enable Watch"), "{}", up.drawn());
    }
    let mut up = OnTerminal::start(&host, &["up"], 60, &[("COMPOSE_MENU", "1")]);
    up.shows("Enable Watch", 1);
    up.types("\u{3}");
    assert_eq!(up.ends().code, 130, "{}", up.drawn());
    until("it has stopped", || host.container("menu-off-web-1")["State"] == "exited");
    host.motet(&["down"]).success();
    host.must_be_clean();
}

#[test]
fn a_project_without_rules_is_told_how_to_have_some_and_goes_on() {
    if lacks_root() {
        return;
    }
    let file = "services: { web: { image: 'stand-in:1', command: sleep 1000, init: true } }";
    let host = Host::with("menu-no-rules", file);
    let mut up = OnTerminal::start(&host, &["up"], 100, &[]);
    up.shows("w Enable Watch", 1);
    up.types("w");
    up.shows("none of the selected services is configured for watch", 1);
    up.types("d");
    assert_eq!(up.ends().code, 0, "{}", up.drawn());
    host.motet(&["down"]).success();
    host.must_be_clean();
}

engines! {
    both: [
        w_follows_saved_files_and_d_leaves_the_services_running,
        ctrl_c_is_no_key_and_a_menu_that_is_not_wanted_is_not_there,
        a_project_without_rules_is_told_how_to_have_some_and_goes_on,
    ],
}
