//! Process 1 of our own: passes signals on to the program, and takes the exit of every orphan. It never runs another program,
//! and nobody may look into it.

use std::os::fd::{AsFd as _, OwnedFd};

use rustix::process::{DumpableBehavior, WaitOptions, set_dumpable_behavior, wait};

use crate::sys::{process, signal};

/// Stays until the program ends, then ends like it. `child` is its number here.
pub(super) fn stay(child: i32, program: OwnedFd) -> i32 {
    // CVE-2019-5736: /proc/1/exe would be our own binary.
    if set_dumpable_behavior(DumpableBehavior::NotDumpable).is_err() {
        return 125;
    }
    drop(program);
    loop {
        match signal::wait() {
            Ok(libc::SIGCHLD) => {
                if let Some(code) = reap(child) {
                    return code;
                }
            }
            // A program that is gone already has its SIGCHLD on the way.
            Ok(number) => drop(signal::send(child, number)),
            Err(_) => {}
        }
    }
}

/// Takes all exits there are; returns the program's code if it is among them.
fn reap(child: i32) -> Option<i32> {
    let mut code = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid.as_raw_nonzero().get() == child {
            code = status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal));
        }
    }
    code
}

/// Closes every descriptor but one: the report must end with the program's exec, and the streams with the program.
pub(super) fn close_all(keep: &OwnedFd) -> std::io::Result<()> {
    process::close_all_but(keep.as_fd())
}
