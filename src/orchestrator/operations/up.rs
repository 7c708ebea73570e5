//! `up`: brings the project's services to the state that the file describes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use compose::Project;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::desired::{Desired, Provided, desired, desired_with};
use crate::engine::Engine;
use crate::engine::container::{ContainerSpec, ContainerSummary};
use crate::engine::volume::VolumeSummary;
use crate::event::{Attachment, Event, Failure};
use crate::execute::{Outcome, Product, execute};
use crate::identity;
use crate::observed::{Observed, find_strangers, observe, observe_containers};
use crate::operations::error::OperationError;
use crate::operations::mute::{Mute, muted};
use crate::operations::urls::{Url, urls};
use crate::operations::{provided, undo};
use crate::plan::{ImageAction, Plan, Scope, Step, image_actions, plan_up, propose_images, scope_of};

pub use crate::plan::{BuildChoice, PullChoice, UpOptions};

/// What `up` reached.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct UpReport {
    /// Containers of the services in scope, as they are now.
    pub containers: Vec<ContainerSummary>,
    /// Ways in from the host.
    pub urls: Vec<Url>,
    /// What providers and models have given.
    pub provided: Provided,
}

/// Brings the project up; see [`UpOptions`]. Sends [`Event::Attach`] before each container starts.
pub async fn up(
    engine: Arc<dyn Engine>,
    project: &Project,
    options: &UpOptions,
    events: UnboundedSender<Event>,
) -> Result<UpReport, OperationError> {
    let mute = Mute { pulls: options.quiet_pull, builds: options.quiet_build };
    muted(mute, events, |events| bring_up(engine, project, options, events)).await
}

async fn bring_up(
    engine: Arc<dyn Engine>,
    project: &Project,
    options: &UpOptions,
    events: UnboundedSender<Event>,
) -> Result<UpReport, OperationError> {
    let mut options = options.clone();
    // Two at once would each make what the other one makes. The look comes after the wait: it sees what that one made.
    let waits = events.clone();
    let text = format!("another command brings project `{}` up: waiting for it", project.name);
    let _hold = engine.hold(&project.name, Box::new(move || drop(waits.send(Event::Warning(text))))).await?;
    let provided = provided::provide(&engine, project, &options, &events).await?;
    options.provided = true;
    let (desired, scope, mut observed) = look(&engine, project, &options, &provided).await?;
    let mut plan = plan_up(&desired, &observed, &scope, &options).map_err(OperationError::of)?;
    for text in &plan.warnings {
        let _ = events.send(Event::Warning(text.clone()));
    }
    check_containers(&engine, &plan).await?;
    check_ports(&engine, &plan.publishes).await?;
    let ahead = decisive_images(&desired, &observed, &scope, &options)?;
    if !ahead.is_empty() {
        get_images(&engine, ahead, &mut observed, &mut options, &events).await?;
        plan = plan_up(&desired, &observed, &scope, &options).map_err(OperationError::of)?;
    }
    announce(&plan, &events);
    let deadline = options.wait_timeout.map(|timeout| Instant::now() + timeout);
    let execution = execute(Arc::clone(&engine), &plan, deadline, events.clone()).await;
    if !execution.failures.is_empty() {
        return Err(undo::after_failure(&engine, &plan, execution, options.keep_failed, &events).await);
    }
    // Where nothing was done they are as they were seen.
    let seen = if plan.is_empty() { observed.containers } else { observe_containers(&engine, &project.name).await? };
    let containers: Vec<_> = seen
        .into_iter()
        .filter(|container| scope.services.contains(&container.identity.service) && !container.identity.one_off)
        .collect();
    let urls = urls(&containers);
    Ok(UpReport { containers: containers.into_iter().map(|container| container.summary).collect(), urls, provided })
}

