//! `run`: one more container of a service, for one command. Its dependencies are up before it is made.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use compose::Project;
use tokio::sync::mpsc::UnboundedSender;

use crate::desired::desired_with;
use crate::engine::Engine;
use crate::engine::container::{
    ContainerId, ContainerSpec, ContainerState, Mount, NetworkMode, PortBinding, RestartPolicy,
};
use crate::engine::error::{EngineError, ErrorKind};
use crate::event::Event;
use crate::identity;
use crate::observed::{Observed, ObservedContainer, find_images, observe_containers};
use crate::operations::error::OperationError;
use crate::operations::up::{UpOptions, up};

/// What the container of `run` has that is not in the file.
#[derive(Debug, Clone, PartialEq, Default)]
#[expect(missing_docs, reason = "the flags of `run`, named as in Docker Compose")]
pub struct RunOptions {
    pub service: String,
    /// Empty: the service's own.
    pub command: Vec<String>,
    /// `Some` with nothing in it clears the image's.
    pub entrypoint: Option<Vec<String>>,
    /// Over the service's.
    pub environment: BTreeMap<String, Option<String>>,
    pub labels: BTreeMap<String, String>,
    pub name: Option<String>,
    /// Twelve random hexadecimal digits, for the name and a label.
    pub slug: String,
    pub user: Option<String>,
    pub working_dir: Option<String>,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    /// Beside the service's; one at the same target takes its place.
    pub mounts: Vec<Mount>,
    pub publish: Vec<PortBinding>,
    /// Publish the service's ports too.
    pub service_ports: bool,
    /// Answer to the service's names on its networks.
    pub use_aliases: bool,
    pub tty: bool,
    pub stdin_open: bool,
    /// The engine removes the container when it ends.
    pub auto_remove: bool,
    /// How dependencies and the image are brought in; `services` and `one_offs` are set here.
    pub up: UpOptions,
}

/// A container that is ready to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Its id.
    pub id: ContainerId,
    /// Its name.
    pub name: String,
}

/// Brings up what the service depends on and creates the container.
pub async fn make(
    engine: Arc<dyn Engine>,
    project: &Project,
    options: &RunOptions,
    events: UnboundedSender<Event>,
) -> Result<Made, OperationError> {
    let mut bring = options.up.clone();
    bring.services = vec![options.service.clone()];
    bring.one_offs = BTreeSet::from([options.service.clone()]);
    let brought = up(Arc::clone(&engine), project, &bring, events.clone()).await?;

    let desired = desired_with(project, &BTreeMap::new(), &brought.provided).map_err(OperationError::of)?;
    let Some(service) = desired.services.get(&options.service) else {
        let name = &options.service;
        let message = format!("service `{name}` is given by a provider: it has no image to run");
        return Err(EngineError::new(ErrorKind::Unsupported, format!("service `{name}`"), message).into());
    };
    let mut spec = service.replica(1);
    let observed = Observed {
        containers: observe_containers(&engine, &project.name).await?,
        images: find_images(&engine, &BTreeSet::from([service.image.clone()])).await?,
        ..Observed::default()
    };
    if let Some(image) = observed.images.get(&service.image) {
        spec.labels.insert(identity::IMAGE.into(), image.id.clone());
    }
    share(&mut spec, &observed)?;
    apply(&mut spec, service.one_off_name(&options.slug), options);
    let name = spec.name.clone();
    let clashes = engine.check_ports(std::slice::from_ref(&spec)).await;
    if let Some(error) = clashes.into_iter().next() {
        return Err(error.into());
    }
    let id = engine.create_container(&spec).await?;
    Ok(Made { id, name })
}

