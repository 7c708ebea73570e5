//! Paths that a container controls, resolved inside its root only.
//!
//! Never hand such a path to a system call that follows it on the host: open it here and go on with the descriptor.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};

/// As many symbolic links as the kernel follows (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// What to do about a path that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// It is an error.
    Fail,
    /// Make it a directory, and those on the way.
    Directory,
    /// Make it an empty file, and the directories on the way.
    File,
}

/// Opens `path` inside `root` as a location (`O_PATH`), following symbolic links as if `root` were `/`.
pub fn locate(root: BorrowedFd<'_>, path: &Path, missing: Missing) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    match open_in_root(root, path, flags) {
        Err(rustix::io::Errno::NOENT) if missing != Missing::Fail => walk(root, path, missing),
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM | rustix::io::Errno::AGAIN) => walk(root, path, missing),
        other => Ok(other?),
    }
}

/// Opens `path` below `root` as a location; a link that leads out of it is an error (EXDEV).
pub fn beneath(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(root, path, flags, Mode::empty(), resolve) {
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM | rustix::io::Errno::AGAIN) => {
            walk(root, path, Missing::Fail)
        }
        other => Ok(other?),
    }
}

/// Opens a regular file inside `root` for reading. Never blocks on a FIFO, never opens a device.
pub fn open_file(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    // Opened as a location first: opening a device for real may already have an effect.
    let location = locate(root, path, Missing::Fail)?;
    if FileType::from_raw_mode(rustix::fs::fstat(&location)?.st_mode) != FileType::RegularFile {
        return Err(rustix::io::Errno::INVAL.into());
    }
    Ok(rustix::fs::open(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&location)), flags, Mode::empty())?)
}

fn open_in_root(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(root, path, flags, Mode::empty(), resolve)
}

/// Walks component by component: the way without openat2(2), and the way that makes what is missing.
///
/// Holds a descriptor of every directory on the way, so that `..` is a step back on our own stack: whoever renames
/// directories meanwhile can't move us out of the root.
pub fn walk(root: BorrowedFd<'_>, path: &Path, missing: Missing) -> io::Result<OwnedFd> {
    let mut stack = vec![root.try_clone_to_owned()?];
    let mut todo: VecDeque<OsString> = components(path.as_os_str()).collect();
    let mut links = 0;
    while let Some(name) = todo.pop_front() {
        if name == ".." {
            if stack.len() > 1 {
                stack.pop();
            }
            continue;
        }
        let here = stack.last().map(|fd| fd.as_fd()).unwrap_or(root);
        let found = match open_step(here, &name) {
            Err(rustix::io::Errno::NOENT) if missing != Missing::Fail => {
                make(here, &name, missing == Missing::File && todo.is_empty())?;
                open_step(here, &name)?
            }
            other => other?,
        };
        match FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode) {
            FileType::Symlink => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(rustix::io::Errno::LOOP.into());
                }
                let link = OsString::from_vec(rustix::fs::readlinkat(&found, "", Vec::new())?.into_bytes());
                if link.as_bytes().starts_with(b"/") {
                    stack.truncate(1);
                }
                for component in components(&link).collect::<Vec<_>>().into_iter().rev() {
                    todo.push_front(component);
                }
            }
            FileType::Directory => stack.push(found),
            _ if todo.is_empty() => return Ok(found),
            _ => return Err(rustix::io::Errno::NOTDIR.into()),
        }
    }
    stack.pop().ok_or_else(|| rustix::io::Errno::NOENT.into())
}

