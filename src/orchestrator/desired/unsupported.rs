//! Attributes that `ContainerSpec` has no field for.

use compose::model::mount::MountKind;
use compose::model::service::Service;

/// Returns the Compose paths of what the service asks for and a container can't be given yet.
pub(crate) fn unsupported(service: &Service) -> Vec<String> {
    let reserved = service.deploy.as_ref().and_then(|deploy| deploy.reservations.as_ref());
    let unsupported_mount = |kind| matches!(kind, MountKind::NamedPipe | MountKind::Cluster);
    let attributes = [
        ("blkio_config", service.blkio.is_some()),
        ("cpu_count", service.cpu_count.is_some_and(|count| count > 0)),
        ("cpu_percent", service.cpu_percent.is_some_and(|percent| percent > 0.0)),
        ("cpu_rt_period", service.cpu_rt_period.is_some_and(|period| period > 0)),
        ("cpu_rt_runtime", service.cpu_rt_runtime.is_some_and(|runtime| runtime > 0)),
        ("deploy.resources.reservations.devices", reserved.is_some_and(|reserved| !reserved.devices.is_empty())),
        ("external_links", !service.external_links.is_empty()),
        ("gpus", !service.gpus.is_empty()),
        ("isolation", service.isolation.as_deref().is_some_and(|isolation| isolation != "default")),
        ("models", !service.models.is_empty()),
        ("networks.link_local_ips", service.networks.values().any(|network| !network.link_local_ips.is_empty())),
        ("pre_start", !service.pre_start.is_empty()),
        ("runtime", service.runtime.is_some()),
        ("storage_opt", !service.storage_opt.is_empty()),
        ("use_api_socket", service.use_api_socket),
        ("volumes", service.mounts.iter().any(|mount| unsupported_mount(mount.kind))),
    ];
    attributes
        .into_iter()
        .filter(|(_, asked)| *asked)
        .map(|(attribute, _)| format!("services.{}.{attribute}", service.name))
        .collect()
}
