//! `logs`: every line, in order, whoever was watching.

use crate::support::engines::engines;
use crate::support::host::{Host, lacks_root, until};

fn finished(name: &str, command: &str) -> Host {
    let host = Host::with(name, &format!("services: {{ web: {{ image: 'stand-in:1', command: {command} }} }}"));
    host.motet(&["up", "-d"]).success();
    until("the program ends", || host.ps().iter().all(|container| container["State"] == "exited"));
    host
}

#[test]
fn every_line_is_kept_with_its_stream_and_order() {
    if lacks_root() {
        return;
    }
    let host = finished("lines", "'seq 1 5000'");
    let printed = host.motet(&["logs", "--no-log-prefix"]).success().stdout;
    let expected: String = (1..=5000).map(|number| format!("{number}\n")).collect();
    assert!(printed == expected, "{} lines, from {:?}", printed.lines().count(), printed.lines().next());
    let printed = host.motet(&["logs", "-n", "3"]).success().stdout;
    assert_eq!(printed, "web-1  | 4998\nweb-1  | 4999\nweb-1  | 5000\n");
}

#[test]
fn timestamps_are_those_of_writing() {
    if lacks_root() {
        return;
    }
    let host = finished("stamped", "echo hello");
    let printed = host.motet(&["logs", "-t", "--no-log-prefix"]).success().stdout;
    let (time, text) = printed.trim_end().split_once(' ').unwrap();
    assert_eq!(text, "hello");
    assert!(time.starts_with("20") && time.contains('T') && time.ends_with('Z'), "{time}");
}

#[test]
fn following_shows_what_comes_and_ends_with_the_container() {
    if lacks_root() {
        return;
    }
    let host = Host::with(
        "follow",
        "services: { web: { image: 'stand-in:1', command: \"sh -c 'echo one; sleep 0.5; echo two'\" } }",
    );
    host.motet(&["up", "-d"]).success();
    let printed = host.motet(&["logs", "-f", "--no-log-prefix"]).success().stdout;
    assert_eq!(printed, "one\ntwo\n");
}

#[test]
fn a_long_line_and_bytes_that_are_no_text_survive() {
    if lacks_root() {
        return;
    }
    let host =
        finished("bytes", "\"sh -c 'yes abcdefghi | head -c 200000 | tr -d \\\"\\\\n\\\"; printf \\\"end\\\\n\\\"'\"");
    let printed = host.motet(&["logs", "--no-log-prefix"]).success().stdout;
    assert_eq!(printed.len(), 180_000 + 4, "{}", &printed[printed.len().saturating_sub(50)..]);
    assert!(printed.ends_with("end\n"));
}

engines! {
    both: [
        every_line_is_kept_with_its_stream_and_order,
        timestamps_are_those_of_writing,
        following_shows_what_comes_and_ends_with_the_container,
        a_long_line_and_bytes_that_are_no_text_survive,
    ],
}
