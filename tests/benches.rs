//! The benchmark runs here as anywhere: its table has the cases, and what the machine lacks is named.

use std::process::Command;

use crate::support::host::{lacks_root, workspace};

#[test]
#[expect(clippy::disallowed_methods, reason = "the benchmark is a program of its own")]
fn the_benchmark_prints_a_row_a_case_and_leaves_nothing() {
    if lacks_root() {
        return;
    }
    let json = tempfile::NamedTempFile::new().unwrap();
    let done = Command::new(workspace().join("benches/compare"))
        .args([
            "--quick",
            "--alone",
            "--rounds",
            "1",
            "--only",
            "containers,network",
            "--motet",
            env!("CARGO_BIN_EXE_motet"),
        ])
        // As on most machines, the programs of bare system calls are not there.
        .arg("--limits")
        .arg(json.path().with_extension("absent"))
        .arg("--json")
        .arg(json.path())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{printed}{}", String::from_utf8_lossy(&done.stderr));
    let record: serde_json::Value = serde_json::from_slice(&std::fs::read(json.path()).unwrap()).unwrap();
    for case in ["start to exit of `true`, network none", "localhost, 32 connections", "look-up of a service's name"] {
        let row = record["rows"].as_array().unwrap().iter().find(|row| row["case"] == case);
        let ours = row.and_then(|row| row["tools"]["motet"]["median"].as_f64());
        assert!(ours.is_some_and(|figure| figure > 0.0), "{case}:\n{printed}");
    }
    assert!(printed.contains("aims met:"), "{printed}");
}
