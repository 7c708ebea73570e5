//! Versioned JSON on disk: written aside and renamed; one `flock` an object.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::Pid;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a record could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file system refused.
    #[error("cannot {act} `{path}`")]
    Io {
        /// `read`, `write`, `lock`.
        act: &'static str,
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// It is not what we write.
    #[error("`{path}` is damaged or of another version")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was wrong.
        #[source]
        source: serde_json::Error,
    },
}

/// Reads a record; `None` when there is no file.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, RecordError> {
    let bytes = match read_whole(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(RecordError::Io { act: "read", path: path.into(), source }),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|source| RecordError::Damaged { path: path.into(), source })
}

/// Reads a file of which most are small: a read that does not fill the buffer has met the end of a regular file.
fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
    const USUAL: usize = 8 * 1024;
    let mut file = File::open(path)?;
    let mut bytes = vec![0; USUAL];
    let length = loop {
        match file.read(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => break result?,
        }
    };
    bytes.truncate(length);
    if length == USUAL {
        file.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// Writes a record aside and renames it: a reader sees the old or the new one, never half of one.
///
/// Not synced: after a power cut the record may be an old one, and the next command rebuilds from what it finds.
pub fn write<T: Serialize + ?Sized>(path: &Path, record: &T) -> Result<(), RecordError> {
    let error = |source| RecordError::Io { act: "write", path: path.into(), source };
    // Two processes, or two threads, may write the same record: each has its own file aside.
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let aside = path.with_extension(format!("{}-{number}.new", std::process::id()));
    let bytes =
        serde_json::to_vec_pretty(record).map_err(|source| RecordError::Damaged { path: path.into(), source })?;
    File::create(&aside).and_then(|mut file| file.write_all(&bytes)).map_err(error)?;
    std::fs::rename(&aside, path).map_err(error)
}

/// Removes the files aside (`*.PID.new`, `*.PID-N.new`) of writers in `folder` that were killed before the rename.
pub fn sweep(folder: &Path) -> io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let writer = name.to_str().and_then(|name| name.strip_suffix(".new")?.rsplit_once('.'));
        let writer = writer.and_then(|(_, number)| number.split('-').next()?.parse().ok()).and_then(Pid::from_raw);
        let is_gone = |pid| rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH);
        if writer.is_some_and(is_gone) && entry.file_type()?.is_file() {
            match std::fs::remove_file(entry.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
    }
    Ok(())
}

/// An exclusive `flock`, let go when dropped.
#[derive(Debug)]
pub struct Lock {
    /// The locked file; a child that inherits it holds the lock too.
    pub file: File,
}

/// Waits for the lock at `path`, which is made where missing.
pub fn lock(path: &Path) -> Result<Lock, RecordError> {
    let error = |source| RecordError::Io { act: "lock", path: path.into(), source };
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(error)?;
    file.lock().map_err(error)?;
    Ok(Lock { file })
}

/// Takes the lock at `path`, or returns `None` when another process holds it.
pub fn try_lock(path: &Path) -> Result<Option<Lock>, RecordError> {
    let error = |source| RecordError::Io { act: "lock", path: path.into(), source };
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(error)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock { file })),
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(source)) => Err(error(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_dead_writer_has_left_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        // No process can have this number: it is above the kernel's largest.
        let dead = ["a.99999999-0.new", "b.json.99999999.new"];
        let kept = [format!("c.{}-3.new", std::process::id()), "d.new".to_owned(), "e.99999999-0.json".to_owned()];
        for name in dead.into_iter().chain(kept.iter().map(String::as_str)) {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        sweep(folder.path()).unwrap();
        let left =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut left: Vec<_> = left.collect();
        left.sort();
        assert_eq!(left, kept);
        sweep(&folder.path().join("absent")).unwrap();
    }
}
