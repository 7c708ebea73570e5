//! Fills a directory from an archive, one pass, with few system calls a file. Layers, packages and added archives all go through here.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use crate::snapshot::archive::{Archive, ArchiveError, Item, Kind};
use crate::snapshot::place::{self, Place};
use crate::snapshot::whiteout::{self, Mark};

/// Decides by a member's path.
type Choice<'a> = &'a dyn Fn(&[Vec<u8>]) -> bool;

/// How members are taken.
#[derive(Clone, Copy, Default)]
pub struct Rules<'a> {
    /// `.wh.` names are marks for overlayfs; otherwise they are files like any other.
    pub whiteouts: bool,
    /// A directory over a link to a directory keeps the link, as `tar` and `dpkg` do; layers replace it.
    pub keep_links: bool,
    /// `/bin`, `/sbin` and `/lib*` are written below `/usr`.
    pub merged_usr: bool,
    /// A directory never takes the place of something else, nor the other way round: that is an error.
    pub keep_types: bool,
    /// All belongs to this user and group, whatever the archive says.
    pub owner: Option<(u32, u32)>,
    /// Members for which this says so are left out.
    pub leave_out: Option<Choice<'a>>,
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Bytes of files.
    pub size: u64,
    /// Members.
    pub members: u64,
}

/// Why it failed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum ExtractError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error("cannot {act} `{path}`")]
    Write {
        act: &'static str,
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("the archive unpacks to more than the {available} bytes and {files} files that are free")]
    TooBig { available: u64, files: u64 },
}

/// Mode and time of a directory.
type Late = (u32, (i64, u32));

/// What is being filled, and what has to wait until all is there.
struct Filling<'a> {
    place: Place<'a>,
    rules: Rules<'a>,
    /// A file put into a directory touches its time, and set-group-id is inherited: both are set last.
    directories: BTreeMap<Vec<Vec<u8>>, Late>,
    buffer: Vec<u8>,
}

/// Writes every member of `archive` below `root`, which must be a directory that nobody else changes.
pub fn extract<R: Read>(
    root: BorrowedFd<'_>,
    archive: &mut Archive<R>,
    rules: Rules<'_>,
) -> Result<Written, ExtractError> {
    // A bomb must not fill the disk: nothing is written that would not leave a twentieth free.
    let free = rustix::fs::fstatvfs(root).map_err(|error| failed("look at", &[])(error))?;
    let available = (free.f_bavail * free.f_frsize) / 20 * 19;
    // File systems without an inode table say 0.
    let files = if free.f_files == 0 { u64::MAX } else { free.f_favail / 20 * 19 };
    let mut filling =
        Filling { place: Place::new(root), rules, directories: BTreeMap::new(), buffer: vec![0; 128 << 10] };
    let mut written = Written::default();
    while let Some(mut item) = archive.next_item()? {
        if rules.merged_usr {
            merge_usr(&mut item);
        }
        if let Some((uid, gid)) = rules.owner {
            (item.uid, item.gid) = (uid, gid);
        }
        if rules.leave_out.is_some_and(|leave_out| leave_out(&item.path)) {
            continue;
        }
        written.members += 1;
        // Holes take no room.
        written.size = written.size.saturating_add(archive.stored().0);
        if written.size > available || written.members > files {
            return Err(ExtractError::TooBig { available, files });
        }
        filling.put(&item, archive)?;
    }
    filling.finish()?;
    Ok(written)
}

