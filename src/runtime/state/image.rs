//! The store's records: what a reference names, and what is known of a layer.

use serde::{Deserialize, Serialize};

/// Version of both formats.
pub const VERSION: u32 = 1;

/// `references/<encoded>.json`: what a tag names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferenceRecord {
    /// Format.
    pub version: u32,
    /// With registry and tag, in short form.
    pub reference: String,
    /// `sha256:..` of the image's config.
    pub image: String,
    /// `sha256:..` of the manifest that the registry served for the tag.
    pub manifest: Option<String>,
}

/// `layers/<hex>.json`, beside the layer's directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerRecord {
    /// Format.
    pub version: u32,
    /// Bytes of its files.
    pub size: u64,
    /// The archive that registries have of it, where one is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packed: Option<PackedRecord>,
}

/// A layer's archive as a registry has it: `packed/<hex>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedRecord {
    /// `sha256:..`
    pub digest: String,
    /// Bytes.
    pub size: u64,
    /// `application/vnd.oci.image.layer.v1.tar+gzip`
    pub media_type: String,
}
