//! Network namespaces: a thread goes into one and comes back.
#![expect(unsafe_code, reason = "unshare(2)")]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

/// The namespace of this thread, not of the process: `/proc/self` is the thread that began it.
const OWN: &str = "/proc/thread-self/ns/net";

/// Brings the thread back, also out of a panic.
struct Return(File);

impl Drop for Return {
    fn drop(&mut self) {
        if move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network)).is_err() {
            // Going on in a container's network would be worse than anything: it can't happen with the file open.
            std::process::abort();
        }
    }
}

/// Opens the calling thread's network namespace.
pub fn own() -> io::Result<File> {
    File::open(OWN)
}

/// Calls `act` inside `netns`. A network namespace is the thread's own affair, so other threads notice nothing;
/// sockets that `act` opens stay in that namespace, and `/proc/sys/net` is that namespace's.
pub fn within<T>(netns: BorrowedFd<'_>, act: impl FnOnce() -> T) -> io::Result<T> {
    let back = Return(own()?);
    move_into_link_name_space(netns, Some(LinkNameSpaceType::Network))?;
    let result = act();
    drop(back);
    Ok(result)
}

/// Gives the calling thread a new network namespace, empty but for a `lo` that is down.
pub fn unshare() -> io::Result<()> {
    // SAFETY: of what `unshare` can take apart only a network namespace is asked for, and no memory, descriptor
    // or lock of this process depends on which one the thread is in.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }?;
    Ok(())
}
