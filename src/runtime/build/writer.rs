//! Writes a layer by hand, as overlayfs would: copies of files on top of the layers below, with the folders that lead to them.
//!
//! COPY, ADD and WORKDIR need neither a mount nor a process for what they do.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps};

use crate::build::context::Entry;
use crate::build::owner::Owner;
use crate::build::regular::{self, Regular};
use crate::build::reuse::{Folder, Reuse, Twin};
use crate::build::style::{Ownership, Style};
use crate::build::view::{self, Found, Stack, View};
use crate::build::written::Written;
use crate::image::digest::Digest;

/// A layer being written.
#[derive(Debug)]
pub struct Writer {
    top: PathBuf,
    /// The same, open.
    folder: Option<Folder>,
    /// The layers below, then the top: what a container would see.
    view: View,
    /// Times of folders, set last: writing into a folder changes its time.
    times: BTreeMap<PathBuf, Timespec>,
    /// Where a file with several names was put first; names in different layers are not the same file.
    links: HashMap<(usize, u64, u64), PathBuf>,
    /// What each folder of the layers below is merged from.
    stacks: HashMap<PathBuf, Rc<Stack>>,
    below: View,
    sharing: Sharing,
    /// Digests and places of files, for who shares them later.
    written: Vec<(Digest, PathBuf)>,
    /// Some files are at the same place in the earlier layer, just as they are here.
    some_unchanged: bool,
    /// Bytes of the files.
    bytes: u64,
}

/// Which files may be shared with other layers.
#[derive(Debug, Default)]
pub(super) enum Sharing {
    /// None: what is written may change later.
    #[default]
    Nothing,
    /// Those of the layers that are copied from, unless they are below.
    Sources {
        /// Folders of those layers.
        layers: Vec<PathBuf>,
        /// Files that were taken.
        taken: HashSet<(u64, u64)>,
    },
    /// Those of a layer made before.
    Earlier(Reuse),
}

const START: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

impl Writer {
    /// Begins a layer in the empty folder `top`, over `below`.
    pub fn new(top: &Path, below: &View) -> Self {
        let mut view = below.clone();
        view.layers.push(top.to_owned());
        Self {
            top: top.to_owned(),
            folder: None,
            view,
            times: BTreeMap::new(),
            links: HashMap::new(),
            stacks: HashMap::new(),
            below: below.clone(),
            sharing: Sharing::Nothing,
            written: Vec::new(),
            some_unchanged: false,
            bytes: 0,
        }
    }

    /// Lets it share files: what is written must never change.
    #[must_use]
    pub(super) fn sharing(self, sharing: Sharing) -> Self {
        Self { sharing, ..self }
    }

    /// Returns what a container would see.
    pub fn view(&self) -> &View {
        &self.view
    }

    fn place(&self, path: &Path) -> PathBuf {
        self.top.join(inside(path))
    }

    fn folder(&mut self) -> io::Result<Folder> {
        match &self.folder {
            Some(folder) => Ok(folder.clone()),
            None => Ok(self.folder.insert(Folder::open(&self.top)?).clone()),
        }
    }

