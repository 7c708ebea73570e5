//! Children in namespaces of their own, and what they do to themselves before they run a program.
#![expect(unsafe_code, reason = "clone3, execve, _exit, close_range and pidfd_send_signal have no safe form here")]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

/// `CLONE_INTO_CGROUP` of linux/sched.h; libc's is an `i32` that overflows to 0.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
/// `CLONE_CLEAR_SIGHAND` of linux/sched.h.
const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;

/// `struct clone_args` of linux/sched.h, version 2.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Aborts a child that unwinds out of its code: it must never return into its parent's.
struct NoReturn;

impl Drop for NoReturn {
    fn drop(&mut self) {
        std::process::abort();
    }
}

/// Makes a child with signal handlers reset, in new namespaces (`libc::CLONE_NEW*`), and in the cgroup v2 directory where
/// one is given; it runs `child` and exits with what that returns. Returns its number and pidfd.
///
/// The caller must have one thread only: another's locks would stay locked in the child (the allocator's, too).
pub fn clone(
    namespaces: i32,
    cgroup: Option<BorrowedFd<'_>>,
    child: impl FnOnce() -> i32,
) -> io::Result<(i32, OwnedFd)> {
    let mut pidfd: i32 = -1;
    let mut args = CloneArgs {
        flags: u64::from(namespaces.cast_unsigned()) | libc::CLONE_PIDFD as u64 | CLONE_CLEAR_SIGHAND,
        pidfd: std::ptr::from_mut(&mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::from(cgroup.as_raw_fd().cast_unsigned());
    }
    // SAFETY: without CLONE_VM the child has its own copy of the address space, as after fork(2); `args` and `pidfd`
    // outlive the call, and the size is that of the structure.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let guard = NoReturn;
            let code = child();
            std::mem::forget(guard);
            exit(code)
        }
        pid => {
            // SAFETY: the kernel has just stored a new descriptor here, which nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok((i32::try_from(pid).unwrap_or(-1), pidfd))
        }
    }
}

/// Makes a child that runs `child` and ends: with a copy of our memory, signal handlers reset, and no signal to us when it
/// ends. Nobody need wait for it: those that have ended are taken note of when the next one is made.
///
/// Other threads' locks stay locked in the child: it may do nothing but make system calls.
pub fn fork_silently(child: impl FnOnce()) -> io::Result<()> {
    // SAFETY: a null status is allowed. Of all our children only those made here end without a signal (`__WCLONE`).
    while unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG | libc::__WCLONE) } > 0 {}
    let args = CloneArgs { flags: CLONE_CLEAR_SIGHAND, ..CloneArgs::default() };
    // SAFETY: without CLONE_VM the child has its own copy of the address space, as after fork(2); `args` outlives the call,
    // and the size is that of the structure.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            child();
            exit(0)
        }
        _ => Ok(()),
    }
}

/// Ends the process at once: no destructors, no buffers written.
pub fn exit(code: i32) -> ! {
    // SAFETY: _exit(2) has no precondition.
    unsafe { libc::_exit(code) }
}

/// Replaces the program; returns only if that failed.
pub fn execve(program: &CStr, args: &[CString], env: &[CString]) -> io::Error {
    let pointers = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (args, env) = (pointers(args), pointers(env));
    // SAFETY: both arrays end with a null pointer, and the strings they point to are borrowed for the call.
    unsafe { libc::execve(program.as_ptr(), args.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

/// Marks every descriptor from 3 on to be closed by exec.
pub fn close_on_exec_from_3() -> io::Result<()> {
    // SAFETY: the call only sets a flag on descriptors; none is closed.
    let result = unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result == 0 {
        return Ok(());
    }
    // Before Linux 5.11: one by one. The list is read first, since it is itself a descriptor.
    let open: Vec<i32> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd >= 3)
        .collect();
    for fd in open {
        // SAFETY: sets a flag; a descriptor that is gone gives EBADF, which is what we want.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    Ok(())
}

/// Sends a signal, named or real-time, to exactly this process.
pub fn signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    // SAFETY: a null siginfo is allowed, and means that of kill(2).
    let result = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, std::ptr::null::<libc::siginfo_t>(), 0u32)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `struct pidfd_info` of linux/pidfd.h, as of Linux 6.15.
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup: u64,
    /// pid, tgid, ppid, and the eight user and group ids.
    numbers: [u32; 11],
    exit_code: i32,
}

/// Returns the code of a process that has ended and is no child of ours: its own, or 128 and the signal. `None`: neither
/// this kernel (before 6.15) nor what its parent has left of it tells.
pub fn code_of_ended(pidfd: BorrowedFd<'_>, pid: i32) -> Option<i32> {
    /// `PIDFD_INFO_EXIT` of linux/pidfd.h.
    const EXIT: u64 = 1 << 3;
    /// `_IOWR(0xFF, 11, struct pidfd_info)` of linux/pidfd.h, for the size above.
    const GET_INFO: libc::c_ulong = 0xC040_FF0B;
    let mut info = PidfdInfo { mask: EXIT, ..PidfdInfo::default() };
    // SAFETY: the size in the request's number is that of the structure, which outlives the call.
    let result = unsafe { libc::ioctl(pidfd.as_raw_fd(), GET_INFO as _, &raw mut info) };
    let status = if result == 0 && info.mask & EXIT != 0 { Some(info.exit_code) } else { zombie(pid) }?;
    // As wait(2) tells it.
    Some(if status & 0x7f == 0 { status >> 8 & 0xff } else { 128 + (status & 0x7f) })
}

/// Returns how a process ended that nobody has waited for yet: the last field of /proc/PID/stat.
fn zombie(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    if fields.next()? != "Z" {
        return None;
    }
    fields.next_back()?.parse().ok()
}

/// Makes the process the leader of a session whose key ring is its own, so that keys of ours stay ours.
pub fn new_session_keyring() -> io::Result<()> {
    /// `KEYCTL_JOIN_SESSION_KEYRING` of linux/keyctl.h.
    const JOIN: libc::c_long = 1;
    // SAFETY: a null name asks for an anonymous key ring.
    let result = unsafe { libc::syscall(libc::SYS_keyctl, JOIN, std::ptr::null::<libc::c_char>()) };
    if result >= 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sets both limits of a resource (`libc::RLIMIT_*`) of this process; `u64::MAX` is unlimited.
pub fn set_limit(resource: u32, soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // SAFETY: `limit` is read during the call only; an unknown resource gives EINVAL.
    let result = unsafe {
        libc::syscall(libc::SYS_prlimit64, 0, resource, &raw const limit, std::ptr::null_mut::<libc::rlimit>())
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Closes every descriptor but one, standard streams too, for a process that needs none any more.
///
/// The caller must not use any other descriptor that it owns afterwards, and end without dropping them.
pub fn close_all_but(keep: BorrowedFd<'_>) -> io::Result<()> {
    let keep = keep.as_raw_fd().cast_unsigned();
    let close = |first: u32, last: u32| {
        // SAFETY: the owners of these descriptors are never dropped: the process ends by `exit`.
        let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    if keep > 0 {
        close(0, keep - 1)?;
    }
    close(keep + 1, u32::MAX)
}

/// Closes the copy that a child has of a descriptor of its parent's. Only for a child of [`clone`], which ends without
/// dropping what its parent owns.
pub fn close_copy(fd: BorrowedFd<'_>) {
    // SAFETY: in the child nobody uses or drops the owner any more, by the contract above.
    unsafe { libc::close(fd.as_raw_fd()) };
}
