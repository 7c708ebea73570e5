//! `RUN --mount`: tmpfs, cache, and bind; what of them counts for the key, and what they are on disk.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use patterns::{Ignore, clean};

use crate::build::cache::Key;
use crate::build::dockerfile::instruction::{RunMount, RunMountKind};
use crate::build::dockerfile::mount;
use crate::build::error::Reason;
use crate::build::execute::{Runner, State};
use crate::build::instruct;
use crate::build::owner::Owner;
use crate::build::step::StepMount;
use crate::build::view::View;
use crate::build::writer::{Ownership, Style, Writer};
use crate::image::digest::Digest;
use crate::image::staging::{self, Staging};
use crate::state::record::{self, Lock};

/// The mounts of one RUN, variables expanded.
pub(super) struct Planned {
    mounts: Vec<(RunMount, String)>,
    trees: Vec<Option<(crate::build::context::Tree, crate::build::context::Selected)>>,
    /// What counts for the step's key.
    pub key: Vec<String>,
}

/// Mounts that are ready; what they need lives as long as this.
pub(super) struct Opened {
    pub list: Vec<StepMount>,
    _staged: Vec<Staging>,
    _locks: Vec<Lock>,
}

/// Reads the mounts of a RUN and finds what they show.
pub(super) fn plan(runner: &Runner<'_>, state: &State, texts: &[String], working_dir: &str) -> Result<Planned, Reason> {
    let mut planned = Planned { mounts: Vec::new(), trees: Vec::new(), key: Vec::new() };
    for text in texts {
        let mount = mount::parse(text, &|value| state.scope.word(value)).map_err(Reason::Syntax)?;
        let target = match mount.target.as_deref().unwrap_or("") {
            path if path.starts_with('/') => clean(path),
            path => clean(&format!("/{working_dir}/{path}")),
        };
        let mut tree = None;
        let mut seen = format!("{mount:?} {target}");
        match mount.kind {
            RunMountKind::Tmpfs => {}
            RunMountKind::Cache if mount.from.is_none() => {}
            RunMountKind::Cache => return Err(Reason::Unsupported("RUN --mount=type=cache with from".to_owned())),
            RunMountKind::Secret | RunMountKind::Ssh => {
                // A secret that is not given is no mistake unless it is required: the file is absent.
                if mount.required || mount.kind == RunMountKind::Ssh {
                    return Err(Reason::Unsupported(format!("RUN --mount=type={}", mount::name(mount.kind))));
                }
            }
            RunMountKind::Bind => {
                let source = mount.source.as_deref().unwrap_or("/");
                let opened = instruct::tree(runner, state, mount.from.as_deref())?;
                let selected = opened.select(source)?.into_iter().next();
                let selected = selected.ok_or_else(|| Reason::Syntax(format!("nothing matches `{source}`")))?;
                let key = opened.key(Key::new("mount"), &selected, &Ignore::default(), &runner.job.hashes)?;
                seen.push_str(&key.finish().hex());
                tree = Some((opened, selected));
            }
        }
        planned.key.push(seen);
        planned.trees.push(tree);
        planned.mounts.push((mount, target));
    }
    Ok(planned)
}

/// Makes what the mounts show: copies of what is bound, the folders of caches.
pub(super) fn open(runner: &Runner<'_>, planned: &Planned) -> Result<Opened, Reason> {
    let io = |source| Reason::Io { act: "prepare a mount".to_owned(), source };
    let mut opened = Opened { list: Vec::new(), _staged: Vec::new(), _locks: Vec::new() };
    for ((mount, target), tree) in planned.mounts.iter().zip(&planned.trees) {
        match mount.kind {
            RunMountKind::Tmpfs => {
                let size = mount.size.as_deref().map(bytes).transpose().map_err(Reason::Syntax)?;
                opened.list.push(StepMount::Tmpfs { target: target.clone(), size });
            }
            RunMountKind::Cache => {
                let (folder, lock) = cache(runner, mount, target)?;
                opened._locks.extend(lock);
                let read_only = mount.read_only.unwrap_or(false);
                opened.list.push(StepMount::Bind { source: folder, target: target.clone(), read_only });
            }
            RunMountKind::Bind => {
                let Some((tree, selected)) = tree else { continue };
                let staged = staging::create(runner.job.rt).map_err(io)?;
                let top = staged.path.join("bound");
                std::fs::create_dir(&top).map_err(io)?;
                let mut writer = Writer::new(&top, &View::default());
                let style = Style {
                    ownership: if tree.keep_owners { Ownership::Kept } else { Ownership::Set(Owner::default()) },
                    chmod: None,
                };
                let base = PathBuf::from("/bound");
                for entry in tree.walk(selected, &Ignore::default())? {
                    let place =
                        if entry.relative.as_os_str().is_empty() { base.clone() } else { base.join(&entry.relative) };
                    writer.copy(&entry, &place, &style, false).map_err(io)?;
                }
                writer.finish().map_err(io)?;
                let read_only = mount.read_only.unwrap_or(true);
                opened.list.push(StepMount::Bind { source: top.join("bound"), target: target.clone(), read_only });
                opened._staged.push(staged);
            }
            RunMountKind::Secret | RunMountKind::Ssh => {}
        }
    }
    Ok(opened)
}

/// Opens a cache's folder; a `locked` one belongs to one step at a time.
fn cache(runner: &Runner<'_>, mount: &RunMount, target: &str) -> Result<(PathBuf, Option<Lock>), Reason> {
    let io = |source| Reason::Io { act: "open a cache".to_owned(), source };
    let id = mount.id.as_deref().unwrap_or(target);
    let name = Digest::of(id.as_bytes()).hex();
    let caches = runner.job.rt.layout.build_cache().join("mounts");
    let folder = caches.join(&name);
    let new = !folder.is_dir();
    std::fs::create_dir_all(&folder).map_err(io)?;
    if new {
        let number = |text: &Option<String>, base| match text {
            Some(text) => {
                u32::from_str_radix(text, base).map(Some).map_err(|_| Reason::Syntax(format!("`{text}` is no number")))
            }
            None => Ok(None),
        };
        let mode = number(&mount.mode, 8)?.unwrap_or(0o755);
        std::os::unix::fs::chown(&folder, number(&mount.uid, 10)?, number(&mount.gid, 10)?).map_err(io)?;
        std::fs::set_permissions(&folder, Permissions::from_mode(mode)).map_err(io)?;
    }
    let lock = match mount.sharing.as_deref() {
        Some("locked") => {
            Some(record::lock(&caches.join(format!("{name}.lock"))).map_err(crate::build::cache::CacheError::from)?)
        }
        _ => None,
    };
    Ok((folder, lock))
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
