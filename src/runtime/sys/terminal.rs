//! Pseudo-terminals.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::pty::OpenptFlags;

/// Makes a pseudo-terminal of the devpts(5) file system at a descriptor: the end that we keep, and the one that the
/// contained process gets.
pub fn open_in(devpts: BorrowedFd<'_>) -> io::Result<(OwnedFd, OwnedFd)> {
    use rustix::fs::{Mode, OFlags};
    let ours = rustix::fs::openat(devpts, "ptmx", OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::pty::unlockpt(&ours)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let theirs = rustix::pty::ioctl_tiocgptpeer(&ours, flags)?;
    Ok((ours, theirs))
}

/// Returns the name of a terminal's subordinate end in its file system: its number among those there.
pub fn number(terminal: impl AsFd) -> io::Result<u32> {
    let device = rustix::fs::fstat(terminal)?.st_rdev;
    // Majors 136 to 143 are theirs, 256 minors each (Linux' admin-guide/devices.txt).
    match rustix::fs::major(device) {
        major @ 136..=143 => Ok((major - 136) * 256 + rustix::fs::minor(device)),
        _ => Err(rustix::io::Errno::NOTTY.into()),
    }
}

/// Sets the size of a terminal, in characters.
pub fn set_size(terminal: impl AsFd, rows: u16, columns: u16) -> io::Result<()> {
    let size = rustix::termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    Ok(rustix::termios::tcsetwinsize(terminal, size)?)
}

/// Makes a terminal the controlling one of this session, whose leader we must be.
pub fn make_controlling(terminal: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::process::ioctl_tiocsctty(terminal)?)
}

/// Returns the path of a terminal below /dev/pts.
pub fn path(terminal: impl AsFd) -> io::Result<std::path::PathBuf> {
    use std::os::unix::ffi::OsStringExt as _;
    let name = rustix::termios::ttyname(terminal, Vec::new())?;
    Ok(std::ffi::OsString::from_vec(name.into_bytes()).into())
}
