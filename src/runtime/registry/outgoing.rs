//! What leaves the store, for a registry or a file: the manifest that the image came with where all of it is there, else a new one.

use serde_json::json;

use crate::Runtime;
use crate::image::digest::Digest;
use crate::image::manifest::{Descriptor, Manifest};
use crate::image::packed::{self, Compression, Packed};
use crate::image::store::{self, Image, StoreError};
use crate::snapshot::pack::{self, PackError};

/// An image as it leaves.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The manifest, byte for byte.
    pub manifest: Vec<u8>,
    /// Its digest.
    pub digest: Digest,
    /// Its own kind.
    pub media_type: String,
    /// The config and the layers that it names.
    pub document: Manifest,
}

const OCI: &str = "application/vnd.oci.image.manifest.v1+json";

/// Which manifests will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Whatever it came with: registries take both kinds.
    Any,
    /// Only OCI's: layouts on disk have no others.
    Oci,
}

/// Makes an image ready to leave: every layer has its archive afterwards. `preferred` is the manifest that it is known by.
pub fn outgoing(rt: &Runtime, image: &Image, preferred: Option<&Digest>, form: Form) -> Result<Outgoing, PackError> {
    let mut known = store::manifests_of(rt, &image.id)?;
    known.sort_by_key(|(bytes, _)| Some(Digest::of(bytes)) != preferred.copied());
    let whole = |manifest: &Manifest| {
        manifest.layers.len() == image.diff_ids.len()
            && manifest.layers.iter().all(|layer| packed::is_whole(rt, &layer.digest, layer.size))
    };
    let fits = |bytes: &[u8]| form == Form::Any || media_type(bytes) == OCI;
    if let Some((bytes, document)) = known.into_iter().find(|(bytes, document)| fits(bytes) && whole(document)) {
        return Ok(Outgoing { digest: Digest::of(&bytes), media_type: media_type(&bytes), manifest: bytes, document });
    }
    let layers = image.diff_ids.iter().map(|id| pack::pack(rt, id)).collect::<Result<Vec<_>, _>>()?;
    let config = std::fs::metadata(rt.layout.blobs().join(image.id.hex()));
    let path = rt.layout.blobs().join(image.id.hex());
    let size = config.map_err(|source| StoreError::Io { act: "look at", path, source })?.len();
    let describe = |packed: &Packed| {
        let kind = format!("application/vnd.oci.image.layer.v1.tar{}", compression(rt, packed));
        json!({"mediaType": kind, "digest": packed.digest.to_string(), "size": packed.size})
    };
    let text = json!({
        "schemaVersion": 2,
        "mediaType": OCI,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": image.id.to_string(), "size": size},
        "layers": layers.iter().map(describe).collect::<Vec<_>>(),
    });
    let manifest = text.to_string().into_bytes();
    let document = serde_json::from_slice(&manifest).map_err(StoreError::Config)?;
    let digest = store::put_manifest(rt, &manifest)?;
    Ok(Outgoing { manifest, digest, media_type: OCI.to_owned(), document })
}

impl Outgoing {
    /// Returns the file of a blob that it names.
    pub fn file(&self, rt: &Runtime, blob: &Descriptor) -> std::path::PathBuf {
        match blob.digest == self.document.config.digest {
            true => rt.layout.blobs().join(blob.digest.hex()),
            false => packed::path(rt, &blob.digest),
        }
    }

    /// Lists the blobs that it names, each once, the config last.
    pub fn blobs(&self) -> Vec<&Descriptor> {
        let mut found: Vec<&Descriptor> = Vec::new();
        for blob in self.document.layers.iter().chain([&self.document.config]) {
            if !found.iter().any(|other| other.digest == blob.digest) {
                found.push(blob);
            }
        }
        found
    }
}

/// The kind that a manifest says it is of; those that say nothing are OCI's.
fn media_type(bytes: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(bytes).unwrap_or_default();
    value["mediaType"].as_str().unwrap_or(OCI).to_owned()
}

/// Told by the first bytes: the kind that it came under may be Docker's, or wrong.
fn compression(rt: &Runtime, packed: &Packed) -> &'static str {
    match packed::compression(rt, &packed.digest) {
        Compression::Gzip => "+gzip",
        Compression::Zstd => "+zstd",
        Compression::None => "",
    }
}
