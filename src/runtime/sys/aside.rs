//! Work for which the kernel makes its caller wait, left to a process that nobody waits for.
//!
//! Some calls do what they are asked at once and return a grace period of the kernel's readers later (5 to 40 ms), or after
//! the disk has written: the removal of a link (`rcu_barrier` in `netdev_run_todo`), the last close of a netfilter socket
//! whose transaction removed something (`nft_rcv_nl_event` flushes the work that frees it), the last close of a file system
//! (an overlay syncs the one below it). A thread would not do: the end of a process waits for all its threads.
#![expect(unsafe_code, reason = "clone3 into a child that makes nothing but system calls")]

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::pipe::PipeFlags;

use crate::sys::process;

/// Closes a descriptor in a process of its own; here where there can be none.
pub fn close(fd: OwnedFd) {
    // Our own copy goes at the end of this, and is the last one only where there is no other process.
    drop(start(&[fd.as_fd()], &[]));
}

/// Sends `bytes` through `socket` in a process of its own; returns the end of a pipe that closes when it is done. What the
/// kernel answers comes to the socket.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<OwnedFd> {
    let (done, doing) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    start(&[socket, doing.as_fd()], bytes)?;
    Ok(done)
}

/// Starts a process that has only `kept`, from 0 on, sends `bytes` through the first of them, if there are any, and ends.
fn start(kept: &[BorrowedFd<'_>], bytes: &[u8]) -> io::Result<()> {
    let count = kept.len();
    // They are moved to 0 and on, one after the other: none may lie where another is to come.
    if kept.iter().any(|fd| usize::try_from(fd.as_raw_fd()).is_ok_and(|fd| fd < count)) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    // Other threads may hold any lock, the allocator's too: nothing but system calls from here on in the child.
    process::fork_silently(|| {
        // SAFETY: the numbers are valid descriptors of this process, whose owners are never dropped: it ends below. `bytes`
        // is borrowed for the call.
        unsafe {
            // A key press in our terminal is not meant for it.
            libc::syscall(libc::SYS_setsid);
            // Nor is our folder to be held.
            libc::syscall(libc::SYS_chdir, c"/".as_ptr());
            for (place, fd) in kept.iter().enumerate() {
                libc::syscall(libc::SYS_dup3, fd.as_raw_fd(), place, 0);
            }
            libc::syscall(libc::SYS_close_range, count, u32::MAX, 0);
            if !bytes.is_empty() {
                libc::syscall(libc::SYS_sendto, 0, bytes.as_ptr(), bytes.len(), 0, 0, 0);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;

    use super::{close, send};

    #[test]
    fn bytes_are_sent_by_another_process_that_holds_nothing_else_of_ours() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (other, mut others) = UnixStream::pair().unwrap();
        let mut done = std::fs::File::from(send(ours.as_fd(), b"gone").unwrap());
        drop((ours, other));
        let mut text = String::new();
        theirs.read_to_string(&mut text).unwrap();
        assert_eq!(text, "gone");
        assert_eq!(done.read(&mut [0]).unwrap(), 0, "it has ended");
        assert_eq!(others.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn what_is_closed_by_another_process_ends_all_the_same() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        close(ours.into());
        assert_eq!(theirs.read(&mut [0]).unwrap(), 0);
    }
}
