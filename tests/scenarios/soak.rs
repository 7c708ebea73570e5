//! The soak and the kills at each system call, short: what they count before is what they count after.

use std::process::Command;

use crate::support::engines::engines;
use crate::support::host::lacks_root;
use crate::support::image;

#[test]
fn nothing_grows_over_cycles_and_kills() {
    run("soak", &["5", "10"], ("SOAK_IMAGE", image::REFERENCE));
}

#[test]
fn whatever_call_a_command_or_keeper_is_killed_at_the_next_command_repairs() {
    let some = ["up:command", "down:command", "up:keeper", "up:all", "--every", "43", "--from", "7"];
    run("kill_each", &some, ("KILL_EACH_IMAGE", image::REFERENCE));
}

/// Runs a program of the tests' folder with the binary, an archive and more words; it must find nothing wrong.
fn run(program: &str, words: &[&str], variable: (&str, &str)) {
    if lacks_root() {
        return;
    }
    if Command::new("python3").arg("--version").output().is_err() {
        println!("skipped: `{program}` needs python3");
        return;
    }
    let output = Command::new("python3")
        .arg(format!("{}/tests/{program}", env!("CARGO_MANIFEST_DIR")))
        .arg(env!("CARGO_BIN_EXE_motet"))
        .arg(image::stand_in())
        .args(words)
        .env(variable.0, variable.1)
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    println!("{said}");
}

engines! {
    embedded: [
        nothing_grows_over_cycles_and_kills: "it counts what the embedded runtime keeps",
        whatever_call_a_command_or_keeper_is_killed_at_the_next_command_repairs: "it kills the embedded runtime's processes",
    ],
}
