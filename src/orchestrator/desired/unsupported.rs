//! Attributes that `ContainerSpec` has no field for.

use compose::model::mount::MountKind;
use compose::model::service::Service;

/// Returns the Compose paths of what the service asks for and a container can't be given yet.
pub(crate) fn unsupported(service: &Service) -> Vec<String> {
    let unsupported_mount = |kind| matches!(kind, MountKind::NamedPipe | MountKind::Cluster);
    let attributes = [
        ("cpu_count", service.cpu_count.is_some_and(|count| count > 0)),
        ("cpu_percent", service.cpu_percent.is_some_and(|percent| percent > 0.0)),
        ("credential_spec", service.credential_spec),
        ("isolation", service.isolation.as_deref().is_some_and(|isolation| isolation != "default")),
        ("use_api_socket", service.use_api_socket),
        ("volumes", service.mounts.iter().any(|mount| unsupported_mount(mount.kind))),
    ];
    attributes
        .into_iter()
        .filter(|(_, asked)| *asked)
        .map(|(attribute, _)| format!("services.{}.{attribute}", service.name))
        .collect()
}
