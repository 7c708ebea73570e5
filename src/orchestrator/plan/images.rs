//! Which images must be pulled or built.

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::build::BUILT;
use crate::desired::{ContextImage, Desired, DesiredService};
use crate::engine::error::{EngineError, ErrorKind};
use crate::engine::image::{BuildSpec, PullSpec};
use crate::event::Failure;
use crate::observed::Observed;
use crate::plan::options::{BuildChoice, PullChoice, UpOptions};
use crate::plan::plan::{Plan, StepId};
use crate::plan::step::{Cause, Step};

/// An image to get, for one or more services.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageAction {
    /// Its reference.
    pub reference: String,
    /// Services that run it.
    pub services: BTreeSet<String>,
    /// Pull or build.
    pub step: Step,
    /// Why.
    pub cause: Cause,
    /// `services.web.image`
    pub path: String,
}

impl ImageAction {
    /// Returns the images of other services that its build stands on.
    pub fn contexts(&self) -> Vec<String> {
        let Step::BuildImage(spec) = &self.step else { return Vec::new() };
        spec.additional_contexts.values().filter_map(|text| text.strip_prefix(BUILT)).map(str::to_owned).collect()
    }
}

enum Choice {
    Present,
    Pull(Cause),
    Build(Cause),
    Impossible(EngineError),
}

/// Returns what must be pulled or built for the services in `scope`: one action an image.
pub fn image_actions(
    desired: &Desired,
    observed: &Observed,
    scope: &BTreeSet<String>,
    options: &UpOptions,
) -> Result<Vec<ImageAction>, Vec<Failure>> {
    let mut actions: BTreeMap<String, ImageAction> = BTreeMap::new();
    let mut failures = Vec::new();
    let contexts = contexts(desired, observed, scope, options);
    let scope: BTreeSet<&String> = scope.iter().chain(&contexts.services).collect();
    let services = || desired.services.values().filter(|service| scope.contains(&&service.name));
    // Builders first: a service that runs what another one builds must not pull it.
    for service in
        services().filter(|service| service.build.is_some()).chain(services().filter(|service| service.build.is_none()))
    {
        if let Some(known) = actions.get_mut(&service.image)
            && service.build.is_none()
        {
            known.services.insert(service.name.clone());
            continue;
        }
        let present = observed.images.contains_key(&service.image);
        let chosen = match contexts.services.contains(&service.name) && service.build.is_some() {
            // As a stage of the build that stands on it: what has not changed is cached.
            true if !options.images_done.contains(&service.image) => Choice::Build(Cause::Requested),
            true | false => choose(service, present, options),
        };
        let (step, cause, attribute) = match chosen {
            Choice::Present => continue,
            Choice::Impossible(error) => {
                failures.push(Failure::new(error, Some(format!("services.{}.image", service.name))));
                continue;
            }
            Choice::Pull(cause) => {
                let pull = PullSpec {
                    reference: service.image.clone(),
                    platform: service.replica(1).platform,
                    no_bootstrap: options.no_bootstrap,
                };
                (Step::PullImage(pull), cause, "image")
            }
            Choice::Build(cause) => {
                let Some(mut build) = service.build.clone() else { continue };
                build.no_bootstrap = options.no_bootstrap;
                build.pull |= options.pull == PullChoice::Always;
                (Step::BuildImage(Box::new(build)), cause, "build")
            }
        };
        // Two services may build images of their own and give them the same name: the last one wins, as in a shell.
        let entry = actions.entry(service.image.clone()).or_insert_with(|| ImageAction {
            reference: service.image.clone(),
            services: BTreeSet::new(),
            step,
            cause,
            path: format!("services.{}.{attribute}", service.name),
        });
        entry.services.insert(service.name.clone());
    }
    for service in services() {
        hook_images(&mut actions, observed, service, options);
    }
    for name in &contexts.others {
        let wanted = &desired.contexts[name];
        if !actions.contains_key(&wanted.image)
            && !options.images_done.contains(&wanted.image)
            && let Some(action) = of_context(name, wanted, observed, options)
        {
            actions.insert(wanted.image.clone(), action);
        }
    }
    if failures.is_empty() { Ok(actions.into_values().collect()) } else { Err(failures) }
}

/// Adds the images that `pre_start` hooks have of their own: they are pulled as the service's would be.
fn hook_images(
    actions: &mut BTreeMap<String, ImageAction>,
    observed: &Observed,
    service: &DesiredService,
    options: &UpOptions,
) {
    for hook in service.pre_start.iter().filter(|hook| hook.own_image) {
        let reference = &hook.spec.image;
        let present = observed.images.contains_key(reference) || options.images_done.contains(reference);
        let always = options.pull == PullChoice::Always
            || (options.pull == PullChoice::Policy && service.pull_policy.as_deref() == Some("always"));
        let wanted = !present || (always && !options.images_done.contains(reference));
        if !wanted || actions.contains_key(reference) || options.pull == PullChoice::Never {
            continue;
        }
        let pull = PullSpec {
            reference: reference.clone(),
            platform: hook.spec.platform.clone(),
            no_bootstrap: options.no_bootstrap,
        };
        let action = ImageAction {
            reference: reference.clone(),
            services: BTreeSet::new(),
            step: Step::PullImage(pull),
            cause: if present { Cause::PullPolicy } else { Cause::Missing },
            path: format!("services.{}.pre_start[{}].image", service.name, hook.index),
        };
        actions.insert(reference.clone(), action);
    }
}

