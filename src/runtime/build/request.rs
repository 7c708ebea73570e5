//! What a build is asked for.

use std::collections::BTreeMap;
use std::path::PathBuf;

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
    /// Sockets of ssh agents by id.
    pub ssh: BTreeMap<String, PathBuf>,
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
            pull: false,
            network: None,
            extra_hosts: Vec::new(),
            shm_size: None,
            ulimits: BTreeMap::new(),
            entitlements: Vec::new(),
            privileged: false,
            secrets: BTreeMap::new(),
            ssh: BTreeMap::new(),
            no_bootstrap: false,
            host_ca: HostCa::default(),
        }
    }
}
