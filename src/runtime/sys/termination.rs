//! SIGTERM as something to wait for beside everything else (signalfd(2)).
#![expect(unsafe_code, reason = "sigprocmask and signalfd have no safe form here")]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd as _, OwnedFd};

/// A descriptor that is readable once this process has been asked to end.
#[derive(Debug)]
pub struct Termination(OwnedFd);

impl Termination {
    /// Blocks SIGTERM, which has no other effect from now on, and begins to listen. For a process with one thread.
    pub fn listen() -> io::Result<Self> {
        // SAFETY: the set is initialised by sigemptyset before it is read; signalfd takes no ownership of it.
        let fd = unsafe {
            let mut set = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            libc::sigaddset(&raw mut set, libc::SIGTERM);
            if libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) != 0 {
                return Err(io::Error::last_os_error());
            }
            libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: signalfd has just made it, and nobody else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Takes the signal; says whether there was one.
    pub fn arrived(&self) -> bool {
        let mut bytes = [0_u8; size_of::<libc::signalfd_siginfo>()];
        rustix::io::read(&self.0, &mut bytes).is_ok()
    }
}

impl AsFd for Termination {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
