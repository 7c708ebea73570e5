//! Carries one step out: an arm each, one call of the engine where one is enough.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::engine::Engine;
use crate::engine::container::{ContainerId, ContainerState};
use crate::engine::error::{EngineError, ErrorKind};
use crate::engine::image::ImageSummary;
use crate::event::{Attachment, Event, ProgressSink};
use crate::execute::provider::{self, Variables};
use crate::execute::{hooks, model_runner, pre_start, readiness, taken};
use crate::identity;
use crate::plan::{Cause, ContainerSource, Step, WaitStep};

/// What a step leaves for later ones.
#[derive(Debug, Clone, PartialEq)]
pub enum Product {
    /// Nothing.
    Nothing,
    /// A container.
    Container(ContainerId),
    /// An image.
    Image(Box<ImageSummary>),
    /// Variables for what depends on a provider.
    Variables(Variables),
    /// Address of a model.
    Endpoint(String),
}

/// A step with all that earlier ones have made for it.
pub(crate) struct Task {
    pub step: Step,
    pub container: Option<ContainerId>,
    /// Names and ids of the containers of a wait.
    pub waits_for: Vec<(String, ContainerId)>,
    /// Id of the image that a container is created from, where this plan has brought it.
    pub image: Option<String>,
    pub cause: Cause,
    pub deadline: Option<Instant>,
}

/// Carries a task out.
pub(crate) async fn perform(
    engine: &Arc<dyn Engine>,
    task: Task,
    events: &UnboundedSender<Event>,
) -> Result<Product, EngineError> {
    match carry_out(engine, &task, events).await {
        Err(error) if error.kind == ErrorKind::NotFound => taken::judge(engine, &task, error).await,
        result => result,
    }
}

async fn carry_out(
    engine: &Arc<dyn Engine>,
    task: &Task,
    events: &UnboundedSender<Event>,
) -> Result<Product, EngineError> {
    let progress = |subject: &str| ProgressSink::to(events, subject);
    let subject = task.step.subject().1;
    let container = || {
        let message = format!("container `{subject}` was not created");
        task.container.as_ref().ok_or_else(|| EngineError::new(ErrorKind::NotFound, subject.clone(), message))
    };
    match &task.step {
        Step::PullImage(spec) => {
            let image = engine.pull_image(spec, &progress(&spec.reference)).await?;
            return Ok(Product::Image(Box::new(image)));
        }
        Step::BuildImage(spec) => {
            let image = engine.build_image(spec, &progress(&subject)).await?;
            return Ok(Product::Image(Box::new(image)));
        }
        Step::RemoveImage(reference) => engine.remove_image(reference).await?,
        Step::CreateNetwork(spec) => engine.create_network(spec).await?,
        Step::RemoveNetwork(name) => engine.remove_network(name).await?,
        Step::CreateVolume(spec) => engine.create_volume(spec).await?,
        Step::RemoveVolume(name) => engine.remove_volume(name).await?,
        Step::CreateContainer(new) => {
            let id = match &task.image {
                None => engine.create_container(&new.spec).await?,
                Some(image) => {
                    let mut spec = new.spec.clone();
                    spec.labels.insert(identity::IMAGE.into(), image.clone());
                    engine.create_container(&spec).await?
                }
            };
            return Ok(Product::Container(id));
        }
        Step::StartContainer { container: reference, service, number } => {
            let id = container()?;
            let fresh = matches!(reference.source, ContainerSource::Created(_));
            let before = if fresh { None } else { last_end(engine, id).await };
            let _ = events.send(Event::Attach(Attachment {
                id: id.clone(),
                name: reference.name.clone(),
                service: service.clone(),
                number: *number,
                since: (!fresh).then(SystemTime::now),
                before,
            }));
            engine.start_container(id).await?;
        }
        Step::StopContainer { options, .. } => {
            let id = container()?;
            engine.stop_container(id, options.clone()).await?;
            // With a grace of nothing it would not have been waited for anyway.
            if options.grace != Some(Duration::ZERO)
                && let Some(signal) = engine.uncaught_stop_signal(id).await
            {
                let text = format!(
                    "`{subject}` does not catch {signal}: it was interrupted or killed, not waited for; with `init: true` the signal would end it"
                );
                let _ = events.send(Event::Warning(text));
            }
        }
        Step::KillContainer { signal, .. } => engine.kill_container(container()?, signal).await?,
        Step::RemoveContainer { anonymous_volumes, .. } => {
            engine.remove_container(container()?, *anonymous_volumes).await?;
        }
        Step::RenameContainer { name, .. } => engine.rename_container(container()?, name).await?,
        Step::RunHook { moment, exec, .. } => hooks::run(engine, container()?, &subject, *moment, exec, events).await?,
        Step::Wait(wait) => wait_for_all(engine, wait, task, events).await?,
        Step::RunPreStart(hook) => pre_start::run(engine, hook, events).await?,
        // What a dry run would change is not only in the engine.
        Step::CallProvider { .. } | Step::PrepareModel(_) if engine.is_dry() => {}
        Step::CallProvider { provider, call } => {
            return Ok(Product::Variables(provider::call(provider, *call, events).await?));
        }
        Step::PrepareModel(model) => return Ok(Product::Endpoint(model_runner::prepare(model, events).await?)),
    }
    Ok(Product::Nothing)
}

async fn wait_for_all(
    engine: &Arc<dyn Engine>,
    wait: &WaitStep,
    task: &Task,
    events: &UnboundedSender<Event>,
) -> Result<(), EngineError> {
    let mut waits = JoinSet::new();
    for (name, id) in task.waits_for.clone() {
        let (engine, wait) = (Arc::clone(engine), wait.clone());
        let (needed_by, deadline) = (needed_by(&task.cause), task.deadline);
        waits.spawn(async move { readiness::wait(&engine, &id, &name, &wait, &needed_by, deadline).await });
    }
    while let Some(joined) = waits.join_next().await {
        match joined {
            Ok(Ok(())) => {}
            Ok(Err(error)) if wait.required => return Err(error),
            Ok(Err(error)) => {
                let _ = events.send(Event::Warning(format!("{error}; going on, since it is not required")));
                return Ok(());
            }
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => {}
        }
    }
    Ok(())
}

fn needed_by(cause: &Cause) -> Vec<String> {
    if let Cause::NeededBy(services) = cause { services.clone() } else { Vec::new() }
}
/// Returns when a container's last run ended.
async fn last_end(engine: &Arc<dyn Engine>, id: &ContainerId) -> Option<SystemTime> {
    match engine.inspect_container(&id.0).await.ok()?.state {
        ContainerState::Exited { at, .. } => Some(at),
        ContainerState::Created
        | ContainerState::Running { .. }
        | ContainerState::Paused { .. }
        | ContainerState::Restarting { .. }
        | ContainerState::Dead { .. }
        | ContainerState::Removed => None,
    }
}
