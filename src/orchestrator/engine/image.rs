//! Images: what is in the store, and how to get one there.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

/// An image of the local store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
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
    /// `name@sha256:..` of the manifests that it came from or was sent as.
    pub digests: Vec<String>,
    /// `linux/amd64`
    pub platform: String,
    /// The image's own program, for `ps` of one made without a command.
    pub command: Vec<String>,
    /// It has no name of its own, but a name stands for it on another platform.
    pub of_platform: bool,
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
    /// Named contexts: a folder, a URL, `docker-image://REF`, `oci-layout://FOLDER`, or `built-image://REF`: one of the store,
    /// which is built before.
    pub additional_contexts: BTreeMap<String, String>,
    /// Where cached steps are looked for: `type=registry,ref=..`, `type=local,src=..`, or a reference.
    pub cache_from: Vec<String>,
    /// Where cached steps are written to: `type=inline`, `type=registry,ref=..`, `type=local,dest=..`
    pub cache_to: Vec<String>,
    /// Id to where its content is.
    pub secrets: BTreeMap<String, BuildSecret>,
    /// `default`, or an id and the path of a key or agent socket: `id=path`.
    pub ssh: Vec<String>,
    /// `security.insecure`, `network.host`
    pub entitlements: Vec<String>,
    /// Run every step with all privileges.
    pub privileged: bool,
    /// Name to soft and hard limit.
    pub ulimits: BTreeMap<String, (i64, i64)>,
    /// Stages whose cache is not used.
    pub no_cache_filter: Vec<String>,
    /// `None`: as the engine does by itself.
    pub provenance: Option<String>,
    /// `None`: as the engine does by itself.
    pub sbom: Option<String>,
    /// Send what was built to its registry.
    pub push: bool,
    /// Only look for mistakes in the Dockerfile.
    pub check: bool,
    /// Bytes of memory that a step may use.
    pub memory: Option<u64>,
    /// When a step fails, keep an image of the state before it, which the error names.
    pub keep_last_good: bool,
    /// Attributes asked for that have no field here yet, as their Compose paths.
    pub unsupported: Vec<String>,
}

/// Where a build secret's content is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildSecret {
    /// A host file, by absolute path.
    File(PathBuf),
    /// The content itself, read from a variable.
    Value(Vec<u8>),
}

/// An image to send to its registry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PushSpec {
    /// Names the registry, the repository and the tag.
    pub reference: String,
    /// `linux/amd64`; `None`: all that the store has.
    pub platform: Option<String>,
}

/// One step that an image was made by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// Image id, where that step was an image; otherwise `None`.
    pub id: Option<String>,
    /// When.
    pub created: Option<SystemTime>,
    /// The instruction.
    pub created_by: String,
    /// Bytes of its layer.
    pub size: u64,
    /// A word of whoever made it.
    pub comment: String,
    /// References of the image that ended here.
    pub references: Vec<String>,
}

/// What went when an image was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum RemovedImage {
    Untagged(String),
    Deleted(String),
}
