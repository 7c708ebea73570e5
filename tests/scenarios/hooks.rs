//! Programs that run after the start of a service and before its stop.

use crate::support::checks;
use crate::support::engines::engines;
use crate::support::host::{Host, lacks_root};

const HOOKED: &str = "
services:
  web:
    image: stand-in:1
    command: sleep 1000
    init: true
    volumes: ['./seen:/seen']
    post_start: [{ command: [sh, -c, 'echo started >> /seen/log; POST'] }]
    pre_stop: [{ command: [sh, -c, 'echo stopping >> /seen/log; PRE'] }]
";

fn file(post: &str, pre: &str) -> String {
    HOOKED.replace("POST", post).replace("PRE", pre)
}

fn seen(host: &Host) -> String {
    std::fs::read_to_string(host.folder.join("seen/log")).unwrap_or_default()
}

#[test]
fn hooks_run_after_each_start_and_before_each_stop_of_what_runs() {
    if lacks_root() {
        return;
    }
    let host = Host::with("hooked", &file("true", "true"));
    std::fs::create_dir(host.folder.join("seen")).unwrap();
    host.does("up -d").success();
    assert_eq!(seen(&host), "started\n");
    host.does("stop").success();
    assert_eq!(seen(&host), "started\nstopping\n");
    host.does("stop").success();
    assert_eq!(seen(&host), "started\nstopping\n", "what is stopped already is not told again");
    host.does("start").success();
    host.does("restart").success();
    assert_eq!(seen(&host), "started\nstopping\nstarted\nstopping\nstarted\n");
    host.does("kill").success();
    host.does("down").success();
    assert_eq!(seen(&host).matches("stopping").count(), 2);
    host.must_be_clean();
}

#[test]
fn a_hook_that_fails_fails_the_command_with_its_code() {
    if lacks_root() {
        return;
    }
    let host = Host::with("hook-fails", &file("no-such-program", "true"));
    std::fs::create_dir(host.folder.join("seen")).unwrap();
    host.does("up -d").failure().names(&["post_start", "127"]);
    host.does("down").success();
    host.write("compose.yaml", &file("true", "exit 7"));
    host.does("up -d").success();
    host.does("stop").failure().names(&["pre_stop", "7"]);
    host.does("kill").success();
    host.does("down").success();
    checks::nothing_is_there(&host);
    host.must_be_clean();
}

engines! {
    both: [
        hooks_run_after_each_start_and_before_each_stop_of_what_runs,
        a_hook_that_fails_fails_the_command_with_its_code,
    ],
}
