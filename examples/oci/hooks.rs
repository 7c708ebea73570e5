//! Programs that a bundle has run at points of its container's life. Each reads the state from its standard input.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::config::Hook;
use crate::failure::{Failure, cannot, failed};

/// Runs hooks of the host, one after the other, until one fails.
pub(crate) fn run(hooks: &[Hook], point: &str, state: &serde_json::Value) -> Result<(), Failure> {
    hooks.iter().try_for_each(|hook| run_one(hook, point, state))
}

#[expect(clippy::disallowed_methods, reason = "hooks are programs")]
fn run_one(hook: &Hook, point: &str, state: &serde_json::Value) -> Result<(), Failure> {
    use std::os::unix::process::CommandExt as _;
    let what = format!("the {point} hook `{}`", hook.path);
    if !Path::new(&hook.path).is_absolute() {
        return Err(failed(format!("{what} is no absolute path")));
    }
    let environment: BTreeMap<&str, &str> = hook.env.iter().filter_map(|line| line.split_once('=')).collect();
    let mut command = Command::new(&hook.path);
    if let Some((name, rest)) = hook.args.split_first() {
        command.arg0(name).args(rest);
    }
    let run = || format!("run {what}");
    let mut child = command.env_clear().envs(environment).stdin(Stdio::piped()).spawn().map_err(cannot(run()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A hook need not read it.
        let _ = stdin.write_all(state.to_string().as_bytes());
    }
    if let Some(seconds) = hook.timeout {
        let pid = Pid::from_child(&child);
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).map_err(cannot(run()))?;
        let mut fds = [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
        let timeout = Duration::from_secs(seconds);
        let timeout = Timespec { tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX), tv_nsec: 0 };
        if rustix::event::poll(&mut fds, Some(&timeout)).map_err(cannot(run()))? == 0 {
            let _ = rustix::process::pidfd_send_signal(&pidfd, Signal::KILL);
            let _ = child.wait();
            return Err(failed(format!("{what} did not end within {seconds} s")));
        }
    }
    let status = child.wait().map_err(cannot(run()))?;
    if status.success() { Ok(()) } else { Err(failed(format!("{what} failed: {status}"))) }
}
