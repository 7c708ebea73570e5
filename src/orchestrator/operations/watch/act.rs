//! What a batch of changes does to the containers of a service: files copied, programs restarted, images built anew.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use compose::Project;
use compose::model::develop::WatchAction;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

use crate::engine::Engine;
use crate::engine::archive::CopyIn;
use crate::engine::container::{ContainerId, ContainerState, StopOptions};
use crate::engine::error::{EngineError, ErrorKind};
use crate::engine::exec::{ExecIo, ExecSpec};
use crate::event::Event;
use crate::identity;
use crate::observed::{ObservedContainer, of_project};
use crate::operations::build::{BuildOptions, build};
use crate::operations::error::OperationError;
use crate::operations::restart::{RestartOptions, restart};
use crate::operations::up::{BuildChoice, UpOptions, up};
use crate::operations::watch::rules::Rule;
use crate::operations::watch::tree::{Change, Now};

/// What acts need.
#[derive(Clone)]
pub(crate) struct Ground {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) project: Arc<Project>,
    /// Never assemble an image from the host's packages.
    pub(crate) no_bootstrap: bool,
    /// Remove the images that a rebuild takes the place of.
    pub(crate) prune: bool,
    pub(crate) events: UnboundedSender<Event>,
}

/// Does what a rule says; returns how many containers it reached.
pub(crate) async fn act(ground: &Ground, rule: &Rule, changes: &[Change]) -> Result<usize, OperationError> {
    match rule.action {
        WatchAction::Sync => sync(ground, rule, changes).await,
        WatchAction::SyncRestart => {
            let reached = sync(ground, rule, changes).await?;
            restart_in_place(ground, &rule.service).await?;
            Ok(reached)
        }
        WatchAction::SyncExec => {
            let reached = sync(ground, rule, changes).await?;
            run_hook(ground, rule).await?;
            Ok(reached)
        }
        WatchAction::Restart => restart_in_place(ground, &rule.service).await,
        WatchAction::Rebuild => rebuild(ground, &rule.service).await,
    }
}

/// Returns the service's containers that run.
async fn running(ground: &Ground, service: &str) -> Result<Vec<ObservedContainer>, OperationError> {
    let labels = identity::service_filter(&ground.project.name, service);
    let mut containers = of_project(ground.engine.list_containers(&labels).await?);
    containers.retain(|container| {
        !container.identity.one_off && matches!(container.summary.state, ContainerState::Running { .. })
    });
    if containers.is_empty() {
        let message = format!("no container of `{service}` runs");
        return Err(EngineError::new(ErrorKind::NotFound, format!("service `{service}`"), message).into());
    }
    Ok(containers)
}

async fn sync(ground: &Ground, rule: &Rule, changes: &[Change]) -> Result<usize, OperationError> {
    let containers = running(ground, &rule.service).await?;
    let mut gone = Vec::new();
    let mut copied = Vec::new();
    for change in changes {
        let Some(target) = rule.container_path(&change.path) else { continue };
        match change.now {
            Now::Gone => gone.push(target),
            Now::File | Now::Folder => copied.push((change.path.clone(), target)),
        }
    }
    let (gone, copied) = (Arc::new(gone), Arc::new(copied));
    let mut tasks = JoinSet::new();
    for container in &containers {
        let (engine, id) = (Arc::clone(&ground.engine), container.summary.id.clone());
        let (gone, copied) = (Arc::clone(&gone), Arc::clone(&copied));
        tasks.spawn(async move { sync_one(&engine, &id, &gone, copied).await });
    }
    let results = tasks.join_all().await;
    results.into_iter().collect::<Result<Vec<()>, _>>()?;
    Ok(containers.len())
}

async fn sync_one(
    engine: &Arc<dyn Engine>,
    id: &ContainerId,
    gone: &[String],
    copied: Arc<Vec<(PathBuf, String)>>,
) -> Result<(), EngineError> {
    if !gone.is_empty() {
        engine.remove_paths(id, gone).await?;
    }
    if copied.is_empty() {
        return Ok(());
    }
    let failed = |error: &dyn std::fmt::Display| {
        EngineError::new(ErrorKind::Failed, id.0.clone(), format!("cannot pack the changed files: {error}"))
    };
    let (reader, writer) = io::pipe().map_err(|error| failed(&error))?;
    let packing = tokio::task::spawn_blocking(move || pack(&copied, OwnedFd::from(writer)));
    let unpacked =
        engine.copy_in(id, "/", OwnedFd::from(reader), CopyIn { keep_owners: false, replace_types: true }).await;
    let packed = packing.await.map_err(|error| failed(&error))?;
    unpacked?;
    packed.map_err(|error| failed(&error))
}

/// Writes the files as a tar whose paths start at the container's root. What is gone again is left out.
fn pack(files: &[(PathBuf, String)], pipe: OwnedFd) -> io::Result<()> {
    let mut archive = tar::Builder::new(io::BufWriter::with_capacity(1 << 16, File::from(pipe)));
    archive.follow_symlinks(false);
    for (path, target) in files {
        let Ok(metadata) = std::fs::symlink_metadata(path) else { continue };
        let mut header = tar::Header::new_gnu();
        header.set_metadata(&metadata);
        header.set_uid(0);
        header.set_gid(0);
        let name = target.trim_start_matches('/');
        if metadata.is_symlink() {
            header.set_size(0);
            archive.append_link(&mut header, name, std::fs::read_link(path)?)?;
        } else if metadata.is_dir() {
            header.set_size(0);
            archive.append_data(&mut header, format!("{name}/"), io::empty())?;
        } else if metadata.is_file() {
            // A file that grows meanwhile is sent as long as it was; its next event sends the rest.
            let Ok(file) = File::open(path) else { continue };
            let size = file.metadata()?.len();
            header.set_size(size);
            let exact = io::Read::take(io::Read::chain(file, io::repeat(0)), size);
            archive.append_data(&mut header, name, exact)?;
        }
    }
    archive.into_inner()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok(())
}

