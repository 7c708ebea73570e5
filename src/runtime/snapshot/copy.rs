//! Layers merged by copying, where overlayfs is refused; also how a directory of an image becomes a volume's first content.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use crate::snapshot::place::{self, Place};
use crate::snapshot::whiteout::OPAQUE_XATTR;

/// Why layers can't be merged.
#[derive(Debug, thiserror::Error)]
#[error("cannot copy `{path}`")]
pub struct CopyError {
    /// Below the layer.
    pub path: PathBuf,
    /// What the kernel said.
    #[source]
    pub source: io::Error,
}

/// Copies the merged content of `lower` (lowest first), or only what is below `inside`, into the directory `target`.
///
/// A layer in which `inside` is no directory adds nothing; links on the way are followed within the layer only.
pub fn merge(lower: &[PathBuf], inside: &Path, target: &Path) -> Result<(), CopyError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = |path: &Path| {
        let open = rustix::fs::open(path, flags, Mode::empty());
        open.map_err(|error| CopyError { path: path.into(), source: error.into() })
    };
    let to = open(target)?;
    let parts = inside.components().filter_map(|part| match part {
        std::path::Component::Normal(name) => Some(name.as_bytes().to_vec()),
        _ => None,
    });
    let parts: Vec<_> = parts.collect();
    for layer in lower {
        let root = open(layer)?;
        let mut hidden = false;
        // A mark on the way hides all that lower layers had there.
        for depth in 1..=parts.len() {
            let place = Place::new(root.as_fd());
            let Ok(parent) = place.existing(&parts[..depth - 1]) else { break };
            let name = Path::new(OsStr::from_bytes(&parts[depth - 1]));
            match place::look(parent.as_fd(), name) {
                Ok(Some(stat)) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                    hidden |= place.existing(&parts[..depth]).is_ok_and(|directory| is_opaque(directory.as_fd()));
                }
                Ok(Some(stat)) => hidden |= FileType::from_raw_mode(stat.st_mode) != FileType::Symlink,
                Ok(None) | Err(_) => {}
            }
        }
        if hidden {
            empty(to.as_fd()).map_err(failed(inside))?;
        }
        if let Ok(from) = Place::new(root.as_fd()).existing(&parts) {
            directory(from.as_fd(), to.as_fd(), inside)?;
        }
    }
    Ok(())
}

/// Copies one layer's directory over what is there, with its attributes.
fn directory(from: BorrowedFd<'_>, to: BorrowedFd<'_>, path: &Path) -> Result<(), CopyError> {
    let error = failed(path);
    if is_opaque(from) {
        empty(to).map_err(&error)?;
    }
    for entry in Dir::read_from(from).map_err(&error)? {
        let entry = entry.map_err(&error)?;
        let name = Path::new(OsStr::from_bytes(entry.file_name().to_bytes()));
        if name != Path::new(".") && name != Path::new("..") {
            member(from, to, name, &path.join(name))?;
        }
    }
    let stat = rustix::fs::fstat(from).map_err(&error)?;
    attributes(from, to, &stat).map_err(&error)
}

