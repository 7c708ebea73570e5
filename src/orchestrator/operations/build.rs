//! `build`: builds the images of services that have a `build` section.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use compose::Project;
use tokio::sync::mpsc::UnboundedSender;

use crate::desired::{Desired, desired};
use crate::engine::Engine;
use crate::engine::image::PushSpec;
use crate::event::{Act, Event, Failure, ProgressSink, ResourceKind};
use crate::execute::execute;
use crate::observed::Observed;
use crate::operations::error::OperationError;
use crate::plan::{BuildChoice, Plan, Step, UpOptions, image_actions, propose_images, scope_of};

/// The flags of `build`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the flags of `build`, named as in Docker Compose")]
pub struct BuildOptions {
    /// Services to build, glob patterns allowed; empty: all.
    pub services: Vec<String>,
    pub no_cache: bool,
    pub pull: bool,
    /// Over those of the file.
    pub args: BTreeMap<String, Option<String>>,
    /// Never assemble a base image from the host's packages.
    pub no_bootstrap: bool,
    pub with_dependencies: bool,
    /// Send each image to its registry once it is built.
    pub push: bool,
    /// Only look for mistakes in the Dockerfiles.
    pub check: bool,
    /// Agents and keys, beside those of the file: `default`, `ID=PATH`.
    pub ssh: Vec<String>,
    /// Over those of the file.
    pub provenance: Option<String>,
    pub sbom: Option<String>,
    /// Bytes of memory that a step may use.
    pub memory: Option<u64>,
    /// Keep an image of the state before a step that fails.
    pub keep_last_good: bool,
}

/// Builds, independent images side by side; returns the references that were built.
pub async fn build(
    engine: Arc<dyn Engine>,
    project: &Project,
    options: &BuildOptions,
    events: UnboundedSender<Event>,
) -> Result<Vec<String>, OperationError> {
    let desired = desired(project, &BTreeMap::new()).map_err(OperationError::of)?;
    let scope = scope_of(&desired, &options.services, !options.with_dependencies).map_err(OperationError::of)?;
    let buildable: BTreeSet<String> = scope.services.into_iter().filter(|name| has_build(&desired, name)).collect();
    let choice = UpOptions { build: BuildChoice::Always, no_bootstrap: options.no_bootstrap, ..UpOptions::default() };
    let mut actions = image_actions(&desired, &Observed::default(), &buildable, &choice).map_err(OperationError::of)?;
    for action in &mut actions {
        if let Step::BuildImage(spec) = &mut action.step {
            spec.no_cache |= options.no_cache;
            spec.pull |= options.pull;
            spec.args.extend(options.args.clone());
            spec.check = options.check;
            spec.memory = options.memory;
            spec.keep_last_good = options.keep_last_good;
            spec.ssh.extend(options.ssh.clone());
            spec.provenance = options.provenance.clone().or(spec.provenance.take());
            spec.sbom = options.sbom.clone().or(spec.sbom.take());
        }
    }
    let mut plan = Plan::default();
    let references = propose_images(&mut plan, actions).into_keys().collect();
    OperationError::check(execute(Arc::clone(&engine), &plan, None, events.clone()).await)?;
    if options.push {
        // An image without a name in the file has no registry to go to.
        let named = buildable.iter().filter_map(|name| desired.services.get(name)).filter(|it| it.image_named);
        let images: BTreeSet<(String, String)> = named
            .flat_map(|service| {
                let tags = service.build.iter().flat_map(|build| build.tags.clone());
                tags.map(|tag| (service.name.clone(), tag))
            })
            .collect();
        push(&engine, images, &events).await?;
    }
    Ok(references)
}

fn has_build(desired: &Desired, service: &str) -> bool {
    desired.services.get(service).is_some_and(|service| service.build.is_some())
}

/// Sends the images, one after the other.
async fn push(
    engine: &Arc<dyn Engine>,
    images: BTreeSet<(String, String)>,
    events: &UnboundedSender<Event>,
) -> Result<(), OperationError> {
    let mut failures = Vec::new();
    for (service, name) in images {
        let (kind, act) = (ResourceKind::Image, Act::Push);
        let _ = events.send(Event::Started { kind, name: name.clone(), act });
        let spec = PushSpec { reference: name.clone(), platform: None };
        match engine.push_image(&spec, &ProgressSink::to(events, name.as_str())).await {
            Ok(_) => drop(events.send(Event::Done { kind, name, act })),
            Err(error) => {
                let _ = events.send(Event::Failed { kind, name, act, error: error.clone() });
                failures.push(Failure::new(error, Some(format!("services.{service}.image"))));
            }
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(OperationError::of(failures)) }
}
