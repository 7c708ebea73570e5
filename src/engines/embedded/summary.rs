//! What the runtime knows of containers, networks, volumes and images, in the engine's words.

use std::collections::BTreeMap;
use std::net::IpAddr;

use orchestrator::engine::container::{ContainerId, ContainerState, ContainerSummary, Health, OpenPort};
use orchestrator::engine::error::EngineError;
use orchestrator::engine::image::ImageSummary;
use orchestrator::engine::network::NetworkSummary;
use orchestrator::engine::volume::VolumeSummary;
use runtime::Runtime;
use runtime::container::list::Container;
use runtime::image::store::Image;
use runtime::network::{self, NetworkError};
use runtime::state::container::{
    ContainerRecord, HealthRecord, MountSourceRecord, NetworkModeRecord, Protocol, Status, StatusRecord,
};
use runtime::state::network::{EndpointRecord, NetworkRecord};
use runtime::state::volume::VolumeRecord;

use crate::embedded::errors;
use crate::embedded::predefined;
use crate::embedded::stamp;
use crate::moment;

/// Says whether `labels` has all that is asked for: `key=value`, or `key`.
pub(crate) fn has_labels(labels: &BTreeMap<String, String>, asked: &[String]) -> bool {
    asked.iter().all(|asked| match asked.split_once('=') {
        Some((key, value)) => labels.get(key).is_some_and(|found| found == value),
        None => labels.contains_key(asked),
    })
}

/// Tells what a container is doing.
pub(crate) fn state(status: &StatusRecord) -> ContainerState {
    match &status.status {
        Status::Created => ContainerState::Created,
        Status::Running { since_ms, .. } => {
            ContainerState::Running { since: stamp::of_millis(*since_ms), health: status.health.as_ref().map(health) }
        }
        Status::Paused { since_ms, .. } => ContainerState::Paused { since: stamp::of_millis(*since_ms) },
        Status::Restarting { exit_code, at_ms, .. } => ContainerState::Restarting {
            exit_code: *exit_code,
            attempts: status.restarts,
            at: stamp::of_millis(*at_ms),
        },
        Status::Exited { exit_code, at_ms, out_of_memory, .. } => ContainerState::Exited {
            exit_code: *exit_code,
            at: stamp::of_millis(*at_ms),
            out_of_memory: *out_of_memory,
        },
        Status::Dead { reason } => ContainerState::Dead { reason: reason.clone() },
    }
}

fn health(health: &HealthRecord) -> Health {
    match health {
        HealthRecord::Starting => Health::Starting,
        HealthRecord::Healthy => Health::Healthy,
        HealthRecord::Unhealthy { failures, exit_code, output } => {
            Health::Unhealthy { failures: *failures, exit_code: *exit_code, output: output.clone() }
        }
    }
}

/// The networks that there are, with the leases on each: read once for many containers.
#[derive(Debug, Default)]
pub(crate) struct Networks(pub(crate) Vec<(NetworkRecord, Vec<EndpointRecord>)>);

impl Networks {
    /// Reads the networks of one container, with its own leases only.
    pub(crate) fn around(rt: &Runtime, container: &ContainerRecord) -> Result<Self, EngineError> {
        let NetworkModeRecord::Networks(endpoints) = &container.network else { return Ok(Self::default()) };
        let mut found = Vec::new();
        for endpoint in endpoints {
            let failed = |error: NetworkError| errors::network(&endpoint.network, "look at", &error);
            let Some(network) = network::find(rt, &endpoint.network).map_err(failed)? else { continue };
            let lease = network::endpoint(rt, &network.id, &container.id).map_err(failed)?;
            found.push((network, lease.into_iter().collect()));
        }
        Ok(Self(found))
    }

    fn of(&self, container: &ContainerRecord) -> BTreeMap<String, Vec<IpAddr>> {
        let NetworkModeRecord::Networks(endpoints) = &container.network else { return BTreeMap::new() };
        let mut found = BTreeMap::new();
        for endpoint in endpoints {
            // By id: a network that was removed and made again is another one.
            if let Some((network, leases)) = self.0.iter().find(|(network, _)| network.id == endpoint.network) {
                let lease = leases.iter().find(|lease| lease.container == container.id);
                found.insert(network.name.clone(), lease.map(|lease| lease.addresses.clone()).unwrap_or_default());
            }
        }
        found
    }
}

