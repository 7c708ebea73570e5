//! Host ports within one plan: who must wait until a port is free, and who wants the same one.

use std::net::IpAddr;

use crate::engine::container::{OpenPort, PortBinding};
use crate::engine::error::{EngineError, ErrorKind};
use crate::event::Failure;
use crate::plan::plan::StepId;
use crate::plan::step::Step;
use crate::plan::up::UpPlanner;

/// Starts what wants a port only after the container that goes has let go of it.
pub(crate) fn order_after_release(planner: &mut UpPlanner<'_>) {
    let mut orders: Vec<(StepId, StepId)> = Vec::new();
    for id in planner.plan.ids() {
        let Step::StartContainer { container, service, number } = &planner.plan.step(id).step else { continue };
        let Some(wanted) = planner.desired.services.get(service).map(|service| service.replica(*number).ports) else {
            continue;
        };
        for (gone, ports, step) in &planner.gone {
            if *gone != container.name && wanted.iter().any(|want| ports.iter().any(|open| holds(open, want))) {
                orders.push((id, *step));
            }
        }
    }
    for (start, release) in orders {
        planner.plan.after(start, release);
    }
}

/// Leaves to the engine's check only the ports that this project's own containers won't have let go of by then,
/// and refuses two containers that want the same one.
pub(crate) fn find_clashes(planner: &mut UpPlanner<'_>) {
    let released: Vec<OpenPort> = planner
        .observed
        .containers
        .iter()
        .filter(|container| planner.stopping.contains(&container.summary.id))
        .flat_map(|container| container.summary.ports.clone())
        .collect();
    let mut taken: Vec<(PortBinding, String)> = Vec::new();
    for (service, spec) in &mut planner.plan.publishes {
        for (index, port) in spec.ports.iter().enumerate() {
            if port.host_ports.is_none_or(|(first, last)| first != last) {
                continue;
            }
            match taken.iter().find(|(other, _)| same_place(other, port)) {
                Some((_, other)) => {
                    let host = port.host_ports.map_or(0, |(first, _)| first);
                    let message = format!("host port {host} is wanted by both `{other}` and `{}`", spec.name);
                    let error =
                        EngineError::new(ErrorKind::Conflict, format!("host port {host}"), message).hint(format!(
                            "publish a range (`{host}-{}:{}`), or no host port at all (`{}`)",
                            host.saturating_add(9),
                            port.container_port,
                            port.container_port
                        ));
                    planner.failures.push(Failure::new(error, Some(format!("services.{service}.ports[{index}]"))));
                }
                None => taken.push((port.clone(), spec.name.clone())),
            }
        }
        spec.ports.retain(|want| !released.iter().any(|open| holds(open, want)));
    }
    planner.plan.publishes.retain(|(_, spec)| !spec.ports.is_empty());
}

fn holds(open: &OpenPort, want: &PortBinding) -> bool {
    let (Some((ip, port)), Some((first, last))) = (open.host, want.host_ports) else { return false };
    open.protocol == want.protocol && (first..=last).contains(&port) && overlap(Some(ip), want.host_ip)
}

fn same_place(a: &PortBinding, b: &PortBinding) -> bool {
    a.protocol == b.protocol && a.host_ports == b.host_ports && overlap(a.host_ip, b.host_ip)
}

/// Whether two host addresses have one in common; `None` and the unspecified address are all of them.
fn overlap(a: Option<IpAddr>, b: Option<IpAddr>) -> bool {
    match (a, b) {
        (None, _) | (_, None) => true,
        (Some(a), Some(b)) => a == b || a.is_unspecified() || b.is_unspecified(),
    }
}
