//! Process 1 of our own: passes signals on to the program, and takes the exit of every orphan. It never runs another program,
//! and nobody may look into it.

use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;

use rustix::process::{DumpableBehavior, WaitOptions, set_dumpable_behavior, wait};

use crate::sys::{process, signal};

/// Shows itself as what Docker's process 1 is called, instead of with the words that a keeper was begun with. Those lie in
/// the memory that proc_pid_stat(5) names in its fields 48 and 49. Where that fails the name stays: it is for people.
pub(super) fn be_called(program: &[String]) {
    let _ = rustix::thread::set_name(c"docker-init");
    let Ok(stat) = fs::read_to_string("/proc/self/stat") else { return };
    // The second field may hold blanks; it ends with the last bracket.
    let Some((_, rest)) = stat.rsplit_once(')') else { return };
    let mut fields = rest.split_ascii_whitespace().skip(48 - 3).map_while(|field| field.parse::<u64>().ok());
    let (Some(begin), Some(end)) = (fields.next(), fields.next()) else { return };
    let room = usize::try_from(end.saturating_sub(begin)).unwrap_or(0);
    if begin == 0 || room == 0 {
        return;
    }
    let mut words = ["/sbin/docker-init", "--"].into_iter().chain(program.iter().map(String::as_str));
    let mut text = words.next().unwrap_or_default().to_owned();
    for word in words {
        text.push('\0');
        text.push_str(word);
    }
    let mut bytes = text.into_bytes();
    // The last one is a zero: else the kernel would take what follows for a part of it.
    bytes.resize(room - 1, 0);
    bytes.push(0);
    let memory = fs::OpenOptions::new().write(true).open("/proc/self/mem");
    let _ = memory.and_then(|memory| memory.write_all_at(&bytes, begin));
}

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
