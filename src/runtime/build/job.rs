//! One build: read, plan, carry out, put the image into the store.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use patterns::Ignore;

use crate::Runtime;
use crate::acquire::{self, AcquireOptions};
use crate::build::carried::{self, Done, INLINE, Imports};
use crate::build::context::Tree;
use crate::build::dockerfile::decode;
use crate::build::dockerfile::instruction::Dockerfile;
use crate::build::error::{BuildError, Place, Reason};
use crate::build::execute::Built;
use crate::build::hashes::Hashes;
use crate::build::network::BuildNetwork;
use crate::build::request::{BuildRequest, CachePlace, DockerfileSource, Source};
use crate::build::sources::{self, Opened};
use crate::build::{epoch, execute, lint, platforms};
use crate::image::manifest::Platform;
use crate::image::reference::Reference;
use crate::image::store::{self, Image};
use crate::progress::{Report, Reporter};

/// A cell that one of many fills and the others wait for.
type Cell<T> = Arc<OnceLock<Result<T, Arc<acquire::AcquireError>>>>;

/// Images by reference and platform.
type Images = HashMap<(String, Option<String>), Cell<Image>>;

/// All that the steps of one build share.
pub(super) struct Job<'a> {
    pub rt: &'a Runtime,
    pub request: &'a BuildRequest,
    pub reporter: &'a dyn Reporter,
    /// What is built for.
    pub platform: Platform,
    pub dockerfile: Dockerfile,
    /// Its name for people, and its lines.
    pub name: String,
    pub text: String,
    /// The build context behind its ignore file.
    pub context: Tree,
    /// Named contexts.
    pub contexts: BTreeMap<String, Opened>,
    pub hashes: Hashes,
    /// The host's certificate bundle, where RUN needs it.
    pub bundle: Option<PathBuf>,
    pub network: BuildNetwork<'a>,
    /// `SOURCE_DATE_EPOCH`: the time of everything that is made, in seconds.
    pub epoch: Option<i64>,
    images: Mutex<Images>,
    /// Caches that were carried here.
    pub imports: Imports,
    /// Steps of this build so far.
    done: Mutex<Vec<Done>>,
}

impl Job<'_> {
    /// Makes the error of one line.
    pub fn error(&self, line: u32, reason: Reason) -> BuildError {
        BuildError { place: Some(self.place(line)), reason, last_good: None }
    }

    fn place(&self, line: u32) -> Place {
        place(&self.name, &self.text, line)
    }

    /// Remembers a step.
    pub fn note(&self, done: Done) {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).push(done);
    }

    /// The steps so far: each once, those of a stage in their order.
    fn steps(&self) -> Vec<Done> {
        let mut steps = self.done.lock().unwrap_or_else(PoisonError::into_inner).clone();
        steps.sort_by_key(|done| done.stage);
        let mut seen = BTreeSet::new();
        steps.retain(|done| seen.insert(done.key));
        steps
    }

    /// Whether the image carries its cache with it.
    fn is_inline(&self) -> bool {
        let asked = self.request.args.get("BUILDKIT_INLINE_CACHE").is_some_and(|it| it == "1" || it == "true");
        asked || self.request.cache_to.iter().any(|target| target.place == CachePlace::Inline)
    }

    /// Names that stand for a tree of their own.
    pub fn names(&self) -> BTreeSet<&str> {
        self.contexts.keys().map(String::as_str).collect()
    }

    /// Gets an image of the store, or into it; the same one is asked for once in a build.
    pub fn image(&self, reference: &str, platform: Option<&str>) -> Result<Image, Reason> {
        let name = (reference.to_owned(), platform.map(str::to_owned));
        let cell = Arc::clone(self.images.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default());
        let options = AcquireOptions {
            platform: Some(platform.map_or_else(|| self.platform.to_string(), str::to_owned)),
            keep_name: true,
            no_bootstrap: self.request.no_bootstrap,
            always_pull: self.request.pull,
        };
        let result =
            cell.get_or_init(|| acquire::acquire(self.rt, reference, &options, self.reporter).map_err(Arc::new));
        result.clone().map_err(|source| Reason::Base { reference: reference.to_owned(), source })
    }
}

fn place(name: &str, text: &str, line: u32) -> Place {
    let index = usize::try_from(line).unwrap_or(0).saturating_sub(1);
    let text = text.lines().nth(index).unwrap_or_default().trim().to_owned();
    Place { dockerfile: name.to_owned(), line, text }
}