/// Tells of a container.
pub(crate) fn container(container: &Container, networks: &Networks) -> ContainerSummary {
    let record = &container.record;
    let (mut volumes, mut binds) = (BTreeMap::new(), BTreeMap::new());
    let mut anonymous_volumes = Vec::new();
    for mount in &record.mounts {
        match &mount.source {
            MountSourceRecord::Volume { name, anonymous, .. } => {
                volumes.insert(mount.target.clone(), name.clone());
                if *anonymous {
                    anonymous_volumes.push(mount.target.clone());
                }
            }
            MountSourceRecord::Bind { path, .. } => {
                binds.insert(mount.target.clone(), path.display().to_string());
            }
            MountSourceRecord::Tmpfs { .. } | MountSourceRecord::Image { .. } | MountSourceRecord::File { .. } => {}
        }
    }
    ContainerSummary {
        id: ContainerId(record.id.clone()),
        name: record.name.clone(),
        image: record.image_reference.clone(),
        image_id: record.image_id.clone(),
        labels: record.labels.clone(),
        state: state(&container.status),
        created: stamp::of_millis(record.created_ms),
        command: record.process.args.clone(),
        ports: ports(record, &container.status),
        networks: networks.of(record),
        volumes,
        anonymous_volumes,
        binds,
    }
}

/// What is open on the host, then what is only exposed.
fn ports(record: &ContainerRecord, status: &StatusRecord) -> Vec<OpenPort> {
    let mut ports: Vec<OpenPort> = status
        .ports
        .iter()
        .map(|port| OpenPort {
            host: Some((port.host_ip, port.host_port)),
            container_port: port.container_port,
            protocol: protocol(port.protocol).into(),
        })
        .collect();
    if matches!(status.status, Status::Running { .. } | Status::Paused { .. }) {
        for exposed in &record.exposed {
            let (port, protocol) = exposed.split_once('/').unwrap_or((exposed, "tcp"));
            let Ok(port) = port.parse() else { continue };
            if !ports.iter().any(|open| open.container_port == port && open.protocol == protocol) {
                ports.push(OpenPort { host: None, container_port: port, protocol: protocol.into() });
            }
        }
    }
    ports.sort();
    ports
}

pub(crate) fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
    }
}

/// Tells of a network.
pub(crate) fn network(network: &NetworkRecord, endpoints: usize) -> NetworkSummary {
    NetworkSummary {
        id: network.id.clone(),
        name: network.name.clone(),
        driver: network.driver.clone(),
        labels: network.labels.clone(),
        created: Some(stamp::of_millis(network.created_ms)),
        endpoints,
    }
}

/// Tells of the networks that have all of `labels`; of those that are always there when none is asked for.
pub(crate) fn networks(rt: &Runtime, labels: &[String]) -> Result<Vec<NetworkSummary>, EngineError> {
    let failed = |name: &str, error: &NetworkError| errors::network(name, "look at", error);
    let mut found = network::list(rt).map_err(|error| failed("*", &error))?;
    let predefined = if labels.is_empty() { predefined::summaries(rt, &found) } else { Vec::new() };
    found.retain(|network| has_labels(&network.labels, labels));
    let summed = found.iter().map(|record| {
        let count = network::count_endpoints(rt, &record.id).map_err(|error| failed(&record.name, &error))?;
        Ok(network(record, count))
    });
    summed.chain(predefined.into_iter().map(Ok)).collect()
}

/// Tells of the network of this name or id, if there is one.
pub(crate) fn network_of(rt: &Runtime, name: &str) -> Result<Option<NetworkSummary>, EngineError> {
    let failed = |error: NetworkError| errors::network(name, "look at", &error);
    let Some(record) = network::find(rt, name).map_err(failed)? else {
        return Ok(predefined::find(rt, name).map(|name| predefined::summary(rt, name)));
    };
    let count = network::count_endpoints(rt, &record.id).map_err(failed)?;
    Ok(Some(network(&record, count)))
}

/// Tells of a volume.
pub(crate) fn volume(volume: &VolumeRecord) -> VolumeSummary {
    VolumeSummary { name: volume.name.clone(), driver: volume.driver.clone(), labels: volume.labels.clone() }
}

/// Tells of an image.
pub(crate) fn image(image: &Image) -> ImageSummary {
    let config = &image.config.config;
    ImageSummary {
        id: image.id.to_string(),
        references: image.references.clone(),
        digests: image.digests.clone(),
        created: image.created.as_deref().and_then(moment::parse),
        size: image.size,
        labels: config.labels.clone(),
        volumes: config.volumes.clone(),
        has_healthcheck: config
            .healthcheck
            .as_ref()
            .is_some_and(|check| !check.test.is_empty() && check.test[0] != "NONE"),
        platform: format!("{}/{}", image.config.os, image.config.architecture),
        command: [&config.entrypoint, &config.cmd].into_iter().flatten().flatten().cloned().collect(),
        of_platform: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_asked_for_with_or_without_a_value() {
        let labels = BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())]);
        let has = |asked: &[&str]| has_labels(&labels, &asked.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>());
        assert!(has(&[]) && has(&["a"]) && has(&["a=1", "b="]) && has(&["b"]));
        assert!(!has(&["a=2"]) && !has(&["c"]) && !has(&["a=1", "c"]));
    }
}
