//! Every help page against the stored one, so that a change of the command line is seen in review.

use std::path::Path;

use expect_test::expect_file;

use crate::support::host::Host;

#[test]
fn every_help_page_is_as_stored() {
    let host = Host::empty("help");
    let overview = host.motet(&["--help"]).success().stdout;
    let commands = overview.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let verbs: Vec<&str> =
        commands.lines().map(|line| line.split_whitespace().next().unwrap()).filter(|verb| *verb != "help").collect();
    assert!(verbs.contains(&"up") && verbs.len() > 10, "{verbs:?}");

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/help");
    expect_file![folder.join("motet.txt")].assert_eq(&overview);
    for verb in &verbs {
        // The global options are on the overview: a page shows what the verb itself knows.
        let page = host.motet(&[verb, "--help"]).success().stdout;
        expect_file![folder.join(format!("{verb}.txt"))].assert_eq(&page);
    }
    let stored = std::fs::read_dir(&folder).unwrap().count();
    assert_eq!(stored, verbs.len() + 1, "a page of a verb that is gone is stored in {}", folder.display());
}

#[test]
fn a_mistyped_verb_or_flag_is_met_with_the_one_that_was_meant() {
    let host = Host::empty("typo");
    let outcome = host.motet(&["upp"]).failure().names(&["unknown command `upp`", "did you mean `up`?"]);
    assert_eq!(outcome.code, 2);
    host.motet(&["up", "--detatch"]).failure().names(&["--detatch", "--detach"]);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let host = Host::empty("pipe");
    let mut child = host.command(&["--help"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}