fn member(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &Path, path: &Path) -> Result<(), CopyError> {
    let error = failed(path);
    let Some(stat) = place::look(from, name).map_err(&error)? else { return Ok(()) };
    let kind = FileType::from_raw_mode(stat.st_mode);
    let there = place::look(to, name).map_err(&error)?;
    let there = there.map(|stat| FileType::from_raw_mode(stat.st_mode));
    if there.is_some_and(|there| there != FileType::Directory || kind != FileType::Directory) {
        Place::new(to).clear(to, name).map_err(&error)?;
    }
    if place::is_whiteout(&stat) {
        return Ok(());
    }
    match kind {
        FileType::Directory => {
            match rustix::fs::mkdirat(to, name, Mode::from_raw_mode(0o700)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(e) => return Err(error(e)),
            }
            let below = |parent| place::open_directory(parent, name).map_err(&error);
            directory(below(from)?.as_fd(), below(to)?.as_fd(), path)
        }
        FileType::RegularFile => {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let source = rustix::fs::openat(from, name, flags, Mode::empty()).map_err(&error)?;
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let copy = rustix::fs::openat(to, name, flags, Mode::from_raw_mode(0o600)).map_err(&error)?;
            content(source, copy, &stat).map_err(|source| CopyError { path: path.into(), source })
        }
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(from, name, Vec::new()).map_err(&error)?;
            rustix::fs::symlinkat(&target, to, name).map_err(&error)?;
            nameless_attributes(to, name, &stat).map_err(&error)
        }
        FileType::CharacterDevice | FileType::BlockDevice | FileType::Fifo => {
            let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
            rustix::fs::mknodat(to, name, kind, mode, stat.st_rdev).map_err(&error)?;
            nameless_attributes(to, name, &stat).map_err(&error)?;
            rustix::fs::chmodat(to, name, mode, AtFlags::empty()).map_err(&error)
        }
        FileType::Socket | FileType::Unknown => Ok(()),
    }
}

/// Shares the blocks where the file system can, copies them in the kernel where not.
fn content(from: OwnedFd, to: OwnedFd, stat: &Stat) -> io::Result<()> {
    let (mut from, mut to) = (std::fs::File::from(from), std::fs::File::from(to));
    if rustix::fs::ioctl_ficlone(&to, &from).is_err() {
        io::copy(&mut from, &mut to)?;
    }
    Ok(attributes(from.as_fd(), to.as_fd(), stat)?)
}

/// Owner, mode, attributes, time, in the order in which none undoes another.
fn attributes(from: BorrowedFd<'_>, to: BorrowedFd<'_>, stat: &Stat) -> rustix::io::Result<()> {
    rustix::fs::fchown(to, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    rustix::fs::fchmod(to, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    let mut names = vec![0; 64 << 10];
    let length = match rustix::fs::flistxattr(from, &mut names[..]) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => 0,
        Err(error) => return Err(error),
    };
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        if name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.") || name == b"security.selinux" {
            continue;
        }
        let mut value = vec![0; 64 << 10];
        let length = rustix::fs::fgetxattr(from, OsStr::from_bytes(name), &mut value[..])?;
        match rustix::fs::fsetxattr(to, OsStr::from_bytes(name), &value[..length], XattrFlags::empty()) {
            Ok(()) | Err(Errno::NOTSUP) => {}
            Err(error) => return Err(error),
        }
    }
    rustix::fs::futimens(to, &times(stat))
}

fn nameless_attributes(to: BorrowedFd<'_>, name: &Path, stat: &Stat) -> rustix::io::Result<()> {
    let (uid, gid) = (Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)));
    rustix::fs::chownat(to, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
    rustix::fs::utimensat(to, name, &times(stat), AtFlags::SYMLINK_NOFOLLOW)
}

fn times(stat: &Stat) -> Timestamps {
    let nanoseconds = i64::try_from(stat.st_mtime_nsec).unwrap_or_default();
    let time = Timespec { tv_sec: stat.st_mtime, tv_nsec: nanoseconds };
    Timestamps { last_access: time, last_modification: time }
}

fn is_opaque(directory: BorrowedFd<'_>) -> bool {
    let mut value = [0; 2];
    matches!(rustix::fs::fgetxattr(directory, OPAQUE_XATTR, &mut value[..]), Ok(1)) && value[0] == b'y'
}

fn empty(directory: BorrowedFd<'_>) -> rustix::io::Result<()> {
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = Path::new(OsStr::from_bytes(entry.file_name().to_bytes()));
        if name != Path::new(".") && name != Path::new("..") {
            Place::new(directory).clear(directory, name)?;
        }
    }
    Ok(())
}

fn failed(path: &Path) -> impl Fn(Errno) -> CopyError + use<> {
    let path = path.to_owned();
    move |error| CopyError { path: path.clone(), source: error.into() }
}
