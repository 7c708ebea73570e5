//! `RUN --mount`: what of it counts for the key, and what it is on disk.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use patterns::{Ignore, clean};

use crate::build::agent::SshAgent;
use crate::build::agent_socket::Agent;
use crate::build::cache::Key;
use crate::build::cache_mount::{self, CacheFolder};
use crate::build::context::{Selected, Tree};
use crate::build::dockerfile::instruction::{RunMount, RunMountKind};
use crate::build::dockerfile::mount;
use crate::build::error::Reason;
use crate::build::execute::{Runner, State};
use crate::build::instruct;
use crate::build::owner::Owner;
use crate::build::request::Secret;
use crate::build::step::StepMount;
use crate::build::style::{Ownership, Style};
use crate::build::view::View;
use crate::build::writer::Writer;
use crate::image::staging::{self, Staging};

/// Longest secret, in bytes: as in BuildKit.
const LONGEST_SECRET: usize = 500 << 10;

/// One mount, variables expanded.
pub(super) struct Mount {
    pub options: RunMount,
    /// Absolute.
    pub target: String,
    /// What it shows, or what a new cache begins with.
    pub tree: Option<(Tree, Selected)>,
    /// A secret's content.
    secret: Option<Vec<u8>>,
    agent: Option<SshAgent>,
}

/// The mounts of one RUN.
pub(super) struct Planned {
    mounts: Vec<Mount>,
    /// What counts for the step's key.
    pub key: Vec<String>,
}

/// Mounts that are ready; what they need lives as long as this.
pub(super) struct Opened {
    pub list: Vec<StepMount>,
    _staged: Vec<Staging>,
    _caches: Vec<CacheFolder>,
    _agents: Vec<Agent>,
}

/// Reads the mounts of a RUN and finds what they show.
pub(super) fn plan(runner: &Runner<'_>, state: &State, texts: &[String], working_dir: &str) -> Result<Planned, Reason> {
    let mut planned = Planned { mounts: Vec::new(), key: Vec::new() };
    let mut agents = 0;
    for text in texts {
        let options = mount::parse(text, &|value| state.scope.word(value)).map_err(Reason::Syntax)?;
        let mut mount = Mount { target: String::new(), tree: None, secret: None, agent: None, options };
        let options = &mount.options;
        let written = match (options.target.as_deref(), options.kind) {
            (Some(target), _) => target.to_owned(),
            (None, RunMountKind::Secret) => format!("/run/secrets/{}", secret_id(options)),
            (None, RunMountKind::Ssh) => format!("/run/buildkit/ssh_agent.{agents}"),
            (None, RunMountKind::Bind | RunMountKind::Cache | RunMountKind::Tmpfs) => String::new(),
        };
        mount.target = match written.starts_with('/') {
            true => clean(&written),
            false => clean(&format!("/{working_dir}/{written}")),
        };
        let mut seen = format!("{options:?} {}", mount.target);
        match options.kind {
            RunMountKind::Tmpfs => {}
            RunMountKind::Cache if options.from.is_none() => {}
            RunMountKind::Bind | RunMountKind::Cache => {
                let source = options.source.as_deref().unwrap_or("/");
                let opened = instruct::tree(runner, options.from.as_deref())?;
                let selected = opened.select(source)?.into_iter().next();
                let selected = selected.ok_or_else(|| Reason::Syntax(format!("nothing matches `{source}`")))?;
                if options.kind == RunMountKind::Bind {
                    let key = opened.key(Key::new("mount"), &selected, &Ignore::default(), &runner.job.hashes)?;
                    seen.push_str(&key.finish().hex());
                }
                mount.tree = Some((opened, selected));
            }
            RunMountKind::Secret => mount.secret = secret(runner, options)?,
            RunMountKind::Ssh => {
                agents += 1;
                let id = options.id.as_deref().unwrap_or("default");
                mount.agent = runner.job.request.ssh.get(id).cloned();
                if options.required && mount.agent.is_none() {
                    return Err(Reason::NoAgent(id.to_owned()));
                }
            }
        }
        planned.key.push(seen);
        planned.mounts.push(mount);
    }
    Ok(planned)
}

fn secret_id(options: &RunMount) -> String {
    let name = |path: &String| path.rsplit('/').next().unwrap_or_default().to_owned();
    let id = options.id.clone().or_else(|| options.source.as_ref().map(name));
    id.or_else(|| options.target.as_ref().map(name)).unwrap_or_default()
}

/// One that is not given is no mistake unless it is required: then the file is absent.
fn secret(runner: &Runner<'_>, options: &RunMount) -> Result<Option<Vec<u8>>, Reason> {
    let id = secret_id(options);
    let content = match runner.job.request.secrets.get(&id) {
        None if options.required => return Err(Reason::NoSecret(id)),
        None => return Ok(None),
        Some(Secret::Value(content)) => content.clone(),
        Some(Secret::File(path)) => std::fs::read(path).map_err(|source| {
            let act = format!("read secret `{id}` from `{}`", path.display());
            Reason::Io { act, source }
        })?,
    };
    if content.len() > LONGEST_SECRET {
        return Err(Reason::Syntax(format!("secret `{id}` is too big: a secret has at most 500 KiB")));
    }
    Ok(Some(content))
}

impl Planned {
    /// Returns the variables that the mounts set, as `KEY=value`: nothing remembers them.
    pub fn environment(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for mount in &self.mounts {
            if let (Some(name), Some(content)) = (&mount.options.env, &mount.secret) {
                lines.push(format!("{name}={}", String::from_utf8_lossy(content)));
            }
        }
        let agent = self.mounts.iter().find(|mount| mount.agent.is_some());
        lines.extend(agent.map(|mount| format!("SSH_AUTH_SOCK={}", mount.target)));
        lines
    }
}

