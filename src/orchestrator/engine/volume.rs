//! Volumes.

use std::collections::BTreeMap;

/// A volume to create.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the attributes of a volume, named as in the Compose specification")]
pub struct VolumeSpec {
    pub name: String,
    pub driver: Option<String>,
    pub driver_opts: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
}

/// A volume as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct VolumeSummary {
    pub name: String,
    pub driver: String,
    pub labels: BTreeMap<String, String>,
}
