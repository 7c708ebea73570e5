//! Files that a layer takes over from one that an earlier build made by the same instruction: a second name instead of a copy.
//!
//! Layers never change once they are there, so they may share files. A record an instruction says which layer it made last and
//! what its files hold; a layer that is gone, or a file that is not as it must be, only costs a copy. Of a layer of many files
//! the archive is kept, too, for as long as most of them are in it: what a new layer has just the same is copied from there, and
//! the files not opened.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use rustix::fs::{Mode, OFlags};

use crate::Runtime;
use crate::build::hashes;
use crate::image::digest::Digest;
use crate::image::{layers, packed};
use crate::snapshot::archive_writer::{Cursor, Earlier, Piece, Pieces};
use crate::state::process::boot_id;

/// What may be taken over.
#[derive(Debug, Default)]
pub(super) struct Reuse {
    record: PathBuf,
    folder: Option<Folder>,
    /// In the order of archives.
    files: Vec<Known>,
    /// Where the next file is looked for first: who asks goes in the same order.
    next: usize,
    by_path: OnceCell<HashMap<PathBuf, usize>>,
    by_digest: HashMap<Digest, Vec<usize>>,
    archive: Option<Archive>,
}

/// A file of the layer.
#[derive(Debug)]
struct Known {
    digest: Digest,
    path: PathBuf,
    /// Where it lies in the archive.
    piece: Option<Piece>,
    is_taken: bool,
    /// The new layer has it, too, in the same place.
    is_unchanged: bool,
}

/// The archive that is kept, of the layer or of one before it.
#[derive(Debug)]
struct Archive {
    of: Digest,
    file: File,
    /// Whether it is still as it was written, for one of before the machine was started: it may have lost its power.
    check: Option<JoinHandle<bool>>,
}

/// A folder of a layer, open for looking things up in it.
#[derive(Debug, Clone)]
pub(super) struct Folder(Arc<OwnedFd>);

impl Folder {
    /// Opens a folder.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(Arc::new(rustix::fs::open(path, flags, Mode::empty())?)))
    }
}

impl Twin {
    /// Where its path counts from.
    pub fn at(&self) -> BorrowedFd<'_> {
        self.folder.as_ref().map_or(rustix::fs::CWD, Folder::as_fd)
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A file that may be taken over.
#[derive(Debug, Clone)]
pub(super) struct Twin {
    /// The folder that its path counts from: the kernel has the shorter way from there.
    pub folder: Option<Folder>,
    /// Where it is.
    pub path: PathBuf,
    /// Its number, if it has the same path in its layer.
    pub number: Option<usize>,
}

impl Reuse {
    /// Loads what the instruction `signature` made last; layers of `below` are left alone: two names of one file in the same
    /// image would look like a hard link.
    pub fn load(rt: &Runtime, signature: &Digest, below: &[PathBuf]) -> Self {
        let record = rt.layout.build_cache().join("reuse").join(signature.hex());
        let found = std::fs::read(&record).ok().and_then(|bytes| parse(rt, &bytes));
        let (folder, files, archive) = found.filter(|(folder, ..)| !below.contains(folder)).unwrap_or_default();
        match Folder::open(&folder) {
            Ok(folder) => Self { record, folder: Some(folder), files, archive, ..Self::default() },
            // Nothing is known, or it is gone.
            Err(_) => Self { record, ..Self::default() },
        }
    }

    /// Returns a file with these bytes, that of the same path first; each is given once, so that no two files of the new layer
    /// become one.
    pub fn take(&mut self, digest: &Digest, path: &Path) -> Option<Twin> {
        if let Some(at) = self.find(path) {
            self.next = at + 1;
            let file = &mut self.files[at];
            if file.digest == *digest && !std::mem::replace(&mut file.is_taken, true) {
                return Some(Twin { folder: self.folder.clone(), path: file.path.clone(), number: Some(at) });
            }
        }
        // Only new and moved files come here.
        if self.by_digest.is_empty() {
            for (at, file) in self.files.iter().enumerate() {
                self.by_digest.entry(file.digest).or_default().push(at);
            }
        }
        let candidates = self.by_digest.get_mut(digest)?;
        while let Some(at) = candidates.pop() {
            let file = &mut self.files[at];
            if !std::mem::replace(&mut file.is_taken, true) {
                return Some(Twin { folder: self.folder.clone(), path: file.path.clone(), number: None });
            }
        }
        None
    }

