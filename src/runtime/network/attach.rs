//! Plugs a container into its networks at its start, and unplugs it at its end.

use std::io;
use std::os::fd::BorrowedFd;

use crate::Runtime;
use crate::network::leases::{self, lease_all};
use crate::network::lifecycle::{NetworkError, kernel, names_in, tell_of};
use crate::network::veth::{self, Plug, WayOut};
use crate::network::{bridge, firewall, removal};
use crate::state::container::{ContainerRecord, EndpointRequest, NetworkModeRecord};
use crate::state::network::{EndpointRecord, NetworkRecord};
use crate::state::record::{self, RecordError};
use crate::sys::netlink::Socket;

/// Why a container could not be put on its networks.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The network is not there, or can't be made to work.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// A network that it was made to be on is there no more.
    #[error("network `{id}`, which it was on, is not found: it has been removed; create the container anew")]
    Removed {
        /// The beginning of the network's id.
        id: String,
    },
    /// No address is left, or the one asked for is taken.
    #[error("network `{network}`: {problem}")]
    Address {
        /// The network's name.
        network: String,
        /// What is wrong, and with which address.
        problem: String,
    },
    /// The state on disk.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The kernel refused.
    #[error("cannot {act} `{what}`")]
    Kernel {
        /// What was attempted.
        act: &'static str,
        /// On what.
        what: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// Plugs a container into its networks: links, addresses, routes, `lo`, and the namespace's sysctls.
///
/// `netns` is its network namespace. A container without networks gets `lo`; one in another's or the host's
/// namespace nothing, since that is set up already. A failure leaves no link behind.
pub fn attach(
    rt: &Runtime,
    container: &ContainerRecord,
    netns: BorrowedFd<'_>,
) -> Result<Vec<EndpointRecord>, AttachError> {
    let requests = match &container.network {
        NetworkModeRecord::Host | NetworkModeRecord::Container(_) => return Ok(Vec::new()),
        NetworkModeRecord::None => &[][..],
        NetworkModeRecord::Networks(requests) => requests,
    };
    // What a killed command has left of a network that the container was about to join, or to leave.
    leases::release_others(rt, container)?;
    let leases = lease_all(rt, container)?;
    let mut socket = Socket::route().map_err(kernel("open", "rtnetlink"))?;
    let result = plug(rt, &mut socket, container, requests, leases, netns);
    if result.is_err() {
        let _ = detach(rt, &container.id);
    }
    result
}

fn plug(
    rt: &Runtime,
    socket: &mut Socket,
    container: &ContainerRecord,
    requests: &[EndpointRequest],
    leases: Vec<(NetworkRecord, EndpointRecord)>,
    netns: BorrowedFd<'_>,
) -> Result<Vec<EndpointRecord>, AttachError> {
    let ways = ways_out(requests, &leases);
    let mut plugs = Vec::new();
    for ((network, endpoint), way_out) in leases.iter().zip(ways) {
        let bridge = bridge::ensure(socket, network)?;
        plugs.push(Plug { network, endpoint, bridge, way_out });
    }
    if !plugs.is_empty() {
        // Whoever flushes the host's tables takes ours along: look before each start.
        firewall::ensure(rt).map_err(kernel("set the firewall for", &container.name))?;
    }
    let sets_ipv6 = container.sysctls.keys().any(|name| name.replace('/', ".").starts_with("net.ipv6."));
    veth::plug(socket, &plugs, netns, sets_ipv6).map_err(kernel("plug in the network of", &container.name))?;
    let mut endpoints = Vec::new();
    for (network, mut endpoint) in leases {
        endpoint.up = true;
        record::write(&leases::path(rt, &network.id, &container.id), &endpoint)?;
        tell_of(rt, &network, &container.id, "connect");
        endpoints.push(endpoint);
    }
    Ok(endpoints)
}

/// Chooses, a family at a time, the network that carries the default route: the highest priority, the first of equals,
/// never an internal one.
pub(crate) fn ways_out(requests: &[EndpointRequest], leases: &[(NetworkRecord, EndpointRecord)]) -> Vec<WayOut> {
    let way_out = |is_ipv4: bool| {
        let has_family = |place: &usize| leases[*place].1.addresses.iter().any(|address| address.is_ipv4() == is_ipv4);
        let open = (0..leases.len()).filter(|place| !leases[*place].0.internal).filter(has_family);
        // `max_by_key` returns the last of equals.
        open.rev().max_by_key(|place| requests[*place].gw_priority)
    };
    let (ipv4, ipv6) = (way_out(true), way_out(false));
    (0..leases.len()).map(|place| WayOut { ipv4: ipv4 == Some(place), ipv6: ipv6 == Some(place) }).collect()
}

/// Unplugs a container that no longer runs; idempotent. Its leases stay, but its names are answered no more.
pub fn detach(rt: &Runtime, container_id: &str) -> Result<(), AttachError> {
    for link in silence(rt, container_id)? {
        // Mostly the kernel has removed it with the namespace.
        removal::remove(&link).map_err(kernel("remove the link", &link))?;
    }
    Ok(())
}

/// Writes down that a container is on its networks no more; its links, which are returned, are still to be removed.
pub fn silence(rt: &Runtime, container_id: &str) -> Result<Vec<String>, AttachError> {
    let mut links = Vec::new();
    for network in names_in(&rt.layout.networks())? {
        let path = leases::path(rt, &network, container_id);
        let Some(mut endpoint) = record::read::<EndpointRecord>(&path)? else { continue };
        links.push(endpoint.host_link.clone());
        if endpoint.up {
            endpoint.up = false;
            record::write(&path, &endpoint)?;
            if let Some(network) = record::read::<NetworkRecord>(&rt.layout.network(&network))? {
                tell_of(rt, &network, container_id, "disconnect");
            }
        }
    }
    Ok(links)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_route_goes_to_the_highest_priority_and_never_inside() {
        let request = |gw_priority| EndpointRequest { gw_priority, ..EndpointRequest::default() };
        let lease = |internal, addresses: &[&str]| {
            let network = NetworkRecord {
                version: 1,
                id: String::new(),
                name: String::new(),
                created_ms: 0,
                driver: String::new(),
                bridge: String::new(),
                owns_link: true,
                subnets: Vec::new(),
                internal,
                attachable: false,
                mtu: 1500,
                options: Default::default(),
                labels: Default::default(),
                owner: None,
            };
            let endpoint = EndpointRecord {
                version: 1,
                container: String::new(),
                container_name: String::new(),
                addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
                mac: String::new(),
                host_link: String::new(),
                interface: String::new(),
                names: Vec::new(),
                up: false,
                link_local: Vec::new(),
                sysctls: Vec::new(),
            };
            (network, endpoint)
        };
        let ways = |requests: &[EndpointRequest], leases: &[(NetworkRecord, EndpointRecord)]| {
            let ways = ways_out(requests, leases);
            (ways.iter().position(|way| way.ipv4), ways.iter().position(|way| way.ipv6))
        };
        let (four, six, both) = (&["10.0.0.2"][..], &["fd00::2"][..], &["10.0.1.2", "fd01::2"][..]);
        assert_eq!(ways(&[request(0), request(0)], &[lease(false, four), lease(false, four)]), (Some(0), None));
        assert_eq!(ways(&[request(0), request(1)], &[lease(false, four), lease(false, four)]), (Some(1), None));
        assert_eq!(ways(&[request(0), request(1)], &[lease(false, four), lease(true, four)]), (Some(0), None));
        assert_eq!(ways(&[request(0)], &[lease(true, both)]), (None, None));
        assert_eq!(ways(&[request(1), request(0)], &[lease(false, four), lease(false, both)]), (Some(0), Some(1)));
        assert_eq!(ways(&[request(0), request(1)], &[lease(false, six), lease(false, four)]), (Some(1), Some(0)));
    }
}
