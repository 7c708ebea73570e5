//! The whole project, as the engine is to have it.

use std::collections::{BTreeMap, BTreeSet};

use compose::Project;
use compose::model::service::{Dependency, Hook, Service};

use crate::desired::pre_start::{self, PreStart};
use crate::desired::providers::{self, DesiredModel, DesiredProvider};
use crate::desired::{build, container, networks, unsupported};
use crate::engine::container::{ContainerSpec, NetworkMode};
use crate::engine::error::{EngineError, ErrorKind};
use crate::engine::exec::ExecSpec;
use crate::engine::image::BuildSpec;
use crate::engine::network::NetworkSpec;
use crate::engine::volume::VolumeSpec;
use crate::event::Failure;
use crate::graph::{ServiceGraph, dependencies_of};
use crate::identity;

/// All that the project asks for.
#[derive(Debug, Clone, Default)]
pub struct Desired {
    /// Name of the project.
    pub project: String,
    /// Enabled services, by name.
    pub services: BTreeMap<String, DesiredService>,
    /// Services that a program outside of the engine provides, by name: they have no containers.
    pub providers: BTreeMap<String, DesiredProvider>,
    /// Models that services use, by key in the file.
    pub models: BTreeMap<String, DesiredModel>,
    /// Services that are not enabled, but whose images are contexts of builds, by name.
    pub contexts: BTreeMap<String, ContextImage>,
    /// Services that a profile leaves out: their containers are no orphans.
    pub disabled: BTreeSet<String>,
    /// Networks, by key in the file.
    pub networks: BTreeMap<String, DesiredNetwork>,
    /// Volumes, by key in the file.
    pub volumes: BTreeMap<String, DesiredVolume>,
    /// Which service waits for which.
    pub graph: ServiceGraph,
}

/// An image that is only built on.
#[derive(Debug, Clone)]
pub struct ContextImage {
    /// Its reference.
    pub image: String,
    /// How it is built; `None`: it is pulled.
    pub build: Option<BuildSpec>,
    /// `linux/amd64`
    pub platform: Option<String>,
}

/// A service and the template of its containers.
#[derive(Debug, Clone)]
pub struct DesiredService {
    /// Name in the file.
    pub name: String,
    /// Equal hashes need no new container.
    pub hash: String,
    /// Containers wanted.
    pub replicas: u32,
    /// Reference of its image.
    pub image: String,
    /// The file names the image, so that it is worth keeping.
    pub image_named: bool,
    /// How the image is built.
    pub build: Option<BuildSpec>,
    /// `always`, `never`, `missing`, `build`, ...
    pub pull_policy: Option<String>,
    /// What it waits for.
    pub depends_on: BTreeMap<String, Dependency>,
    /// Services whose namespaces its containers share.
    pub shares_with: BTreeSet<String>,
    /// Keys of the networks that it is on.
    pub networks: BTreeSet<String>,
    /// Keys of the volumes that it mounts.
    pub volumes: BTreeSet<String>,
    /// Containers that run to their end before the first of its own starts.
    pub pre_start: Vec<PreStart>,
    /// Programs run in a container after it has started.
    pub post_start: Vec<ExecSpec>,
    /// Programs run in a container before it is stopped.
    pub pre_stop: Vec<ExecSpec>,
    template: ContainerSpec,
    source: Service,
    project: String,
}

/// A network, and whether it is ours to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredNetwork {
    /// It is made outside of the project.
    pub external: bool,
    /// Equal hashes need no new network.
    pub hash: String,
    /// What to create.
    pub spec: NetworkSpec,
}

/// A volume, and whether it is ours to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredVolume {
    /// It is made outside of the project.
    pub external: bool,
    /// Equal hashes need no new volume.
    pub hash: String,
    /// What to create.
    pub spec: VolumeSpec,
}

impl DesiredService {
    /// Returns the name of replica `number`'s container.
    pub fn container_name(&self, number: u32) -> String {
        identity::container_name(&self.project, &self.source, number)
    }

    /// Returns the name of a container that runs one command.
    pub fn one_off_name(&self, slug: &str) -> String {
        identity::one_off_name(&self.project, &self.source, slug)
    }

    /// Whether the file gives its container a name, so that there can be only one.
    pub fn is_single(&self) -> bool {
        self.source.container_name.is_some()
    }

    /// Keeps in a label what a provider or a model runner has set.
    pub(crate) fn remember(&mut self, variables: &BTreeMap<String, String>) {
        let text = serde_json::json!(variables).to_string();
        self.template.labels.insert(identity::PROVIDED.into(), text);
    }

    /// Returns replica `number`. Shared namespaces still name a service (`service:db`).
    pub fn replica(&self, number: u32) -> ContainerSpec {
        let mut spec = self.template.clone();
        spec.name = self.container_name(number);
        spec.labels.insert(identity::NUMBER.into(), number.to_string());
        if let NetworkMode::Networks(endpoints) = &mut spec.network {
            for endpoint in endpoints {
                if !endpoint.aliases.contains(&spec.name) {
                    endpoint.aliases.insert(0, spec.name.clone());
                }
            }
        }
        spec
    }
}