/// Makes what the mounts show: copies of what is bound, the folders of caches, the files of secrets.
pub(super) fn open(runner: &Runner<'_>, state: &State, planned: &Planned) -> Result<Opened, Reason> {
    let io = |source| Reason::Io { act: "prepare a mount".to_owned(), source };
    let mut opened = Opened { list: Vec::new(), _staged: Vec::new(), _caches: Vec::new(), _agents: Vec::new() };
    for mount in &planned.mounts {
        let options = &mount.options;
        let bind =
            |source: PathBuf, read_only: bool| StepMount::Bind { source, target: mount.target.clone(), read_only };
        match options.kind {
            RunMountKind::Tmpfs => {
                let size = options.size.as_deref().map(bytes).transpose().map_err(Reason::Syntax)?;
                opened.list.push(StepMount::Tmpfs { target: mount.target.clone(), size });
            }
            RunMountKind::Cache => {
                let space = state.scope.given("BUILDKIT_CACHE_MOUNT_NS").unwrap_or_default();
                let folder = cache_mount::open(runner.job.rt, mount, space)?;
                opened.list.push(bind(folder.path.clone(), options.read_only.unwrap_or(false)));
                opened._caches.push(folder);
            }
            RunMountKind::Bind => {
                let Some((tree, selected)) = &mount.tree else { continue };
                let read_only = options.read_only.unwrap_or(true);
                if let Some(real) = as_it_lies(tree, selected)?.filter(|_| read_only) {
                    opened.list.push(bind(real, true));
                    continue;
                }
                let staged = staging::create(runner.job.rt).map_err(io)?;
                let top = staged.path.join("bound");
                std::fs::create_dir(&top).map_err(io)?;
                copy(tree, selected, &top, "bound")?;
                opened.list.push(bind(top.join("bound"), read_only));
                opened._staged.push(staged);
            }
            RunMountKind::Secret => {
                let Some(content) = &mount.secret else { continue };
                if options.env.is_some() && options.target.is_none() {
                    continue;
                }
                let staged = staging::create(runner.job.rt).map_err(io)?;
                let file = staged.path.join("secret");
                std::fs::write(&file, content).map_err(io)?;
                give(&file, options, 0o400)?;
                opened.list.push(bind(file, true));
                opened._staged.push(staged);
            }
            RunMountKind::Ssh => {
                let Some(agent) = &mount.agent else { continue };
                let staged = staging::create(runner.job.rt).map_err(io)?;
                let path = staged.path.join("agent");
                let agent = Agent::listen(&path, agent).map_err(io)?;
                give(&path, options, 0o600)?;
                opened.list.push(bind(path, false));
                opened._agents.push(agent);
                opened._staged.push(staged);
            }
        }
    }
    Ok(opened)
}

/// Copies what a mount shows to `name` below the empty folder `top`.
pub(super) fn copy(tree: &Tree, selected: &Selected, top: &Path, name: &str) -> Result<(), Reason> {
    let io = |source| Reason::Io { act: "prepare a mount".to_owned(), source };
    let mut writer = Writer::new(top, &View::default());
    let ownership = if tree.keep_owners { Ownership::Kept } else { Ownership::Set(Owner::default()) };
    let style = Style { ownership, chmod: None };
    let base = Path::new("/").join(name);
    for entry in tree.walk(selected, &Ignore::default())? {
        let root = entry.relative.as_os_str().is_empty();
        let place = if root { base.clone() } else { base.join(&entry.relative) };
        writer.copy(&entry, &place, &style, false).map_err(io)?;
    }
    writer.finish().map_err(io)
}

/// Returns where a source lies if that can be shown without a copy: one folder holds all of it, and it is root's already.
fn as_it_lies(tree: &Tree, selected: &Selected) -> Result<Option<PathBuf>, Reason> {
    let ([root], true) = (tree.view.layers.as_slice(), tree.ignore.is_empty()) else { return Ok(None) };
    for entry in tree.walk(selected, &Ignore::default())? {
        let metadata = &entry.found.metadata;
        let roots = (metadata.uid(), metadata.gid()) == (0, 0);
        if !tree.keep_owners && !roots {
            return Ok(None);
        }
    }
    let real = root.join(selected.path.strip_prefix("/").unwrap_or(&selected.path));
    Ok(Some(real))
}

/// Gives a file the owner and the mode that a mount asks for.
pub(super) fn give(path: &Path, options: &RunMount, default_mode: u32) -> Result<(), Reason> {
    let io = |source| Reason::Io { act: "prepare a mount".to_owned(), source };
    let number = |text: &Option<String>, base, default| match text {
        Some(text) => u32::from_str_radix(text, base).map_err(|_| Reason::Syntax(format!("`{text}` is no number"))),
        None => Ok(default),
    };
    let (uid, gid) = (number(&options.uid, 10, 0)?, number(&options.gid, 10, 0)?);
    std::os::unix::fs::chown(path, Some(uid), Some(gid)).map_err(io)?;
    let mode = number(&options.mode, 8, default_mode)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(io)
}

/// Reads `64m`.
fn bytes(text: &str) -> Result<u64, String> {
    let bad = || format!("invalid size `{text}`");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| bad())?;
    let shift = match text[digits.len()..].to_lowercase().trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(bad()),
    };
    number.checked_shl(shift).ok_or_else(bad)
}
