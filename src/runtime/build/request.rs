//! What a build is asked for.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::build::agent::SshAgent;
use crate::image::manifest::Platform;

/// Where the Dockerfile is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerfileSource {
    /// A file; relative to the context unless absolute.
    Path(PathBuf),
    /// Its text.
    Inline(String),
}

/// Whether RUN is given the host's certificate authorities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HostCa {
    /// When the host knows some that are not public.
    #[default]
    Auto,
    /// Whenever the host has a bundle.
    Always,
    /// Not at all.
    Never,
}

/// A tree that a build is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A git repository, an archive or a Dockerfile behind a URL.
    Url(String),
    /// An archive of files, compressed or not.
    Archive(PathBuf),
    /// An image: `docker-image://`.
    Image(String),
    /// An image of the store, never asked for elsewhere.
    Stored(String),
    /// A folder in OCI's image layout: `oci-layout://`, and the tag or digest wanted of it.
    Layout(PathBuf, Option<String>),
    /// Nothing: the Dockerfile is all there is.
    Nothing,
}

/// What a RUN is shown of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// A file of this machine, read when it is needed.
    File(PathBuf),
    /// The content itself.
    Value(Vec<u8>),
}

/// Where steps that were done elsewhere are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheSource {
    /// An image that carries its cache, or a cache at a registry.
    Registry(String),
    /// A folder in OCI's image layout.
    Folder {
        /// The folder.
        path: PathBuf,
        /// A tag or a digest; `latest` unless said.
        name: Option<String>,
    },
}

impl fmt::Display for CacheSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(reference) => write!(f, "`{reference}`"),
            Self::Folder { path, .. } => write!(f, "`{}`", path.display()),
        }
    }
}

/// Which steps are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CacheMode {
    /// Those whose layers the image has.
    #[default]
    Min,
    /// Those of every stage.
    Max,
}

/// Where the steps of a build are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheTarget {
    /// The place.
    pub place: CachePlace,
    /// Which.
    pub mode: CacheMode,
    /// The build does not fail when that fails.
    pub ignore_error: bool,
}

/// A place of a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CachePlace {
    /// The image's own config.
    Inline,
    /// A registry.
    Registry {
        /// Its name there.
        reference: String,
        /// An image's manifest, not an index: some registries take nothing else.
        as_image: bool,
    },
    /// A folder in OCI's image layout.
    Folder {
        /// The folder; made where missing.
        path: PathBuf,
        /// Its name there.
        tag: String,
    },
}

impl fmt::Display for CacheTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            CachePlace::Inline => f.write_str("the image itself"),
            CachePlace::Registry { reference, .. } => write!(f, "`{reference}`"),
            CachePlace::Folder { path, .. } => write!(f, "`{}`", path.display()),
        }
    }
}

/// A build.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    /// What COPY and ADD see.
    pub context: Source,
    /// What to build.
    pub dockerfile: DockerfileSource,
    /// Trees by name, each in place of the stage or image of that name.
    pub contexts: BTreeMap<String, Source>,
    /// Names of the image.
    pub tags: Vec<String>,
    /// `--build-arg`
    pub args: BTreeMap<String, String>,
    /// Labels that win over those of the Dockerfile.
    pub labels: BTreeMap<String, String>,
    /// The stage to build; the last one unless named.
    pub target: Option<String>,
    /// Run every step again.
    pub no_cache: bool,
    /// Run every step of these stages again.
    pub no_cache_filter: Vec<String>,
    /// Where steps that are not cached here are looked for, in order.
    pub cache_from: Vec<CacheSource>,
    /// Where the steps are written afterwards.
    pub cache_to: Vec<CacheTarget>,
    /// What to build for; this machine's kind unless said.
    pub platform: Option<Platform>,
    /// Look for newer base images.
    pub pull: bool,
    /// Network of RUN: `none`, or the default, from which the outside can be reached.
    pub network: Option<String>,
    /// Name and address.
    pub extra_hosts: Vec<(String, String)>,
    /// Bytes of /dev/shm in RUN; 64 MiB unless said.
    pub shm_size: Option<u64>,
    /// Soft and hard limits of RUN by name (`nofile`).
    pub ulimits: BTreeMap<String, (i64, i64)>,
    /// `security.insecure`, `network.host`: what a Dockerfile may ask for.
    pub entitlements: Vec<String>,
    /// Every RUN has all privileges.
    pub privileged: bool,
    /// By id.
    pub secrets: BTreeMap<String, Secret>,
    /// Ssh agents by id.
    pub ssh: BTreeMap<String, SshAgent>,
    /// Bytes of memory that a RUN may use.
    pub memory: Option<u64>,
    /// When an instruction fails, put an image of the state before it into the store.
    pub keep_last_good: bool,
    /// Never assemble a base image from the host's packages.
    pub no_bootstrap: bool,
    /// Whether RUN is given the host's certificate authorities.
    pub host_ca: HostCa,
}

impl BuildRequest {
    /// Builds `Dockerfile` of a folder with nothing else said.
    pub fn new(context: impl Into<PathBuf>) -> Self {
        Self::of(Source::Folder(context.into()))
    }

    /// Builds `Dockerfile` of a tree with nothing else said.
    pub fn of(context: Source) -> Self {
        Self {
            context,
            dockerfile: DockerfileSource::Path(PathBuf::from("Dockerfile")),
            contexts: BTreeMap::new(),
            tags: Vec::new(),
            args: BTreeMap::new(),
            labels: BTreeMap::new(),
            target: None,
            no_cache: false,
            no_cache_filter: Vec::new(),
            platform: None,
            cache_from: Vec::new(),
            cache_to: Vec::new(),
            pull: false,
            network: None,
            extra_hosts: Vec::new(),
            shm_size: None,
            ulimits: BTreeMap::new(),
            entitlements: Vec::new(),
            privileged: false,
            secrets: BTreeMap::new(),
            ssh: BTreeMap::new(),
            memory: None,
            keep_last_good: false,
            no_bootstrap: false,
            host_ca: HostCa::default(),
        }
    }
}
