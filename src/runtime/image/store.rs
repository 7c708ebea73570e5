//! The store: config documents by digest, one file a reference. Any number of processes at once; nothing half written is ever visible.
//!
//! An image is there when its config is: layers come first, then the config, then the references; they go in the opposite order.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

use crate::Runtime;
use crate::image::config::ImageConfig;
use crate::image::digest::Digest;
use crate::image::layers;
use crate::image::manifest::{Document, Index, Manifest, Platform};
use crate::image::reference::Reference;
use crate::state::image::{ReferenceRecord, VERSION};
use crate::state::record;

pub use crate::image::store_error::StoreError;

/// An image of the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Digest of the config document.
    pub id: Digest,
    /// The config document.
    pub config: ImageConfig,
    /// Its layers, lowest first.
    pub diff_ids: Vec<Digest>,
    /// Every tag that names it, in short form, sorted.
    pub references: Vec<String>,
    /// `name@sha256:..` of the manifests that it came under or was sent as.
    pub digests: Vec<String>,
    /// Bytes of its layers' files.
    pub size: u64,
    /// When it was made, as the config says (RFC 3339).
    pub created: Option<String>,
}

/// While one is held, no layer is collected: hold it from the first layer unpacked or counted on until the image is put.
#[derive(Debug)]
pub struct Lease {
    _file: File,
}

/// Takes a lease; any number of processes may hold one.
pub fn lease(rt: &Runtime) -> Result<Lease, StoreError> {
    let path = rt.layout.lock("store");
    let open = File::options().create(true).truncate(false).write(true).open(&path);
    let file = open.and_then(|file| file.lock_shared().map(|()| file));
    file.map(|_file| Lease { _file }).map_err(|source| StoreError::Io { act: "lock", path, source })
}

/// Says that nobody holds a lease, as long as the result lives; `None`: somebody does.
pub fn alone(rt: &Runtime) -> Result<Option<Lease>, StoreError> {
    let path = rt.layout.lock("store");
    let failed = |source| StoreError::Io { act: "lock", path: path.clone(), source };
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Lease { _file: file })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Finds an image by reference, id, or unique beginning of an id.
pub fn find(rt: &Runtime, text: &str) -> Result<Option<Image>, StoreError> {
    match find_id(rt, text)? {
        Some(id) => read(rt, &id, &references(rt)?).map(Some),
        None => Ok(None),
    }
}

/// Finds the image for `platform` behind a reference whose image is for another: the index that it was pulled or built by names it.
pub fn find_for(rt: &Runtime, text: &str, platform: &Platform) -> Result<Option<Image>, StoreError> {
    let reference = Reference::parse(text)?;
    let Some(index) = index_of(rt, &reference)? else { return Ok(None) };
    let Ok(entry) = index.choose(platform) else { return Ok(None) };
    match manifest(rt, &entry.digest).and_then(|bytes| Document::parse(&bytes).ok()) {
        Some(Document::Manifest(manifest)) if ids(rt)?.contains(&manifest.config.digest) => {
            read(rt, &manifest.config.digest, &references(rt)?).map(Some)
        }
        Some(_) | None => Ok(None),
    }
}

/// Returns the index that a reference stands for, where it stands for one.
pub fn index_of(rt: &Runtime, reference: &Reference) -> Result<Option<Index>, StoreError> {
    let record: Option<ReferenceRecord> = record::read(&reference_path(rt, reference))?;
    let digest = record.and_then(|record| record.manifest?.parse().ok());
    Ok(match digest.and_then(|digest| manifest(rt, &digest)).and_then(|bytes| Document::parse(&bytes).ok()) {
        Some(Document::Index(index)) => Some(index),
        Some(Document::Manifest(_)) | None => None,
    })
}

/// Returns the images that a reference stands for on some platform: those that its index names.
pub fn named_by_indexes(rt: &Runtime) -> Result<BTreeSet<Digest>, StoreError> {
    let mut named = BTreeSet::new();
    for record in references(rt)? {
        let Some(Document::Index(index)) = record
            .manifest
            .and_then(|digest| manifest(rt, &digest.parse().ok()?))
            .and_then(|bytes| Document::parse(&bytes).ok())
        else {
            continue;
        };
        let documents = index.manifests.iter().filter_map(|entry| manifest(rt, &entry.digest));
        for document in documents.filter_map(|bytes| Document::parse(&bytes).ok()) {
            if let Document::Manifest(manifest) = document {
                named.insert(manifest.config.digest);
            }
        }
    }
    Ok(named)
}

