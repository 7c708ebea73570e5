//! Images: what is in the store, and how to get one there.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

/// An image of the local store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the attributes of an image, as in the OCI image specification")]
pub struct ImageSummary {
    /// `sha256:..`, the digest of its config.
    pub id: String,
    pub references: Vec<String>,
    pub created: Option<SystemTime>,
    /// Bytes of its layers.
    pub size: u64,
    pub labels: BTreeMap<String, String>,
    /// Container paths that the image declares as volumes.
    pub volumes: Vec<String>,
    /// Whether the image itself has a health check.
    pub has_healthcheck: bool,
}

/// An image to fetch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PullSpec {
    /// As in the Compose file.
    pub reference: String,
    /// `linux/amd64`; `None`: the host's.
    pub platform: Option<String>,
    /// Never assemble it from the host's packages.
    pub no_bootstrap: bool,
}

/// An image to build.
#[derive(Debug, Clone, PartialEq, Default)]
#[expect(missing_docs, reason = "the attributes of a build, named as in the Compose specification")]
pub struct BuildSpec {
    /// Absolute folder, or a URL.
    pub context: String,
    /// Relative to the context unless absolute.
    pub dockerfile: Option<PathBuf>,
    pub dockerfile_inline: Option<String>,
    /// The first names the image; all are set.
    pub tags: Vec<String>,
    /// `None` as a value: dropped.
    pub args: BTreeMap<String, Option<String>>,
    pub labels: BTreeMap<String, String>,
    pub target: Option<String>,
    pub no_cache: bool,
    /// Refresh base images.
    pub pull: bool,
    pub network: Option<String>,
    pub extra_hosts: Vec<(String, String)>,
    pub platforms: Vec<String>,
    pub shm_size: Option<u64>,
    /// Never assemble a base image from the host's packages.
    pub no_bootstrap: bool,
    /// Attributes asked for that have no field here yet, as their Compose paths.
    pub unsupported: Vec<String>,
}