impl Filling<'_> {
    fn put<R: Read>(&mut self, item: &Item, archive: &mut Archive<R>) -> Result<(), ExtractError> {
        let Some((name, above)) = item.path.split_last() else {
            // The root itself: only its attributes.
            if item.kind == Kind::Directory {
                let root = self.place.existing(&[]).map_err(failed("open", &item.path))?;
                self.directory_attributes(item, root.as_fd())?;
            }
            return Ok(());
        };
        let parent = self.place.directory(above).map_err(failed("make the folder of", &item.path))?;
        let name_path = Path::new(OsStr::from_bytes(name));
        if self.rules.whiteouts {
            match whiteout::mark(name) {
                Mark::File => {}
                Mark::Ignored => return Ok(()),
                Mark::Opaque => {
                    return whiteout::make_opaque(&parent).map_err(|source| ExtractError::Write {
                        act: "mark",
                        path: shown(above),
                        source,
                    });
                }
                Mark::Gone(gone) => return self.hide(parent.as_fd(), gone, item),
            }
        }
        if self.rules.keep_types {
            self.check_type(parent.as_fd(), name_path, item)?;
        }
        match &item.kind {
            Kind::Directory => self.put_directory(parent.as_fd(), name_path, item),
            Kind::File => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let create = || rustix::fs::openat(&parent, name_path, flags, Mode::from_raw_mode(0o600));
                let file = self.replacing(parent.as_fd(), name_path, item, create)?;
                self.write(&file, item, archive)?;
                attributes(file.as_fd(), item)
            }
            Kind::Symlink(target) => {
                let target = OsStr::from_bytes(target);
                let link = || rustix::fs::symlinkat(target, &parent, name_path);
                self.replacing(parent.as_fd(), name_path, item, link)?;
                self.nameless_attributes(parent.as_fd(), name_path, item)
            }
            Kind::HardLink(target) => {
                let Some((target_name, target_above)) = target.split_last() else {
                    return Err(failed("link", &item.path)(Errno::ISDIR));
                };
                let target_name = Path::new(OsStr::from_bytes(target_name));
                let target_parent = self.place.existing(target_above).map_err(failed("link", &item.path))?;
                let link = || rustix::fs::linkat(&target_parent, target_name, &parent, name_path, AtFlags::empty());
                self.replacing(parent.as_fd(), name_path, item, link)
            }
            Kind::Character { .. } | Kind::Block { .. } | Kind::Fifo => {
                let (file_type, device) = match item.kind {
                    Kind::Character { major, minor } => (FileType::CharacterDevice, rustix::fs::makedev(major, minor)),
                    Kind::Block { major, minor } => (FileType::BlockDevice, rustix::fs::makedev(major, minor)),
                    Kind::Directory | Kind::File | Kind::Symlink(_) | Kind::HardLink(_) | Kind::Fifo => {
                        (FileType::Fifo, 0)
                    }
                };
                let node = || rustix::fs::mknodat(&parent, name_path, file_type, Mode::from_raw_mode(0o600), device);
                self.replacing(parent.as_fd(), name_path, item, node)?;
                self.nameless_attributes(parent.as_fd(), name_path, item)?;
                let mode = Mode::from_raw_mode(item.mode);
                rustix::fs::chmodat(&parent, name_path, mode, AtFlags::empty())
                    .map_err(failed("set the mode of", &item.path))
            }
        }
    }

    /// What is there may only be replaced by its like; a link to a directory is one.
    fn check_type(&self, parent: BorrowedFd<'_>, name: &Path, item: &Item) -> Result<(), ExtractError> {
        let there = place::look(parent, name).map_err(failed("look at", &item.path))?;
        let Some(there) = there.map(|stat| FileType::from_raw_mode(stat.st_mode)) else { return Ok(()) };
        let is_link_to_directory = || there == FileType::Symlink && self.place.existing(&item.path).is_ok();
        match (&item.kind, there) {
            (Kind::Directory, FileType::Directory) => Ok(()),
            (Kind::Directory, _) if is_link_to_directory() => Ok(()),
            (Kind::Directory, _) => Err(failed("put a folder in place of the file", &item.path)(Errno::NOTDIR)),
            (_, FileType::Directory) => Err(failed("put a file in place of the folder", &item.path)(Errno::ISDIR)),
            _ => Ok(()),
        }
    }

    /// Makes something, in place of what an earlier member made there.
    fn replacing<T>(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &Path,
        item: &Item,
        make: impl Fn() -> rustix::io::Result<T>,
    ) -> Result<T, ExtractError> {
        match make() {
            Err(Errno::EXIST) => {
                self.place.clear(parent, name).map_err(failed("replace", &item.path))?;
                make().map_err(failed("replace", &item.path))
            }
            other => other.map_err(failed("make", &item.path)),
        }
    }

    fn put_directory(&mut self, parent: BorrowedFd<'_>, name: &Path, item: &Item) -> Result<(), ExtractError> {
        let make = || rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755));
        let there = match make() {
            Ok(()) => None,
            Err(Errno::EXIST) => place::look(parent, name).map_err(failed("look at", &item.path))?,
            Err(error) => return Err(failed("make", &item.path)(error)),
        };
        if let Some(there) = there {
            match FileType::from_raw_mode(there.st_mode) {
                FileType::Directory => {}
                FileType::Symlink if self.rules.keep_links && self.place.existing(&item.path).is_ok() => return Ok(()),
                _ => {
                    self.place.clear(parent, name).map_err(failed("replace", &item.path))?;
                    make().map_err(failed("replace", &item.path))?;
                    // Gone and made anew in one layer: nothing of the lower one shows through.
                    if self.rules.whiteouts && place::is_whiteout(&there) {
                        let directory = place::open_directory(parent, name).map_err(failed("open", &item.path))?;
                        whiteout::make_opaque(&directory).map_err(|source| ExtractError::Write {
                            act: "mark",
                            path: shown(&item.path),
                            source,
                        })?;
                    }
                }
            }
        }
        let directory = place::open_directory(parent, name).map_err(failed("open", &item.path))?;
        self.directory_attributes(item, directory.as_fd())
    }

    fn directory_attributes(&mut self, item: &Item, directory: BorrowedFd<'_>) -> Result<(), ExtractError> {
        own(directory, item)?;
        set_xattrs(directory, item)?;
        self.directories.insert(item.path.clone(), (item.mode, item.mtime));
        Ok(())
    }

    /// Hides a lower layer's file; one that this layer itself brings stays.
    fn hide(&mut self, parent: BorrowedFd<'_>, gone: &[u8], item: &Item) -> Result<(), ExtractError> {
        let name = Path::new(OsStr::from_bytes(gone));
        let error = |source| ExtractError::Write { act: "hide", path: shown(&item.path), source };
        match whiteout::hide(parent, name) {
            Err(source) if source.kind() == std::io::ErrorKind::AlreadyExists => {
                match place::open_directory(parent, name) {
                    Ok(directory) => whiteout::make_opaque(&directory).map_err(error),
                    Err(_) => Ok(()),
                }
            }
            other => other.map_err(error),
        }
    }

    fn write<R: Read>(&mut self, file: &OwnedFd, item: &Item, archive: &mut Archive<R>) -> Result<(), ExtractError> {
        if !archive.stored().1 {
            return self.write_data(file, item, item.size, archive);
        }
        rustix::fs::ftruncate(file, item.size).map_err(failed("set the size of", &item.path))?;
        while let Some((place, length)) = archive.next_data() {
            rustix::fs::seek(file, rustix::fs::SeekFrom::Start(place)).map_err(failed("write", &item.path))?;
            self.write_data(file, item, length, archive)?;
        }
        Ok(())
    }

    fn write_data<R: Read>(
        &mut self,
        file: &OwnedFd,
        item: &Item,
        mut left: u64,
        archive: &mut Archive<R>,
    ) -> Result<(), ExtractError> {
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            let mut filled = 0;
            while filled < wanted {
                filled += archive.read_body(&mut self.buffer[filled..wanted])?;
            }
            let mut bytes = &self.buffer[..wanted];
            while !bytes.is_empty() {
                match rustix::io::write(file, bytes) {
                    Ok(0) => return Err(failed("write", &item.path)(Errno::NOSPC)),
                    Ok(count) => bytes = &bytes[count..],
                    Err(Errno::INTR) => {}
                    Err(error) => return Err(failed("write", &item.path)(error)),
                }
            }
            left -= wanted as u64;
        }
        Ok(())
    }

    /// Owner, attributes and time of what can't be opened: links and devices.
    fn nameless_attributes(&self, parent: BorrowedFd<'_>, name: &Path, item: &Item) -> Result<(), ExtractError> {
        let (uid, gid) = (Some(Uid::from_raw(item.uid)), Some(Gid::from_raw(item.gid)));
        rustix::fs::chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(failed("set the owner of", &item.path))?;
        let times = timestamps(item.mtime);
        rustix::fs::utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(failed("set the time of", &item.path))
    }

    fn finish(self) -> Result<(), ExtractError> {
        for (path, (mode, mtime)) in &self.directories {
            // Members may have put something else there since.
            let Some(directory) = self.place.existing(path).ok() else { continue };
            rustix::fs::fchmod(&directory, Mode::from_raw_mode(*mode)).map_err(failed("set the mode of", path))?;
            rustix::fs::futimens(&directory, &timestamps(*mtime)).map_err(failed("set the time of", path))?;
        }
        Ok(())
    }
}