/// Makes a replica's spec that of a one-off.
fn apply(spec: &mut ContainerSpec, name: String, options: &RunOptions) {
    let replica = std::mem::take(&mut spec.name);
    spec.name = options.name.clone().unwrap_or(name);
    spec.labels.remove(identity::NUMBER);
    spec.labels.insert(identity::ONE_OFF.into(), "True".into());
    spec.labels.insert(identity::SLUG.into(), options.slug.clone());
    spec.labels.extend(options.labels.clone());
    spec.restart = RestartPolicy::No;
    if !options.command.is_empty() {
        spec.command = Some(options.command.clone());
    }
    if let Some(entrypoint) = &options.entrypoint {
        spec.entrypoint = Some(entrypoint.clone());
        // Another program can't want the arguments of the one before.
        spec.command = Some(options.command.clone());
    }
    spec.environment.extend(options.environment.clone());
    spec.user = options.user.clone().or(spec.user.take());
    spec.working_dir = options.working_dir.clone().or(spec.working_dir.take());
    spec.cap_drop.retain(|capability| !options.cap_add.contains(capability));
    spec.cap_add.retain(|capability| !options.cap_drop.contains(capability));
    spec.cap_add.extend(options.cap_add.iter().cloned());
    spec.cap_drop.extend(options.cap_drop.iter().cloned());
    spec.mounts.retain(|mount| options.mounts.iter().all(|new| new.target != mount.target));
    spec.mounts.extend(options.mounts.iter().cloned());
    if !options.service_ports {
        spec.ports.clear();
    }
    spec.ports.extend(options.publish.iter().cloned());
    if let NetworkMode::Networks(endpoints) = &mut spec.network {
        for endpoint in endpoints {
            endpoint.aliases.retain(|alias| options.use_aliases && *alias != replica);
            // An address that the file fixes belongs to the service's own container.
            endpoint.ipv4_address = None;
            endpoint.ipv6_address = None;
            endpoint.mac_address = None;
        }
    }
    spec.tty = options.tty;
    spec.stdin_open = options.stdin_open;
    // What is piped in ends, and the program is told.
    spec.stdin_once = options.stdin_open;
    spec.auto_remove = options.auto_remove;
}

/// Puts container names where the spec names a service (`service:db`).
fn share(spec: &mut ContainerSpec, observed: &Observed) -> Result<(), EngineError> {
    let resolve = |mode: &str| -> Result<Option<String>, EngineError> {
        let Some(service) = mode.strip_prefix("service:") else { return Ok(None) };
        let runs = |container: &&ObservedContainer| matches!(container.summary.state, ContainerState::Running { .. });
        match observed.replicas(service).find(runs) {
            Some(container) => Ok(Some(container.summary.name.clone())),
            None => {
                let message = format!("the container shares namespaces with service `{service}`, which does not run");
                Err(EngineError::new(ErrorKind::NotFound, format!("service `{service}`"), message)
                    .hint(format!("`up -d {service}` starts it")))
            }
        }
    };
    if let NetworkMode::Container(mode) = &mut spec.network
        && let Some(name) = resolve(mode)?
    {
        *mode = name;
    }
    for mode in [&mut spec.ipc, &mut spec.pid].into_iter().flatten() {
        if let Some(name) = resolve(mode)? {
            *mode = format!("container:{name}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::engine::container::{Endpoint, MountSource};

    use super::*;

    #[test]
    fn a_one_off_has_neither_the_number_nor_the_ports_nor_the_names_of_its_service() {
        let port =
            PortBinding { host_ip: None, host_ports: Some((80, 80)), container_port: 80, protocol: "tcp".into() };
        let mut spec = ContainerSpec {
            labels: BTreeMap::from([(identity::NUMBER.into(), "1".into())]),
            ports: vec![port.clone()],
            restart: RestartPolicy::Always,
            command: Some(vec!["serve".into()]),
            network: NetworkMode::Networks(vec![Endpoint { aliases: vec!["web".into()], ..Endpoint::default() }]),
            ..ContainerSpec::default()
        };
        let slug = "0123456789ab".to_owned();
        let options = RunOptions { service: "web".into(), slug, ..RunOptions::default() };
        apply(&mut spec, "shop-web-run-0123456789ab".to_owned(), &options);
        assert_eq!(spec.name, "shop-web-run-0123456789ab");
        assert_eq!(spec.labels.get(identity::ONE_OFF).map(String::as_str), Some("True"));
        assert!(!spec.labels.contains_key(identity::NUMBER));
        assert_eq!((spec.ports.len(), spec.restart), (0, RestartPolicy::No));
        assert_eq!(spec.command, Some(vec!["serve".into()]));
        assert_eq!(spec.network, NetworkMode::Networks(vec![Endpoint::default()]));
        spec.ports = vec![port];
        let options = RunOptions { service_ports: true, entrypoint: Some(vec!["sh".into()]), ..options };
        apply(&mut spec, "shop".to_owned(), &options);
        assert_eq!((spec.ports.len(), spec.command), (1, Some(Vec::new())));
    }

    #[test]
    fn a_mount_of_the_command_line_takes_the_place_of_the_files_at_the_same_target() {
        let mount = |path: &str| Mount {
            source: MountSource::Bind {
                path: path.into(),
                create: true,
                propagation: None,
                recursive: None,
                selinux: None,
            },
            target: "/data".into(),
            read_only: false,
        };
        let mut spec = ContainerSpec { mounts: vec![mount("/file")], ..ContainerSpec::default() };
        apply(&mut spec, "shop".to_owned(), &RunOptions { mounts: vec![mount("/line")], ..RunOptions::default() });
        assert_eq!(spec.mounts, [mount("/line")]);
    }
}