    /// Makes the folder `path` (links in it resolved) and those that lead to it, where they are missing.
    pub fn make_folders(&mut self, path: &Path, owner: Owner) -> io::Result<()> {
        let mut at = PathBuf::from("/");
        self.adopt(&at.clone())?;
        for name in inside(path) {
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

    /// Finds what is at `path`, whose folder is there and reached without links.
    fn find(&mut self, path: &Path) -> io::Result<Option<Metadata>> {
        match self.place(path).symlink_metadata() {
            Ok(there) => Ok(Some(there)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.find_below(path),
            Err(error) => Err(error),
        }
    }

    /// Finds what the layers below have at `path`.
    fn find_below(&mut self, path: &Path) -> io::Result<Option<Metadata>> {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(self.below.find(path)?.map(|found| found.metadata));
        };
        let stack = match self.stacks.get(folder) {
            Some(stack) => Rc::clone(stack),
            None => {
                let stack = Rc::new(self.below.stack(folder)?);
                self.stacks.insert(folder.to_owned(), Rc::clone(&stack));
                stack
            }
        };
        Ok(view::find_in(&stack, name)?.map(|found| found.metadata))
    }

    /// Writes one entry of a source at `target`, whose folder is there. The source itself (`root`) leaves a folder that was there as it was.
    pub fn copy(&mut self, entry: &Entry, target: &Path, style: &Style, root: bool) -> io::Result<()> {
        match self.begin(entry, target, style, root)? {
            Begun::Done => Ok(()),
            Begun::File(file) => {
                let shared = regular::put(&file).map_err(|error| over_folder(error, target))?;
                self.note(&file, shared);
                Ok(())
            }
            Begun::Link { first, place } => link(&first, &place),
        }
    }

    /// Writes all entries of a source, the first of which is the source itself, at `base`.
    pub(super) fn copy_all(&mut self, entries: &[Entry], base: &Path, style: &Style) -> io::Result<()> {
        let (mut files, mut links) = (Vec::new(), Vec::new());
        for entry in entries {
            let root = entry.relative.as_os_str().is_empty();
            let target = if root { base.to_owned() } else { base.join(&entry.relative) };
            match self.begin(entry, &target, style, root)? {
                Begun::Done => {}
                Begun::File(file) => files.push(file),
                Begun::Link { first, place } => links.push((first, place)),
            }
        }
        let shared = regular::put_all(&files).map_err(|error| over_folder(error, base))?;
        for (file, shared) in files.iter().zip(shared) {
            self.note(file, shared);
        }
        links.iter().try_for_each(|(first, place)| link(first, place))
    }

    /// Notes a file that was put.
    fn note(&mut self, file: &Regular<'_>, shared: bool) {
        self.bytes += file.metadata.len();
        // One with other names may stand for them in the archive.
        let is_alone = file.metadata.nlink() == 1;
        if shared
            && is_alone
            && let (Some(Twin { number: Some(number), .. }), Sharing::Earlier(reuse)) = (&file.twin, &mut self.sharing)
        {
            reuse.keeps(*number);
            self.some_unchanged = true;
        }
    }

    /// Writes an entry, but for a regular file only looks whether and how that can be done.
    fn begin<'e>(&mut self, entry: &'e Entry, target: &Path, style: &Style, root: bool) -> io::Result<Begun<'e>> {
        let Found { real, metadata, layer } = &entry.found;
        if metadata.is_dir() {
            let there = self.find(target)?;
            return self.copy_folder(metadata, target, style, root, there).map(|()| Begun::Done);
        }
        let place = self.place(target);
        let kind = metadata.file_type();
        // Of a regular file the attempt tells whether anything is at its place.
        let there = if kind.is_file() { self.find_below(target)? } else { self.find(target)? };
        if there.is_some_and(|there| there.is_dir()) {
            return Err(is_a_folder(target));
        }
        let owner = style.owner(metadata);
        let mode = style.mode(metadata.mode(), false);
        if kind.is_file() {
            self.links.retain(|_, first| *first != place);
            self.forget(&place);
            if metadata.nlink() > 1 {
                let identity = (*layer, metadata.dev(), metadata.ino());
                if let Some(first) = self.links.get(&identity) {
                    return Ok(Begun::Link { first: first.clone(), place });
                }
                self.links.insert(identity, place.clone());
            }
            let twin = self.twin(entry, target, style);
            let capability = style.ownership == Ownership::Kept;
            // What this program wrote for a context has no attributes.
            let plain = matches!(self.sharing, Sharing::Earlier(_));
            let (top, place) = (self.folder()?, inside(target).to_owned());
            return Ok(Begun::File(Regular {
                source: real,
                metadata,
                top,
                place,
                owner,
                mode,
                capability,
                twin,
                plain,
            }));
        }
        self.clear(&place)?;
        if kind.is_socket() {
            return Ok(Begun::Done);
        }
        if kind.is_symlink() {
            std::os::unix::fs::symlink(std::fs::read_link(real)?, &place)?;
            chown(&place, owner)?;
        } else {
            let kind = FileType::from_raw_mode(metadata.mode());
            rustix::fs::mknodat(CWD, &place, kind, Mode::from_raw_mode(0o600), metadata.rdev())?;
            chown(&place, owner)?;
            std::fs::set_permissions(&place, Permissions::from_mode(mode))?;
        }
        set_time(&place, modified(metadata)).map(|()| Begun::Done)
    }

    /// Returns a file of a layer that the new one may share.
    fn twin(&mut self, entry: &Entry, target: &Path, style: &Style) -> Option<Twin> {
        let Found { real, metadata, layer } = &entry.found;
        match &mut self.sharing {
            Sharing::Nothing => None,
            Sharing::Sources { layers, taken } => {
                let shared = style.ownership == Ownership::Kept
                    && layers.get(*layer).is_some_and(|layer| !self.below.layers.contains(layer));
                let is_new = shared && taken.insert((metadata.dev(), metadata.ino()));
                is_new.then(|| Twin { folder: None, path: real.clone(), number: None })
            }
            Sharing::Earlier(reuse) => {
                let digest = entry.digest?;
                let path = inside(target);
                self.written.push((digest, path.to_owned()));
                reuse.take(&digest, path)
            }
        }
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
                self.forget(place);
                Ok(())
            }
        }
    }

    /// What is at `place` is another file now.
    fn forget(&mut self, place: &Path) {
        if self.some_unchanged
            && let (Ok(path), Sharing::Earlier(reuse)) = (place.strip_prefix(&self.top), &mut self.sharing)
        {
            reuse.replaces(path);
        }
    }

    /// Sets the times of folders, deepest first.
    pub fn finish(self) -> io::Result<()> {
        self.complete().map(drop)
    }

    /// As `finish`; returns what the next layer of the same instruction may share.
    pub(super) fn complete(self) -> io::Result<Option<Written>> {
        for (folder, time) in self.times.iter().rev() {
            set_time(folder, *time)?;
        }
        Ok(match self.sharing {
            Sharing::Earlier(reuse) => {
                let Self { written: files, bytes, .. } = self;
                Some(Written { reuse, files, bytes })
            }
            Sharing::Nothing | Sharing::Sources { .. } => None,
        })
    }
}

/// An entry that was begun.
enum Begun<'a> {
    Done,
    File(Regular<'a>),
    /// Another name of a file that is to be put first.
    Link {
        first: PathBuf,
        place: PathBuf,
    },
}

/// Returns a path as it counts from the root.
fn inside(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

/// Makes a second name, in place of a file that is there.
fn link(first: &Path, place: &Path) -> io::Result<()> {
    match std::fs::remove_file(place) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => std::fs::hard_link(first, place),
    }
}

fn is_a_folder(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::IsADirectory, format!("cannot copy a file over the folder `{}`", path.display()))
}

/// A file could not take the place of a folder that an earlier source made.
fn over_folder(error: io::Error, path: &Path) -> io::Error {
    if error.kind() == io::ErrorKind::IsADirectory { is_a_folder(path) } else { error }
}

fn not_a_folder(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotADirectory, format!("`{}` is there and is no folder", path.display()))
}

fn modified(metadata: &Metadata) -> Timespec {
    Timespec { tv_sec: metadata.mtime(), tv_nsec: metadata.mtime_nsec() }
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
