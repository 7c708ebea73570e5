//! A blob on its way: a file under its digest, locked by whoever fills it. What a killed process left is where the next one goes on.

use std::fs::{File, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::Runtime;
use crate::image::digest::Digest;

/// Without news for so long, a blob that nobody fills is garbage.
const LIFE: Duration = Duration::from_secs(24 * 3600);

/// The file, and our lock on it.
#[derive(Debug)]
pub struct Partial {
    /// Where it is until it is whole.
    pub path: PathBuf,
    /// Readable and writable.
    pub file: File,
    /// Bytes that were there when we came.
    pub length: u64,
}

impl Partial {
    /// Opens the file of a blob of this size; waits while another process fills it.
    pub fn open(rt: &Runtime, digest: &Digest, size: u64) -> io::Result<Self> {
        let path = rt.layout.partial().join(digest.hex());
        loop {
            let opened = File::options().create(true).truncate(false).read(true).write(true).open(&path);
            let file = opened?;
            file.lock()?;
            let metadata = file.metadata()?;
            // Whoever had it may have moved it away since we opened it.
            if !std::fs::metadata(&path).is_ok_and(|there| there.ino() == metadata.ino()) {
                continue;
            }
            let length = metadata.len();
            // More than there should be is not the beginning of it.
            if length > size {
                file.set_len(0)?;
            }
            return Ok(Self { length: if length > size { 0 } else { length }, path, file });
        }
    }

    /// Appends what has come.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Starts anew: what is there is wrong.
    pub fn clear(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.length = 0;
        Ok(())
    }

    /// Removes it: what it holds is wrong, or not needed.
    pub fn remove(&self) {
        // What can't be removed now is the next collection's.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Removes what nobody fills any more, all of it or what is old, and returns the bytes freed.
pub fn collect(rt: &Runtime, all: bool) -> io::Result<u64> {
    let mut freed = 0;
    for entry in std::fs::read_dir(rt.layout.partial())? {
        let path = entry?.path();
        let Ok(file) = File::open(&path) else { continue };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => continue,
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let metadata = file.metadata()?;
        if all || metadata.modified()?.elapsed().is_ok_and(|age| age > LIFE) {
            std::fs::remove_file(&path)?;
            freed += metadata.len();
        }
    }
    Ok(freed)
}
