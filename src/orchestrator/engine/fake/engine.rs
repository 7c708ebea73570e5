//! The fake engine: what a test sets, what it reads, and the acts.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};

use crate::engine::Engine;
use crate::engine::container::{ContainerId, ContainerSpec, ContainerState, ContainerSummary, Health, StopOptions};
use crate::engine::error::{EngineError, ErrorKind};
use crate::engine::exec::{ExecIo, ExecSpec};
use crate::engine::fake::store::{
    Behaviour, FakeContainer, Store, has_labels, image, network, port_taken, summary, word,
};
use crate::engine::image::{BuildSpec, ImageSummary, PullSpec};
use crate::engine::log::{LogLine, LogQuery, LogStream};
use crate::engine::network::{NetworkSpec, NetworkSummary};
use crate::engine::progress::ProgressSink;
use crate::engine::volume::{VolumeSpec, VolumeSummary};

/// The engine; a test keeps an `Arc` of it.
#[derive(Default)]
pub struct FakeEngine {
    store: Mutex<Store>,
}

impl FakeEngine {
    /// Makes an engine with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an image into the store, or changes it.
    pub fn set_image(&self, reference: &str, id: &str, volumes: &[&str]) {
        let image = image(reference, id, volumes);
        self.store().images.insert(reference.to_owned(), image);
    }

    /// Says what containers whose name ends in `name` do when they are started.
    pub fn set_behaviour(&self, name: &str, behaviour: Behaviour) {
        self.store().behaviours.insert(name.to_owned(), behaviour);
    }

    /// Makes the act that is written down as `act` fail.
    pub fn fail(&self, act: &str, error: EngineError) {
        self.store().failing.insert(act.to_owned(), error);
    }

    /// Lets somebody else remove the container or network `name` just before the act that is written down as `act`.
    pub fn lose(&self, act: &str, name: &str) {
        self.store().lost.insert(act.to_owned(), name.to_owned());
    }

    /// Makes acts succeed again.
    pub fn mend(&self) {
        self.store().failing.clear();
    }

    /// Lets a stranger hold a host port.
    pub fn take_port(&self, port: u16) {
        self.store().taken_ports.insert(port);
    }

    /// Makes `exec` of programs whose first word is `program` end with `code`.
    pub fn set_exec_code(&self, program: &str, code: i32) {
        self.store().hook_codes.insert(program.to_owned(), code);
    }

    /// Adds a network that no project made.
    pub fn add_network(&self, name: &str) {
        let spec = NetworkSpec { name: name.to_owned(), ..NetworkSpec::default() };
        self.store().networks.insert(name.to_owned(), network(&spec));
    }

    /// Changes what a container does, as if it happened by itself.
    pub fn set_state(&self, name: &str, state: ContainerState) {
        let mut store = self.store();
        if let Some(container) = store.containers.values_mut().find(|container| container.summary.name == name) {
            container.summary.state = state.clone();
            container.state.send_replace(state);
        }
    }

    /// Returns the acts so far and forgets them.
    pub fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut self.store().log)
    }

    /// Returns what there is: `container shop-web-1 running`, `network shop_default`, ...
    pub fn state(&self) -> Vec<String> {
        let store = self.store();
        let mut lines: Vec<String> = store
            .containers
            .values()
            .map(|container| format!("container {} {}", container.summary.name, word(&container.summary.state)))
            .collect();
        lines.sort();
        lines.extend(store.networks.keys().map(|name| format!("network {name}")));
        lines.extend(store.volumes.keys().map(|name| format!("volume {name}")));
        lines
    }

    /// Returns what a container was created from.
    pub fn spec(&self, name: &str) -> Option<ContainerSpec> {
        self.store().containers.values().find(|c| c.summary.name == name).map(|c| c.spec.clone())
    }
}

