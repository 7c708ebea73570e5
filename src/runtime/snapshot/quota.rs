//! What a container may write to its root, in bytes: a quota of the file system below (ext4 and XFS with `prjquota`).

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;

use crate::sys::quota;

/// Accounts of ours begin here: those of people are small.
const FIRST: u32 = 1 << 30;

/// Why a limit can't be had.
#[derive(Debug, thiserror::Error)]
pub enum QuotaError {
    /// The file system has none.
    #[error(
        "the `size` of `storage_opt` needs quotas of the file system (ext4 or XFS mounted with `prjquota`, Linux 5.14): `{path}` has none"
    )]
    Unsupported {
        /// A folder on it.
        path: String,
    },
    /// The kernel refused.
    #[error("cannot limit what `{path}` may hold")]
    Io {
        /// The folder.
        path: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// Limits what these folders, which are empty, and what will be in them may take together. `id` is the container's, from
/// which the number of its account is made.
pub fn limit(folders: &[&Path], id: &str, bytes: u64) -> Result<(), QuotaError> {
    let mut account = None;
    for path in folders {
        let failed = |source| QuotaError::Io { path: path.display().to_string(), source };
        let folder = File::open(path).map_err(failed)?;
        let number = match account {
            Some(number) => number,
            None if !quota::is_enforced(folder.as_fd()) => {
                return Err(QuotaError::Unsupported { path: path.display().to_string() });
            }
            None => free(&folder, id).map_err(failed)?,
        };
        if account.replace(number).is_none() {
            quota::limit(folder.as_fd(), number, bytes).map_err(failed)?;
        }
        quota::join(folder.as_fd(), number).map_err(failed)?;
    }
    Ok(())
}

/// A number that nothing on the file system has.
fn free(folder: &File, id: &str) -> io::Result<u32> {
    let start = u32::from_str_radix(id.get(..8).unwrap_or(id), 16).unwrap_or_default();
    let mut number = start | FIRST;
    loop {
        let quota = quota::get(folder.as_fd(), number)?;
        if quota.limit == 0 && quota.used == 0 {
            return Ok(number);
        }
        number = number.wrapping_add(1) | FIRST;
    }
}

/// The limit of a folder, to be taken away when the folder is gone.
#[derive(Debug)]
pub struct Limited {
    /// Any folder of the file system that stays.
    beside: File,
    account: u32,
}

impl Limited {
    /// Finds the limit of a folder; `None`: it has none.
    pub fn of(folder: &Path, beside: &Path) -> Option<Self> {
        let account = quota::account(File::open(folder).ok()?.as_fd()).ok().filter(|number| *number >= FIRST)?;
        Some(Self { beside: File::open(beside).ok()?, account })
    }

    /// Takes the limit away. Where it stays, it limits nothing: no file is of that number.
    pub fn lift(self) {
        if let Err(error) = quota::limit(self.beside.as_fd(), self.account, 0) {
            tracing::warn!(%error, account = self.account, "a quota stays");
        }
    }
}