/// Returns what [`up`] would do, a line a step; changes nothing.
pub async fn dry_run(
    engine: Arc<dyn Engine>,
    project: &Project,
    options: &UpOptions,
) -> Result<String, OperationError> {
    let plan = planned(&engine, project, options).await?;
    let warnings = plan.warnings.iter().map(|text| format!("warning: {text}\n"));
    let steps = if plan.is_empty() { "nothing to do\n".to_owned() } else { plan.to_string() };
    Ok(warnings.chain([steps]).collect())
}

/// Returns the plan of [`up`]; an image that is still to be pulled or built counts as changed.
pub async fn planned(engine: &Arc<dyn Engine>, project: &Project, options: &UpOptions) -> Result<Plan, OperationError> {
    let provided = provided::remember(engine, project).await?;
    let (desired, scope, observed) = look(engine, project, options, &provided).await?;
    plan_up(&desired, &observed, &scope, options).map_err(OperationError::of)
}

/// Returns the volumes that differ from the file: [`UpOptions::recreate_volumes`] would make them anew, and what they
/// hold would be lost. Changes nothing.
pub async fn volumes_to_recreate(
    engine: &Arc<dyn Engine>,
    project: &Project,
    options: &UpOptions,
) -> Result<Vec<String>, OperationError> {
    if project.volumes.is_empty() {
        return Ok(Vec::new());
    }
    let ours = engine.list_volumes(&[format!("{}={}", identity::PROJECT, project.name)]).await?;
    let desired = desired(project, &options.scale).map_err(OperationError::of)?;
    let differs = |volume: &VolumeSummary| {
        let mut wanted = desired.volumes.values().filter(|wanted| wanted.spec.name == volume.name);
        wanted.any(|wanted| volume.labels.get(identity::CONFIG_HASH).is_some_and(|hash| *hash != wanted.hash))
    };
    if !ours.iter().any(differs) {
        return Ok(Vec::new());
    }
    // Whether all who use it are brought up, too, is the plan's to say.
    let options = UpOptions { recreate_volumes: true, ..options.clone() };
    let plan = planned(engine, project, &options).await?;
    let removed = plan.ids().filter_map(|id| match &plan.step(id).step {
        Step::RemoveVolume(name) => Some(name.clone()),
        _ => None,
    });
    Ok(removed.collect())
}

async fn look(
    engine: &Arc<dyn Engine>,
    project: &Project,
    options: &UpOptions,
    provided: &Provided,
) -> Result<(Desired, Scope, Observed), OperationError> {
    let desired = desired_with(project, &options.scale, provided).map_err(OperationError::of)?;
    let scope = scope_of(&desired, &options.services, options.no_deps).map_err(OperationError::of)?;
    let in_scope = || desired.services.values().filter(|service| scope.services.contains(&service.name));
    let images = in_scope().flat_map(|service| {
        let hooks = service.pre_start.iter().map(|hook| hook.spec.image.clone());
        hooks.chain([service.image.clone()])
    });
    let images: BTreeSet<String> = images.collect();
    let names = in_scope().filter(|service| service.is_single()).map(|service| service.container_name(1)).collect();
    let (mut observed, strangers) =
        tokio::try_join!(observe(engine, &project.name, &images), find_strangers(engine, &project.name, &names))?;
    observed.strangers = strangers;
    Ok((desired, scope, observed))
}

/// Returns the images whose content decides whether containers that are there must be replaced: they come first.
fn decisive_images(
    desired: &Desired,
    observed: &Observed,
    scope: &Scope,
    options: &UpOptions,
) -> Result<Vec<ImageAction>, OperationError> {
    let mut actions = image_actions(desired, observed, &scope.services, options).map_err(OperationError::of)?;
    let decides = |action: &ImageAction| action.services.iter().any(|it| observed.replicas(it).next().is_some());
    let mut wanted: Vec<String> = actions.iter().filter(|it| decides(it)).map(|it| it.reference.clone()).collect();
    // What those stand on comes before them.
    let mut at = 0;
    while let Some(reference) = wanted.get(at) {
        let action = actions.iter().find(|action| action.reference == *reference);
        wanted.extend(action.map(ImageAction::contexts).unwrap_or_default());
        at += 1;
    }
    actions.retain(|action| wanted.contains(&action.reference));
    Ok(actions)
}