fn choose(service: &DesiredService, present: bool, options: &UpOptions) -> Choice {
    if options.images_done.contains(&service.image) {
        return Choice::Present;
    }
    let policy = match options.pull {
        PullChoice::Policy => service.pull_policy.as_deref().unwrap_or("missing"),
        PullChoice::Always => "always",
        PullChoice::Missing => "missing",
        PullChoice::Never => "never",
    };
    if service.build.is_some() {
        let always = options.build == BuildChoice::Always || policy == "build";
        return match options.build {
            BuildChoice::Always | BuildChoice::IfMissing if always => Choice::Build(Cause::Requested),
            BuildChoice::IfMissing | BuildChoice::Always if !present => Choice::Build(Cause::Missing),
            BuildChoice::Never if !present => {
                let message = format!("image `{}` is not in the store, and building is off", service.image);
                let error = EngineError::new(ErrorKind::NotFound, format!("image `{}`", service.image), message);
                Choice::Impossible(error.hint("leave out `--no-build`, or run `build` first"))
            }
            BuildChoice::IfMissing | BuildChoice::Always | BuildChoice::Never => Choice::Present,
        };
    }
    match (policy, present) {
        ("always", _) => Choice::Pull(Cause::PullPolicy),
        ("never", false) => {
            let message = format!("image `{}` is not in the store, and pulling is off", service.image);
            let error = EngineError::new(ErrorKind::NotFound, format!("image `{}`", service.image), message);
            Choice::Impossible(error.hint("take `pull_policy: never` or `--pull never` away, or load the image"))
        }
        (_, false) => Choice::Pull(Cause::Missing),
        (_, true) => Choice::Present,
    }
}

/// What the builds in a scope stand on.
#[derive(Default)]
struct Contexts {
    /// Services of the project.
    services: BTreeSet<String>,
    /// Services that are not enabled.
    others: BTreeSet<String>,
}

/// Finds the services whose images are contexts of builds in `scope`, theirs too.
fn contexts(desired: &Desired, observed: &Observed, scope: &BTreeSet<String>, options: &UpOptions) -> Contexts {
    let mut contexts = Contexts::default();
    let builds = |name: &String| {
        let service = desired.services.get(name)?;
        let present = observed.images.contains_key(&service.image);
        let is_built = matches!(choose(service, present, options), Choice::Build(_));
        service.build.as_ref().filter(|_| is_built)
    };
    let mut pending: Vec<&BuildSpec> = scope.iter().filter_map(builds).collect();
    while let Some(build) = pending.pop() {
        for image in build.additional_contexts.values().filter_map(|text| text.strip_prefix(BUILT)) {
            let makers: Vec<_> = desired.services.values().filter(|other| other.image == image).collect();
            if let Some(maker) = makers.iter().find(|other| other.build.is_some()).or(makers.first()) {
                if contexts.services.insert(maker.name.clone()) {
                    pending.extend(&maker.build);
                }
            } else if let Some((name, other)) = desired.contexts.iter().find(|(_, other)| other.image == image)
                && contexts.others.insert(name.clone())
            {
                pending.extend(&other.build);
            }
        }
    }
    contexts
}

/// What is to be done for the image of a service that is not enabled; what has not changed is cached.
fn of_context(name: &str, wanted: &ContextImage, observed: &Observed, options: &UpOptions) -> Option<ImageAction> {
    let (step, attribute) = match &wanted.build {
        Some(build) => {
            let build = BuildSpec { no_bootstrap: options.no_bootstrap, ..build.clone() };
            (Step::BuildImage(Box::new(build)), "build")
        }
        None if observed.images.contains_key(&wanted.image) => return None,
        None => {
            let (reference, platform) = (wanted.image.clone(), wanted.platform.clone());
            (Step::PullImage(PullSpec { reference, platform, no_bootstrap: options.no_bootstrap }), "image")
        }
    };
    Some(ImageAction {
        reference: wanted.image.clone(),
        services: BTreeSet::new(),
        step,
        cause: Cause::Requested,
        path: format!("services.{name}.{attribute}"),
    })
}

/// Adds the actions as steps; returns the step of each reference. A build waits for the images that are contexts of it.
pub fn propose_images(plan: &mut Plan, actions: Vec<ImageAction>) -> BTreeMap<String, StepId> {
    let contexts: Vec<_> = actions.iter().map(|action| (action.reference.clone(), action.contexts())).collect();
    let steps: BTreeMap<String, StepId> = actions
        .into_iter()
        .map(|action| (action.reference, plan.add(action.step, action.cause, Some(action.path))))
        .collect();
    for (reference, needed) in contexts {
        for image in needed.iter().filter(|image| **image != reference) {
            if let Some(before) = steps.get(image) {
                plan.needs(steps[&reference], *before);
            }
        }
    }
    steps
}
