//! Every command that the README gives, run as it stands there.

use crate::support::host::{Host, finish, lacks_root, signal, until, workspace};

const PROJECT: &str = "
services:
  web:
    image: stand-in:1
    command: sh -c 'echo hello; sleep 1000'
    init: true
";

/// Lines after `$ ` in the README's console blocks, without their comments.
fn commands() -> Vec<String> {
    let text = std::fs::read_to_string(workspace().join("README.md")).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("$ "));
    lines.map(|line| line.split("  #").next().unwrap().split(" # ").next().unwrap().trim().to_owned()).collect()
}

#[test]
fn every_command_of_the_tour_works_in_its_order() {
    if lacks_root() {
        return;
    }
    let host = Host::with("tour", PROJECT);
    let tour: Vec<String> =
        commands().into_iter().filter_map(|line| line.strip_prefix("motet ").map(str::to_owned)).collect();
    assert!(tour.len() >= 8, "the README has a tour: {tour:?}");
    for line in tour {
        let words: Vec<&str> = line.split_whitespace().collect();
        // What stays in the foreground is watched until it works, then left with Ctrl-C.
        let stays = words == ["up"] || words.contains(&"-f");
        if !stays {
            host.motet(&words).success();
            continue;
        }
        let child = host.spawn(&words);
        until("it runs", || host.ps().iter().any(|container| container["State"] == "running"));
        signal(child.id().cast_signed(), rustix::process::Signal::INT);
        let outcome = finish(child, &line);
        assert_eq!(outcome.code, 130, "`motet {line}`: {}", outcome.stderr);
    }
    host.must_be_clean();
}

#[test]
fn the_two_commands_are_those_that_the_examples_and_the_checks_run() {
    let commands = commands();
    let example = "cargo run --release -- --project-directory examples/flask up -d --wait";
    assert_eq!(commands[0], example, "tests/examples.rs brings the same folder up with the same flags");
    let checks = std::fs::read_to_string(workspace().join(".ci/run")).unwrap();
    assert!(checks.contains(&commands[1]), "`{}` is what .ci/run runs", commands[1]);
    let known = ["cargo ", "curl ", "motet "];
    for command in &commands {
        assert!(known.iter().any(|start| command.starts_with(start)), "`{command}` is tested nowhere");
    }
}

#[test]
fn what_the_readme_says_of_verbs_is_what_the_program_has() {
    let host = Host::empty("verbs");
    let help = host.motet(&["--help"]).success().stdout;
    let text = std::fs::read_to_string(workspace().join("README.md")).unwrap();
    let works = text.split("Works: ").nth(1).unwrap().split(';').next().unwrap();
    let verbs = works.split('`').skip(1).step_by(2);
    for verb in verbs {
        assert!(
            help.contains(&format!("  {verb} ")),
            "README says that `{verb}` works; --help does not list it:\n{help}"
        );
    }
}
