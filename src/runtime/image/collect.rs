//! Removes images, and the layers that nothing needs any more.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::Runtime;
use crate::image::digest::Digest;
use crate::image::manifest::Document;
use crate::image::reference::Reference;
use crate::image::store::{self, StoreError};
use crate::image::{layers, packed, partial, staging};
use crate::state::container::{ContainerRecord, MountSourceRecord};
use crate::state::record;

/// What a removal did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// References taken away.
    pub untagged: Vec<String>,
    /// The image, when it went.
    pub deleted: Option<Digest>,
}

/// Takes a reference away, and the image with its last one; by id, the image with its only reference.
///
/// An image that a container was made of stays unless `force`; even then the container keeps its layers.
pub fn remove(rt: &Runtime, text: &str, force: bool) -> Result<Removed, StoreError> {
    let missing = || StoreError::NoImage(text.into());
    let image = store::find(rt, text)?.ok_or_else(missing)?;
    let named = Reference::parse(text).ok().map(|it| it.to_string()).filter(|it| image.references.contains(it));
    let mut removed = Removed::default();
    let going = match named {
        Some(reference) if image.references.len() > 1 => vec![reference],
        None if image.references.len() > 1 && !force => {
            let references = image.references.join(", ");
            return Err(StoreError::ManyReferences { image: text.into(), references });
        }
        Some(_) | None => image.references.clone(),
    };
    let last = going.len() == image.references.len();
    if last && !force {
        let id = image.id.to_string();
        if let Some(user) = containers(rt)?.into_iter().find(|container| container.image_id == id) {
            return Err(StoreError::InUse { image: text.into(), container: user.name });
        }
    }
    for reference in going {
        store::untag(rt, &Reference::parse(&reference)?)?;
        removed.untagged.push(reference);
    }
    if last {
        let path = rt.layout.blobs().join(image.id.hex());
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::Io { act: "remove", path, source });
            }
            Ok(()) | Err(_) => removed.deleted = Some(image.id),
        }
        collect(rt)?;
    }
    Ok(removed)
}

/// Removes every layer that no image, container or pin has, and what killed processes left. Returns the bytes freed.
///
/// While another process holds a lease, layers stay for the next collection: it may count on one that no image has yet.
pub fn collect(rt: &Runtime) -> Result<u64, StoreError> {
    let mut garbage = take_garbage(rt)?;
    let path = rt.layout.partial();
    garbage += partial::collect(rt, false).map_err(|source| StoreError::Io { act: "clean", path, source })?;
    let path = rt.layout.staging();
    staging::collect(rt).map_err(|source| StoreError::Io { act: "clean", path, source })?;
    let cache = rt.layout.build_cache();
    for folder in
        [rt.layout.layers(), rt.layout.references(), cache.join("steps"), cache.join("reuse"), cache.join("hashes")]
    {
        record::sweep(&folder).map_err(|source| StoreError::Io { act: "clean", path: folder, source })?;
    }
    let running = cache.join("running");
    clear_turns(&running).map_err(|source| StoreError::Io { act: "clean", path: running, source })?;
    Ok(garbage)
}

/// Removes the files by whose locks builds wait for each other, but those that somebody holds.
fn clear_turns(folder: &Path) -> io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        if File::open(&path).is_ok_and(|file| file.try_lock().is_ok()) {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
    }
    Ok(())
}

