//! The soak, short: what it counts before is what it counts after.

use std::process::Command;

use crate::support::engines::engines;
use crate::support::host::lacks_root;
use crate::support::image;

#[test]
fn nothing_grows_over_cycles_and_kills() {
    if lacks_root() {
        return;
    }
    if Command::new("python3").arg("--version").output().is_err() {
        println!("skipped: the soak needs python3");
        return;
    }
    let soak = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/soak");
    let output = Command::new("python3")
        .args([soak, env!("CARGO_BIN_EXE_motet")])
        .arg(image::stand_in())
        .args(["5", "10"])
        .env("SOAK_IMAGE", image::REFERENCE)
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    println!("{said}");
}

engines! {
    embedded: [
        nothing_grows_over_cycles_and_kills: "it counts what the embedded runtime keeps",
    ],
}
