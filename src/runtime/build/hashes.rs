//! Digests of files, remembered by path, size, times and inode, so that a second build only stats.

use std::collections::{HashMap, HashSet};
use std::fs::{File, Metadata};
use std::io::{self, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest as _, Sha256};

use crate::Runtime;
use crate::build::context::Entry;
use crate::build::parallel;
use crate::build::view::Found;
use crate::image::digest::Digest;

/// A file that changed so shortly before it was read might change again within the same tick of the kernel's clock.
const TOO_YOUNG_NS: i128 = 100_000_000;

/// What tells that a file is still the one that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    modified_ns: i128,
    changed_ns: i128,
    size: u64,
    inode: u64,
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        let nanoseconds = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Self {
            modified_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            // Who sets the modification time back can't do so with this one.
            changed_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            size: metadata.size(),
            inode: metadata.ino(),
        }
    }
}

/// The digests that one build uses, and those of the build before it on the same context.
#[derive(Debug)]
pub struct Hashes {
    path: PathBuf,
    /// In the order of their use.
    known: Vec<Known>,
    by_path: OnceLock<HashMap<PathBuf, usize>>,
    used: Mutex<Used>,
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    path: PathBuf,
    identity: Identity,
    digest: Digest,
}

#[derive(Debug, Default)]
struct Used {
    files: Vec<Known>,
    /// Where in what is known the next file is looked for first: builds walk a context in the same order.
    next: usize,
    is_new: bool,
}

