//! What the fake engine remembers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::SystemTime;

use tokio::sync::{mpsc, watch};

use crate::engine::container::{
    ContainerId, ContainerSpec, ContainerState, ContainerSummary, MountSource, NetworkMode, OpenPort,
};
use crate::engine::error::{EngineError, ErrorKind};
use crate::engine::image::ImageSummary;
use crate::engine::network::{NetworkSpec, NetworkSummary};
use crate::engine::volume::VolumeSummary;

/// What a container does once it is started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Behaviour {
    /// It runs, healthy where it has a health check.
    #[default]
    Runs,
    /// It runs, with no verdict until the test sets a state.
    RunsWithoutVerdict,
    /// Its health check fails; this is what the probe writes.
    Unhealthy(String),
    /// It ends with this code.
    Exits(i32),
    /// It is killed for memory.
    OutOfMemory,
    /// It can't be started.
    CannotStart(String),
}

pub(super) struct FakeContainer {
    pub(super) summary: ContainerSummary,
    pub(super) spec: ContainerSpec,
    pub(super) state: watch::Sender<ContainerState>,
}

#[derive(Default)]
pub(super) struct Store {
    pub(super) containers: BTreeMap<String, FakeContainer>,
    pub(super) networks: BTreeMap<String, NetworkSummary>,
    pub(super) volumes: BTreeMap<String, VolumeSummary>,
    pub(super) images: BTreeMap<String, ImageSummary>,
    pub(super) behaviours: BTreeMap<String, Behaviour>,
    pub(super) failing: BTreeMap<String, EngineError>,
    pub(super) lost: BTreeMap<String, String>,
    pub(super) taken_ports: BTreeSet<u16>,
    pub(super) log: Vec<String>,
    pub(super) hook_codes: BTreeMap<String, i32>,
    pub(super) arrivals: Vec<mpsc::Sender<ContainerSummary>>,
    pub(super) next: u64,
}

impl Store {
    pub(super) fn act(&mut self, act: String) -> Result<(), EngineError> {
        let failure = self.failing.get(&act).cloned().or_else(|| self.lose(&act));
        self.log.push(act);
        failure.map_or(Ok(()), Err)
    }

    /// Removes what is to be lost at this act.
    fn lose(&mut self, act: &str) -> Option<EngineError> {
        let name = self.lost.get(act)?.clone();
        self.containers.retain(|_, container| container.summary.name != name);
        self.networks.remove(&name);
        Some(EngineError::new(ErrorKind::NotFound, format!("`{name}`"), format!("there is no `{name}`")))
    }

    /// Returns the networks, each with the count of running containers on it.
    pub(super) fn counted_networks(&self) -> impl Iterator<Item = NetworkSummary> {
        self.networks.values().cloned().map(|network| {
            let is_on =
                |it: &&FakeContainer| it.summary.state.is_up() && it.summary.networks.contains_key(&network.name);
            NetworkSummary { endpoints: self.containers.values().filter(is_on).count(), ..network }
        })
    }

    pub(super) fn container(&mut self, id: &str) -> Result<&mut FakeContainer, EngineError> {
        let missing =
            EngineError::new(ErrorKind::NotFound, format!("container `{id}`"), format!("there is no container `{id}`"));
        self.containers.values_mut().find(|c| c.summary.id.0 == id || c.summary.name == id).ok_or(missing)
    }

    pub(super) fn name(&mut self, id: &ContainerId) -> Result<String, EngineError> {
        Ok(self.container(&id.0)?.summary.name.clone())
    }

    pub(super) fn behaviour(&self, name: &str) -> Behaviour {
        let found = self.behaviours.iter().find(|(suffix, _)| name.ends_with(suffix.as_str()));
        found.map(|(_, behaviour)| behaviour.clone()).unwrap_or_default()
    }

