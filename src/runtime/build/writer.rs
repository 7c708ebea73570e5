//! Writes a layer by hand, as overlayfs would: copies of files on top of the layers below, with the folders that lead to them.
//!
//! COPY, ADD and WORKDIR need neither a mount nor a process for what they do.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

use crate::build::context::{Entry, capability};
use crate::build::owner::{Chmod, Owner};
use crate::build::view::View;

/// A layer being written.
#[derive(Debug)]
pub struct Writer {
    top: PathBuf,
    /// The layers below, then the top: what a container would see.
    view: View,
    /// Times of folders, set last: writing into a folder changes its time.
    times: BTreeMap<PathBuf, Timespec>,
    /// Where a file with several names was put first.
    links: HashMap<(u64, u64), PathBuf>,
}

/// Whose the written files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ownership {
    /// As in the source.
    Kept,
    /// These.
    Set(Owner),
}

/// How files are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Style {
    /// Their owner.
    pub ownership: Ownership,
    /// Their mode, if not that of the source.
    pub chmod: Option<Chmod>,
}

impl Style {
    fn owner(&self, metadata: &Metadata) -> Owner {
        match self.ownership {
            Ownership::Kept => Owner { user: metadata.uid(), group: metadata.gid() },
            Ownership::Set(owner) => owner,
        }
    }

    /// Returns the owner of folders that are made on the way.
    pub fn parent_owner(&self) -> Owner {
        match self.ownership {
            Ownership::Kept => Owner::default(),
            Ownership::Set(owner) => owner,
        }
    }

    fn mode(&self, mode: u32, folder: bool) -> u32 {
        self.chmod.as_ref().map_or(mode & 0o7777, |chmod| chmod.apply(mode, folder))
    }
}

const START: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

impl Writer {
    /// Begins a layer in the empty folder `top`, over `below`.
    pub fn new(top: &Path, below: &View) -> Self {
        let mut view = below.clone();
        view.layers.push(top.to_owned());
        Self { top: top.to_owned(), view, times: BTreeMap::new(), links: HashMap::new() }
    }

    /// Returns what a container would see.
    pub fn view(&self) -> &View {
        &self.view
    }

