//! Programs that a scenario makes and runs.

use std::path::Path;
use std::process::Command;

/// Puts a program at a path, executable by all.
///
/// By another process: what a thread here has open for writing the children of its neighbours have open, too, until they
/// run their own program; and what somebody writes to can't be run (ETXTBSY).
pub fn install(from: &Path, to: &Path) {
    let installed = Command::new("install").args(["-m", "755"]).arg(from).arg(to).status().unwrap();
    assert!(installed.success(), "install {} {}", from.display(), to.display());
}

/// Puts a script at a path, executable by all.
pub fn write(path: &Path, text: &str) {
    let aside = path.with_extension("text");
    std::fs::write(&aside, text).unwrap();
    install(&aside, path);
    std::fs::remove_file(aside).unwrap();
}
