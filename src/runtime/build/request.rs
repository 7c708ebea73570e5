//! What a build is asked for, and the build itself: read, plan, carry out, put the image into the store.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use patterns::Ignore;

use crate::Runtime;
use crate::build::context::Tree;
use crate::build::dockerfile::decode;
use crate::build::dockerfile::instruction::Dockerfile;
use crate::build::error::{BuildError, Place, Reason};
use crate::build::execute;
use crate::build::hashes::Hashes;
use crate::build::network::BuildNetwork;
use crate::build::view::View;
use crate::image::reference::Reference;
use crate::image::store::{self, Image};
use crate::progress::Reporter;

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

/// A build.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    /// A folder.
    pub context: PathBuf,
    /// What to build.
    pub dockerfile: DockerfileSource,
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
    /// Look for newer base images.
    pub pull: bool,
    /// Network of RUN: `none`, or the default, from which the outside can be reached.
    pub network: Option<String>,
    /// Name and address.
    pub extra_hosts: Vec<(String, String)>,
    /// Bytes of /dev/shm in RUN; 64 MiB unless said.
    pub shm_size: Option<u64>,
    /// Never assemble a base image from the host's packages.
    pub no_bootstrap: bool,
    /// Whether RUN is given the host's certificate authorities.
    pub host_ca: HostCa,
}

impl BuildRequest {
    /// Builds `Dockerfile` of a folder with nothing else said.
    pub fn new(context: impl Into<PathBuf>) -> Self {
        Self {
            context: context.into(),
            dockerfile: DockerfileSource::Path(PathBuf::from("Dockerfile")),
            tags: Vec::new(),
            args: BTreeMap::new(),
            labels: BTreeMap::new(),
            target: None,
            no_cache: false,
            pull: false,
            network: None,
            extra_hosts: Vec::new(),
            shm_size: None,
            no_bootstrap: false,
            host_ca: HostCa::default(),
        }
    }
}

/// All that the steps of one build share.
pub(super) struct Job<'a> {
    pub rt: &'a Runtime,
    pub request: &'a BuildRequest,
    pub reporter: &'a dyn Reporter,
    pub dockerfile: Dockerfile,
    /// Its name for people, and its lines.
    pub name: String,
    pub text: String,
    /// The build context behind its ignore file.
    pub context: Tree,
    pub hashes: Hashes,
    /// The host's certificate bundle, where RUN needs it.
    pub bundle: Option<PathBuf>,
    pub network: BuildNetwork<'a>,
}

impl Job<'_> {
    /// Makes the error of one line.
    pub fn error(&self, line: u32, reason: Reason) -> BuildError {
        BuildError { place: Some(self.place(line)), reason }
    }

    fn place(&self, line: u32) -> Place {
        place(&self.name, &self.text, line)
    }
}

fn place(name: &str, text: &str, line: u32) -> Place {
    let index = usize::try_from(line).unwrap_or(0).saturating_sub(1);
    let text = text.lines().nth(index).unwrap_or_default().trim().to_owned();
    Place { dockerfile: name.to_owned(), line, text }
}

/// Builds an image and puts it into the store. What is cached is not done again.
pub fn build(rt: &Runtime, request: &BuildRequest, reporter: &dyn Reporter) -> Result<Image, BuildError> {
    let tags: Vec<Reference> = request
        .tags
        .iter()
        .map(|tag| Reference::parse(tag).map_err(|error| BuildError::nowhere(Reason::Store(error.into()))))
        .collect::<Result<_, _>>()?;
    let root = request.context.canonicalize().and_then(|root| std::fs::read_dir(&root).map(|_| root));
    let root = root.map_err(|source| {
        let path = request.context.clone();
        BuildError::nowhere(match source.kind() {
            ErrorKind::NotFound => Reason::NoContext { path },
            _ => Reason::Context { path, source },
        })
    })?;
    let (name, path, text) = read(&root, &request.dockerfile)?;
    let dockerfile = decode::dockerfile(&text).map_err(|error| BuildError {
        place: Some(place(&name, &text, error.line)),
        reason: Reason::Syntax(error.message),
    })?;
    let ignore = ignore(&root, path.as_deref())?;
    let job = Job {
        rt,
        request,
        reporter,
        dockerfile,
        name,
        text,
        hashes: Hashes::load(rt, &root),
        context: Tree { view: View::new(vec![root]), ignore, keep_owners: false },
        bundle: crate::build::host_ca::bundle(request.host_ca),
        network: BuildNetwork::new(rt),
    };
    let store = |error| BuildError::nowhere(Reason::Store(error));
    // No layer of ours may be collected before the image has it.
    let _lease = store::lease(rt).map_err(store)?;
    let result = execute::execute(&job);
    // What was read stays known after a failed build too. The digests are a convenience: not keeping them is no failure.
    if let Err(error) = job.hashes.save() {
        tracing::debug!(%error, "the digests of the context were not kept");
    }
    let mut config = result?;
    config.config.labels.extend(request.labels.clone());
    store::put(rt, &config.to_json(), &tags).map_err(store)
}

/// Returns the Dockerfile's name for people, its path and its text.
fn read(root: &Path, source: &DockerfileSource) -> Result<(String, Option<PathBuf>, String), BuildError> {
    match source {
        DockerfileSource::Inline(text) => Ok(("Dockerfile".to_owned(), None, text.clone())),
        DockerfileSource::Path(path) => {
            let full = root.join(path);
            let bytes = std::fs::read(&full).map_err(|source| {
                let path = full.clone();
                BuildError::nowhere(match source.kind() {
                    ErrorKind::NotFound => Reason::NoDockerfile { path },
                    _ => Reason::Dockerfile { path, source },
                })
            })?;
            Ok((path.display().to_string(), Some(full), String::from_utf8_lossy(&bytes).into_owned()))
        }
    }
}

/// `<Dockerfile>.dockerignore` counts before the context's own.
fn ignore(root: &Path, dockerfile: Option<&Path>) -> Result<Ignore, BuildError> {
    let beside = dockerfile.map(|path| {
        let mut name = path.as_os_str().to_owned();
        name.push(".dockerignore");
        PathBuf::from(name)
    });
    for path in beside.into_iter().chain([root.join(".dockerignore")]) {
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                return Ignore::parse(&text).map_err(|message| {
                    BuildError::nowhere(Reason::Syntax(format!("`{}`: {message}", path.display())))
                });
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(source) => return Err(BuildError::nowhere(Reason::Context { path, source })),
        }
    }
    Ok(Ignore::default())
}