/// Moves unneeded layers into a staging directory that nobody holds, so that the lock is held for renames only.
fn take_garbage(rt: &Runtime) -> Result<u64, StoreError> {
    let error = |path: PathBuf| move |source| StoreError::Io { act: "collect", path, source };
    let Some(alone) = store::alone(rt)? else { return Ok(0) };
    let mut needed: HashSet<String> = HashSet::new();
    for id in store::ids(rt)? {
        match store::config(rt, &id) {
            Ok(config) => needed.extend(config.rootfs.diff_ids.iter().map(Digest::hex)),
            // A damaged document, or one just removed, keeps nothing.
            Err(StoreError::Damaged { .. } | StoreError::Config(_) | StoreError::NoImage(_)) => {}
            Err(error) => return Err(error),
        }
    }
    let of_containers = containers(rt)?.into_iter().flat_map(|container| {
        let mounted = container.mounts.into_iter().flat_map(|mount| match mount.source {
            MountSourceRecord::Image { layers, .. } => layers,
            MountSourceRecord::Bind { .. }
            | MountSourceRecord::Volume { .. }
            | MountSourceRecord::Tmpfs { .. }
            | MountSourceRecord::File { .. } => Vec::new(),
        });
        container.layers.into_iter().chain(mounted)
    });
    needed.extend(of_containers.map(|layer| layer.trim_start_matches("sha256:").to_owned()));
    let folders = [rt.layout.pins(), rt.layout.layers()];
    let [pins, there] = folders.map(|folder| {
        let names = std::fs::read_dir(&folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        names.map_err(error(folder))
    });
    needed.extend(pins?.iter().filter_map(|entry| entry.file_name().into_string().ok()));
    let bin = rt.layout.staging();
    let bin = staging::create(rt).map_err(error(bin))?;
    let mut freed = 0;
    for entry in there? {
        let name = entry.file_name();
        let Some(id) = name.to_str().and_then(|name| Digest::from_hex(name).ok()) else {
            // Whoever is killed before the directory is in place leaves the record alone.
            let of = name.to_str().and_then(|name| Digest::from_hex(name.strip_suffix(".json")?).ok());
            match of.is_some_and(|id| !layers::directory(rt, &id).exists()).then(|| std::fs::remove_file(entry.path()))
            {
                Some(Err(source)) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(error(entry.path())(source));
                }
                Some(Ok(()) | Err(_)) | None => continue,
            }
        };
        if needed.contains(&id.hex()) {
            continue;
        }
        freed += layers::find(rt, &id).map_or(0, |layer| layer.size);
        // The directory first: a record alone is no layer.
        std::fs::rename(entry.path(), bin.path.join(id.hex())).map_err(error(entry.path()))?;
        let record = rt.layout.layer_record(&id.hex());
        std::fs::remove_file(&record).map_err(error(record))?;
    }
    freed += unused_documents(rt)?;
    drop(alone);
    Ok(freed)
}

/// Removes archives that no layer has, and manifests of images that are gone. Under the store's lock. Returns the bytes freed.
fn unused_documents(rt: &Runtime) -> Result<u64, StoreError> {
    let of_layers: HashSet<String> =
        layers::list(rt)?.iter().filter_map(|id| packed::find(rt, id)).map(|it| it.digest.hex()).collect();
    let served: HashSet<String> = store::references(rt)?.into_iter().filter_map(|it| it.manifest).collect();
    let images: HashSet<Digest> = store::ids(rt)?.into_iter().collect();
    let is_needed = |id: &Digest| {
        served.contains(&id.to_string())
            || store::manifest(rt, id).and_then(|bytes| Document::parse(&bytes).ok()).is_some_and(|document| {
                match document {
                    Document::Manifest(manifest) => images.contains(&manifest.config.digest),
                    Document::Index(_) => false,
                }
            })
    };
    let mut freed = 0;
    for (folder, is_needed) in [
        (rt.layout.packed(), &(|id: &Digest| of_layers.contains(&id.hex())) as &dyn Fn(&Digest) -> bool),
        (rt.layout.manifests(), &is_needed),
    ] {
        let error = |source| StoreError::Io { act: "clean", path: folder.clone(), source };
        for entry in std::fs::read_dir(&folder).map_err(error)? {
            let entry = entry.map_err(error)?;
            let Some(id) = entry.file_name().to_str().and_then(|name| Digest::from_hex(name).ok()) else { continue };
            if !is_needed(&id) {
                freed += entry.metadata().map_or(0, |it| it.len());
                std::fs::remove_file(entry.path()).map_err(error)?;
            }
        }
    }
    Ok(freed)
}

/// Every container's record; half-made ones have none yet.
fn containers(rt: &Runtime) -> Result<Vec<ContainerRecord>, StoreError> {
    let folder = rt.layout.containers();
    let error = |source| StoreError::Io { act: "read", path: folder.clone(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(error)? {
        let id = entry.map_err(error)?.file_name();
        if let Some(id) = id.to_str() {
            found.extend(record::read::<ContainerRecord>(&rt.layout.bundle(id).record())?);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_killed_builds_turn_goes_and_that_of_a_living_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let held = File::create(folder.path().join("held")).unwrap();
        held.lock().unwrap();
        File::create(folder.path().join("left")).unwrap();
        clear_turns(folder.path()).unwrap();
        let there: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(there, ["held"]);
        clear_turns(&folder.path().join("absent")).unwrap();
    }
}
