//! Re-executes our own binary in a way that no container can overwrite it (CVE-2019-5736).

use std::process::Command;

/// A command that runs this very binary with other arguments.
#[expect(clippy::disallowed_methods, reason = "it is ourselves")]
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.args(args);
    command
}