/// Lists every image, tagged or not.
pub fn list(rt: &Runtime) -> Result<Vec<Image>, StoreError> {
    let references = references(rt)?;
    ids(rt)?.iter().map(|id| read(rt, id, &references)).collect()
}

/// Puts an image whose layers are all there; `config` is the document byte for byte.
pub fn put(rt: &Runtime, config: &[u8], tags: &[Reference]) -> Result<Image, StoreError> {
    let document: ImageConfig = serde_json::from_slice(config).map_err(StoreError::Config)?;
    if let Some(missing) = document.rootfs.diff_ids.iter().find(|id| layers::find(rt, id).is_none()) {
        return Err(StoreError::NoLayer(*missing));
    }
    let id = Digest::of(config);
    write_blob(&rt.layout.blobs().join(id.hex()), config)?;
    tags.iter().try_for_each(|reference| tag(rt, &id, reference))?;
    read(rt, &id, &references(rt)?)
}

/// Keeps a manifest or index byte for byte.
pub fn put_manifest(rt: &Runtime, bytes: &[u8]) -> Result<Digest, StoreError> {
    let digest = Digest::of(bytes);
    write_blob(&rt.layout.manifests().join(digest.hex()), bytes)?;
    Ok(digest)
}

/// Returns a manifest or index that is kept, checked.
pub fn manifest(rt: &Runtime, digest: &Digest) -> Option<Vec<u8>> {
    let bytes = std::fs::read(rt.layout.manifests().join(digest.hex())).ok()?;
    (Digest::of(&bytes) == *digest).then_some(bytes)
}

/// Returns every manifest that is kept of an image.
pub fn manifests_of(rt: &Runtime, image: &Digest) -> Result<Vec<(Vec<u8>, Manifest)>, StoreError> {
    let mut found = Vec::new();
    for name in names(&rt.layout.manifests())? {
        let Some(bytes) = Digest::from_hex(&name).ok().and_then(|digest| manifest(rt, &digest)) else { continue };
        if let Ok(Document::Manifest(document)) = Document::parse(&bytes)
            && document.config.digest == *image
        {
            found.push((bytes, document));
        }
    }
    Ok(found)
}

/// Names an image; a reference that named another moves.
pub fn tag(rt: &Runtime, image: &Digest, reference: &Reference) -> Result<(), StoreError> {
    tag_pulled(rt, image, reference, None)
}

/// Names an image, and notes the digest of the manifest that a registry served for it.
pub fn tag_pulled(
    rt: &Runtime,
    image: &Digest,
    reference: &Reference,
    manifest: Option<&Digest>,
) -> Result<(), StoreError> {
    let record = ReferenceRecord {
        version: VERSION,
        reference: reference.to_string(),
        image: image.to_string(),
        manifest: manifest.map(Digest::to_string),
    };
    Ok(record::write(&reference_path(rt, reference), &record)?)
}

/// Takes a reference away; says whether it was there. The image stays.
pub fn untag(rt: &Runtime, reference: &Reference) -> Result<bool, StoreError> {
    let path = reference_path(rt, reference);
    match std::fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(StoreError::Io { act: "remove", path, source }),
    }
}

/// Returns the directories of an image's layers, lowest first.
pub fn lower_directories(rt: &Runtime, diff_ids: &[Digest]) -> Result<Vec<PathBuf>, StoreError> {
    let directory = |diff_id: &Digest| {
        let path = layers::directory(rt, diff_id);
        if path.is_dir() { Ok(path) } else { Err(StoreError::NoLayer(*diff_id)) }
    };
    layers::once(diff_ids).iter().map(directory).collect()
}

/// Every reference there is.
pub(crate) fn references(rt: &Runtime) -> Result<Vec<ReferenceRecord>, StoreError> {
    let folder = rt.layout.references();
    let mut found = Vec::new();
    for name in names(&folder)? {
        if name.ends_with(".json") {
            // One may be taken away while we look.
            found.extend(record::read::<ReferenceRecord>(&folder.join(name))?);
        }
    }
    found.sort_by(|a, b| a.reference.cmp(&b.reference));
    Ok(found)
}

/// The id of every image.
pub(crate) fn ids(rt: &Runtime) -> Result<Vec<Digest>, StoreError> {
    Ok(names(&rt.layout.blobs())?.iter().filter_map(|name| Digest::from_hex(name).ok()).collect())
}