/// Restarts the service where it stands; with hooks or dependants that must follow, as `restart` does.
async fn restart_in_place(ground: &Ground, service: &str) -> Result<usize, OperationError> {
    let has_hooks = ground
        .project
        .services
        .get(service)
        .is_some_and(|service| !service.post_start.is_empty() || !service.pre_stop.is_empty());
    let has_followers = ground
        .project
        .services
        .values()
        .any(|other| other.depends_on.get(service).is_some_and(|dependency| dependency.restart));
    if has_hooks || has_followers {
        let options = RestartOptions { services: vec![service.to_owned()], ..RestartOptions::default() };
        let (engine, project) = (Arc::clone(&ground.engine), &*ground.project);
        restart(engine, &project.name, Some(project), &options, ground.events.clone()).await?;
        return Ok(1);
    }
    let labels = identity::service_filter(&ground.project.name, service);
    let containers = of_project(ground.engine.list_containers(&labels).await?);
    let mut tasks = JoinSet::new();
    for container in containers.into_iter().filter(|container| !container.identity.one_off) {
        let engine = Arc::clone(&ground.engine);
        tasks.spawn(async move { engine.restart_container(&container.summary.id, StopOptions::default()).await });
    }
    let reached = tasks.len();
    tasks.join_all().await.into_iter().collect::<Result<Vec<()>, _>>()?;
    Ok(reached)
}

/// Runs the rule's command in each container.
async fn run_hook(ground: &Ground, rule: &Rule) -> Result<(), OperationError> {
    let Some(hook) = &rule.exec else { return Ok(()) };
    let spec = ExecSpec {
        command: hook.command.clone(),
        environment: hook
            .environment
            .iter()
            .map(|(key, value)| (key.clone(), value.clone().unwrap_or_default()))
            .collect(),
        user: hook.user.clone(),
        working_dir: hook.working_dir.clone(),
        privileged: hook.privileged,
        tty: false,
        detach: false,
    };
    for container in running(ground, &rule.service).await? {
        let (output, code) = run_and_hear(&ground.engine, &container.summary.id, &spec).await?;
        if code != 0 {
            let program = hook.command.join(" ");
            let message = format!("`{program}` in `{}` ended with code {code}", container.summary.name);
            let mut error = EngineError::new(ErrorKind::Failed, container.summary.name.clone(), message);
            error.output = output.lines().rev().take(10).map(str::to_owned).collect();
            error.output.reverse();
            return Err(error.into());
        }
    }
    Ok(())
}

async fn run_and_hear(
    engine: &Arc<dyn Engine>,
    id: &ContainerId,
    spec: &ExecSpec,
) -> Result<(String, i32), EngineError> {
    let failed = |error: &dyn std::fmt::Display| {
        EngineError::new(ErrorKind::Failed, id.0.clone(), format!("cannot hear what the command says: {error}"))
    };
    let (reader, writer) = io::pipe().map_err(|error| failed(&error))?;
    let errors = writer.try_clone().map_err(|error| failed(&error))?;
    let hearing = tokio::task::spawn_blocking(move || {
        let mut text = Vec::new();
        let _ = io::Read::read_to_end(&mut { reader }, &mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    let streams = ExecIo { stdin: None, stdout: OwnedFd::from(writer), stderr: OwnedFd::from(errors), size: None };
    let code = engine.exec(id, spec, streams).await?;
    Ok((hearing.await.map_err(|error| failed(&error))?, code))
}

/// Builds the service's image; containers of another image than before are replaced.
async fn rebuild(ground: &Ground, service: &str) -> Result<usize, OperationError> {
    let services = vec![service.to_owned()];
    let before = ground.engine.list_containers(&identity::service_filter(&ground.project.name, service)).await?;
    let options =
        BuildOptions { services: services.clone(), no_bootstrap: ground.no_bootstrap, ..BuildOptions::default() };
    // The build is no part of what only one command at a time may do.
    build(Arc::clone(&ground.engine), &ground.project, &options, ground.events.clone()).await?;
    let options = UpOptions {
        services,
        build: BuildChoice::Never,
        no_deps: true,
        no_bootstrap: ground.no_bootstrap,
        ignore_orphans: true,
        ..UpOptions::default()
    };
    let report = up(Arc::clone(&ground.engine), &ground.project, &options, ground.events.clone()).await?;
    if ground.prune {
        let kept: Vec<&String> = report.containers.iter().map(|container| &container.image_id).collect();
        for old in before.iter().map(|container| &container.image_id).filter(|old| !kept.contains(old)) {
            // Another container or name may hold it: then it stays.
            let _ = ground.engine.untag_image(old, false).await;
        }
    }
    Ok(report.containers.len())
}
