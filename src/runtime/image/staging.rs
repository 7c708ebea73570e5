//! Work in progress: a directory that becomes visible by one rename, or is garbage.
//!
//! Its maker holds a `flock` on it; one that nobody holds was left by a killed process, and anybody may remove it.

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{CWD, RenameFlags};

use crate::Runtime;
use crate::state::record::sweep;

/// A directory of our own, removed when dropped unless published.
#[derive(Debug)]
pub struct Staging {
    /// Where it is until published.
    pub path: PathBuf,
    /// Open, and locked.
    pub directory: File,
}

static NEXT: AtomicU64 = AtomicU64::new(0);

/// Makes an empty staging directory, mode 0755 whatever the umask.
pub fn create(rt: &Runtime) -> io::Result<Staging> {
    loop {
        let name = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = rt.layout.staging().join(name);
        match DirBuilder::new().mode(0o755).create(&path) {
            Ok(()) => {}
            // Left by a killed process that had our number.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(error),
        }
        let Ok(directory) = File::open(&path) else { continue };
        directory.lock()?;
        // Between mkdir and lock a collector may have taken it for garbage.
        match std::fs::symlink_metadata(&path) {
            Ok(found) if found.ino() == directory.metadata()?.ino() => {}
            Ok(_) | Err(_) => continue,
        }
        directory.set_permissions(std::fs::Permissions::from_mode(0o755))?;
        return Ok(Staging { path, directory });
    }
}

/// As [`create`], but clears away first what killed processes have left, here and aside of the store's records: for what
/// takes a while anyway.
pub fn begin(rt: &Runtime) -> io::Result<Staging> {
    let swept =
        collect(rt).and_then(|_| [rt.layout.layers(), rt.layout.references()].iter().try_for_each(|it| sweep(it)));
    if let Err(error) = swept {
        tracing::debug!(%error, "garbage of earlier processes stays");
    }
    create(rt)
}

impl Staging {
    /// Moves it to `target`; `false` when something is there already, and then ours is gone.
    pub fn publish(self, target: &Path) -> io::Result<bool> {
        publish(&self.path, target)
    }
}

/// Moves `source` to `target` unless that exists; says whether it did.
pub fn publish(source: &Path, target: &Path) -> io::Result<bool> {
    match rustix::fs::renameat_with(CWD, source, CWD, target, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::EXIST | rustix::io::Errno::NOTEMPTY) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Published: nothing is there. Otherwise what can't be removed now is the next collector's.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Removes what killed processes left, and returns how many directories that were.
pub fn collect(rt: &Runtime) -> io::Result<usize> {
    let mut removed = 0;
    for entry in std::fs::read_dir(rt.layout.staging())? {
        let path = entry?.path();
        let Ok(directory) = File::open(&path) else { continue };
        match directory.try_lock() {
            Ok(()) => match std::fs::remove_dir_all(&path) {
                Ok(()) => removed += 1,
                // Its owner has removed it since it was opened, and let go of the lock.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            },
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::layout::Layout;

    #[test]
    fn what_killed_processes_have_left_goes_before_the_next_one_begins() {
        let root = tempfile::tempdir().unwrap();
        let rt = Runtime::open(Layout::under(root.path())).unwrap();
        let (garbage, aside) = (rt.layout.staging().join("1-0"), rt.layout.references().join("a.99999999-0.new"));
        std::fs::create_dir(&garbage).unwrap();
        std::fs::write(&aside, "").unwrap();
        let staged = begin(&rt).unwrap();
        assert!(staged.path.exists() && !garbage.exists() && !aside.exists());
    }

    #[test]
    fn collectors_and_owners_at_once_do_not_trip_over_each_other() {
        let root = tempfile::tempdir().unwrap();
        let rt = Runtime::open(Layout::under(root.path())).unwrap();
        std::thread::scope(|scope| {
            let owner = scope.spawn(|| (0..2000).for_each(|_| drop(create(&rt).unwrap())));
            while !owner.is_finished() {
                collect(&rt).unwrap();
            }
        });
        assert_eq!(std::fs::read_dir(rt.layout.staging()).unwrap().count(), 0);
    }
}
