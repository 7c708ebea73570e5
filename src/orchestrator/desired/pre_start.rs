//! `pre_start`: containers that run to their end before the first container of a service starts.

use std::collections::BTreeMap;

use compose::Project;
use compose::model::service::{Hook, Service};

use crate::engine::container::{ContainerSpec, NetworkMode};
use crate::engine::error::{EngineError, ErrorKind};
use crate::event::Failure;
use crate::identity;

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub struct PreStart {
    /// The container; the volumes that it shares are those of a container that is still to be named.
    pub spec: ContainerSpec,
    /// Its place in the list.
    pub index: usize,
    /// It has an image of its own.
    pub own_image: bool,
}

/// Returns the hooks of a service, whose own container is `template`.
pub(crate) fn all(
    project: &Project,
    service: &Service,
    template: &ContainerSpec,
) -> Result<Vec<PreStart>, Vec<Failure>> {
    let mut hooks = Vec::new();
    let mut failures = Vec::new();
    for (index, hook) in service.pre_start.iter().enumerate() {
        if hook.per_replica {
            let message = format!("service `{}` asks for a pre_start hook in each replica", service.name);
            let error = EngineError::new(ErrorKind::Unsupported, format!("service `{}`", service.name), message)
                .hint("take `per_replica` out: the hook then runs once for the service");
            failures
                .push(Failure::new(error, Some(format!("services.{}.pre_start[{index}].per_replica", service.name))));
            continue;
        }
        hooks.push(PreStart {
            spec: container(project, service, template, index, hook),
            index,
            own_image: hook.image.is_some(),
        });
    }
    if failures.is_empty() { Ok(hooks) } else { Err(failures) }
}

fn container(
    project: &Project,
    service: &Service,
    template: &ContainerSpec,
    index: usize,
    hook: &Hook,
) -> ContainerSpec {
    let mut network = template.network.clone();
    if let NetworkMode::Networks(endpoints) = &mut network {
        for endpoint in endpoints {
            // Nobody is to reach the hook in place of the service, and a fixed address is the service's own.
            endpoint.aliases.clear();
            endpoint.ipv4_address = None;
            endpoint.ipv6_address = None;
            endpoint.mac_address = None;
        }
    }
    let mut environment = service.environment.clone();
    environment.extend(hook.environment.clone());
    ContainerSpec {
        name: identity::pre_start_name(&project.name, service, index),
        image: hook.image.clone().unwrap_or_else(|| template.image.clone()),
        labels: BTreeMap::from([
            (identity::PROJECT.into(), project.name.clone()),
            (identity::SERVICE.into(), service.name.clone()),
            (identity::VERSION.into(), env!("CARGO_PKG_VERSION").into()),
            (identity::HOOK.into(), "pre_start".into()),
        ]),
        command: Some(hook.command.clone()),
        environment,
        user: hook.user.clone(),
        working_dir: hook.working_dir.clone(),
        privileged: hook.privileged,
        network,
        platform: template.platform.clone(),
        ..ContainerSpec::default()
    }
}