fn open_step(here: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(here, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// Makes a directory or an empty file; that somebody was faster is no error.
fn make(here: BorrowedFd<'_>, name: &OsStr, file: bool) -> rustix::io::Result<()> {
    let made = if file {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(here, name, flags, Mode::from_raw_mode(0o644)).map(drop)
    } else {
        rustix::fs::mkdirat(here, name, Mode::from_raw_mode(0o755))
    };
    match made {
        Err(rustix::io::Errno::EXIST) => Ok(()),
        other => other,
    }
}

/// The components of a path, without `/`, `.` and nothing between two slashes.
fn components(path: &OsStr) -> impl Iterator<Item = OsString> + '_ {
    path.as_bytes()
        .split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
        .map(|name| OsStr::from_bytes(name).to_owned())
}

/// Says whether two descriptors are of the same file.
pub fn same_file(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> io::Result<bool> {
    let (one, other) = (rustix::fs::fstat(one)?, rustix::fs::fstat(other)?);
    Ok((one.st_dev, one.st_ino) == (other.st_dev, other.st_ino))
}

/// Opens a directory of the host as a location.
pub fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Writes a file that exists, below a directory, in one write.
pub fn write_at(directory: BorrowedFd<'_>, path: &str, content: &str) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::openat(directory, path, flags, Mode::empty())?;
    rustix::io::write(&file, content.as_bytes())?;
    Ok(())
}

/// Returns the kind of what is at `path` below a directory, not following a link.
pub fn kind_at(directory: BorrowedFd<'_>, path: &str) -> io::Result<FileType> {
    Ok(FileType::from_raw_mode(rustix::fs::statat(directory, path, AtFlags::SYMLINK_NOFOLLOW)?.st_mode))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::{Missing, locate, open_directory, open_file, same_file, walk};

    /// Checks that both ways of resolving `path` in the scratch root come to `expected`, a path below it.
    fn check(root: &Path, path: &str, expected: &str) {
        let fd = open_directory(root).unwrap();
        let there = open_directory(&root.join(expected)).unwrap();
        for found in
            [locate(fd.as_fd(), Path::new(path), Missing::Fail), walk(fd.as_fd(), Path::new(path), Missing::Fail)]
        {
            assert!(same_file(found.unwrap().as_fd(), there.as_fd()).unwrap(), "{path}");
        }
    }

    #[test]
    fn links_and_dots_stay_inside_the_root() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path();
        std::fs::create_dir_all(root.join("etc/deep")).unwrap();
        symlink("/etc", root.join("absolute")).unwrap();
        symlink("../../../../etc", root.join("etc/deep/up")).unwrap();
        check(root, "/absolute", "etc");
        check(root, "etc/deep/up/deep", "etc/deep");
        check(root, "/../../../etc", "etc");
        check(root, "/", "");
    }

    #[test]
    fn what_is_missing_is_made_behind_a_dangling_link_too() {
        let scratch = tempfile::tempdir().unwrap();
        let fd = open_directory(scratch.path()).unwrap();
        symlink("/run/outside", scratch.path().join("data")).unwrap();
        locate(fd.as_fd(), Path::new("/data/inner/file"), Missing::File).unwrap();
        assert!(scratch.path().join("run/outside/inner/file").is_file());
        locate(fd.as_fd(), Path::new("/a/b"), Missing::Directory).unwrap();
        assert!(scratch.path().join("a/b").is_dir());
    }

    #[test]
    fn a_loop_of_links_is_an_error() {
        let scratch = tempfile::tempdir().unwrap();
        let fd = open_directory(scratch.path()).unwrap();
        symlink("loop", scratch.path().join("loop")).unwrap();
        for missing in [Missing::Fail, Missing::Directory] {
            let error = walk(fd.as_fd(), Path::new("loop/x"), missing).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ELOOP));
        }
    }

    #[test]
    fn only_a_regular_file_is_opened_for_reading() {
        let scratch = tempfile::tempdir().unwrap();
        let fd = open_directory(scratch.path()).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            scratch.path().join("fifo"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o666),
            0,
        )
        .unwrap();
        assert!(open_file(fd.as_fd(), Path::new("fifo")).is_err());
        std::fs::write(scratch.path().join("plain"), "x").unwrap();
        assert!(open_file(fd.as_fd(), Path::new("plain")).is_ok());
    }
}
