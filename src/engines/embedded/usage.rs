//! What takes how much of the disk: layers counted once, what containers wrote, volumes, the build cache.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use orchestrator::engine::error::EngineError;
use orchestrator::engine::image::ImageSummary;
use orchestrator::engine::usage::{CacheUsage, ContainerSize, ContainerUsage, DiskUsage, ImageUsage, VolumeUsage};
use runtime::Runtime;
use runtime::bootstrap::downloads;
use runtime::container::list;
use runtime::image::digest::Digest;
use runtime::image::{layers, packed, store};
use runtime::volume;

use crate::embedded::{errors, observe, summary};

/// Looks at everything.
pub(crate) fn disk_usage(rt: &Runtime) -> Result<DiskUsage, EngineError> {
    let failed = |error| errors::store("*", "look at", &error);
    let images = store::list(rt).map_err(failed)?;
    let (containers, networks) = observe::containers(rt, &[])?;
    let mut users: HashMap<Digest, usize> = HashMap::new();
    for image in &images {
        // A layer that an image has twice is one layer.
        layers::once(&image.diff_ids).into_iter().for_each(|id| *users.entry(id).or_default() += 1);
    }
    let size = |id: &Digest| size_of(rt, id);
    let image_usage = |image: &store::Image| {
        let own = layers::once(&image.diff_ids);
        let id = image.id.to_string();
        ImageUsage {
            image: ImageSummary { size: own.iter().map(size).sum(), ..summary::image(image) },
            shared: own.iter().filter(|id| users.get(*id).is_some_and(|count| *count > 1)).map(size).sum(),
            containers: containers.iter().filter(|container| container.record.image_id == id).count(),
        }
    };
    let volumes = volume::list(rt).map_err(|error| errors::volume("*", "list", &error))?;
    let container_usage = |container: &list::Container| ContainerUsage {
        size: taken(&rt.layout.bundle(&container.record.id).upper()),
        container: summary::container(container, &networks),
    };
    let containers_of: Vec<ContainerUsage> = containers.iter().map(container_usage).collect();
    let volume_usage = |name: &str| VolumeUsage {
        name: name.to_owned(),
        links: containers_of.iter().filter(|it| it.container.volumes.values().any(|volume| volume == name)).count(),
        size: taken(&rt.layout.volume_data(name)),
    };
    let volumes = volumes.iter().map(|volume| volume_usage(&volume.name)).collect();
    Ok(DiskUsage {
        images: images.iter().map(image_usage).collect(),
        layers: users.keys().map(size).sum(),
        volumes,
        cache: cache(rt, &users)?,
        containers: containers_of,
    })
}

/// Counts what a container's files take.
pub(crate) fn container(rt: &Runtime, id: &str) -> Result<ContainerSize, EngineError> {
    let record = list::find(rt, id).map_err(|error| errors::find(id, &error))?.record;
    let written = taken(&rt.layout.bundle(&record.id).upper());
    let layers: Vec<Digest> = record.layers.iter().filter_map(|layer| layer.parse().ok()).collect();
    let unpacked = |layer: &Digest| layers::find(rt, layer).map_or(0, |layer| layer.size);
    Ok(ContainerSize { written, whole: written + layers::once(&layers).iter().map(unpacked).sum::<u64>() })
}

/// Bytes of a layer's files, and of its archive where that is kept.
fn size_of(rt: &Runtime, layer: &Digest) -> u64 {
    let unpacked = layers::find(rt, layer).map_or(0, |layer| layer.size);
    unpacked + packed::find(rt, layer).map_or(0, |packed| packed.size)
}

/// Layers that only the cache has, and its own folder.
fn cache(rt: &Runtime, users: &HashMap<Digest, usize>) -> Result<CacheUsage, EngineError> {
    let all = layers::list(rt).map_err(|error| errors::store("*", "look at", &error))?;
    let only: Vec<Digest> = all.into_iter().filter(|id| !users.contains_key(id)).collect();
    let folder = rt.layout.build_cache();
    let own: u64 = only.iter().map(|id| size_of(rt, id)).sum();
    Ok(CacheUsage {
        entries: only.len(),
        size: own + taken(&folder) + taken(&rt.layout.partial()) + taken(&downloads::folder(rt)),
        used: std::fs::metadata(&folder).and_then(|it| it.modified()).ok(),
    })
}

/// Bytes of the files below `path`; one with several names counts once. What can't be read counts nothing.
fn taken(path: &Path) -> u64 {
    fn walk(path: &Path, seen: &mut std::collections::HashSet<(u64, u64)>) -> u64 {
        let Ok(entries) = std::fs::read_dir(path) else { return 0 };
        let of = |entry: std::fs::DirEntry| {
            let Ok(metadata) = entry.metadata() else { return 0 };
            match () {
                () if metadata.is_dir() => walk(&entry.path(), seen),
                () if !metadata.is_file() => 0,
                () if metadata.nlink() > 1 && !seen.insert((metadata.dev(), metadata.ino())) => 0,
                () => metadata.len(),
            }
        };
        entries.flatten().map(of).sum()
    }
    walk(path, &mut std::collections::HashSet::new())
}
