//! What the build cache takes of the disk, and how that is had back: steps and cache mounts by age and size, the longest unused first.

use std::collections::{HashMap, HashSet};
use std::fs::{File, TryLockError};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::Runtime;
use crate::bootstrap::downloads;
use crate::build::cache;
use crate::image::collect;
use crate::image::digest::Digest;
use crate::image::layers;
use crate::image::staging;
use crate::image::store::{self, StoreError};

/// What goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PruneOptions {
    /// Also steps whose layers an image has: that frees nothing, but they run again.
    pub all: bool,
    /// Only what nobody used for so long.
    pub unused_for: Option<Duration>,
    /// No more than is needed to get down to so many bytes.
    pub keep: Option<u64>,
    /// Only look: nothing is removed.
    pub rehearse: bool,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// What a step did.
    Step {
        /// The layer that it made.
        layer: Option<Digest>,
    },
    /// The folder of a `RUN --mount=type=cache`.
    Mount(PathBuf),
    /// Packages that base images were assembled of.
    Packages,
}

/// Something in the build cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its key, or the name of the folder.
    pub id: String,
    /// What it is.
    pub kind: EntryKind,
    /// Bytes; those of a layer that several steps made are counted with each.
    pub size: u64,
    /// When it was used last.
    pub used: SystemTime,
    /// An image has the layer too.
    pub shared: bool,
}