async fn get_images(
    engine: &Arc<dyn Engine>,
    actions: Vec<ImageAction>,
    observed: &mut Observed,
    options: &mut UpOptions,
    events: &UnboundedSender<Event>,
) -> Result<(), OperationError> {
    let mut plan = Plan::default();
    let steps = propose_images(&mut plan, actions);
    let execution = execute(Arc::clone(engine), &plan, None, events.clone()).await;
    if !execution.failures.is_empty() {
        return Err(OperationError::of(execution.failures));
    }
    for (reference, step) in steps {
        if let Some(Outcome::Done(Product::Image(image))) = execution.outcomes.get(&step) {
            observed.images.insert(reference.clone(), (**image).clone());
        }
        options.images_done.insert(reference);
    }
    Ok(())
}

/// Asks about each container that the plan makes: what the engine can't do is said before anything is done.
async fn check_containers(engine: &Arc<dyn Engine>, plan: &Plan) -> Result<(), OperationError> {
    let mut failures = Vec::new();
    for planned in plan.ids().map(|id| plan.step(id)) {
        if let Step::CreateContainer(new) = &planned.step
            && let Err(error) = engine.check_container(&new.spec).await
        {
            failures.push(Failure::new(error, planned.path.clone()));
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(OperationError::of(failures)) }
}

/// Asks, service by service and side by side, who holds the host ports that the plan needs.
async fn check_ports(engine: &Arc<dyn Engine>, publishes: &[(String, ContainerSpec)]) -> Result<(), OperationError> {
    let mut by_service: BTreeMap<&String, Vec<ContainerSpec>> = BTreeMap::new();
    for (service, spec) in publishes {
        by_service.entry(service).or_default().push(spec.clone());
    }
    let mut checks = JoinSet::new();
    for (service, specs) in by_service {
        let (engine, service) = (Arc::clone(engine), service.clone());
        checks.spawn(async move {
            let errors = engine.check_ports(&specs).await;
            (service, specs, errors)
        });
    }
    let mut failures = Vec::new();
    while let Some(joined) = checks.join_next().await {
        let (service, specs, errors) = match joined {
            Ok(checked) => checked,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => continue,
        };
        for error in errors {
            let path = port_path(&service, &specs, &error.resource);
            failures.push(Failure::new(error, Some(path)));
        }
    }
    failures.sort_by(|a, b| a.path.cmp(&b.path));
    if failures.is_empty() { Ok(()) } else { Err(OperationError::of(failures)) }
}

/// Returns the path of the port that `resource` ("host port 5000") is about.
fn port_path(service: &str, specs: &[ContainerSpec], resource: &str) -> String {
    let digits = resource.rsplit(|letter: char| !letter.is_ascii_digit()).find(|part| !part.is_empty());
    let index = digits.and_then(|digits| digits.parse::<u16>().ok()).and_then(|number| {
        specs.iter().find_map(|spec| {
            spec.ports
                .iter()
                .position(|port| port.host_ports.is_some_and(|(first, last)| (first..=last).contains(&number)))
        })
    });
    match index {
        Some(index) => format!("services.{service}.ports[{index}]"),
        None => format!("services.{service}.ports"),
    }
}

fn announce(plan: &Plan, events: &UnboundedSender<Event>) {
    for unchanged in &plan.unchanged {
        let (kind, name, state) = (unchanged.kind, unchanged.name.clone(), unchanged.state.clone());
        if let Some((id, service, number)) = &unchanged.container {
            let _ = events.send(Event::Attach(Attachment {
                id: id.clone(),
                name: name.clone(),
                service: service.clone(),
                number: *number,
                since: Some(SystemTime::now()),
                before: None,
            }));
        }
        let _ = events.send(Event::UpToDate { kind, name, state });
    }
}
