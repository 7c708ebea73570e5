//! Namespaces: enter, leave, and bring up the loopback link of a new one.
#![expect(unsafe_code, reason = "setns, unshare and the interface ioctls have no safe form here")]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

fn check(result: i32) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Enters a namespace (a descriptor of `/proc/PID/ns/..`, kind 0 or `libc::CLONE_NEW*`), or several of a process (a pidfd).
pub fn enter(fd: BorrowedFd<'_>, kinds: i32) -> io::Result<()> {
    // SAFETY: setns(2) has no memory precondition.
    check(unsafe { libc::setns(fd.as_raw_fd(), kinds) })
}

/// Leaves the namespaces of these kinds for new ones.
pub fn unshare(kinds: i32) -> io::Result<()> {
    // SAFETY: unshare(2) of namespaces has no memory precondition; the descriptor table stays shared.
    check(unsafe { libc::unshare(kinds) })
}

/// Brings up the loopback link of this network namespace.
pub fn loopback_up() -> io::Result<()> {
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )?;
    // SAFETY: ifreq is plain old data for which all zeros is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = (*from).cast_signed() as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_LOOPBACK | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads an ifreq, which lives through the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as libc::Ioctl, &raw const request) })
}