/// chown(2) clears set-user-id and file capabilities: owner first, then mode, then attributes; the time last.
fn attributes(file: BorrowedFd<'_>, item: &Item) -> Result<(), ExtractError> {
    own(file, item)?;
    rustix::fs::fchmod(file, Mode::from_raw_mode(item.mode)).map_err(failed("set the mode of", &item.path))?;
    set_xattrs(file, item)?;
    rustix::fs::futimens(file, &timestamps(item.mtime)).map_err(failed("set the time of", &item.path))
}

fn own(file: BorrowedFd<'_>, item: &Item) -> Result<(), ExtractError> {
    let (uid, gid) = (Some(Uid::from_raw(item.uid)), Some(Gid::from_raw(item.gid)));
    rustix::fs::fchown(file, uid, gid).map_err(failed("set the owner of", &item.path))
}

fn set_xattrs(file: BorrowedFd<'_>, item: &Item) -> Result<(), ExtractError> {
    for (name, value) in &item.xattrs {
        // An archive must not speak to overlayfs: its redirects could point anywhere.
        if name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.") {
            continue;
        }
        match rustix::fs::fsetxattr(file, OsStr::from_bytes(name), value, XattrFlags::empty()) {
            // Not every file system has every attribute, and labels of another host's policy mean nothing here.
            Ok(()) | Err(Errno::NOTSUP) => {}
            Err(_) if name.starts_with(b"security.selinux") || name.starts_with(b"com.apple.") => {}
            Err(error) => return Err(failed("set an attribute of", &item.path)(error)),
        }
    }
    Ok(())
}