impl Hashes {
    /// Loads what is known of the files below `root`; a damaged or missing file is as good as an empty one.
    pub fn load(rt: &Runtime, root: &Path) -> Self {
        let name = Digest::of(root.as_os_str().as_bytes()).hex();
        let path = rt.layout.build_cache().join("hashes").join(name);
        let known = std::fs::read(&path).map(|bytes| parse(&bytes)).unwrap_or_default();
        Self { path, known, by_path: OnceLock::new(), used: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of what is known of a path, which may be `next`.
    fn find(&self, path: &Path, next: usize) -> Option<usize> {
        if self.known.get(next).is_some_and(|known| known.path.as_os_str() == path.as_os_str()) {
            return Some(next);
        }
        let index = || self.known.iter().enumerate().map(|(at, known)| (known.path.clone(), at)).collect();
        self.by_path.get_or_init(index).get(path).copied()
    }

    /// Gives every regular file the digest of its bytes; those that are not known are read side by side. Fails with the path
    /// that can't be read.
    pub fn fill(&self, entries: &mut [Entry]) -> Result<(), (PathBuf, io::Error)> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let now = i128::try_from(now).unwrap_or(i128::MAX);
        let mut next = self.lock().next;
        let mut unknown = Vec::new();
        let mut found = Vec::with_capacity(entries.len());
        for (at, entry) in entries.iter_mut().enumerate().filter(|(_, entry)| entry.found.metadata.is_file()) {
            let identity = Identity::of(&entry.found.metadata);
            let known = self.find(&entry.found.real, next);
            next = known.map_or(next, |known| known + 1);
            match known.map(|known| &self.known[known]).filter(|known| known.identity == identity) {
                Some(known) => entry.digest = Some(known.digest),
                None => unknown.push(at),
            }
            found.push((at, identity));
        }
        let paths: Vec<&Path> = unknown.iter().map(|at| &*entries[*at].found.real).collect();
        let digests = parallel::map(&paths, |path| read_digest(path).map_err(|error| (path.to_path_buf(), error)))?;
        for (at, digest) in unknown.iter().zip(digests) {
            entries[*at].digest = Some(digest);
        }
        let known = found.into_iter().filter_map(|(at, identity)| {
            let Entry { found: Found { real, .. }, digest, .. } = &entries[at];
            let is_settled = now - identity.changed_ns > TOO_YOUNG_NS;
            Some(Known { path: is_settled.then(|| real.clone())?, identity, digest: (*digest)? })
        });
        let mut used = self.lock();
        used.files.extend(known);
        used.next = next;
        used.is_new |= !unknown.is_empty();
        Ok(())
    }

    /// Keeps what this build used, if any of it is new.
    pub fn save(&self) -> io::Result<()> {
        let used = self.lock();
        if !used.is_new {
            return Ok(());
        }
        // Several instructions may have used the same files.
        let mut seen = HashSet::new();
        let is_one_walk = used.files.is_sorted_by(|a, b| a.path < b.path);
        let mut text = Vec::with_capacity(used.files.len() * 160);
        for Known { path, identity, digest } in &used.files {
            let bytes = path.as_os_str().as_bytes();
            if bytes.contains(&b'\n') || !(is_one_walk || seen.insert(bytes)) {
                continue;
            }
            let Identity { modified_ns, changed_ns, size, inode } = identity;
            write!(text, "{} {modified_ns} {changed_ns} {size} {inode} ", digest.hex())?;
            text.extend_from_slice(bytes);
            text.push(b'\n');
        }
        let folder = self.path.parent().expect("the file lies in the cache's folder");
        std::fs::create_dir_all(folder)?;
        let aside = self.path.with_extension(format!("{}.new", std::process::id()));
        std::fs::write(&aside, text)?;
        std::fs::rename(&aside, &self.path)
    }
}

fn parse(bytes: &[u8]) -> Vec<Known> {
    bytes.split(|byte| *byte == b'\n').filter_map(parse_line).collect()
}

fn parse_line(line: &[u8]) -> Option<Known> {
    let mut fields = line.splitn(6, |byte| *byte == b' ');
    let mut text = || std::str::from_utf8(fields.next()?).ok();
    let digest = Digest::from_hex(text()?).ok()?;
    let identity = Identity {
        modified_ns: text()?.parse().ok()?,
        changed_ns: text()?.parse().ok()?,
        size: text()?.parse().ok()?,
        inode: text()?.parse().ok()?,
    };
    let path = PathBuf::from(std::ffi::OsString::from_vec(fields.next()?.to_vec()));
    Some(Known { path, identity, digest })
}

fn read_digest(path: &Path) -> io::Result<Digest> {
    digest_of(&File::open(path)?)
}

/// Digests a file from its beginning; its position stays.
pub(super) fn digest_of(file: &File) -> io::Result<Digest> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 128 * 1024];
    let mut at = 0;
    loop {
        let count = file.read_at(&mut buffer, at)?;
        if count == 0 {
            return Ok(Digest::finish(hasher));
        }
        hasher.update(&buffer[..count]);
        at += count as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::layout::Layout;

    #[test]
    fn a_changed_file_of_the_same_size_has_another_digest() {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let rt = Runtime::open(Layout::under(folder.path())).unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "one").unwrap();
        let past = SystemTime::now() - std::time::Duration::from_secs(3600);
        File::options().write(true).open(&file).unwrap().set_modified(past).unwrap();
        let look = || {
            let hashes = Hashes::load(&rt, folder.path());
            let found = Found { real: file.clone(), metadata: std::fs::metadata(&file).unwrap(), layer: 0 };
            let mut entries = [Entry { relative: PathBuf::new(), found, digest: None }];
            hashes.fill(&mut entries).unwrap();
            hashes.save().unwrap();
            entries[0].digest.unwrap()
        };
        let first = look();
        assert_eq!(look(), first);
        std::fs::write(&file, "two").unwrap();
        File::options().write(true).open(&file).unwrap().set_modified(past).unwrap();
        assert_ne!(look(), first);
    }

    #[test]
    fn lines_survive_the_file() {
        let identity = Identity { modified_ns: 1, changed_ns: 2, size: 3, inode: 4 };
        let line = format!("{} 1 2 3 4 /a b", Digest::of(b"x").hex());
        let known = Known { path: PathBuf::from("/a b"), identity, digest: Digest::of(b"x") };
        assert_eq!(parse_line(line.as_bytes()), Some(known));
        assert_eq!(parse_line(b"broken"), None);
    }
}