/// Why the cache can't be looked at or pruned.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum PruneError {
    #[error("cannot look through the build cache")]
    Look(#[source] io::Error),
    #[error("cannot remove `{id}` from the build cache")]
    Remove {
        id: String,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Lists the cache, the longest unused first.
pub fn list(rt: &Runtime) -> Result<Vec<Entry>, PruneError> {
    let of_images: HashSet<Digest> = store::list(rt)?.into_iter().flat_map(|image| image.diff_ids).collect();
    let step = |kept: cache::Kept| Entry {
        id: kept.key.hex(),
        size: kept.layer.and_then(|layer| layers::find(rt, &layer)).map_or(0, |layer| layer.size),
        shared: kept.layer.is_some_and(|layer| of_images.contains(&layer)),
        used: kept.used,
        kind: EntryKind::Step { layer: kept.layer },
    };
    let mut found: Vec<Entry> = cache::list(rt).map_err(PruneError::Look)?.into_iter().map(step).collect();
    found.extend(mounts(rt).map_err(PruneError::Look)?);
    found.extend(packages(rt));
    found.sort_by_key(|entry| entry.used);
    Ok(found)
}

/// Bytes of all entries, each layer counted once; those that images have are not the cache's.
pub fn total(entries: &[Entry]) -> u64 {
    let mut seen = HashSet::new();
    let own = |entry: &&Entry| match &entry.kind {
        EntryKind::Step { layer: Some(layer) } => !entry.shared && seen.insert(*layer),
        EntryKind::Step { layer: None } | EntryKind::Mount(_) | EntryKind::Packages => true,
    };
    entries.iter().filter(own).map(|entry| entry.size).sum()
}

fn mounts(rt: &Runtime) -> io::Result<Vec<Entry>> {
    let folder = rt.layout.build_cache().join("mounts");
    let entries = match std::fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        let Ok(name) = entry.file_name().into_string() else { continue };
        // Beside each folder lies its lock; one that is being made has a longer name.
        let Ok(lock) = std::fs::metadata(lock_of(&path)) else { continue };
        if entry.file_type()?.is_dir() {
            let size = bytes_below(&path);
            found.push(Entry { id: name, kind: EntryKind::Mount(path), size, used: lock.modified()?, shared: false });
        }
    }
    Ok(found)
}

fn packages(rt: &Runtime) -> Option<Entry> {
    let folder = downloads::folder(rt);
    let used = std::fs::metadata(&folder).and_then(|folder| folder.modified()).ok()?;
    let size = bytes_below(&folder);
    let kind = EntryKind::Packages;
    (size > 0).then(|| Entry { id: "packages".to_owned(), kind, size, used, shared: false })
}

fn lock_of(folder: &std::path::Path) -> PathBuf {
    let mut name = folder.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

/// Bytes of the files below a folder; what vanishes meanwhile counts nothing.
fn bytes_below(folder: &std::path::Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        Ok(metadata) if metadata.is_file() => metadata.len(),
        Ok(_) | Err(_) => 0,
    };
    entries.flatten().map(of).sum()
}

/// Removes entries and returns them, with the bytes that are free now.
///
/// A build that runs meanwhile keeps its layers: they go with a later collection.
pub fn prune(rt: &Runtime, options: &PruneOptions) -> Result<(Vec<Entry>, u64), PruneError> {
    let entries = list(rt)?;
    let now = SystemTime::now();
    // How many steps still count on a layer.
    let mut users: HashMap<Digest, usize> = HashMap::new();
    for entry in &entries {
        if let EntryKind::Step { layer: Some(layer) } = &entry.kind {
            *users.entry(*layer).or_default() += 1;
        }
    }
    let (mut left, mut removed, mut freed) = (total(&entries), Vec::new(), 0);
    for entry in entries {
        let old = now.duration_since(entry.used).unwrap_or_default();
        if options.unused_for.is_some_and(|least| old < least) || entry.shared && !options.all {
            continue;
        }
        if options.keep.is_some_and(|keep| left <= keep) {
            break;
        }
        let failed = |source| PruneError::Remove { id: entry.id.clone(), source };
        let gone = match &entry.kind {
            _ if options.rehearse => true,
            EntryKind::Step { .. } => {
                let key = Digest::from_hex(&entry.id).expect("the name of a record is a digest");
                cache::forget(rt, &key).map(|()| true).map_err(failed)?
            }
            EntryKind::Mount(path) => remove_mount(rt, path).map_err(failed)?,
            EntryKind::Packages => downloads::remove(rt).map_err(failed)?,
        };
        if !gone {
            continue;
        }
        let last = match &entry.kind {
            EntryKind::Step { layer: Some(layer) } => {
                let users = users.get_mut(layer).expect("counted above");
                *users -= 1;
                if *users == 0 && !options.rehearse {
                    layers::unpin(rt, layer)?;
                }
                *users == 0 && !entry.shared
            }
            EntryKind::Step { layer: None } | EntryKind::Mount(_) | EntryKind::Packages => true,
        };
        if last {
            left = left.saturating_sub(entry.size);
            freed += entry.size;
        }
        removed.push(entry);
    }
    if !options.rehearse {
        unpin_forgotten(rt)?;
        collect::collect(rt)?;
    }
    Ok((removed, freed))
}

/// Lets layers go that a build has pinned which was killed before it wrote down what for. A build that runs pins first and
/// writes then: while there is one, they stay.
fn unpin_forgotten(rt: &Runtime) -> Result<(), PruneError> {
    let Some(_alone) = store::alone(rt)? else { return Ok(()) };
    let steps = cache::list(rt).map_err(PruneError::Look)?;
    let known: HashSet<Digest> = steps.into_iter().filter_map(|step| step.layer).collect();
    for entry in std::fs::read_dir(rt.layout.pins()).map_err(PruneError::Look)? {
        let name = entry.map_err(PruneError::Look)?.file_name();
        match name.to_str().and_then(|name| Digest::from_hex(name).ok()) {
            Some(layer) if !known.contains(&layer) => layers::unpin(rt, &layer)?,
            Some(_) | None => {}
        }
    }
    Ok(())
}

/// Removes a cache mount's folder unless a step has it; says whether it went. Its lock stays: who waits for it has that file open.
fn remove_mount(rt: &Runtime, folder: &std::path::Path) -> io::Result<bool> {
    let lock = File::open(lock_of(folder))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(false),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let bin = staging::create(rt)?;
    std::fs::rename(folder, bin.path.join("mount"))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::layout::Layout;

    #[test]
    fn what_a_killed_build_has_pinned_goes_once_nobody_builds() {
        let root = tempfile::tempdir_in("/var/tmp").unwrap();
        let rt = Runtime::open(Layout::under(root.path())).unwrap();
        let layer = Digest::of(b"a layer");
        layers::pin(&rt, &layer).unwrap();
        let pins = || std::fs::read_dir(rt.layout.pins()).unwrap().count();
        let lease = store::lease(&rt).unwrap();
        prune(&rt, &PruneOptions { all: true, ..PruneOptions::default() }).unwrap();
        assert_eq!(pins(), 1, "a build may be about to write down what it is for");
        drop(lease);
        prune(&rt, &PruneOptions { all: true, ..PruneOptions::default() }).unwrap();
        assert_eq!(pins(), 0);
    }
}