/// What one build has made: its image, and its steps for whoever carries them on.
pub(super) struct Part {
    pub image: Image,
    pub steps: Vec<Done>,
    pub chain: Vec<usize>,
}

/// Builds an image and puts it into the store. What is cached is not done again.
pub fn build(rt: &Runtime, request: &BuildRequest, reporter: &dyn Reporter) -> Result<Image, BuildError> {
    let tags = tags(request)?;
    // No layer of ours may be collected before the image has it.
    let _lease = store::lease(rt).map_err(|error| BuildError::nowhere(Reason::Store(error)))?;
    let part = build_part(rt, request, &tags, reporter)?;
    export(rt, request, &part.steps, &part.chain, reporter)?;
    Ok(part.image)
}

/// The names that the image is given.
pub(super) fn tags(request: &BuildRequest) -> Result<Vec<Reference>, BuildError> {
    platforms::parse_tags(&request.tags)
}

/// Writes the steps where they are wanted.
pub(super) fn export(
    rt: &Runtime,
    request: &BuildRequest,
    steps: &[Done],
    chain: &[usize],
    reporter: &dyn Reporter,
) -> Result<(), BuildError> {
    for target in &request.cache_to {
        match carried::export(rt, reporter, target, steps, chain) {
            Err(error) if !target.ignore_error => return Err(BuildError::nowhere(error)),
            Err(error) => reporter.report(Report::Note(format!("{error}, which is ignored as asked"))),
            Ok(()) => {}
        }
    }
    Ok(())
}

/// Builds for one platform, under a lease.
pub(super) fn build_part(
    rt: &Runtime,
    request: &BuildRequest,
    tags: &[Reference],
    reporter: &dyn Reporter,
) -> Result<Part, BuildError> {
    let opened = sources::open(rt, request, &request.context, reporter).map_err(BuildError::nowhere)?;
    let (name, path, text) = read(&opened, request)?;
    let dockerfile = decode::dockerfile(&text).map_err(|error| BuildError {
        place: Some(place(&name, &text, error.line)),
        reason: Reason::Syntax(error.message),
        last_good: None,
    })?;
    check_frontend(&dockerfile, request).map_err(BuildError::nowhere)?;
    let ignore = opened.folder.as_deref().map_or(Ok(Ignore::default()), |root| ignore(root, path.as_deref()))?;
    look_through(&text, request, &ignore, reporter).map_err(BuildError::nowhere)?;
    let root = opened.folder.clone().unwrap_or_default();
    let job = Job {
        rt,
        request,
        reporter,
        platform: request.platform.as_ref().map_or_else(Platform::host, Platform::normal),
        epoch: epoch::of(&dockerfile, request).map_err(BuildError::nowhere)?,
        dockerfile,
        name,
        text,
        hashes: Hashes::load(rt, &root),
        context: Tree { ignore, keep_owners: false, ..opened.tree.clone() },
        contexts: named(rt, request, reporter)?,
        bundle: crate::build::host_ca::bundle(request.host_ca, rt.registry.ca_file.as_deref()),
        network: BuildNetwork::new(rt),
        images: Mutex::default(),
        imports: Imports::default(),
        done: Mutex::default(),
    };
    let result = execute::execute(&job);
    // What was read stays known after a failed build too. The digests are a convenience: not keeping them is no failure.
    if let Err(error) = job.hashes.save() {
        tracing::debug!(%error, "the digests of the context were not kept");
    }
    let Built { mut config, chain } = result?;
    config.config.labels.extend(request.labels.clone());
    let steps = job.steps();
    if job.is_inline() {
        config.other.insert(INLINE.to_owned(), carried::inline(&steps, &config.rootfs.diff_ids).into());
    }
    let image = store::put(rt, &config.to_json(), tags).map_err(|error| BuildError::nowhere(Reason::Store(error)))?;
    Ok(Part { image, steps, chain })
}

