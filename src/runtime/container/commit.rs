//! Makes an image of a container: its image's layers and one more, of what it changed.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use crate::Runtime;
use crate::build::dockerfile::decode;
use crate::build::dockerfile::instruction::Act;
use crate::build::host_ca;
use crate::build::metadata::{self, Applied, Settings};
use crate::build::scope::Scope;
use crate::container::act::ActError;
use crate::container::list::{self, Container, FindError};
use crate::container::pause;
use crate::image::config::{ContainerConfig, History, ImageConfig};
use crate::image::reference::{Reference, ReferenceError};
use crate::image::store::{self, StoreError};
use crate::snapshot::diff::{self, DiffError};
use crate::snapshot::unpack::{self, UnpackError};
use crate::state::container::Status;
use crate::state::occurrence;

/// How.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommitRequest {
    /// Name of the image; `None`: none.
    pub reference: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// Why.
    pub message: Option<String>,
    /// Dockerfile instructions to apply.
    pub changes: Vec<String>,
    /// Freeze the container meanwhile.
    pub pause: bool,
    /// When, as in documents: RFC 3339.
    pub created: String,
}

/// Why no image could be made of a container.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum CommitError {
    #[error(transparent)]
    Find(#[from] FindError),
    #[error(transparent)]
    Act(#[from] ActError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    #[error("the image of the container, `{image}`, is not in the store any more")]
    NoImage { image: String },
    #[error("`{change}` can't be applied: {why}")]
    Change { change: String, why: String },
    #[error("cannot read what the container changed")]
    Read(#[source] DiffError),
    #[error("cannot keep what the container changed")]
    Keep(#[source] UnpackError),
    #[error("cannot keep what the container changed")]
    Io(#[source] io::Error),
}

/// Makes an image of a container, running or not, and returns the image's id.
pub fn commit(rt: &Runtime, name: &str, request: &CommitRequest) -> Result<String, CommitError> {
    let container = list::find(rt, name)?;
    let reference = request.reference.as_deref().map(Reference::parse).transpose()?;
    let image = store::find(rt, &container.record.image_id)?;
    let image = image.ok_or_else(|| CommitError::NoImage { image: container.record.image_reference.clone() })?;
    let mut config = image.config.clone();
    config.config = of_container(&container, &image.config.config);
    apply(&mut config, &request.changes)?;
    // While it is held, the new layer is not collected.
    let _lease = store::lease(rt)?;
    let freezes = request.pause && matches!(container.status.status, Status::Running { .. });
    if freezes {
        pause::pause(rt, &container.record.id)?;
    }
    let layer = layer(rt, &rt.layout.bundle(&container.record.id).upper());
    if freezes {
        pause::unpause(rt, &container.record.id)?;
    }
    config.rootfs.diff_ids.push(layer?.diff_id);
    config.created = Some(request.created.clone());
    config.author = request.author.clone().or(config.author);
    config.history.push(History {
        created: Some(request.created.clone()),
        created_by: Some(container.record.process.args.join(" ")),
        author: request.author.clone(),
        comment: request.message.clone(),
        ..History::default()
    });
    let tags: Vec<Reference> = reference.into_iter().collect();
    let id = store::put(rt, &config.to_json(), &tags)?.id.to_string();
    let more = [("imageID", id.clone()), ("imageRef", request.reference.clone().unwrap_or_default())];
    occurrence::of_container(&rt.layout, &container.record, "commit", &more);
    Ok(id)
}

/// The layer is made of a copy: the container goes on with its own.
fn layer(rt: &Runtime, upper: &Path) -> Result<crate::image::layers::Layer, CommitError> {
    let (read, write) = io::pipe().map_err(CommitError::Io)?;
    std::thread::scope(|scope| {
        let writing = scope.spawn(move || {
            let mut out = BufWriter::with_capacity(128 << 10, File::from(std::os::fd::OwnedFd::from(write)));
            diff::tar(upper, &mut out)?;
            out.flush().map_err(DiffError::Write)
        });
        let made = unpack::unpack(rt, File::from(std::os::fd::OwnedFd::from(read)), None);
        // The writer's error is the cause of the reader's.
        match writing.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) if made.is_err() || !matches!(error, DiffError::Write(_)) => {
                return Err(CommitError::Read(error));
            }
            Ok(Err(error)) => return Err(CommitError::Read(error)),
            Err(_) => return Err(CommitError::Io(io::Error::other("the thread that reads it has panicked"))),
        }
        made.map_err(CommitError::Keep)
    })
}

/// How the container runs, as an image says it.
fn of_container(container: &Container, image: &ContainerConfig) -> ContainerConfig {
    let record = &container.record;
    let mut config = image.clone();
    config.user.clone_from(&record.process.user);
    config.env.clone_from(&record.process.env);
    // What the host's network asks for is no part of the image.
    config.env.retain(|line| line.split_once('=').is_none_or(|(_, value)| value != host_ca::TARGET));
    config.working_dir.clone_from(&record.process.cwd);
    config.labels.clone_from(&record.labels);
    config.exposed_ports.clone_from(&record.exposed);
    let entrypoint = image.entrypoint.clone().unwrap_or_default();
    match record.process.args.strip_prefix(&*entrypoint) {
        Some(rest) => config.cmd = Some(rest.to_vec()).filter(|rest| !rest.is_empty()),
        None => {
            config.entrypoint = None;
            config.cmd = Some(record.process.args.clone());
        }
    }
    config
}

/// Applies Dockerfile instructions that change only how the image runs.
fn apply(config: &mut ImageConfig, changes: &[String]) -> Result<(), CommitError> {
    let mut scope = Scope::default();
    for pair in &config.config.env {
        if let Some((name, value)) = pair.split_once('=') {
            scope.set(name, value.to_owned());
        }
    }
    scope.environment =
        config.config.env.iter().filter_map(|pair| pair.split_once('=')).map(|(a, b)| (a.into(), b.into())).collect();
    let (mut cmd_is_own, mut author) = (true, None);
    for change in changes {
        let failed = |why: String| CommitError::Change { change: change.clone(), why };
        let read = decode::dockerfile(&format!("FROM scratch\n{change}")).map_err(|error| failed(error.to_string()))?;
        for instruction in read.stages.iter().flat_map(|stage| &stage.instructions) {
            if let Act::Workdir(folder) = &instruction.act {
                let folder = scope.word(folder).map_err(failed)?;
                let folder = Path::new("/").join(&config.config.working_dir).join(folder);
                config.config.working_dir = folder.to_string_lossy().into_owned();
                continue;
            }
            let mut settings = Settings {
                config: &mut config.config,
                scope: &mut scope,
                cmd_is_own: &mut cmd_is_own,
                author: &mut author,
            };
            if metadata::apply(&mut settings, &instruction.act).map_err(failed)? == Applied::Layer {
                return Err(failed(format!("{} is not only about how an image runs", instruction.keyword)));
            }
        }
    }
    Ok(())
}
