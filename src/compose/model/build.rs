//! How a service's image is built.

use std::collections::BTreeMap;

use crate::model::bytes::Bytes;
use crate::model::file_object::FileReference;
use crate::model::service::Ulimit;

/// The `build` section.
#[derive(Debug, Clone, PartialEq, Default)]
#[expect(missing_docs, reason = "each field is the attribute of the same name in the Compose specification")]
pub struct Build {
    /// Absolute path, or a URL.
    pub context: String,
    /// Relative to the context unless absolute.
    pub dockerfile: Option<String>,
    pub dockerfile_inline: Option<String>,
    /// `None` as a value: taken from the environment, dropped when unset.
    pub args: BTreeMap<String, Option<String>>,
    /// `default`, or id to socket or key path.
    pub ssh: BTreeMap<String, Option<String>>,
    pub labels: BTreeMap<String, String>,
    pub cache_from: Vec<String>,
    pub cache_to: Vec<String>,
    pub no_cache: bool,
    pub no_cache_filter: Vec<String>,
    pub additional_contexts: BTreeMap<String, String>,
    pub network: Option<String>,
    pub provenance: Option<String>,
    pub sbom: Option<String>,
    pub pull: bool,
    pub target: Option<String>,
    pub shm_size: Option<Bytes>,
    pub extra_hosts: BTreeMap<String, Vec<String>>,
    pub isolation: Option<String>,
    pub privileged: bool,
    pub secrets: Vec<FileReference>,
    pub tags: Vec<String>,
    pub ulimits: BTreeMap<String, Ulimit>,
    pub platforms: Vec<String>,
    pub entitlements: Vec<String>,
}
