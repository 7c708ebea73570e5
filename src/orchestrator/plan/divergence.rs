//! Is a container still what the file asks for, and if not, why?

use crate::desired::DesiredService;
use crate::engine::container::{ContainerState, Endpoint, Mount, MountSource, NetworkMode};
use crate::identity;
use crate::observed::ObservedContainer;
use crate::plan::change::changes;
use crate::plan::step::Cause;
use crate::plan::up::UpPlanner;
use crate::plan::waits::Progress;

/// Returns why a container is not what the file asks for.
pub(crate) fn divergence(
    planner: &UpPlanner<'_>,
    progress: &Progress,
    service: &DesiredService,
    container: &ObservedContainer,
) -> Option<Cause> {
    let summary = &container.summary;
    if matches!(summary.state, ContainerState::Dead { .. }) {
        return Some(Cause::Broken);
    }
    let spec = service.replica(container.identity.number);
    if container.identity.hash != service.hash {
        let before = summary.labels.get(identity::MADE_FROM);
        let now = spec.labels.get(identity::MADE_FROM);
        let changes = before.zip(now).map(|(before, now)| changes(before, now)).unwrap_or_default();
        return Some(Cause::ServiceChanged(changes));
    }
    let contents = summary.labels.get(identity::FILES_HASH);
    // A container of Docker Compose's has no such label.
    if contents.is_some() && contents != spec.labels.get(identity::FILES_HASH) {
        return Some(Cause::FilesChanged);
    }
    match planner.observed.images.get(&service.image) {
        _ if planner.images.contains_key(&service.image) => return Some(Cause::ImageMayChange),
        Some(image) if image.id != container.identity.image_id => return Some(Cause::ImageChanged),
        Some(_) | None => {}
    }
    if let Some(name) = summary.networks.keys().find(|name| planner.replaced_networks.contains_key(*name)) {
        return Some(Cause::NetworkChanged(name.clone()));
    }
    if let Some(name) = summary.volumes.values().find(|name| planner.replaced_volumes.contains_key(*name)) {
        return Some(Cause::VolumeChanged(name.clone()));
    }
    if let NetworkMode::Networks(endpoints) = &spec.network {
        let absent = |endpoint: &&Endpoint| !summary.networks.contains_key(&endpoint.network);
        // One that does not run may be on a network that has been removed: it could not be started.
        if let Some(endpoint) = endpoints.iter().find(absent) {
            return Some(Cause::NotOnNetwork(endpoint.network.clone()));
        }
    }
    let volume = |mount: &Mount| match &mount.source {
        MountSource::Volume { name, .. } if summary.volumes.get(&mount.target) != Some(name) => Some(name.clone()),
        MountSource::Volume { .. }
        | MountSource::Bind { .. }
        | MountSource::Anonymous { .. }
        | MountSource::Tmpfs { .. }
        | MountSource::Image { .. } => None,
    };
    if let Some(name) = spec.mounts.iter().find_map(volume) {
        return Some(Cause::WithoutVolume(name));
    }
    let shared =
        service.shares_with.iter().find(|name| progress.services.get(*name).is_some_and(|outcome| outcome.replaced));
    shared.map(|name| Cause::SharesWith(name.clone()))
}