/// Works out what the project asks for; `scale` is over the file's replicas.
pub fn desired(project: &Project, scale: &BTreeMap<String, u32>) -> Result<Desired, Vec<Failure>> {
    let graph = ServiceGraph::of(project).map_err(|cycle| vec![Failure::from(cycle)])?;
    let mut desired = Desired {
        project: project.name.clone(),
        services: BTreeMap::new(),
        providers: BTreeMap::new(),
        models: providers::models(project),
        contexts: project.context_services().into_iter().map(|it| (it.name.clone(), context(project, it))).collect(),
        disabled: project.disabled_services.keys().cloned().collect(),
        networks: project.networks.keys().map(|key| (key.clone(), networks::network(project, key))).collect(),
        volumes: project.volumes.keys().map(|key| (key.clone(), volume(project, key))).collect(),
        graph,
    };
    let mut failures = Vec::new();
    for name in scale.keys().filter(|name| !project.services.contains_key(*name)) {
        let error =
            EngineError::new(ErrorKind::NotFound, format!("service `{name}`"), format!("no such service: {name}"));
        failures.push(Failure::new(error, None));
    }
    for (name, service) in &project.services {
        if let Some(provider) = providers::provider(project, service) {
            desired.providers.insert(name.clone(), provider);
            continue;
        }
        match one_service(project, service, scale.get(name).copied()) {
            Ok(service) => {
                desired.services.insert(name.clone(), service);
            }
            Err(mut more) => failures.append(&mut more),
        }
    }
    if failures.is_empty() { Ok(desired) } else { Err(failures) }
}

fn context(project: &Project, service: &Service) -> ContextImage {
    ContextImage {
        image: identity::image_reference(&project.name, service),
        build: service.build.as_ref().map(|build| build::build(project, service, build)),
        platform: service.platform.clone(),
    }
}

/// Works out what is to be stopped or removed: nothing that is only needed to create a container can fail.
pub fn desired_to_remove(project: &Project) -> Desired {
    let mut project = project.clone();
    for service in project.services.values_mut() {
        service.configs.clear();
        service.secrets.clear();
        service.ports.clear();
        service.restart = None;
        service.container_name = service.container_name.take().filter(|_| service.replicas <= 1);
    }
    if let Ok(desired) = desired(&project, &BTreeMap::new()) {
        return desired;
    }
    // Only a cycle is left; then no order is right.
    for service in project.services.values_mut() {
        *service = Service { name: service.name.clone(), image: service.image.clone(), ..Service::default() };
    }
    desired(&project, &BTreeMap::new()).unwrap_or_default()
}

fn one_service(project: &Project, service: &Service, scale: Option<u32>) -> Result<DesiredService, Vec<Failure>> {
    let name = &service.name;
    let replicas = scale.unwrap_or(service.replicas);
    if replicas > 1
        && let Some(container) = &service.container_name
    {
        let message = format!("service `{name}` can't have {replicas} replicas: all would be named `{container}`");
        let error = EngineError::new(ErrorKind::Conflict, format!("container `{container}`"), message)
            .hint("take `container_name` out of the file");
        return Err(vec![Failure::new(error, Some(format!("services.{name}.container_name")))]);
    }
    let hash = identity::service_hash(project, name);
    let shared = [&service.network_mode, &service.ipc, &service.pid];
    let mut template = container::container(project, service, &hash)?;
    template.unsupported = unsupported::unsupported(service);
    Ok(DesiredService {
        name: name.clone(),
        hash,
        replicas,
        image: identity::image_reference(&project.name, service),
        image_named: service.image.is_some(),
        build: service.build.as_ref().map(|build| build::build(project, service, build)),
        pull_policy: service.pull_policy.clone(),
        depends_on: dependencies_of(service),
        shares_with: shared
            .into_iter()
            .flatten()
            .filter_map(|mode| mode.strip_prefix("service:").map(str::to_owned))
            .collect(),
        networks: service.networks.keys().cloned().collect(),
        volumes: volume_keys(project, service),
        pre_start: pre_start::all(project, service, &template)?,
        post_start: service.post_start.iter().map(hook).collect(),
        pre_stop: service.pre_stop.iter().map(hook).collect(),
        template,
        source: service.clone(),
        project: project.name.clone(),
    })
}

/// Returns the keys of the volumes that a service mounts, those of `volumes_from` too.
fn volume_keys(project: &Project, service: &Service) -> BTreeSet<String> {
    let others = service.volumes_from.iter().filter_map(|entry| project.services.get(entry.split(':').next()?));
    let mounts = service.mounts.iter().chain(others.flat_map(|other| &other.mounts));
    mounts.filter_map(|mount| mount.source.clone()).filter(|source| project.volumes.contains_key(source)).collect()
}

fn hook(hook: &Hook) -> ExecSpec {
    ExecSpec {
        command: hook.command.clone(),
        environment: hook
            .environment
            .iter()
            .filter_map(|(key, value)| value.clone().map(|value| (key.clone(), value)))
            .collect(),
        user: hook.user.clone(),
        working_dir: hook.working_dir.clone(),
        privileged: hook.privileged,
        tty: false,
        detach: false,
    }
}

fn volume(project: &Project, key: &str) -> DesiredVolume {
    let volume = &project.volumes[key];
    let hash = identity::volume_hash(project, key);
    DesiredVolume {
        external: volume.external,
        spec: VolumeSpec {
            name: volume.name.clone(),
            driver: volume.driver.clone(),
            driver_opts: volume.driver_opts.clone(),
            labels: identity::resource_labels(&project.name, identity::VOLUME, key, &hash, &volume.labels),
        },
        hash,
    }
}
