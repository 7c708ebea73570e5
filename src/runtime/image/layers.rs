//! Layers: directories by the digest of their archive, each of which overlayfs takes as a lower directory.

use std::path::{Path, PathBuf};

use crate::Runtime;
use crate::image::digest::Digest;
use crate::image::staging;
use crate::image::store::StoreError;
use crate::state::image::{LayerRecord, VERSION};
use crate::state::record;

/// A layer of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer {
    /// Digest of its uncompressed archive.
    pub diff_id: Digest,
    /// Bytes of its files.
    pub size: u64,
}

/// Returns the directory that a layer has or would have.
pub fn directory(rt: &Runtime, diff_id: &Digest) -> PathBuf {
    rt.layout.layers().join(diff_id.hex())
}

/// Finds a layer that is whole.
pub fn find(rt: &Runtime, diff_id: &Digest) -> Option<Layer> {
    let record: LayerRecord = record::read(&rt.layout.layer_record(&diff_id.hex())).ok()??;
    directory(rt, diff_id).is_dir().then_some(Layer { diff_id: *diff_id, size: record.size })
}

/// Lists every layer there is.
pub fn list(rt: &Runtime) -> Result<Vec<Digest>, StoreError> {
    let folder = rt.layout.layers();
    let error = |source| StoreError::Io { act: "read", path: folder.clone(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(error)? {
        let name = entry.map_err(error)?.file_name();
        found.extend(name.to_str().and_then(|name| Digest::from_hex(name).ok()));
    }
    Ok(found)
}

/// Makes a finished directory (on the store's file system) the layer `diff_id`. Another process may have been first.
pub fn publish(rt: &Runtime, finished: &Path, layer: Layer) -> Result<Layer, StoreError> {
    // The record first: a directory without one would be a layer of unknown size.
    let path = rt.layout.layer_record(&layer.diff_id.hex());
    let known: Option<LayerRecord> = record::read(&path)?;
    let packed = known.and_then(|record| record.packed);
    record::write(&path, &LayerRecord { version: VERSION, size: layer.size, packed })?;
    let target = directory(rt, &layer.diff_id);
    staging::publish(finished, &target).map_err(|source| StoreError::Io { act: "publish", path: target, source })?;
    Ok(layer)
}

/// Leaves out all but the highest place of a layer that an image has several times: overlayfs refuses to stack a directory
/// twice, and whatever the lower ones show, the highest one shows again.
pub fn once(diff_ids: &[Digest]) -> Vec<Digest> {
    let higher = |at: usize| diff_ids[at + 1..].contains(&diff_ids[at]);
    (0..diff_ids.len()).filter(|at| !higher(*at)).map(|at| diff_ids[at]).collect()
}

/// Keeps a layer although no image has it: the build cache's.
pub fn pin(rt: &Runtime, diff_id: &Digest) -> Result<(), StoreError> {
    let path = rt.layout.pins().join(diff_id.hex());
    std::fs::write(&path, "").map_err(|source| StoreError::Io { act: "write", path, source })
}

/// Lets a pinned layer go with the next collection.
pub fn unpin(rt: &Runtime, diff_id: &Digest) -> Result<(), StoreError> {
    let path = rt.layout.pins().join(diff_id.hex());
    match std::fs::remove_file(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::Io { act: "remove", path, source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