fn timestamps((seconds, nanoseconds): (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() };
    Timestamps { last_access: time, last_modification: time }
}

/// `/bin/x` becomes `/usr/bin/x`; a package's own `/bin` (a directory or the link itself) becomes `/usr/bin`.
fn merge_usr(item: &mut Item) {
    let merged = |path: &mut Vec<Vec<u8>>| {
        let first = path.first().map(Vec::as_slice);
        if matches!(first, Some(b"bin" | b"sbin" | b"lib" | b"lib32" | b"lib64" | b"libx32")) {
            path.insert(0, b"usr".to_vec());
        }
    };
    let link_itself = item.path.len() == 1 && matches!(item.kind, Kind::Symlink(_));
    let before = item.path.len();
    merged(&mut item.path);
    if link_itself && item.path.len() != before {
        item.kind = Kind::Directory;
        item.mode = 0o755;
    }
    if let Kind::HardLink(target) = &mut item.kind {
        merged(target);
    }
}

fn shown(path: &[Vec<u8>]) -> String {
    path.iter().map(|part| format!("/{}", String::from_utf8_lossy(part))).collect()
}

fn failed(act: &'static str, path: &[Vec<u8>]) -> impl FnOnce(Errno) -> ExtractError + use<> {
    let path = shown(path);
    move |error| ExtractError::Write { act, path, source: error.into() }
}
