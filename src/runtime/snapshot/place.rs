//! A directory tree that is being filled: every name is resolved by the kernel below the tree's own root, so that no symbolic link leads out.
//!
//! Parents stay open while members come in order: a file costs its creation, its content, its attributes, and no walk.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::rc::Rc;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::{Errno, Result};

/// Descriptors kept open; several trees may be filled at once below the usual limit of 1024.
const OPEN_PARENTS: usize = 64;
/// As many links as the kernel follows in one name.
const LINKS: u32 = 40;

/// The tree.
#[derive(Debug)]
pub struct Place<'a> {
    root: BorrowedFd<'a>,
    parents: HashMap<Vec<Vec<u8>>, Rc<OwnedFd>>,
}

impl<'a> Place<'a> {
    /// Fills the tree below `root`.
    pub fn new(root: BorrowedFd<'a>) -> Self {
        Self { root, parents: HashMap::new() }
    }

    /// Opens a directory of the tree, made with its parents where missing.
    pub fn directory(&mut self, path: &[Vec<u8>]) -> Result<Rc<OwnedFd>> {
        self.open_or_make(path, LINKS)
    }

    /// Opens a directory of the tree if it is there.
    pub fn existing(&self, path: &[Vec<u8>]) -> Result<Rc<OwnedFd>> {
        match self.parents.get(path) {
            Some(open) => Ok(Rc::clone(open)),
            None => self.open(path).map(Rc::new),
        }
    }

    /// Removes what `name` names in `directory`, if anything: a file, or a directory with all that is in it.
    pub fn clear(&mut self, directory: BorrowedFd<'_>, name: &Path) -> Result<()> {
        // What was open may be of the tree that goes, or reached through the link that goes.
        self.parents.clear();
        match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
            Err(Errno::ISDIR | Errno::PERM) => remove_tree(directory, name),
            Err(Errno::NOENT) | Ok(()) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn open(&self, path: &[Vec<u8>]) -> Result<OwnedFd> {
        let name = match path.is_empty() {
            true => b".".to_vec(),
            false => path.join(&b'/'),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        loop {
            match rustix::fs::openat2(self.root, &*name, flags, Mode::empty(), resolve) {
                // A rename somewhere raced with a `..` of a link: openat2(2) says to try again.
                Err(Errno::AGAIN) => {}
                other => return other,
            }
        }
    }

    fn open_or_make(&mut self, path: &[Vec<u8>], links: u32) -> Result<Rc<OwnedFd>> {
        if let Some(open) = self.parents.get(path) {
            return Ok(Rc::clone(open));
        }
        let open = match self.open(path) {
            Ok(open) => Rc::new(open),
            // A name of more than 4 KiB is still a tree that can be walked.
            Err(Errno::NOENT | Errno::NAMETOOLONG) => self.make(path, links)?,
            Err(error) => return Err(error),
        };
        if self.parents.len() >= OPEN_PARENTS {
            self.parents.clear();
        }
        self.parents.insert(path.to_vec(), Rc::clone(&open));
        Ok(open)
    }

    fn make(&mut self, path: &[Vec<u8>], links: u32) -> Result<Rc<OwnedFd>> {
        let Some((name, above)) = path.split_last() else { return Err(Errno::NOENT) };
        let parent = self.open_or_make(above, links)?;
        let name = Path::new(OsStr::from_bytes(name));
        match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
        match open_directory(parent.as_fd(), name) {
            Ok(open) => return Ok(Rc::new(open)),
            Err(Errno::LOOP | Errno::NOTDIR) => {}
            Err(error) => return Err(error),
        }
        // A link to a directory that isn't there yet: make what it points to, inside the root.
        let links = links.checked_sub(1).ok_or(Errno::LOOP)?;
        let link = rustix::fs::readlinkat(&parent, name, Vec::new()).map_err(|_| Errno::NOTDIR)?;
        let link = link.as_bytes();
        let mut target = if link.starts_with(b"/") { Vec::new() } else { above.to_vec() };
        for part in link.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => drop(target.pop()),
                part => target.push(part.to_vec()),
            }
        }
        self.open_or_make(&target, links)
    }
}

/// Opens a directory without following a link.
pub fn open_directory(parent: BorrowedFd<'_>, name: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

/// Looks at a name without following a link; `None`: there is nothing.
pub fn look(parent: BorrowedFd<'_>, name: &Path) -> Result<Option<Stat>> {
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Says whether it is overlayfs's mark of a file that is gone.
pub fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

fn remove_tree(parent: BorrowedFd<'_>, name: &Path) -> Result<()> {
    let directory = open_directory(parent, name)?;
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        let child = Path::new(OsStr::from_bytes(entry.file_name().to_bytes()));
        if child == Path::new(".") || child == Path::new("..") {
            continue;
        }
        match rustix::fs::unlinkat(&directory, child, AtFlags::empty()) {
            Err(Errno::ISDIR | Errno::PERM) => remove_tree(directory.as_fd(), child)?,
            other => other?,
        }
    }
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
}
