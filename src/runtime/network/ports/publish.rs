//! Has the kernel forward reserved ports to a container, and no more when it ends.

use std::net::IpAddr;

use crate::Runtime;
use crate::network::conntrack;
use crate::network::firewall;
use crate::network::firewall::rules::Forward;
use crate::network::lifecycle;
use crate::network::ports::{PortConflict, PublishError, Reserved, publications, reserve};
use crate::network::subnet::Subnet;
use crate::network::trunk;
use crate::state::container::{ContainerRecord, NetworkModeRecord, PortRecord};
use crate::state::network::{EndpointRecord, PublicationRecord, VERSION};
use crate::state::process::ProcessId;
use crate::state::record;

/// Returns those of `ports` that can't be had now, with who holds them. Opens nothing that stays open.
pub fn check(_rt: &Runtime, ports: &[PortRecord]) -> Vec<PortConflict> {
    // Held until the last is checked: two of the list may want the same port.
    let tried: Vec<_> = ports.iter().map(|port| reserve(std::slice::from_ref(port))).collect();
    tried.into_iter().filter_map(Result::err).collect()
}

/// Has the kernel forward what is reserved to the container. The calling process is taken for the holder of the ports:
/// when it is gone, so is the publication.
pub fn publish(
    rt: &Runtime,
    container_id: &str,
    reserved: &Reserved,
    endpoints: &[EndpointRecord],
) -> Result<(), PublishError> {
    if reserved.open.is_empty() {
        return Ok(());
    }
    let targets = targets(rt, container_id, endpoints)?;
    let _ = reserved.targets.set(targets.clone());
    // Without nf_tables there is nothing that drops, and nothing that forwards.
    let dropping = firewall::policy::dropping(true).ok().flatten();
    if let Some(chain) = &dropping {
        tracing::warn!("the host drops forwarded packets (`{chain}`): ports are carried, clients have its address");
    }
    let publication = PublicationRecord {
        version: VERSION,
        container: container_id.to_owned(),
        owner: ProcessId::of(i32::try_from(std::process::id()).unwrap_or_default()),
        open: reserved.open.clone(),
        targets,
        is_proxied: dropping.is_some(),
    };
    let stale = forwards(&publications::take_stale(rt)?);
    record::write(&publications::path(rt, container_id), &publication)?;
    firewall::change_ports(rt, &stale, &publication.forwards())
        .map_err(|source| PublishError::Firewall { container: container_id.to_owned(), source })?;
    forget(&[stale, publication.forwards()].concat());
    Ok(())
}

/// Leads the ports of a container that runs to where its networks are now; returns the addresses where they lead, when
/// that has changed.
pub fn lead_anew(
    rt: &Runtime,
    container_id: &str,
    endpoints: &[EndpointRecord],
) -> Result<Option<Vec<IpAddr>>, PublishError> {
    let path = publications::path(rt, container_id);
    let Some(old) = record::read::<PublicationRecord>(&path)? else { return Ok(None) };
    let targets = targets(rt, container_id, endpoints)?;
    if targets == old.targets {
        return Ok(None);
    }
    let new = PublicationRecord { targets: targets.clone(), ..old.clone() };
    record::write(&path, &new)?;
    firewall::change_ports(rt, &old.forwards(), &new.forwards())
        .map_err(|source| PublishError::Firewall { container: container_id.to_owned(), source })?;
    forget(&[old.forwards(), new.forwards()].concat());
    Ok(Some(targets))
}

/// Ends flows that go on to what the ports led to before. Without that they end by themselves, only later.
fn forget(forwards: &[Forward]) {
    if let Err(error) = conntrack::forget(forwards) {
        tracing::debug!(%error, "cannot end flows of datagrams");
    }
}

/// Ends the forwarding to a container; idempotent.
pub fn unpublish(rt: &Runtime, container_id: &str) -> Result<(), PublishError> {
    let path = publications::path(rt, container_id);
    let Some(publication) = record::read::<PublicationRecord>(&path)? else { return publications::sweep(rt) };
    if std::fs::remove_file(&path).is_err() {
        // Somebody else is just clearing up after a killed keeper.
        return Ok(());
    }
    let mut gone = publications::take_stale(rt)?;
    gone.push(publication);
    firewall::change_ports(rt, &forwards(&gone), &[])
        .map_err(|source| PublishError::Firewall { container: container_id.to_owned(), source })?;
    forget(&forwards(&gone));
    Ok(())
}

fn forwards(publications: &[PublicationRecord]) -> Vec<Forward> {
    publications.iter().flat_map(PublicationRecord::forwards).collect()
}

/// Returns the addresses that ports lead to: those on the network that answers leave by, of the highest priority.
/// Nothing leads into an internal network.
pub(crate) fn targets(
    rt: &Runtime,
    container_id: &str,
    endpoints: &[EndpointRecord],
) -> Result<Vec<IpAddr>, PublishError> {
    let networks = lifecycle::list(rt).map_err(|source| PublishError::Network { source })?;
    let requests = match record::read::<ContainerRecord>(&rt.layout.bundle(container_id).record())? {
        Some(ContainerRecord { network: NetworkModeRecord::Networks(requests), .. }) => requests,
        _ => Vec::new(),
    };
    let priority = |place: usize| requests.get(place).map_or(0, |request| request.gw_priority);
    let mut open: Vec<_> = endpoints
        .iter()
        .enumerate()
        .filter(|(_, endpoint)| {
            let holds = |subnet: Subnet| endpoint.addresses.iter().any(|address| subnet.contains(*address));
            let network = networks.iter().find(|network| network.subnets.iter().map(Subnet::from).any(holds));
            network.is_some_and(|network| !network.internal && !trunk::is_one(network))
        })
        .collect();
    // A stable sort: the first of equals stays first.
    open.sort_by_key(|(place, _)| std::cmp::Reverse(priority(*place)));
    let addresses = || open.iter().flat_map(|(_, endpoint)| endpoint.addresses.iter().copied());
    let ipv4 = addresses().find(IpAddr::is_ipv4);
    Ok(ipv4.into_iter().chain(addresses().find(IpAddr::is_ipv6)).collect())
}
