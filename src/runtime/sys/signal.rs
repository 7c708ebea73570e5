//! Signal dispositions and masks.
#![expect(unsafe_code, reason = "sigprocmask, sigaction, sigwaitinfo and kill have no safe form here")]

use std::io;

/// The highest signal number of Linux.
const LAST: i32 = 64;

/// Blocks nothing and ignores nothing: exec would hand both down. Rust ignores SIGPIPE, and a poll loop blocks what it reads.
pub fn reset() {
    for signal in 1..=LAST {
        // SAFETY: SIG_DFL is a valid disposition; numbers that may not be set give EINVAL, which changes nothing.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: the set is initialised by sigemptyset before it is read.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut());
    }
}

/// Blocks every signal, for [`wait`].
pub fn block_all() {
    // SAFETY: the set is initialised by sigfillset before it is read.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigfillset(&raw mut set);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut());
    }
}

/// Waits for any signal of those that [`block_all`] blocked.
pub fn wait() -> io::Result<i32> {
    // SAFETY: the set is initialised by sigfillset before it is read; no siginfo is asked for.
    let signal = unsafe {
        let mut set = std::mem::zeroed();
        libc::sigfillset(&raw mut set);
        libc::sigwaitinfo(&raw const set, std::ptr::null_mut())
    };
    if signal > 0 { Ok(signal) } else { Err(io::Error::last_os_error()) }
}

/// Sends a signal to a process (`pid > 0`) or, negated, to a process group. For numbers that can't be another's by now:
/// children not yet waited for.
pub fn send(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: kill(2) has no memory precondition.
    if unsafe { libc::kill(pid, signal) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
