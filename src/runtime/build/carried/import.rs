//! Reads caches that were carried here. A cache helps or it does not: whatever is wrong with one, the build goes on without it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::Runtime;
use crate::build::cache::Outcome;
use crate::build::carried::document::{CONFIG_TYPE, CacheConfig, Carried, INLINE};
use crate::build::job::Job;
use crate::build::request::CacheSource;
use crate::image::config::ImageConfig;
use crate::image::digest::Digest;
use crate::image::layers;
use crate::image::manifest::{Descriptor, Document};
use crate::image::reference::Reference;
use crate::image::store;
use crate::progress::Report;
use crate::registry::auth::from_base64;
use crate::registry::collection;
use crate::snapshot::unpack;

/// The caches of one build; read when the first step is not at hand.
#[derive(Debug, Default)]
pub struct Imports(OnceLock<Vec<Import>>);

/// One cache.
#[derive(Debug)]
struct Import {
    steps: BTreeMap<Digest, Carried>,
    origin: Origin,
}

/// Where its layers are.
#[derive(Debug)]
enum Origin {
    /// In the store already.
    Store,
    Registry(Box<Reference>),
    Folder(PathBuf),
}

/// Anything that may be wrong with a cache.
type Trouble = Box<dyn std::error::Error + Send + Sync>;

impl Imports {
    /// Looks a step up, and gets its layer into the store.
    pub fn find(&self, job: &Job<'_>, key: &Digest) -> Option<Outcome> {
        let imports = self.0.get_or_init(|| job.request.cache_from.iter().filter_map(|it| read(job, it)).collect());
        let found = imports.iter().find_map(|import| Some((import, import.steps.get(key)?)));
        let (import, (layer, created)) = found?;
        let Some((descriptor, diff_id)) = layer else { return Some(Outcome::new(None, created.clone())) };
        match fetch(job, &import.origin, descriptor, *diff_id) {
            Ok(()) => Some(Outcome::new(Some(*diff_id), created.clone())),
            Err(error) => {
                note(job, &format!("a cached layer is not to be had, its step runs: {error}"));
                None
            }
        }
    }
}

fn note(job: &Job<'_>, text: &str) {
    job.reporter.report(Report::Note(text.to_owned()));
}

fn read(job: &Job<'_>, source: &CacheSource) -> Option<Import> {
    let read = match source {
        CacheSource::Registry(reference) => of_reference(job, reference),
        CacheSource::Folder { path, name } => of_folder(path, name.as_deref()),
    };
    match read {
        Ok(import) => {
            note(job, &format!("cache from {source}: {} steps", import.steps.len()));
            Some(import)
        }
        Err(error) => {
            note(job, &format!("no cache from {source}: {error}"));
            None
        }
    }
}

/// An image of the store carries its cache with it; anything else is asked of the registry.
fn of_reference(job: &Job<'_>, text: &str) -> Result<Import, Trouble> {
    let rt = job.rt;
    if let Some(image) = store::find(rt, text)?
        && let Some(steps) = inline(&image.config, &[])
    {
        return Ok(Import { steps, origin: Origin::Store });
    }
    let reference = Reference::parse(text)?;
    let platform = &job.platform;
    let (document, config) = collection::document(&reference, platform, CONFIG_TYPE, &rt.registry)?;
    let named = match document {
        Document::Manifest(manifest) if manifest.config.media_type != CONFIG_TYPE => {
            let config: ImageConfig = serde_json::from_slice(&config)?;
            let steps = inline(&config, &manifest.layers).ok_or("the image carries no cache")?;
            return Ok(Import { steps, origin: Origin::Registry(Box::new(reference)) });
        }
        Document::Manifest(manifest) => manifest.layers,
        Document::Index(index) => index.manifests,
    };
    let config: CacheConfig = serde_json::from_slice(&config)?;
    let steps = config.steps(&config.order(&named));
    Ok(Import { steps, origin: Origin::Registry(Box::new(reference)) })
}

/// Reads the records in an image's config; `archives` are its layers, where they have to be fetched.
fn inline(config: &ImageConfig, archives: &[Descriptor]) -> Option<BTreeMap<Digest, Carried>> {
    let records = from_base64(config.other.get(INLINE)?.as_str()?)?;
    let records = serde_json::from_slice(&records).ok()?;
    let archive = |(at, diff_id): (usize, &Digest)| {
        let none = Descriptor {
            media_type: String::new(),
            digest: *diff_id,
            size: 0,
            platform: None,
            annotations: BTreeMap::new(),
            urls: Vec::new(),
        };
        (archives.get(at).cloned().unwrap_or(none), *diff_id)
    };
    let layers: Vec<_> = config.rootfs.diff_ids.iter().enumerate().map(archive).collect();
    Some(CacheConfig { layers: Vec::new(), records }.steps(&layers))
}

/// A folder in OCI's image layout; `name` is a tag or a digest of its index.
fn of_folder(path: &Path, name: Option<&str>) -> Result<Import, Trouble> {
    let index = std::fs::read(path.join("index.json"))?;
    let Document::Index(index) = Document::parse(&index)? else { return Err("its `index.json` is no index".into()) };
    let entry = index.named(name).ok_or_else(|| format!("it has no `{}`", name.unwrap_or("latest")))?;
    let (named, config) = match Document::parse(&blob(path, &entry.digest)?)? {
        Document::Manifest(manifest) => (manifest.layers, manifest.config),
        Document::Index(index) => {
            let config = index.manifests.iter().find(|it| it.media_type == CONFIG_TYPE).cloned();
            (index.manifests, config.ok_or("its index names no cache")?)
        }
    };
    let config: CacheConfig = serde_json::from_slice(&blob(path, &config.digest)?)?;
    let steps = config.steps(&config.order(&named));
    Ok(Import { steps, origin: Origin::Folder(path.to_owned()) })
}

fn blob_path(folder: &Path, digest: &Digest) -> PathBuf {
    folder.join("blobs/sha256").join(digest.hex())
}

/// Reads a document whose digest must be right.
fn blob(folder: &Path, digest: &Digest) -> Result<Vec<u8>, Trouble> {
    let bytes = std::fs::read(blob_path(folder, digest))?;
    match Digest::of(&bytes) == *digest {
        true => Ok(bytes),
        false => Err(format!("`{digest}` is damaged").into()),
    }
}

fn fetch(job: &Job<'_>, origin: &Origin, descriptor: &Descriptor, diff_id: Digest) -> Result<(), Trouble> {
    let rt: &Runtime = job.rt;
    if layers::find(rt, &diff_id).is_some() {
        return Ok(());
    }
    match origin {
        Origin::Store => Err("the image of the store has lost it".into()),
        Origin::Registry(reference) => {
            Ok(collection::layer(rt, reference, descriptor, diff_id, job.reporter).map(drop)?)
        }
        Origin::Folder(folder) => {
            let archive = unpack::decompress(std::fs::File::open(blob_path(folder, &descriptor.digest))?)?;
            Ok(unpack::unpack(rt, archive, Some(&diff_id)).map(drop)?)
        }
    }
}