#[async_trait]
impl Engine for FakeEngine {
    fn name(&self) -> &'static str {
        "fake"
    }

    async fn check_ports(&self, specs: &[ContainerSpec]) -> Vec<EngineError> {
        let busy = self.store().busy_ports();
        let wanted = specs.iter().flat_map(|spec| &spec.ports).filter_map(|port| port.host_ports);
        wanted
            .filter(|(first, last)| (*first..=*last).all(|port| busy.contains(&port)))
            .map(|(first, _)| port_taken(first))
            .collect()
    }

    async fn list_containers(&self, labels: &[String]) -> Result<Vec<ContainerSummary>, EngineError> {
        let store = self.store();
        let all = store.containers.values().map(|container| container.summary.clone());
        Ok(all.filter(|summary| has_labels(&summary.labels, labels)).collect())
    }

    async fn inspect_container(&self, id: &str) -> Result<ContainerSummary, EngineError> {
        Ok(self.store().container(id)?.summary.clone())
    }

    async fn create_container(&self, spec: &ContainerSpec) -> Result<ContainerId, EngineError> {
        let mut store = self.store();
        store.act(format!("create {}", spec.name))?;
        if store.containers.values().any(|container| container.summary.name == spec.name) {
            let message = format!("the name `{}` is taken", spec.name);
            return Err(EngineError::new(ErrorKind::Conflict, format!("container `{}`", spec.name), message));
        }
        let Some(image) = store.images.get(&spec.image).cloned() else {
            let message = format!("there is no image `{}`", spec.image);
            return Err(EngineError::new(ErrorKind::NotFound, format!("image `{}`", spec.image), message));
        };
        let number = store.unique();
        let id = ContainerId(format!("{number:012x}{:052x}", 0));
        let summary = summary(&mut store, &id, spec, &image);
        let (state, _) = watch::channel(ContainerState::Created);
        store.arrivals.retain(|listener| listener.try_send(summary.clone()).is_ok());
        store.containers.insert(id.0.clone(), FakeContainer { summary, spec: spec.clone(), state });
        Ok(id)
    }

    async fn start_container(&self, id: &ContainerId) -> Result<(), EngineError> {
        let mut store = self.store();
        let name = store.name(id)?;
        store.act(format!("start {name}"))?;
        let behaviour = store.behaviour(&name);
        let spec = store.container(&id.0)?.spec.clone();
        let ports = store.open_ports(&spec)?;
        let container = store.container(&id.0)?;
        if matches!(container.summary.state, ContainerState::Running { .. }) {
            return Ok(());
        }
        if matches!(container.summary.state, ContainerState::Paused { .. }) {
            let why = "cannot start a paused container, try unpause instead";
            return Err(EngineError::new(ErrorKind::Conflict, format!("container `{name}`"), why));
        }
        let (since, at) = (SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH);
        let health = |health| spec.healthcheck.is_some().then_some(health);
        let state = match behaviour {
            Behaviour::Runs => ContainerState::Running { since, health: health(Health::Healthy) },
            Behaviour::RunsWithoutVerdict => ContainerState::Running { since, health: health(Health::Starting) },
            Behaviour::Unhealthy(output) => ContainerState::Running {
                since,
                health: health(Health::Unhealthy { failures: 3, exit_code: Some(1), output }),
            },
            Behaviour::Exits(exit_code) => ContainerState::Exited { exit_code, at, out_of_memory: false },
            Behaviour::OutOfMemory => ContainerState::Exited { exit_code: 137, at, out_of_memory: true },
            Behaviour::CannotStart(message) => {
                return Err(EngineError::new(ErrorKind::Failed, format!("container `{name}`"), message));
            }
        };
        if matches!(state, ContainerState::Running { .. }) {
            container.summary.ports = ports;
        }
        container.summary.state = state.clone();
        container.state.send_replace(state);
        Ok(())
    }

    async fn stop_container(&self, id: &ContainerId, _options: StopOptions) -> Result<(), EngineError> {
        let mut store = self.store();
        let name = store.name(id)?;
        store.act(format!("stop {name}"))?;
        let container = store.container(&id.0)?;
        let state = ContainerState::Exited { exit_code: 143, at: SystemTime::UNIX_EPOCH, out_of_memory: false };
        container.summary.ports.clear();
        container.summary.state = state.clone();
        container.state.send_replace(state);
        Ok(())
    }

    async fn kill_container(&self, id: &ContainerId, signal: &str) -> Result<(), EngineError> {
        let mut store = self.store();
        let name = store.name(id)?;
        store.act(format!("kill {name} {signal}"))
    }

    async fn remove_container(&self, id: &ContainerId, anonymous_volumes: bool) -> Result<(), EngineError> {
        let mut store = self.store();
        let Ok(name) = store.name(id) else { return Ok(()) };
        let with = if anonymous_volumes { " with volumes" } else { "" };
        store.act(format!("remove {name}{with}"))?;
        if let Some(container) = store.containers.remove(&id.0) {
            container.state.send_replace(ContainerState::Removed);
        }
        Ok(())
    }

    async fn rename_container(&self, id: &ContainerId, name: &str) -> Result<(), EngineError> {
        let mut store = self.store();
        let old = store.name(id)?;
        store.act(format!("rename {old} {name}"))?;
        name.clone_into(&mut store.container(&id.0)?.summary.name);
        Ok(())
    }

    async fn watch_container(&self, id: &ContainerId) -> Result<mpsc::Receiver<ContainerState>, EngineError> {
        let mut states = self.store().container(&id.0)?.state.subscribe();
        let (sender, receiver) = mpsc::channel(8);
        tokio::spawn(async move {
            loop {
                let state = states.borrow_and_update().clone();
                let gone = matches!(state, ContainerState::Removed);
                if sender.send(state).await.is_err() || gone || states.changed().await.is_err() {
                    return;
                }
            }
        });
        Ok(receiver)
    }

    async fn watch_containers(&self, _labels: &[String]) -> Result<mpsc::Receiver<ContainerSummary>, EngineError> {
        let (sender, receiver) = mpsc::channel(64);
        self.store().arrivals.push(sender);
        Ok(receiver)
    }

    async fn container_logs(&self, id: &ContainerId, _query: LogQuery) -> Result<mpsc::Receiver<LogLine>, EngineError> {
        let name = self.store().name(id)?;
        let (sender, receiver) = mpsc::channel(1);
        let line = LogLine {
            time: SystemTime::UNIX_EPOCH,
            stream: LogStream::Stdout,
            bytes: format!("hello from {name}").into_bytes(),
        };
        let _ = sender.try_send(line);
        Ok(receiver)
    }

    async fn exec(&self, id: &ContainerId, spec: &ExecSpec, _io: ExecIo) -> Result<i32, EngineError> {
        let mut store = self.store();
        let name = store.name(id)?;
        store.act(format!("exec {name} {}", spec.command.join(" ")))?;
        let code = spec.command.first().and_then(|program| store.hook_codes.get(program));
        Ok(code.copied().unwrap_or(0))
    }

    async fn list_networks(&self, labels: &[String]) -> Result<Vec<NetworkSummary>, EngineError> {
        let store = self.store();
        Ok(store.counted_networks().filter(|network| has_labels(&network.labels, labels)).collect())
    }

    async fn inspect_network(&self, name: &str) -> Result<Option<NetworkSummary>, EngineError> {
        Ok(self.store().counted_networks().find(|network| network.name == name))
    }

    async fn create_network(&self, spec: &NetworkSpec) -> Result<(), EngineError> {
        let mut store = self.store();
        store.act(format!("create network {}", spec.name))?;
        store.networks.insert(spec.name.clone(), network(spec));
        Ok(())
    }

    async fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        let mut store = self.store();
        store.act(format!("remove network {name}"))?;
        if store.counted_networks().any(|network| network.name == name && network.endpoints > 0) {
            let message = format!("network `{name}` is in use");
            return Err(EngineError::new(ErrorKind::Conflict, format!("network `{name}`"), message));
        }
        store.networks.remove(name);
        Ok(())
    }

    async fn list_volumes(&self, labels: &[String]) -> Result<Vec<VolumeSummary>, EngineError> {
        let store = self.store();
        Ok(store.volumes.values().filter(|volume| has_labels(&volume.labels, labels)).cloned().collect())
    }

    async fn inspect_volume(&self, name: &str) -> Result<Option<VolumeSummary>, EngineError> {
        Ok(self.store().volumes.get(name).cloned())
    }

    async fn create_volume(&self, spec: &VolumeSpec) -> Result<(), EngineError> {
        let mut store = self.store();
        store.act(format!("create volume {}", spec.name))?;
        let (name, driver, labels) = (spec.name.clone(), "local".to_owned(), spec.labels.clone());
        store.volumes.insert(name.clone(), VolumeSummary { name, driver, labels });
        Ok(())
    }

    async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        let mut store = self.store();
        store.act(format!("remove volume {name}"))?;
        store.volumes.remove(name);
        Ok(())
    }

    async fn inspect_image(&self, reference: &str) -> Result<Option<ImageSummary>, EngineError> {
        Ok(self.store().images.get(reference).cloned())
    }

    async fn pull_image(&self, spec: &PullSpec, _progress: &ProgressSink) -> Result<ImageSummary, EngineError> {
        let mut store = self.store();
        store.act(format!("pull {}", spec.reference))?;
        let image = image(&spec.reference, &format!("sha256:pulled-{}", spec.reference), &[]);
        store.images.insert(spec.reference.clone(), image.clone());
        Ok(image)
    }

    async fn build_image(&self, spec: &BuildSpec, _progress: &ProgressSink) -> Result<ImageSummary, EngineError> {
        let mut store = self.store();
        let tag = spec.tags.first().cloned().unwrap_or_default();
        store.act(format!("build {tag}"))?;
        // The cache: the same context is the same image.
        let image = image(&tag, &format!("sha256:built-{}", spec.context), &[]);
        store.images.insert(tag, image.clone());
        Ok(image)
    }

    async fn remove_image(&self, reference: &str) -> Result<(), EngineError> {
        let mut store = self.store();
        store.act(format!("remove image {reference}"))?;
        store.images.remove(reference);
        Ok(())
    }
}
