//! Leases: the addresses and names that a container has on its networks, from its creation to its removal.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::Runtime;
use crate::network::addresses::{choose_address, mac_of, mac_text, parse_mac};
use crate::network::attach::AttachError;
use crate::network::bridge;
use crate::network::lifecycle::{find, kernel, names_in};
use crate::network::subnet::Subnet;
use crate::state::container::{ContainerRecord, EndpointRequest, NetworkModeRecord};
use crate::state::network::{EndpointRecord, NetworkRecord, VERSION};
use crate::state::record;
use crate::sys::netlink::Socket;

/// A lease without its container's folder is garbage after this long: a container being created may not have it yet.
const GRACE: Duration = Duration::from_secs(60);

/// Takes addresses and names for a container on each of its networks, in their order: all or none.
///
/// Called at its creation, and again when its name has changed; idempotent.
pub fn lease(rt: &Runtime, container: &ContainerRecord) -> Result<Vec<EndpointRecord>, AttachError> {
    Ok(lease_all(rt, container)?.into_iter().map(|(_, endpoint)| endpoint).collect())
}

/// As [`lease`], with the networks.
pub(crate) fn lease_all(
    rt: &Runtime,
    container: &ContainerRecord,
) -> Result<Vec<(NetworkRecord, EndpointRecord)>, AttachError> {
    let NetworkModeRecord::Networks(requests) = &container.network else { return Ok(Vec::new()) };
    let _networks = record::lock(&rt.layout.lock("networks"))?;
    let mut leased = Vec::new();
    let mut new: Vec<PathBuf> = Vec::new();
    // Names of links that are there now: a network that is joined later gets another.
    let mut interfaces: BTreeSet<String> = BTreeSet::new();
    for request in requests {
        let path = path(rt, &request.network, &container.id);
        let old = record::read::<EndpointRecord>(&path)?.filter(|old| old.up);
        interfaces.extend(old.map(|old| old.interface));
    }
    for (place, request) in requests.iter().enumerate() {
        let one = lease_one(rt, container, request, place).and_then(|(network, mut endpoint, old)| {
            match &old {
                Some(old) if old.up => endpoint.interface.clone_from(&old.interface),
                _ if interfaces.contains(&endpoint.interface) => {
                    endpoint.interface = free_interface(&network, request, &interfaces)?;
                }
                _ => {}
            }
            interfaces.insert(endpoint.interface.clone());
            let path = path(rt, &network.id, &container.id);
            if old.as_ref() != Some(&endpoint) {
                record::write(&path, &endpoint)?;
            }
            if old.is_none() {
                new.push(path);
            }
            Ok((network, endpoint))
        });
        match one {
            Ok(one) => leased.push(one),
            Err(error) => {
                for path in new {
                    let _ = std::fs::remove_file(path);
                }
                return Err(error);
            }
        }
    }
    Ok(leased)
}

/// Returns the name of the first link that the container does not have yet.
fn free_interface(
    network: &NetworkRecord,
    request: &EndpointRequest,
    taken: &BTreeSet<String>,
) -> Result<String, AttachError> {
    let prefix = bridge::interface_prefix(network);
    let mut names = (0..=taken.len()).map(|number| format!("{prefix}{number}"));
    match (&request.interface_name, names.find(|name| !taken.contains(name))) {
        (None, Some(name)) => Ok(name),
        (Some(name), _) => {
            let problem = format!("the container has a link `{name}` already");
            Err(AttachError::Address { network: network.name.clone(), problem })
        }
        (None, None) => {
            let problem = "the container has no name free for a link".to_owned();
            Err(AttachError::Address { network: network.name.clone(), problem })
        }
    }
}