    fn find(&self, path: &Path) -> Option<usize> {
        if self.files.get(self.next).is_some_and(|file| file.path.as_os_str() == path.as_os_str()) {
            return Some(self.next);
        }
        let index = || self.files.iter().enumerate().map(|(at, file)| (file.path.clone(), at)).collect();
        self.by_path.get_or_init(index).get(path).copied()
    }

    /// Notes that the new layer has the file of this number, too, in the same place.
    pub fn keeps(&mut self, number: usize) {
        self.files[number].is_unchanged = true;
    }

    /// Notes that there is another file at `path` now.
    pub fn replaces(&mut self, path: &Path) {
        if let Some(at) = self.find(path) {
            self.files[at].is_unchanged = false;
        }
    }

    /// Returns the archive with the entries that the new layer has just the same.
    pub fn earlier(&mut self) -> Option<Earlier> {
        let archive = self.archive.as_mut()?;
        if archive.check.take().is_some_and(|check| !check.join().unwrap_or(false)) {
            return None;
        }
        let unchanged = self.files.iter_mut().filter(|file| file.is_unchanged);
        let pieces: Pieces = unchanged.filter_map(|file| Some((std::mem::take(&mut file.path), file.piece?))).collect();
        Some(Earlier { archive: archive.file.try_clone().ok()?, pieces })
    }