    fn place(&self, path: &Path) -> PathBuf {
        self.top.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Makes the folder `path` (links in it resolved) and those that lead to it, where they are missing.
    pub fn make_folders(&mut self, path: &Path, owner: Owner) -> io::Result<()> {
        let mut at = PathBuf::from("/");
        self.adopt(&at.clone())?;
        for name in path.strip_prefix("/").unwrap_or(path) {
            at.push(name);
            match self.view.find(&at)? {
                Some(found) if found.metadata.is_dir() => self.adopt(&at)?,
                Some(_) => return Err(not_a_folder(&at)),
                None => self.make_folder(&at, 0o755, owner, START)?,
            }
        }
        Ok(())
    }

    fn make_folder(&mut self, path: &Path, mode: u32, owner: Owner, time: Timespec) -> io::Result<()> {
        let place = self.place(path);
        std::fs::DirBuilder::new().mode(0o700).create(&place)?;
        chown(&place, owner)?;
        std::fs::set_permissions(&place, Permissions::from_mode(mode))?;
        self.times.insert(place, time);
        Ok(())
    }

    /// Takes a folder of a lower layer into ours, as overlayfs does before it writes into one.
    fn adopt(&mut self, path: &Path) -> io::Result<()> {
        let place = self.place(path);
        if path == Path::new("/") {
            self.times.entry(place).or_insert(START);
            return Ok(());
        }
        if place.symlink_metadata().is_ok_and(|there| there.is_dir()) {
            return Ok(());
        }
        let Some(found) = self.view.find(path)? else { return Err(io::ErrorKind::NotFound.into()) };
        let metadata = found.metadata;
        let owner = Owner { user: metadata.uid(), group: metadata.gid() };
        self.make_folder(path, metadata.mode() & 0o7777, owner, modified(&metadata))
    }

    /// Writes one entry of a source at `target`, whose folder is there. The source itself (`root`) leaves a folder that was there as it was.
    pub fn copy(&mut self, entry: &Entry, target: &Path, style: &Style, root: bool) -> io::Result<()> {
        let metadata = &entry.found.metadata;
        let there = self.view.find(target)?;
        if metadata.is_dir() {
            return self.copy_folder(metadata, target, style, root, there.map(|there| there.metadata));
        }
        if there.is_some_and(|there| there.metadata.is_dir()) {
            let message = format!("cannot copy a file over the folder `{}`", target.display());
            return Err(io::Error::new(io::ErrorKind::IsADirectory, message));
        }
        let place = self.place(target);
        self.clear(&place)?;
        let kind = metadata.file_type();
        if kind.is_socket() {
            return Ok(());
        }
        if metadata.nlink() > 1 && !kind.is_symlink() {
            let identity = (metadata.dev(), metadata.ino());
            if let Some(first) = self.links.get(&identity) {
                return std::fs::hard_link(first, &place);
            }
            self.links.insert(identity, place.clone());
        }
        let owner = style.owner(metadata);
        if kind.is_symlink() {
            std::os::unix::fs::symlink(std::fs::read_link(&entry.found.real)?, &place)?;
            chown(&place, owner)?;
        } else {
            if kind.is_file() {
                copy_bytes(&entry.found.real, &place)?;
            } else {
                let kind = FileType::from_raw_mode(metadata.mode());
                rustix::fs::mknodat(CWD, &place, kind, Mode::from_raw_mode(0o600), metadata.rdev())?;
            }
            chown(&place, owner)?;
            std::fs::set_permissions(&place, Permissions::from_mode(style.mode(metadata.mode(), false)))?;
            if style.ownership == Ownership::Kept
                && let Some(value) = capability(&entry.found.real)
            {
                rustix::fs::lsetxattr(&place, "security.capability", &value, XattrFlags::empty())?;
            }
        }
        set_time(&place, modified(metadata))
    }

    fn copy_folder(
        &mut self,
        metadata: &Metadata,
        target: &Path,
        style: &Style,
        root: bool,
        there: Option<Metadata>,
    ) -> io::Result<()> {
        let mode = style.mode(metadata.mode(), true);
        match there {
            None => self.make_folder(target, mode, style.owner(metadata), modified(metadata)),
            Some(there) if !there.is_dir() => Err(not_a_folder(target)),
            Some(_) => {
                self.adopt(target)?;
                if root {
                    return Ok(());
                }
                let place = self.place(target);
                chown(&place, style.owner(metadata))?;
                std::fs::set_permissions(&place, Permissions::from_mode(mode))?;
                self.times.insert(place, modified(metadata));
                Ok(())
            }
        }
    }

    /// Writes a file from a reader (an archive's entry, a heredoc).
    pub fn write(
        &mut self,
        target: &Path,
        content: &mut dyn io::Read,
        mode: u32,
        owner: Owner,
        seconds: i64,
    ) -> io::Result<()> {
        if self.view.find(target)?.is_some_and(|there| there.metadata.is_dir()) {
            let message = format!("cannot write a file over the folder `{}`", target.display());
            return Err(io::Error::new(io::ErrorKind::IsADirectory, message));
        }
        let place = self.place(target);
        self.clear(&place)?;
        io::copy(content, &mut File::create_new(&place)?)?;
        chown(&place, owner)?;
        std::fs::set_permissions(&place, Permissions::from_mode(mode))?;
        set_time(&place, Timespec { tv_sec: seconds, tv_nsec: 0 })
    }

    /// Makes a symbolic link.
    pub fn symlink(&mut self, target: &Path, link: &Path, owner: Owner, seconds: i64) -> io::Result<()> {
        let place = self.place(target);
        self.clear(&place)?;
        std::os::unix::fs::symlink(link, &place)?;
        chown(&place, owner)?;
        set_time(&place, Timespec { tv_sec: seconds, tv_nsec: 0 })
    }

    /// Makes a folder, or gives one that is there this mode and owner (an archive's entry).
    pub fn set_folder(&mut self, target: &Path, mode: u32, owner: Owner, seconds: i64) -> io::Result<()> {
        let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
        match self.view.find(target)? {
            None => self.make_folder(target, mode, owner, time),
            Some(found) if !found.metadata.is_dir() => Err(not_a_folder(target)),
            Some(_) => {
                self.adopt(target)?;
                let place = self.place(target);
                chown(&place, owner)?;
                std::fs::set_permissions(&place, Permissions::from_mode(mode))?;
                self.times.insert(place, time);
                Ok(())
            }
        }
    }

    /// Gives a file that was written a second name.
    pub fn hard_link(&mut self, target: &Path, first: &Path) -> io::Result<()> {
        let place = self.place(target);
        self.clear(&place)?;
        let source = self.place(first);
        if source.symlink_metadata().is_ok() {
            return std::fs::hard_link(source, place);
        }
        Err(io::Error::new(io::ErrorKind::NotFound, format!("link to `{}`, which is not there", first.display())))
    }

    /// Takes away what an earlier source put at the same place.
    fn clear(&mut self, place: &Path) -> io::Result<()> {
        match std::fs::remove_file(place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => {
                self.links.retain(|_, first| first != place);
                Ok(())
            }
        }
    }

    /// Sets the times of folders, deepest first.
    pub fn finish(self) -> io::Result<()> {
        for (folder, time) in self.times.iter().rev() {
            set_time(folder, *time)?;
        }
        Ok(())
    }
}

fn not_a_folder(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotADirectory, format!("`{}` is there and is no folder", path.display()))
}

fn modified(metadata: &Metadata) -> Timespec {
    Timespec { tv_sec: metadata.mtime(), tv_nsec: metadata.mtime_nsec() }
}

/// Copies within the kernel, sharing blocks where the file system can.
fn copy_bytes(source: &Path, target: &Path) -> io::Result<()> {
    let mut from = File::open(source)?;
    let mut to = File::create_new(target)?;
    io::copy(&mut from, &mut to)?;
    Ok(())
}

fn chown(path: &Path, owner: Owner) -> io::Result<()> {
    std::os::unix::fs::lchown(path, Some(owner.user), Some(owner.group))
}

fn set_time(path: &Path, time: Timespec) -> io::Result<()> {
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_a_lower_layer_keeps_its_mode_when_written_into() {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let below = folder.path().join("below");
        let top = folder.path().join("top");
        std::fs::create_dir_all(below.join("var/private")).unwrap();
        std::fs::create_dir(&top).unwrap();
        std::fs::set_permissions(below.join("var/private"), Permissions::from_mode(0o700)).unwrap();
        let mut writer = Writer::new(&top, &View::new(vec![below]));
        writer.make_folders(Path::new("/var/private/new"), Owner::default()).unwrap();
        writer.write(Path::new("/var/private/new/f"), &mut &b"x"[..], 0o640, Owner::default(), 7).unwrap();
        writer.finish().unwrap();
        let mode = |path: &str| top.join(path).metadata().unwrap().mode() & 0o7777;
        assert_eq!((mode("var/private"), mode("var/private/new"), mode("var/private/new/f")), (0o700, 0o755, 0o640));
        assert_eq!(top.join("var/private/new/f").metadata().unwrap().mtime(), 7);
        assert_eq!(top.join("var/private/new").metadata().unwrap().mtime(), 0);
    }
}
