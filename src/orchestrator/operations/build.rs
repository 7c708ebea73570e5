//! `build`: builds the images of services that have a `build` section.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use compose::Project;
use tokio::sync::mpsc::UnboundedSender;

use crate::desired::desired;
use crate::engine::Engine;
use crate::event::Event;
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
    let buildable: BTreeSet<String> =
        scope.services.into_iter().filter(|name| desired.services[name].build.is_some()).collect();
    let choice = UpOptions { build: BuildChoice::Always, no_bootstrap: options.no_bootstrap, ..UpOptions::default() };
    let mut actions = image_actions(&desired, &Observed::default(), &buildable, &choice).map_err(OperationError::of)?;
    for action in &mut actions {
        if let Step::BuildImage(spec) = &mut action.step {
            spec.no_cache |= options.no_cache;
            spec.pull |= options.pull;
            spec.args.extend(options.args.clone());
        }
    }
    let mut plan = Plan::default();
    let references = propose_images(&mut plan, actions).into_keys().collect();
    OperationError::check(execute(engine, &plan, None, events).await)?;
    Ok(references)
}