    /// Remembers the files of the layer that the instruction has made now, and where they lie in its archive; without one, in
    /// that of before. One whose place has been taken goes.
    pub fn save(
        &self,
        rt: &Runtime,
        layer: &Digest,
        files: &mut [(Digest, PathBuf)],
        kept: Kept<'_>,
    ) -> io::Result<()> {
        let before = self.archive.as_ref().map(|archive| archive.of);
        let (archive, pieces) = match kept {
            Kept::Own(pieces) => (Some(*layer), pieces),
            Kept::Before(pieces) => (before, pieces),
        };
        if !files.is_sorted_by(|(_, a), (_, b)| a <= b) {
            files.sort_by(|(_, a), (_, b)| a.cmp(b));
        }
        let mut text = Vec::with_capacity(files.len() * 160 + 256);
        let of = archive.as_ref().map_or_else(|| "none".to_owned(), Digest::hex);
        writeln!(text, "{} {of} {}", layer.hex(), boot_id())?;
        let mut pieces = Cursor::new(pieces);
        for (digest, path) in files {
            let bytes = path.as_os_str().as_bytes();
            let piece = pieces.find(path);
            if bytes.contains(&b'\n') {
                continue;
            }
            let Piece { offset, length, size } = piece.unwrap_or(Piece { offset: 0, length: 0, size: 0 });
            write!(text, "{} {offset} {length} {size} ", digest.hex())?;
            text.extend_from_slice(bytes);
            text.push(b'\n');
        }
        let folder = self.record.parent().expect("the record lies in the cache's folder");
        std::fs::create_dir_all(folder)?;
        let aside = self.record.with_extension(format!("{}.new", std::process::id()));
        std::fs::write(&aside, text)?;
        std::fs::rename(&aside, &self.record)?;
        match before.filter(|before| archive.is_none_or(|archive| archive != *before)) {
            Some(before) => packed::drop_plain(rt, &before).map_err(io::Error::other),
            None => Ok(()),
        }
    }
}

/// Where files lie.
#[derive(Debug)]
pub(super) enum Kept<'a> {
    /// In the archive of the new layer.
    Own(&'a [(PathBuf, Piece)]),
    /// In the one of before.
    Before(&'a [(PathBuf, Piece)]),
}

/// Reads a record: the layer's folder, its files, and the archive.
fn parse(rt: &Runtime, bytes: &[u8]) -> Option<(PathBuf, Vec<Known>, Option<Archive>)> {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let mut first = std::str::from_utf8(lines.next()?).ok()?.split(' ');
    let layer = Digest::from_hex(first.next()?).ok()?;
    layers::find(rt, &layer)?;
    let archive = Digest::from_hex(first.next()?).ok();
    let is_of_this_boot = first.next()? == boot_id();
    // One that would lead out of the layer was not written by us.
    let inside = |file: &Known| file.path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    let files = lines.filter_map(parse_line).filter(inside).collect();
    let archive = archive.and_then(|of| open_archive(rt, of, is_of_this_boot));
    Some((layers::directory(rt, &layer), files, archive))
}

fn parse_line(line: &[u8]) -> Option<Known> {
    let mut fields = line.splitn(5, |byte| *byte == b' ');
    let mut text = || std::str::from_utf8(fields.next()?).ok();
    let digest = Digest::from_hex(text()?).ok()?;
    let piece = Piece { offset: text()?.parse().ok()?, length: text()?.parse().ok()?, size: text()?.parse().ok()? };
    let path = PathBuf::from(std::ffi::OsString::from_vec(fields.next()?.to_vec()));
    Some(Known { digest, path, piece: (piece.length > 0).then_some(piece), is_taken: false, is_unchanged: false })
}

/// Opens the archive that is kept of a layer; one that may be damaged is read through meanwhile.
fn open_archive(rt: &Runtime, of: Digest, is_sound: bool) -> Option<Archive> {
    packed::find(rt, &of).filter(|packed| packed.digest == of)?;
    let file = File::open(packed::path(rt, &of)).ok()?;
    let check = if is_sound {
        None
    } else {
        let again = file.try_clone().ok()?;
        let read = move || hashes::digest_of(&again).is_ok_and(|found| found == of);
        Some(std::thread::Builder::new().spawn(read).ok()?)
    };
    Some(Archive { of, file, check })
}

/// Names an instruction: what it copies from where, not what that holds.
pub(super) fn signature(context: &Path, instruction: &str) -> Digest {
    Digest::of([context.as_os_str().as_bytes(), b"\0", instruction.as_bytes()].concat().as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::layers::Layer;
    use crate::state::layout::Layout;

    #[test]
    fn files_of_the_last_layer_are_given_once_and_those_of_a_lost_one_never() {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let rt = Runtime::open(Layout::under(folder.path())).unwrap();
        let (layer, content) = (Digest::of(b"layer"), Digest::of(b"content"));
        let made = folder.path().join("made");
        std::fs::create_dir(&made).unwrap();
        layers::publish(&rt, &made, Layer { diff_id: layer, size: 0 }).unwrap();
        let signature = signature(Path::new("/src"), "COPY . .");
        let mut files = [(content, PathBuf::from("app/a b")), (Digest::of(b"out"), PathBuf::from("../out"))];
        Reuse::load(&rt, &signature, &[]).save(&rt, &layer, &mut files, Kept::Own(&[])).unwrap();
        let mut reuse = Reuse::load(&rt, &signature, &[]);
        let take = |reuse: &mut Reuse, digest: &Digest, path: &Path| {
            reuse.take(digest, path).map(|twin| (twin.path, twin.number))
        };
        let directory = layers::directory(&rt, &layer);
        let (same, moved) = (Path::new("app/a b"), Path::new("moved"));
        let twin = |number| Some((same.to_owned(), number));
        assert_eq!(take(&mut reuse, &content, same), twin(Some(0)));
        assert_eq!(take(&mut reuse, &content, same), None);
        assert_eq!(take(&mut Reuse::load(&rt, &signature, &[]), &content, moved), twin(None));
        assert_eq!(take(&mut reuse, &Digest::of(b"out"), moved), None);
        assert_eq!(take(&mut Reuse::load(&rt, &signature, std::slice::from_ref(&directory)), &content, same), None);
        std::fs::remove_dir(&directory).unwrap();
        assert_eq!(take(&mut Reuse::load(&rt, &signature, &[]), &content, same), None);
    }
}
