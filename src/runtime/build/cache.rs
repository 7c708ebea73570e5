//! The build cache: what a step did, by a digest of all that could change it. One small file a step, written aside and renamed.
//!
//! Any number of builds may use it at once. A step's layer is pinned in the store; one that is gone all the same is a miss.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::Runtime;
use crate::image::digest::Digest;
use crate::image::layers;
use crate::image::store::StoreError;
use crate::state::record::{self, RecordError};

/// Version of the format and of what the steps do: another one is another cache.
const VERSION: u32 = 1;

/// What a step did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Version of the format.
    pub version: u32,
    /// The layer that it made; `None`: it changed no file.
    pub layer: Option<Digest>,
    /// When it ran (RFC 3339): a later build that takes it from the cache makes the same image to the byte.
    pub created: String,
}

impl Outcome {
    /// Makes the record of a step that ran at `created`.
    pub fn new(layer: Option<Digest>, created: String) -> Self {
        Self { version: VERSION, layer, created }
    }
}

/// Why the cache could not be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum CacheError {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot create `{path}`")]
    Folder {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

/// Gathers all that a step depends on. Each part is preceded by its length, so that no two lists of parts look alike.
#[derive(Debug, Clone)]
pub struct Key(Sha256);

impl Key {
    /// Begins the key of one kind of step.
    pub fn new(kind: &str) -> Self {
        Self(Sha256::new()).with(VERSION.to_string()).with(kind)
    }

    /// Adds a part.
    #[must_use]
    pub fn with(mut self, part: impl AsRef<[u8]>) -> Self {
        let part = part.as_ref();
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
        self
    }

    /// Adds a list of parts, and how many they are.
    #[must_use]
    pub fn with_all<P: AsRef<[u8]>>(self, parts: impl IntoIterator<Item = P>) -> Self {
        let parts: Vec<P> = parts.into_iter().collect();
        let key = self.with(parts.len().to_string());
        parts.iter().fold(key, Self::with)
    }

    /// Adds the layers below the step.
    #[must_use]
    pub fn with_layers(self, layers: &[Digest]) -> Self {
        self.with_all(layers.iter().map(Digest::hex))
    }

    /// Ends the key.
    pub fn finish(self) -> Digest {
        Digest::finish(self.0)
    }
}

fn path(rt: &Runtime, key: &Digest) -> PathBuf {
    rt.layout.build_cache().join("steps").join(key.hex())
}

/// Looks a step up. A record that can't be read, or whose layer is gone, is a miss.
pub fn find(rt: &Runtime, key: &Digest) -> Option<Outcome> {
    let path = path(rt, key);
    let outcome: Outcome = record::read(&path).ok()??;
    let whole = outcome.version == VERSION && outcome.layer.is_none_or(|layer| layers::find(rt, &layer).is_some());
    if !whole {
        return None;
    }
    // When it was used last: what a prune goes by.
    let _ = File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
    Some(outcome)
}

/// A step in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its key.
    pub key: Digest,
    /// The layer that it made.
    pub layer: Option<Digest>,
    /// When it was made or found last.
    pub used: SystemTime,
}

/// Lists all steps; what can't be read is one without a layer.
pub fn list(rt: &Runtime) -> std::io::Result<Vec<Kept>> {
    let folder = rt.layout.build_cache().join("steps");
    let entries = match std::fs::read_dir(&folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let Some(key) = entry.file_name().to_str().and_then(|name| Digest::from_hex(name).ok()) else { continue };
        // One may be taken away while we look.
        let Ok(used) = entry.metadata().and_then(|it| it.modified()) else { continue };
        let outcome: Option<Outcome> = record::read(&entry.path()).ok().flatten();
        found.push(Kept { key, layer: outcome.and_then(|it| it.layer), used });
    }
    Ok(found)
}

/// Forgets a step; its layer stays pinned.
pub fn forget(rt: &Runtime, key: &Digest) -> std::io::Result<()> {
    match std::fs::remove_file(path(rt, key)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The right to carry out one step; its file goes with it.
#[derive(Debug)]
pub struct Turn {
    path: PathBuf,
    _file: File,
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Whoever waits for it sees that it is gone, and makes another.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Waits until nobody else carries out the step `key`, in this process or another.
pub fn turn(rt: &Runtime, key: &Digest) -> Result<Turn, CacheError> {
    let folder = rt.layout.build_cache().join("running");
    let failed = |source| CacheError::Folder { path: folder.clone(), source };
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let path = folder.join(key.hex());
    loop {
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        file.lock().map_err(failed)?;
        // The one before us has taken the file away: a lock on that is none.
        let ours = file.metadata().map_err(failed)?.ino();
        if std::fs::metadata(&path).is_ok_and(|there| there.ino() == ours) {
            return Ok(Turn { path, _file: file });
        }
    }
}

/// Two threads of one build may keep the same step at once, under one name aside.
static KEEPING: Mutex<()> = Mutex::new(());

/// Keeps what a step did.
pub fn keep(rt: &Runtime, key: &Digest, outcome: &Outcome) -> Result<(), CacheError> {
    if let Some(layer) = &outcome.layer {
        // Before the record: a record always has its layer.
        layers::pin(rt, layer)?;
    }
    let path = path(rt, key);
    let folder = rt.layout.build_cache().join("steps");
    std::fs::create_dir_all(&folder).map_err(|source| CacheError::Folder { path: folder, source })?;
    let _alone = KEEPING.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(record::write(&path, outcome)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::layout::Layout;

    fn scratch() -> (tempfile::TempDir, Runtime) {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let rt = Runtime::open(Layout::under(folder.path())).unwrap();
        (folder, rt)
    }

    #[test]
    fn parts_that_join_to_the_same_text_make_different_keys() {
        assert_ne!(Key::new("run").with("ab").with("c").finish(), Key::new("run").with("a").with("bc").finish());
    }

    #[test]
    fn what_was_kept_is_found_and_a_lost_layer_is_a_miss() {
        let (_folder, rt) = scratch();
        let key = Key::new("run").finish();
        assert_eq!(find(&rt, &key), None);
        let outcome = Outcome::new(None, "2026-01-01T00:00:00Z".to_owned());
        keep(&rt, &key, &outcome).unwrap();
        assert_eq!(find(&rt, &key), Some(outcome));
        let lost = Outcome::new(Some(Digest::of(b"gone")), String::new());
        keep(&rt, &key, &lost).unwrap();
        assert_eq!(find(&rt, &key), None);
    }

    #[test]
    fn a_damaged_record_is_a_miss() {
        let (_folder, rt) = scratch();
        let key = Key::new("run").finish();
        keep(&rt, &key, &Outcome::new(None, String::new())).unwrap();
        std::fs::write(path(&rt, &key), "{").unwrap();
        assert_eq!(find(&rt, &key), None);
    }
}
