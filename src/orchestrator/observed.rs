//! What exists: one snapshot a command, its calls side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::engine::Engine;
use crate::engine::container::{ContainerState, ContainerSummary};
use crate::engine::error::{EngineError, ErrorKind};
use crate::engine::image::ImageSummary;
use crate::engine::network::NetworkSummary;
use crate::engine::volume::VolumeSummary;
use crate::identity::{self, Identity};

/// A container of the project.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedContainer {
    /// What its labels say.
    pub identity: Identity,
    /// The container.
    pub summary: ContainerSummary,
}

impl ObservedContainer {
    /// Whether its program runs, or will run again by itself.
    pub fn is_up(&self) -> bool {
        self.summary.state.is_up()
    }

    /// Whether its program is frozen.
    pub fn is_paused(&self) -> bool {
        matches!(self.summary.state, ContainerState::Paused { .. })
    }
}

/// The container of a `pre_start` hook that a run has left: it was killed.
#[derive(Debug, Clone, PartialEq)]
pub struct LeftHook {
    /// Service that it belongs to.
    pub service: String,
    /// The container.
    pub summary: ContainerSummary,
}

/// All that matters to the project.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// Containers of the project, by service, number and name.
    pub containers: Vec<ObservedContainer>,
    /// Containers of hooks; no hook runs when nobody brings the project up.
    pub hooks: Vec<LeftHook>,
    /// Every network of the engine, by name.
    pub networks: BTreeMap<String, NetworkSummary>,
    /// Every volume of the engine, by name.
    pub volumes: BTreeMap<String, VolumeSummary>,
    /// Those of the asked images that are in the store, by reference.
    pub images: BTreeMap<String, ImageSummary>,
    /// Containers of others that bear a name which the file gives to one of ours.
    pub strangers: BTreeMap<String, ContainerSummary>,
}

impl Observed {
    /// Returns a service's replicas (no `run` containers).
    pub fn replicas<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a ObservedContainer> {
        self.containers
            .iter()
            .filter(move |container| container.identity.service == service && !container.identity.one_off)
    }
}

/// Takes the snapshot; `images` are looked up in the store.
pub async fn observe(
    engine: &Arc<dyn Engine>,
    project: &str,
    images: &BTreeSet<String>,
) -> Result<Observed, EngineError> {
    let labels = identity::project_filter(project);
    let (containers, networks, volumes, images) = tokio::try_join!(
        engine.list_containers(&labels),
        engine.list_networks(&[]),
        engine.list_volumes(&[]),
        find_images(engine, images),
    )?;
    Ok(Observed {
        hooks: hooks(&containers),
        containers: of_project(containers),
        networks: networks.into_iter().map(|network| (network.name.clone(), network)).collect(),
        volumes: volumes.into_iter().map(|volume| (volume.name.clone(), volume)).collect(),
        images,
        strangers: BTreeMap::new(),
    })
}

/// Looks up who bears these names, side by side; containers of the project itself are no strangers.
pub async fn find_strangers(
    engine: &Arc<dyn Engine>,
    project: &str,
    names: &BTreeSet<String>,
) -> Result<BTreeMap<String, ContainerSummary>, EngineError> {
    let mut lookups = JoinSet::new();
    for name in names {
        let (engine, name) = (Arc::clone(engine), name.clone());
        lookups.spawn(async move { engine.inspect_container(&name).await });
    }
    let mut strangers = BTreeMap::new();
    while let Some(joined) = lookups.join_next().await {
        match joined {
            Ok(Ok(summary)) if summary.labels.get(identity::PROJECT).is_none_or(|owner| owner != project) => {
                strangers.insert(summary.name.clone(), summary);
            }
            Ok(Ok(_)) => {}
            Ok(Err(error)) if error.kind == ErrorKind::NotFound => {}
            Ok(Err(error)) => return Err(error),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => {}
        }
    }
    Ok(strangers)
}

/// Takes a snapshot of the containers only.
pub async fn observe_containers(
    engine: &Arc<dyn Engine>,
    project: &str,
) -> Result<Vec<ObservedContainer>, EngineError> {
    Ok(of_project(engine.list_containers(&identity::project_filter(project)).await?))
}

fn hooks(containers: &[ContainerSummary]) -> Vec<LeftHook> {
    let left = |summary: &ContainerSummary| {
        summary.labels.get(identity::HOOK)?;
        let service = summary.labels.get(identity::SERVICE)?.clone();
        Some(LeftHook { service, summary: summary.clone() })
    };
    containers.iter().filter(|summary| !matches!(summary.state, ContainerState::Removed)).filter_map(left).collect()
}

pub(crate) fn of_project(containers: Vec<ContainerSummary>) -> Vec<ObservedContainer> {
    let mut containers: Vec<_> = containers
        .into_iter()
        .filter(|summary| !matches!(summary.state, ContainerState::Removed))
        .filter_map(|summary| Identity::of(&summary).map(|identity| ObservedContainer { identity, summary }))
        .collect();
    containers.sort_by(|a, b| {
        let key = |container: &ObservedContainer| {
            (container.identity.service.clone(), container.identity.number, container.summary.name.clone())
        };
        key(a).cmp(&key(b))
    });
    containers
}

/// Looks references up in the store, side by side.
pub async fn find_images(
    engine: &Arc<dyn Engine>,
    references: &BTreeSet<String>,
) -> Result<BTreeMap<String, ImageSummary>, EngineError> {
    let mut lookups = JoinSet::new();
    for reference in references.iter().cloned() {
        let engine = Arc::clone(engine);
        lookups.spawn(async move { (engine.inspect_image(&reference).await, reference) });
    }
    let mut images = BTreeMap::new();
    while let Some(joined) = lookups.join_next().await {
        let (image, reference) = match joined {
            Ok(found) => found,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => continue,
        };
        if let Some(image) = image? {
            images.insert(reference, image);
        }
    }
    Ok(images)
}
