//! Marks that a file of a lower layer is gone: `.wh.name` in archives, a 0:0 character device in overlayfs.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, XattrFlags, mknodat};

/// What a file's name in an archive means.
#[derive(Debug, PartialEq, Eq)]
pub enum Mark<'a> {
    /// No mark: a file.
    File,
    /// This sibling is gone.
    Gone(&'a [u8]),
    /// Whatever lower layers have in this directory is gone.
    Opaque,
    /// A mark of aufs's own bookkeeping, or one that can name no file.
    Ignored,
}

/// The name of the mark that makes its directory opaque.
pub const OPAQUE_NAME: &str = ".wh..wh..opq";
/// Before the name of what is gone.
pub const PREFIX: &str = ".wh.";
/// Marks a directory opaque in overlayfs.
pub const OPAQUE_XATTR: &str = "trusted.overlay.opaque";

/// Reads a mark from a file's last name.
pub fn mark(name: &[u8]) -> Mark<'_> {
    if name == OPAQUE_NAME.as_bytes() {
        return Mark::Opaque;
    }
    match name.strip_prefix(PREFIX.as_bytes()) {
        None => Mark::File,
        Some(b"" | b"." | b"..") => Mark::Ignored,
        Some(rest) if rest.starts_with(PREFIX.as_bytes()) => Mark::Ignored,
        Some(rest) => Mark::Gone(rest),
    }
}

/// Makes the device that hides `name` of the layers below `directory`'s.
pub fn hide(directory: BorrowedFd<'_>, name: &Path) -> io::Result<()> {
    Ok(mknodat(directory, name, FileType::CharacterDevice, Mode::empty(), rustix::fs::makedev(0, 0))?)
}

/// Hides all that layers below have in `directory`.
pub fn make_opaque(directory: impl AsFd) -> io::Result<()> {
    Ok(rustix::fs::fsetxattr(directory, OPAQUE_XATTR, b"y", XattrFlags::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_told_from_files() {
        assert_eq!(mark(b"file"), Mark::File);
        assert_eq!(mark(b".wh.gone"), Mark::Gone(b"gone"));
        assert_eq!(mark(b".wh..wh..opq"), Mark::Opaque);
        for ignored in [&b".wh."[..], b".wh..", b".wh...", b".wh..wh.plnk", b".wh..wh.aufs"] {
            assert_eq!(mark(ignored), Mark::Ignored);
        }
    }
}