/// Returns the network, the lease as it shall be, and the one on disk.
fn lease_one(
    rt: &Runtime,
    container: &ContainerRecord,
    request: &EndpointRequest,
    place: usize,
) -> Result<(NetworkRecord, EndpointRecord, Option<EndpointRecord>), AttachError> {
    let network = find(rt, &request.network)?
        .ok_or_else(|| AttachError::Removed { id: request.network.chars().take(12).collect() })?;
    let wrong = |problem: String| AttachError::Address { network: network.name.clone(), problem };
    let (others, old) = others(rt, &network.id, &container.id)?;
    let used: BTreeSet<IpAddr> = others.iter().flat_map(|other| other.addresses.iter().copied()).collect();
    let fixed: Vec<IpAddr> = request.ipv4.into_iter().chain(request.ipv6).collect();
    if let Some(stray) =
        fixed.iter().find(|address| !network.subnets.iter().any(|subnet| Subnet::from(subnet).contains(**address)))
    {
        return Err(wrong(format!("{stray} is in none of its subnets")));
    }
    let mut addresses = Vec::new();
    for is_ipv4 in [true, false] {
        let mut subnets = network.subnets.iter().filter(|subnet| subnet.address.is_ipv4() == is_ipv4).peekable();
        if subnets.peek().is_none() {
            continue;
        }
        let fixed = fixed.iter().copied().find(|address| address.is_ipv4() == is_ipv4);
        let kept = old.iter().flat_map(|old| &old.addresses).find(|address| address.is_ipv4() == is_ipv4);
        let wanted = fixed.or(kept.copied());
        // Of several subnets the one that holds the address, else the first with a free one.
        let mut chosen = Err("no address is free".to_owned());
        for subnet in subnets {
            if wanted.is_none_or(|address| Subnet::from(subnet).contains(address)) {
                chosen = choose_address(subnet, &used, wanted);
            }
            if chosen.is_ok() {
                break;
            }
        }
        addresses.push(chosen.map_err(&wrong)?);
    }
    let mac = match &request.mac {
        Some(text) => parse_mac(text).ok_or_else(|| wrong(format!("`{text}` is no hardware address")))?,
        None => mac_of(addresses[0]),
    };
    let interface = match &request.interface_name {
        Some(name) if bridge::is_link_name(name) => name.clone(),
        Some(name) => return Err(wrong(format!("`{name}` can't be the name of a link"))),
        None => format!("{}{place}", bridge::interface_prefix(&network)),
    };
    let mut names = vec![container.name.clone()];
    names.extend(request.aliases.iter().cloned());
    names.push(container.id.chars().take(12).collect());
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.to_lowercase()));
    let endpoint = EndpointRecord {
        version: VERSION,
        container: container.id.clone(),
        container_name: container.name.clone(),
        addresses,
        mac: mac_text(mac),
        host_link: host_link(&container.id, &network.id),
        interface,
        names,
        up: old.as_ref().is_some_and(|old| old.up),
        link_local: request.link_local.clone(),
        sysctls: request.sysctls.clone(),
    };
    Ok((network, endpoint, old))
}

/// Reads the leases of a network but for one container's, and that one. Drops those of containers that are no more.
fn others(
    rt: &Runtime,
    network: &str,
    container: &str,
) -> Result<(Vec<EndpointRecord>, Option<EndpointRecord>), AttachError> {
    let folder = rt.layout.endpoints(network);
    let (mut others, mut own) = (Vec::new(), None);
    for name in names_in(&folder)? {
        let Some(id) = name.strip_suffix(".json") else { continue };
        let path = folder.join(&name);
        let Some(endpoint) = record::read::<EndpointRecord>(&path)? else { continue };
        if id == container {
            own = Some(endpoint);
        } else if !rt.layout.bundle(id).lib.exists() && is_old(&path) {
            let _ = std::fs::remove_file(&path);
        } else {
            others.push(endpoint);
        }
    }
    Ok((others, own))
}

fn is_old(path: &Path) -> bool {
    let age = path.metadata().and_then(|metadata| metadata.modified()).ok().and_then(|time| time.elapsed().ok());
    age.is_some_and(|age| age > GRACE)
}

/// Gives up the addresses and names of a container; called at its removal, idempotent.
pub fn release(rt: &Runtime, container_id: &str) -> Result<(), AttachError> {
    for network in names_in(&rt.layout.networks())? {
        let path = path(rt, &network, container_id);
        match std::fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => {
                let what = path.to_string_lossy().into_owned();
                return Err(AttachError::Kernel { act: "remove", what, source });
            }
        }
    }
    Ok(())
}

/// Gives up the leases of a container on networks that its record does not name, and returns them.
pub(crate) fn release_others(rt: &Runtime, container: &ContainerRecord) -> Result<Vec<EndpointRecord>, AttachError> {
    let requests = match &container.network {
        NetworkModeRecord::Networks(requests) => &requests[..],
        NetworkModeRecord::None | NetworkModeRecord::Host | NetworkModeRecord::Container(_) => &[],
    };
    let mut given_up = Vec::new();
    for network in names_in(&rt.layout.networks())? {
        let path = path(rt, &network, &container.id);
        if requests.iter().any(|request| request.network == network) {
            continue;
        }
        let Some(endpoint) = record::read::<EndpointRecord>(&path)? else { continue };
        // Its link first: as long as the lease is there, whoever comes next finds what to take away.
        let mut socket = Socket::route().map_err(kernel("open", "rtnetlink"))?;
        bridge::remove(&mut socket, &endpoint.host_link).map_err(kernel("remove the link", &endpoint.host_link))?;
        std::fs::remove_file(&path).map_err(kernel("remove", &path.to_string_lossy()))?;
        given_up.push(endpoint);
    }
    Ok(given_up)
}

/// Returns where a lease is kept.
pub(crate) fn path(rt: &Runtime, network: &str, container: &str) -> PathBuf {
    rt.layout.endpoints(network).join(format!("{container}.json"))
}

/// Returns the name of the host's end of a pair: the same for the same place, so that a stale one is found.
pub(crate) fn host_link(container: &str, network: &str) -> String {
    let hash = Sha256::new().chain_update(container).chain_update(network).finalize();
    let hex: String = hash[..6].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("mv{hex}")
}