/// Looks for mistakes without building anything; what it finds is an error.
pub fn check(rt: &Runtime, request: &BuildRequest, reporter: &dyn Reporter) -> Result<(), BuildError> {
    let opened = sources::open(rt, request, &request.context, reporter).map_err(BuildError::nowhere)?;
    let (name, path, text) = read(&opened, request)?;
    let ignore = opened.folder.as_deref().map_or(Ok(Ignore::default()), |root| ignore(root, path.as_deref()))?;
    let found = lint::lint(&text, request.args.get(lint::CHECK).map(String::as_str), &ignore);
    let found = found.map_err(|error| BuildError {
        place: Some(place(&name, &text, error.line)),
        reason: Reason::Syntax(error.message),
        last_good: None,
    })?;
    match found.warnings.first().map(|first| place(&name, &text, first.line)) {
        None => Ok(()),
        place => Err(BuildError { place, reason: Reason::Lint(found), last_good: None }),
    }
}

/// Tells of warnings, and fails where the Dockerfile asks that they be errors.
fn look_through(text: &str, request: &BuildRequest, ignore: &Ignore, reporter: &dyn Reporter) -> Result<(), Reason> {
    let Ok(found) = lint::lint(text, request.args.get(lint::CHECK).map(String::as_str), ignore) else { return Ok(()) };
    if found.fatal {
        return Err(Reason::Lint(found));
    }
    if !found.warnings.is_empty() {
        let (count, rules) = (found.warnings.len(), found.rules());
        reporter.report(Report::Note(format!("{count} warnings ({rules}): see `build --check`")));
    }
    Ok(())
}

/// Opens the named contexts, each behind the ignore file of its own.
fn named(
    rt: &Runtime,
    request: &BuildRequest,
    reporter: &dyn Reporter,
) -> Result<BTreeMap<String, Opened>, BuildError> {
    let open = |(name, source): (&String, &Source)| {
        let mut opened = sources::open(rt, request, source, reporter).map_err(BuildError::nowhere)?;
        if let Some(root) = opened.folder.clone() {
            opened.tree.ignore = ignore(&root, None)?;
        }
        Ok((sources::normal(name), opened))
    };
    request.contexts.iter().map(open).collect()
}

/// Only the language that is built in is spoken; a frontend is a program that nobody here runs.
fn check_frontend(dockerfile: &Dockerfile, request: &BuildRequest) -> Result<(), Reason> {
    let asked = request.args.get("BUILDKIT_SYNTAX").or_else(|| dockerfile.directives.get("syntax"));
    let Some(frontend) = asked.and_then(|text| text.split_whitespace().next()) else { return Ok(()) };
    let bare = frontend.trim_start_matches("docker.io/");
    let name = bare.split(['@', ':']).next().unwrap_or(bare);
    match ["docker/dockerfile", "docker/dockerfile-upstream"].contains(&name) {
        true => Ok(()),
        false => Err(Reason::Frontend(frontend.to_owned())),
    }
}

/// Returns the Dockerfile's name for people, its path and its text.
fn read(context: &Opened, request: &BuildRequest) -> Result<(String, Option<PathBuf>, String), BuildError> {
    let path = match &request.dockerfile {
        DockerfileSource::Inline(text) => return Ok(("Dockerfile".to_owned(), None, text.clone())),
        DockerfileSource::Path(path) => path,
    };
    let full = match (&context.folder, path.is_absolute()) {
        (Some(root), false) => root.join(path),
        (Some(_) | None, _) => path.clone(),
    };
    let full = inside(&request.context, context, full)?;
    let bytes = std::fs::read(&full).map_err(|source| {
        let path = full.clone();
        BuildError::nowhere(match source.kind() {
            ErrorKind::NotFound => Reason::NoDockerfile { path },
            _ => Reason::Dockerfile { path, source },
        })
    })?;
    Ok((path.display().to_string(), Some(full), String::from_utf8_lossy(&bytes).into_owned()))
}

/// A Dockerfile of a tree that was fetched must not lead out of it.
fn inside(source: &Source, context: &Opened, path: PathBuf) -> Result<PathBuf, BuildError> {
    let (Some(root), false) = (&context.folder, matches!(source, Source::Folder(_))) else { return Ok(path) };
    let Ok(relative) = path.strip_prefix(root) else { return Ok(path) };
    let resolved = crate::build::view::View::new(vec![root.clone()]).resolve(relative);
    let resolved = resolved.map_err(|source| BuildError::nowhere(Reason::Dockerfile { path: path.clone(), source }))?;
    Ok(root.join(resolved.strip_prefix("/").unwrap_or(&resolved)))
}

/// `<Dockerfile>.dockerignore` counts before the context's own.
pub(super) fn ignore(root: &Path, dockerfile: Option<&Path>) -> Result<Ignore, BuildError> {
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
