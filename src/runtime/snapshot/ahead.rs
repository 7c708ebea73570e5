//! Reads the small files of a directory ahead of whoever needs them in order, on other threads: opening a file costs more than
//! digesting what is in it.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::fs::{Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

/// A longer file is read by whoever needs it, piece by piece.
pub const SMALL: u64 = 64 << 10;
/// Files a thread takes at once.
const SHARE: usize = 64;
/// Shares read before they are needed: at most 32 MiB.
const AHEAD: usize = 8;
const MOST_THREADS: usize = 4;

/// A file's attributes by name.
pub type Attributes = Vec<(OsString, Vec<u8>)>;

/// A regular file that was read.
#[derive(Debug)]
pub struct Content {
    /// What it is.
    pub stat: Stat,
    /// Its attributes, sorted.
    pub xattrs: Attributes,
    /// Its bytes; `None`: there are too many.
    pub bytes: Option<Vec<u8>>,
}

/// Hands out files in their order.
pub struct Ahead<'a> {
    root: BorrowedFd<'a>,
    files: &'a [PathBuf],
    /// `None`: there are so few that each is read when it is needed.
    shared: Option<&'a Shared>,
    at: usize,
    share: VecDeque<io::Result<Content>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The next share to be read, and the one that is needed.
    next: usize,
    needed: usize,
    done: BTreeMap<usize, VecDeque<io::Result<Content>>>,
    over: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the threads, whatever happens to who they read for.
struct End<'a>(&'a Shared);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.lock().over = true;
        self.0.changed.notify_all();
    }
}

/// Lets `act` have the regular files `files` (below `root`, no links on the way), which nobody changes meanwhile.
pub fn reading<T>(root: BorrowedFd<'_>, files: &[PathBuf], act: impl FnOnce(Ahead<'_>) -> T) -> T {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    if threads < 2 || files.len() < 2 * SHARE {
        return act(Ahead { root, files, shared: None, at: 0, share: VecDeque::new() });
    }
    let shared = Shared::default();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| work(root, files, &shared));
        }
        let _end = End(&shared);
        act(Ahead { root, files, shared: Some(&shared), at: 0, share: VecDeque::new() })
    })
}

fn work(root: BorrowedFd<'_>, files: &[PathBuf], shared: &Shared) {
    let count = files.len().div_ceil(SHARE);
    let mut state = shared.lock();
    loop {
        if state.over || state.next >= count {
            return;
        }
        if state.next >= state.needed + AHEAD {
            state = shared.wait(state);
            continue;
        }
        let own = state.next;
        state.next += 1;
        drop(state);
        let part = &files[own * SHARE..files.len().min((own + 1) * SHARE)];
        let read = part.iter().map(|path| read(root, path)).collect();
        state = shared.lock();
        state.done.insert(own, read);
        shared.changed.notify_all();
    }
}

impl Ahead<'_> {
    /// Returns the next file, which must be `path`.
    pub fn take(&mut self, path: &Path) -> io::Result<Content> {
        if self.files.get(self.at).is_none_or(|next| next != path) {
            return Err(io::Error::other("the folder changed while it was read"));
        }
        self.at += 1;
        let Some(shared) = self.shared else { return read(self.root, path) };
        if self.share.is_empty() {
            let own = (self.at - 1) / SHARE;
            let mut state = shared.lock();
            state.needed = own;
            shared.changed.notify_all();
            self.share = loop {
                match state.done.remove(&own) {
                    Some(share) => break share,
                    None => state = shared.wait(state),
                }
            };
        }
        self.share.pop_front().unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()))
    }
}

fn read(root: BorrowedFd<'_>, path: &Path) -> io::Result<Content> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::openat2(root, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)?;
    let stat = rustix::fs::fstat(&file)?;
    let xattrs = xattrs(file.as_fd())?.0;
    let size = stat.st_size.unsigned_abs();
    if size > SMALL {
        return Ok(Content { stat, xattrs, bytes: None });
    }
    let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
    let mut filled = 0;
    while filled < bytes.len() {
        match rustix::io::read(&file, &mut bytes[filled..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => filled += read,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Content { stat, xattrs, bytes: Some(bytes) })
}

/// Returns a file's attributes, sorted, without overlayfs's own, and whether those say that it is opaque.
pub fn xattrs(file: BorrowedFd<'_>) -> rustix::io::Result<(Attributes, bool)> {
    let mut few = [0; 256];
    let mut many = Vec::new();
    let names = match rustix::fs::flistxattr(file, &mut few[..]) {
        Ok(length) => &few[..length],
        Err(Errno::NOTSUP) => return Ok((Vec::new(), false)),
        Err(Errno::RANGE) => {
            // Linux allows no longer list.
            many.resize(64 << 10, 0);
            let length = rustix::fs::flistxattr(file, &mut many[..])?;
            &many[..length]
        }
        Err(error) => return Err(error),
    };
    let (mut found, mut opaque) = (Vec::new(), false);
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let name = OsStr::from_bytes(name);
        let mut value = vec![0; 64 << 10];
        let length = match rustix::fs::fgetxattr(file, name, &mut value[..]) {
            Ok(length) => length,
            Err(Errno::NODATA) => continue,
            Err(error) => return Err(error),
        };
        value.truncate(length);
        let bytes = name.as_bytes();
        if bytes == crate::snapshot::whiteout::OPAQUE_XATTR.as_bytes() {
            opaque = value == b"y";
        }
        // Labels are the host policy's, not the image's.
        let ours = bytes.starts_with(b"trusted.overlay.") || bytes.starts_with(b"user.overlay.");
        if !ours && bytes != b"security.selinux" {
            found.push((OsString::from_vec(bytes.to_vec()), value));
        }
    }
    found.sort();
    Ok((found, opaque))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_files_come_in_their_order_and_whole() {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let name = |n: usize| PathBuf::from(format!("{n:04}"));
        let files: Vec<PathBuf> = (0..1000).map(name).collect();
        files.iter().enumerate().for_each(|(n, file)| std::fs::write(folder.path().join(file), n.to_string()).unwrap());
        std::fs::write(folder.path().join(name(500)), vec![b'x'; 100_000]).unwrap();
        let root = std::fs::File::open(folder.path()).unwrap();
        reading(root.as_fd(), &files, |mut ahead| {
            for (n, file) in files.iter().enumerate() {
                let content = ahead.take(file).unwrap();
                let expected = (n != 500).then(|| n.to_string().into_bytes());
                assert_eq!(content.bytes, expected, "{n}");
            }
            assert!(ahead.take(Path::new("more")).is_err());
        });
        // Who stops early is not waited for.
        reading(root.as_fd(), &files, |mut ahead| assert!(ahead.take(&files[0]).is_ok()));
    }
}
