//! Loads images from archives: what `docker save` writes and OCI layouts, plain or compressed, one image or many.
//!
//! The list of images may stand behind their layers, so the archive is first laid out in a staging directory.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::Runtime;
use crate::image::config::ImageConfig;
use crate::image::digest::Digest;
use crate::image::layers;
use crate::image::manifest::{Descriptor, Document, Index, ManifestError, Platform};
use crate::image::packed::{self, Packed};
use crate::image::reference::Reference;
use crate::image::staging::{self, Staging};
use crate::image::store::{self, Image, StoreError};
use crate::progress::{Report, Reporter};
use crate::snapshot::archive::{Archive, ArchiveError};
use crate::snapshot::extract::{self, ExtractError, Rules};
use crate::snapshot::unpack::{self, Digesting, UnpackError};

/// Why an archive can't be loaded.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum LoadError {
    #[error("cannot read `{path}`")]
    Open {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot lay out the archive")]
    Stage(#[source] io::Error),
    #[error(transparent)]
    Extract(#[from] ExtractError),
    #[error("the archive holds no image: neither `manifest.json` nor `index.json` is in it")]
    NoImage,
    #[error("the archive's `{member}` is missing or no plain file")]
    Member { member: String },
    #[error("the archive's `{member}` is damaged")]
    Json {
        member: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("the archive's `{member}` has another content than its name says")]
    Digest { member: String },
    #[error("an image's list of layers does not fit its config")]
    Layers,
    #[error("cannot unpack `{member}`")]
    Unpack {
        member: String,
        #[source]
        source: UnpackError,
    },
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An image as the archive describes it.
struct Described {
    config: Vec<u8>,
    /// Members, lowest layer first.
    layers: Vec<String>,
    tags: Vec<String>,
    /// Where the archive has one, byte for byte.
    manifest: Option<Vec<u8>>,
}

/// Longest manifest or config.
const DOCUMENT_LIMIT: u64 = 64 << 20;

/// Loads every image of the archive at `path`.
pub fn load(rt: &Runtime, path: &Path, reporter: &dyn Reporter) -> Result<Vec<Image>, LoadError> {
    let file = File::open(path).map_err(|source| LoadError::Open { path: path.into(), source })?;
    load_from(rt, file, reporter)
}

/// Loads every image of an archive that is read once, such as standard input.
pub fn load_from(rt: &Runtime, archive: impl Read, reporter: &dyn Reporter) -> Result<Vec<Image>, LoadError> {
    let _lease = store::lease(rt)?;
    let staged = staging::begin(rt).map_err(LoadError::Stage)?;
    let read = |error| LoadError::Extract(ExtractError::Archive(ArchiveError::Read(error)));
    let archive = BufReader::with_capacity(128 << 10, unpack::decompress(archive).map_err(read)?);
    extract::extract(staged.directory.as_fd(), &mut Archive::new(archive), Rules::default())?;
    let described = if has(&staged, "manifest.json") {
        docker_archive(&staged)?
    } else if has(&staged, "index.json") {
        oci_layout(&staged)?
    } else {
        return Err(LoadError::NoImage);
    };
    described.iter().map(|image| put(rt, &staged, image, reporter)).collect()
}

fn docker_archive(staged: &Staging) -> Result<Vec<Described>, LoadError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Entry {
        config: String,
        repo_tags: Option<Vec<String>>,
        layers: Option<Vec<String>>,
    }
    let entries: Vec<Entry> = json(staged, "manifest.json")?;
    let described = |entry: Entry| -> Result<Described, LoadError> {
        Ok(Described {
            config: document(staged, &entry.config)?,
            layers: entry.layers.unwrap_or_default(),
            tags: entry.repo_tags.unwrap_or_default(),
            manifest: None,
        })
    };
    let mut found: Vec<Described> = entries.into_iter().map(described).collect::<Result<_, _>>()?;
    // Of an archive that is a layout too the manifests are kept, so that digests stay; a damaged one is no loss.
    let layout = if has(staged, "index.json") { oci_layout(staged).unwrap_or_default() } else { Vec::new() };
    for image in &mut found {
        image.manifest = layout.iter().find(|other| other.config == image.config).and_then(|it| it.manifest.clone());
    }
    Ok(found)
}

fn oci_layout(staged: &Staging) -> Result<Vec<Described>, LoadError> {
    let index: Index = json(staged, "index.json")?;
    let mut found = Vec::new();
    for entry in &index.manifests {
        // Attestations are no images.
        if entry.platform.as_ref().is_some_and(|platform| platform.os == "unknown") {
            continue;
        }
        let name = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];
        let tag = name.iter().find_map(|key| entry.annotations.get(*key)).filter(|tag| tag.contains(['/', ':']));
        let mut bytes = blob(staged, entry)?;
        let manifest = loop {
            match Document::parse(&bytes)? {
                Document::Manifest(manifest) => break manifest,
                // A blob names its content, so indexes can't go in circles.
                Document::Index(index) => bytes = blob(staged, index.choose(&Platform::host())?)?,
            }
        };
        found.push(Described {
            config: blob(staged, &manifest.config)?,
            layers: manifest.layers.iter().map(|layer| blob_path(&layer.digest)).collect(),
            tags: tag.cloned().into_iter().collect(),
            manifest: Some(bytes),
        });
    }
    Ok(found)
}

fn put(rt: &Runtime, staged: &Staging, image: &Described, reporter: &dyn Reporter) -> Result<Image, LoadError> {
    let config: ImageConfig =
        serde_json::from_slice(&image.config).map_err(|source| LoadError::Json { member: "config".into(), source })?;
    let diff_ids = &config.rootfs.diff_ids;
    if diff_ids.len() != image.layers.len() {
        return Err(LoadError::Layers);
    }
    let tags = image.tags.iter().map(|tag| Reference::parse(tag)).collect::<Result<Vec<_>, _>>();
    let tags = tags.map_err(StoreError::Reference)?;
    let next = Mutex::new(image.layers.iter().zip(diff_ids));
    let threads = std::thread::available_parallelism().map_or(2, usize::from).clamp(1, 4);
    std::thread::scope(|scope| {
        let work = || -> Result<(), LoadError> {
            loop {
                let taken = next.lock().expect("no thread panics with the lock").next();
                let Some((member, diff_id)) = taken else { return Ok(()) };
                layer(rt, staged, member, diff_id, reporter)?;
            }
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("unpacking does not panic"))
    })?;
    let put = store::put(rt, &image.config, &tags)?;
    let Some(manifest) = &image.manifest else { return Ok(put) };
    let digest = store::put_manifest(rt, manifest)?;
    tags.iter().try_for_each(|tag| store::tag_pulled(rt, &put.id, tag, Some(&digest)))?;
    Ok(store::find(rt, &put.id.to_string())?.unwrap_or(put))
}

fn layer(
    rt: &Runtime,
    staged: &Staging,
    member: &str,
    diff_id: &Digest,
    reporter: &dyn Reporter,
) -> Result<(), LoadError> {
    let file = open(staged, member)?;
    let size = file.metadata().map_err(LoadError::Stage)?.len();
    let there = layers::find(rt, diff_id).is_some();
    if !there || packed::find(rt, diff_id).is_none() {
        let failed = |source| LoadError::Unpack { member: member.into(), source };
        let read = |error| failed(UnpackError::Extract(ExtractError::Archive(ArchiveError::Read(error))));
        let mut source = Digesting::new(&file);
        let archive = unpack::decompress(&mut source).map_err(read)?;
        if there {
            unpack::check(archive, diff_id).map_err(failed)?;
        } else {
            unpack::unpack(rt, archive, Some(diff_id)).map_err(failed)?;
        }
        io::copy(&mut source, &mut io::sink()).map_err(read)?;
        let media_type = "application/vnd.oci.image.layer.v1.tar".to_owned();
        packed::adopt(rt, &file, diff_id, &Packed { digest: source.finish(), size, media_type })?;
    }
    let item = diff_id.hex().chars().take(12).collect();
    reporter.report(Report::Bytes { item, done: size, total: Some(size) });
    Ok(())
}

/// Opens a plain file of the archive, never anything outside: the names come from whoever wrote it.
fn open(staged: &Staging, member: &str) -> Result<File, LoadError> {
    let missing = || LoadError::Member { member: member.into() };
    // A FIFO must not make us wait.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let file = rustix::fs::openat2(&staged.directory, member, flags, Mode::empty(), resolve).map_err(|_| missing())?;
    let file = File::from(file);
    match file.metadata().is_ok_and(|it| it.is_file()) {
        true => Ok(file),
        false => Err(missing()),
    }
}

fn has(staged: &Staging, member: &str) -> bool {
    open(staged, member).is_ok()
}

fn document(staged: &Staging, member: &str) -> Result<Vec<u8>, LoadError> {
    let mut bytes = Vec::new();
    open(staged, member)?.take(DOCUMENT_LIMIT).read_to_end(&mut bytes).map_err(LoadError::Stage)?;
    Ok(bytes)
}

fn json<T: DeserializeOwned>(staged: &Staging, member: &str) -> Result<T, LoadError> {
    serde_json::from_slice(&document(staged, member)?)
        .map_err(|source| LoadError::Json { member: member.into(), source })
}

fn blob(staged: &Staging, descriptor: &Descriptor) -> Result<Vec<u8>, LoadError> {
    let member = blob_path(&descriptor.digest);
    let bytes = document(staged, &member)?;
    if Digest::of(&bytes) == descriptor.digest { Ok(bytes) } else { Err(LoadError::Digest { member }) }
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}
