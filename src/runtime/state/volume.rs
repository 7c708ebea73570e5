//! A volume on disk.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the attributes of a volume under their usual names")]
pub struct VolumeRecord {
    pub version: u32,
    pub name: String,
    pub created_ms: u64,
    /// `local`.
    pub driver: String,
    pub options: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    /// Made for one container; goes when asked to at its removal.
    pub anonymous: bool,
    /// First use has copied the image's content, or decided that there is none.
    pub populated: bool,
    /// First use copies the image's content just now, or was killed over it.
    #[serde(default)]
    pub filling: bool,
}
