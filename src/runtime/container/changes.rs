//! What a container changed against its image.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::Runtime;
use crate::container::act::ActError;
use crate::container::inside::{View, inside};
use crate::container::list;
use crate::snapshot::place;
use crate::snapshot::whiteout::OPAQUE_XATTR;

/// What a start lays there itself, empty, to mount on.
const OURS: [&str; 8] =
    ["/dev", "/proc", "/sys", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/dev/console", "/dev/shm"];

/// A changed path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PathChange {
    /// Absolute path in the container.
    pub path: String,
    /// How.
    pub kind: ChangeKind,
}

/// How a path changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum ChangeKind {
    Modified,
    Added,
    Deleted,
}

/// Lists what a container changed, by path. What lies in volumes is none of it.
pub fn changes(rt: &Runtime, name: &str) -> Result<Vec<PathChange>, ActError> {
    let container = list::find(rt, name)?;
    let failed = |source| ActError::Io { act: "look at the changes of", name: name.into(), source };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let upper = rt.layout.bundle(&container.record.id).upper();
    let upper = rustix::fs::open(upper, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
    let mut found = inside(rt, name, "look at the changes of", View::Image, |image| {
        let mut walk = Walk { image, found: Vec::new() };
        walk.folder(upper.as_fd(), Path::new("/"))?;
        Ok(walk.found)
    })?;
    found.sort();
    Ok(found)
}

struct Walk<'a> {
    image: BorrowedFd<'a>,
    found: Vec<PathChange>,
}

impl Walk<'_> {
    /// Walks one folder of the writable layer.
    fn folder(&mut self, folder: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
        for entry in Dir::read_from(folder)? {
            let entry = entry?;
            let name = Path::new(std::ffi::OsStr::from_bytes(entry.file_name().to_bytes())).to_owned();
            if name == Path::new(".") || name == Path::new("..") {
                continue;
            }
            // It may have gone just now.
            let Some(stat) = place::look(folder, &name)? else { continue };
            self.entry(folder, &name, &path.join(&name), &stat)?;
        }
        Ok(())
    }

    fn entry(&mut self, folder: BorrowedFd<'_>, name: &Path, path: &Path, stat: &Stat) -> io::Result<()> {
        if place::is_whiteout(stat) {
            self.tell(path, ChangeKind::Deleted);
            return Ok(());
        }
        let before = self.in_image(path)?;
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let is_ours = OURS.iter().any(|ours| Path::new(ours) == path);
        if !is_folder {
            if !(is_ours && stat.st_size == 0) {
                self.tell(path, if before.is_some() { ChangeKind::Modified } else { ChangeKind::Added });
            }
            return Ok(());
        }
        let place = self.found.len();
        let open = place::open_directory(folder, name)?;
        self.folder(open.as_fd(), path)?;
        let was_folder =
            before.as_ref().is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory);
        if was_folder && is_opaque(open.as_fd()) {
            self.hidden(open.as_fd(), path)?;
        }
        let has_news = self.found.len() > place;
        match before {
            // It is there only for what a start has laid into it.
            Some(before) if was_folder && !has_news && same_rights(&before, stat) && holds_ours(path) => {}
            Some(_) => self.tell(path, ChangeKind::Modified),
            None if is_ours && !has_news => {}
            None => self.tell(path, ChangeKind::Added),
        }
        Ok(())
    }

    /// What an opaque folder hides of the image's and does not bring anew is deleted.
    fn hidden(&mut self, upper: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let relative = path.strip_prefix("/").unwrap_or(path);
        let lower = rustix::fs::openat2(self.image, relative, flags, Mode::empty(), resolve)?;
        for entry in Dir::read_from(&lower)? {
            let entry = entry?;
            let name: PathBuf = Path::new(std::ffi::OsStr::from_bytes(entry.file_name().to_bytes())).into();
            if name != Path::new(".") && name != Path::new("..") && place::look(upper, &name)?.is_none() {
                self.tell(&path.join(name), ChangeKind::Deleted);
            }
        }
        Ok(())
    }

    /// What the image has at a path; no link is followed.
    fn in_image(&self, path: &Path) -> io::Result<Option<Stat>> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let relative = path.strip_prefix("/").unwrap_or(path);
        match rustix::fs::openat2(self.image, relative, flags, Mode::empty(), resolve) {
            Ok(found) => Ok(Some(rustix::fs::fstat(&found)?)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::XDEV | Errno::LOOP) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn tell(&mut self, path: &Path, kind: ChangeKind) {
        self.found.push(PathChange { path: path.to_string_lossy().into_owned(), kind });
    }
}

fn holds_ours(path: &Path) -> bool {
    OURS.iter().any(|ours| Path::new(ours).parent() == Some(path) || Path::new(ours) == path)
}

fn same_rights(one: &Stat, other: &Stat) -> bool {
    (one.st_mode, one.st_uid, one.st_gid) == (other.st_mode, other.st_uid, other.st_gid)
}

fn is_opaque(folder: BorrowedFd<'_>) -> bool {
    let mut value = [0; 2];
    rustix::fs::fgetxattr(folder, OPAQUE_XATTR, &mut value[..]).is_ok_and(|length| &value[..length] == b"y")
}