    pub(super) fn unique(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn busy_ports(&self) -> BTreeSet<u16> {
        let open = self.containers.values().flat_map(|container| &container.summary.ports);
        open.filter_map(|port| port.host.map(|(_, port)| port)).chain(self.taken_ports.iter().copied()).collect()
    }

    pub(super) fn open_ports(&self, spec: &ContainerSpec) -> Result<Vec<OpenPort>, EngineError> {
        let mut busy = self.busy_ports();
        let mut open = Vec::new();
        for port in &spec.ports {
            let (first, last) = port.host_ports.unwrap_or((32768, 60999));
            let Some(host) = (first..=last).find(|port| !busy.contains(port)) else {
                return Err(port_taken(first));
            };
            busy.insert(host);
            let ip = port.host_ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
            let (container_port, protocol) = (port.container_port, port.protocol.clone());
            open.push(OpenPort { host: Some((ip, host)), container_port, protocol });
        }
        Ok(open)
    }
}

pub(super) fn has_labels(labels: &BTreeMap<String, String>, wanted: &[String]) -> bool {
    wanted.iter().all(|filter| match filter.split_once('=') {
        Some((key, value)) => labels.get(key).is_some_and(|found| found == value),
        None => labels.contains_key(filter),
    })
}

pub(super) fn summary(
    store: &mut Store,
    id: &ContainerId,
    spec: &ContainerSpec,
    image: &ImageSummary,
) -> ContainerSummary {
    let (mut volumes, mut binds) = (BTreeMap::new(), BTreeMap::new());
    let mut anonymous_volumes = Vec::new();
    for mount in &spec.mounts {
        match &mount.source {
            MountSource::Volume { name, .. } => {
                volumes.insert(mount.target.clone(), name.clone());
            }
            MountSource::Anonymous { name } => {
                let name = name.clone().unwrap_or_else(|| format!("anonymous-{}", store.unique()));
                volumes.insert(mount.target.clone(), name);
                anonymous_volumes.push(mount.target.clone());
            }
            MountSource::Bind { path, .. } => {
                binds.insert(mount.target.clone(), path.clone());
            }
            MountSource::Tmpfs { .. } | MountSource::Image { .. } => {}
        }
    }
    for target in &image.volumes {
        if !spec.mounts.iter().any(|mount| mount.target == *target) {
            volumes.insert(target.clone(), format!("anonymous-{}", store.unique()));
            anonymous_volumes.push(target.clone());
        }
    }
    let mut networks = BTreeMap::new();
    if let NetworkMode::Networks(endpoints) = &spec.network {
        for endpoint in endpoints {
            networks.insert(endpoint.network.clone(), Vec::new());
        }
    }
    ContainerSummary {
        id: id.clone(),
        name: spec.name.clone(),
        image: spec.image.clone(),
        image_id: image.id.clone(),
        labels: spec.labels.clone(),
        state: ContainerState::Created,
        created: SystemTime::UNIX_EPOCH,
        command: spec.command.clone().unwrap_or_default(),
        ports: Vec::new(),
        networks,
        volumes,
        anonymous_volumes,
        binds,
    }
}

pub(super) fn image(reference: &str, id: &str, volumes: &[&str]) -> ImageSummary {
    ImageSummary {
        id: id.to_owned(),
        references: vec![reference.to_owned()],
        created: None,
        size: 0,
        labels: BTreeMap::new(),
        volumes: volumes.iter().map(|volume| (*volume).to_owned()).collect(),
        has_healthcheck: false,
        ..ImageSummary::default()
    }
}

pub(super) fn network(spec: &NetworkSpec) -> NetworkSummary {
    NetworkSummary {
        id: spec.name.clone(),
        name: spec.name.clone(),
        driver: spec.driver.clone().unwrap_or_else(|| "bridge".to_owned()),
        labels: spec.labels.clone(),
        created: None,
        endpoints: 0,
    }
}

pub(super) fn port_taken(port: u16) -> EngineError {
    EngineError::new(ErrorKind::Conflict, format!("host port {port}"), format!("host port {port} is taken"))
}

pub(super) fn word(state: &ContainerState) -> String {
    match state {
        ContainerState::Created => "created".to_owned(),
        ContainerState::Running { .. } => "running".to_owned(),
        ContainerState::Paused { .. } => "paused".to_owned(),
        ContainerState::Restarting { .. } => "restarting".to_owned(),
        ContainerState::Exited { exit_code, .. } => format!("exited {exit_code}"),
        ContainerState::Dead { .. } => "dead".to_owned(),
        ContainerState::Removed => "removed".to_owned(),
    }
}
