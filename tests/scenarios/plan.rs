//! `plan`: what would be done, with its cause and place, and nothing is done.

use crate::support::engines::engines;
use crate::support::host::{Host, lacks_root};

const FILE: &str = "
services:
  web:
    image: stand-in:1
    command: sleep 1000
    init: true
    environment:
      DEBUG: ${DEBUG}
      API_TOKEN: ${API_TOKEN}
";

#[test]
fn a_plan_names_the_attribute_its_values_and_the_line_and_changes_nothing() {
    if lacks_root() {
        return;
    }
    let host = Host::with("plan", FILE);
    host.write(".env", "DEBUG=0\nAPI_TOKEN=one\n");
    let first = host.motet(&["plan", "--exit-code"]);
    assert_eq!(first.code, 9, "{}", first.stderr);
    assert!(first.stdout.contains("create container plan-web-1 (missing)"), "{}", first.stdout);
    host.must_be_clean();

    host.motet(&["up", "-d"]).success();
    assert_eq!(host.motet(&["plan", "--exit-code"]).success().stdout, "nothing to do\n");

    host.write(".env", "# later\nDEBUG=1\nAPI_TOKEN=two\n");
    // All that `ps` tells but for how long ago that was.
    let ps = || {
        let mut all = host.ps();
        all.iter_mut().filter_map(|it| it.as_object_mut()).for_each(|it| {
            it.remove("RunningFor");
            it.remove("Status");
        });
        all
    };
    let before = (ps(), host.motet(&["config", "--hash", "*"]).stdout);
    let plan = host.motet(&["plan", "--exit-code"]);
    assert_eq!(plan.code, 9);
    assert!(plan.stdout.contains("environment.DEBUG 0 -> 1, .env:2"), "{}", plan.stdout);
    assert!(plan.stdout.contains("environment.API_TOKEN changed, .env:3"), "{}", plan.stdout);
    assert!(!plan.stdout.contains("two"), "a secret is not shown: {}", plan.stdout);
    assert_eq!(host.motet(&["up", "-d", "--dry-run"]).success().stdout, plan.stdout, "one planner for both");
    assert_eq!((ps(), host.motet(&["config", "--hash", "*"]).stdout), before, "nothing was done");
    host.motet(&["down"]).success();
}

engines! {
    both: [
        a_plan_names_the_attribute_its_values_and_the_line_and_changes_nothing,
    ],
}
