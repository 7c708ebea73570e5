//! A folder copied with all that belongs to its files.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

/// Copies the content and the metadata of one folder to another; by descriptor, so that no link leads astray.
///
/// What is in the way was copied by somebody who was killed over it, and is copied anew; all else in `to` stays.
pub fn copy_folder(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    for entry in rustix::fs::Dir::read_from(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let mode = Mode::from_raw_mode(stat.st_mode);
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind != FileType::Directory {
            match rustix::fs::unlinkat(to, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        match kind {
            FileType::Directory => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                match rustix::fs::mkdirat(to, name, Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                let (inner, outer) = (
                    rustix::fs::openat(from, name, flags, Mode::empty())?,
                    rustix::fs::openat(to, name, flags, Mode::empty())?,
                );
                copy_folder(inner.as_fd(), outer.as_fd())?;
                continue;
            }
            FileType::RegularFile => {
                let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let mut source = File::from(rustix::fs::openat(from, name, flags | OFlags::RDONLY, Mode::empty())?);
                let create = flags | OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
                let mut target = File::from(rustix::fs::openat(to, name, create, Mode::RUSR | Mode::WUSR)?);
                io::copy(&mut source, &mut target)?;
                copy_metadata(source.as_fd(), target.as_fd())?;
                continue;
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(from, name, Vec::new())?;
                rustix::fs::symlinkat(target, to, name)?;
            }
            kind @ (FileType::Fifo | FileType::Socket | FileType::CharacterDevice | FileType::BlockDevice) => {
                rustix::fs::mknodat(to, name, kind, mode, stat.st_rdev)?;
            }
            FileType::Unknown => continue,
        }
        let (owner, group) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        rustix::fs::chownat(to, name, Some(owner), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
        rustix::fs::utimensat(to, name, &times(&stat), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    copy_metadata(from, to)
}

fn copy_metadata(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    let stat = rustix::fs::fstat(from)?;
    rustix::fs::fchown(to, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    copy_attributes(from, to)?;
    // After the owner, whose change takes set-user-ID bits away.
    rustix::fs::fchmod(to, Mode::from_raw_mode(stat.st_mode))?;
    rustix::fs::futimens(to, &times(&stat))?;
    Ok(())
}

fn copy_attributes(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    let mut names = vec![0_u8; 4096];
    let length = match rustix::fs::flistxattr(from, &mut names[..]) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        // What overlayfs notes about a file is no part of it, nor is the label that the host's policy gives it.
        if name.starts_with(b"trusted.overlay.") || name == b"security.selinux" {
            continue;
        }
        let mut value = vec![0_u8; 65536];
        let length = rustix::fs::fgetxattr(from, name, &mut value[..])?;
        rustix::fs::fsetxattr(to, name, &value[..length], XattrFlags::empty())?;
    }
    Ok(())
}

fn times(stat: &rustix::fs::Stat) -> Timestamps {
    let time =
        |seconds: i64, nanos: u64| rustix::fs::Timespec { tv_sec: seconds, tv_nsec: i64::try_from(nanos).unwrap_or(0) };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}