/// Reads a config document and checks its digest.
pub(crate) fn config(rt: &Runtime, id: &Digest) -> Result<ImageConfig, StoreError> {
    let path = rt.layout.blobs().join(id.hex());
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(StoreError::NoImage(id.to_string())),
        Err(source) => return Err(StoreError::Io { act: "read", path, source }),
    };
    if Digest::of(&bytes) != *id {
        return Err(StoreError::Damaged { path });
    }
    serde_json::from_slice(&bytes).map_err(StoreError::Config)
}

fn read(rt: &Runtime, id: &Digest, references: &[ReferenceRecord]) -> Result<Image, StoreError> {
    let config = config(rt, id)?;
    let text = id.to_string();
    let own = || references.iter().filter(|it| it.image == text);
    let digest = |record: &ReferenceRecord| {
        let name = Reference::parse(&record.reference).ok()?.name();
        Some(format!("{name}@{}", record.manifest.as_ref()?))
    };
    let mut digests: Vec<String> = own().filter_map(digest).collect();
    digests.dedup();
    let diff_ids = config.rootfs.diff_ids.clone();
    Ok(Image {
        id: *id,
        references: own().map(|it| it.reference.clone()).collect(),
        digests,
        size: diff_ids.iter().filter_map(|id| layers::find(rt, id)).map(|layer| layer.size).sum(),
        created: config.created.clone(),
        diff_ids,
        config,
    })
}

/// Reference first, then id, as Docker does.
pub(crate) fn find_id(rt: &Runtime, text: &str) -> Result<Option<Digest>, StoreError> {
    let parse = |record: ReferenceRecord| record.image.parse::<Digest>().ok();
    if let Ok(reference) = Reference::parse(text) {
        let record = match &reference.digest {
            None => record::read::<ReferenceRecord>(&reference_path(rt, &reference))?,
            Some(digest) => {
                let digest = Some(digest.to_string());
                let same = |record: &ReferenceRecord| {
                    record.manifest == digest
                        && Reference::parse(&record.reference).is_ok_and(|it| it.name() == reference.name())
                };
                references(rt)?.into_iter().find(same)
            }
        };
        if let Some(id) = record.and_then(parse) {
            return Ok(Some(id));
        }
    }
    let prefix = text.strip_prefix("sha256:").unwrap_or(text);
    if prefix.is_empty() || !prefix.bytes().all(|c| c.is_ascii_hexdigit()) {
        return Ok(None);
    }
    let mut matching = ids(rt)?.into_iter().filter(|id| id.hex().starts_with(prefix));
    match (matching.next(), matching.next()) {
        (found, None) => Ok(found),
        (_, Some(_)) => Err(StoreError::Ambiguous { prefix: text.into() }),
    }
}

fn reference_path(rt: &Runtime, reference: &Reference) -> PathBuf {
    let encoded = reference.to_string().replace('%', "%25").replace('/', "%2F").replace(':', "%3A");
    // A long name with a digest would not fit into 255 bytes.
    let name = if encoded.len() > 200 { Digest::of(encoded.as_bytes()).hex() } else { encoded };
    rt.layout.references().join(format!("{name}.json"))
}

fn names(folder: &Path) -> Result<Vec<String>, StoreError> {
    let error = |source| StoreError::Io { act: "read", path: folder.into(), source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(error)? {
        names.extend(entry.map_err(error)?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

/// Writes a blob that has no name until it is whole: a kill leaves nothing.
fn write_blob(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let error = |source| StoreError::Io { act: "write", path: path.into(), source };
    let folder = path.parent().expect("a blob lies in a folder");
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open(folder, flags, Mode::from_raw_mode(0o644)).map_err(|e| error(e.into()))?;
    let mut file = File::from(file);
    file.write_all(bytes).map_err(error)?;
    let nameless = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file.as_fd()));
    let link = || rustix::fs::linkat(CWD, &*nameless, CWD, path, AtFlags::SYMLINK_FOLLOW);
    match link() {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::EXIST) if std::fs::read(path).is_ok_and(|there| there == bytes) => Ok(()),
        // A power cut can leave a name without its content.
        Err(rustix::io::Errno::EXIST) => {
            std::fs::remove_file(path).map_err(error)?;
            link().map_err(|e| error(e.into()))
        }
        Err(e) => Err(error(e.into())),
    }
}
