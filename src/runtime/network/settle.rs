//! Brings what a container has of its networks to what its record says, while it runs or not: networks are joined and left.
//!
//! Every step may be done twice, so that whoever comes after a kill just does it all again.

use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::path::Path;

use crate::Runtime;
use crate::network::attach::{AttachError, ways_out};
use crate::network::leases::{self, lease_all};
use crate::network::lifecycle::kernel;
use crate::network::veth::{self, Plug};
use crate::network::{bridge, files, firewall, link, trunk};
use crate::state::container::{ContainerRecord, NetworkModeRecord};
use crate::state::network::{EndpointRecord, NetworkRecord};
use crate::state::record;
use crate::sys::netlink::Socket;
use crate::sys::netns;

/// A larger `/etc/hosts` has been made so by the container: it is left alone.
const LARGEST_HOSTS: u64 = 1 << 20;

/// Has a container leave the networks that its record does not name, and join those that it does.
///
/// `netns` is its network namespace when it runs: then links come and go, too, and packets to everywhere else are led
/// by the network of the highest priority. Its `/etc/hosts` follows. Returns its places, in the record's order. A
/// failure takes away the links that it has made.
pub fn settle(
    rt: &Runtime,
    container: &ContainerRecord,
    netns: Option<BorrowedFd<'_>>,
) -> Result<Vec<EndpointRecord>, AttachError> {
    let left = leases::release_others(rt, container)?;
    let leases = lease_all(rt, container)?;
    let endpoints = match netns {
        Some(netns) => {
            unhang(&left, netns).map_err(kernel("unplug the links of", &container.name))?;
            plug_missing(rt, container, leases, netns)?
        }
        None => leases.into_iter().map(|(_, endpoint)| endpoint).collect(),
    };
    let gone: Vec<IpAddr> = left.into_iter().flat_map(|endpoint| endpoint.addresses).collect();
    let path = rt.layout.bundle(&container.id).files().join("hosts");
    rewrite_hosts(&path, container, &gone, &endpoints).map_err(kernel("write", &path.to_string_lossy()))?;
    Ok(endpoints)
}

/// A link that hangs on one of the host has no end there that could be taken away.
fn unhang(left: &[EndpointRecord], netns: BorrowedFd<'_>) -> std::io::Result<()> {
    if left.is_empty() {
        return Ok(());
    }
    netns::within(netns, || {
        let mut socket = Socket::route()?;
        left.iter().filter(|endpoint| endpoint.up).try_for_each(|endpoint| {
            // That of a pair is gone with its other end.
            bridge::remove(&mut socket, &endpoint.interface)
        })
    })?
}

fn plug_missing(
    rt: &Runtime,
    container: &ContainerRecord,
    leases: Vec<(NetworkRecord, EndpointRecord)>,
    netns: BorrowedFd<'_>,
) -> Result<Vec<EndpointRecord>, AttachError> {
    let requests = match &container.network {
        NetworkModeRecord::Networks(requests) => &requests[..],
        NetworkModeRecord::None | NetworkModeRecord::Host | NetworkModeRecord::Container(_) => &[],
    };
    let mut socket = Socket::route().map_err(kernel("open", "rtnetlink"))?;
    let (mut missing, mut ways) = (Vec::new(), Vec::new());
    for ((network, endpoint), way_out) in leases.iter().zip(ways_out(requests, &leases)) {
        let bridge = bridge::ensure(&mut socket, network)?;
        let is_there = trunk::is_one(network)
            || link::find(&mut socket, &endpoint.host_link).map_err(kernel("find", &endpoint.host_link))?.is_some();
        if !endpoint.up || !is_there {
            // Its routes come last, when nothing that they need is missing.
            missing.push(Plug { network, endpoint, bridge, way_out: veth::WayOut::default() });
        }
        ways.push(Plug { network, endpoint, bridge, way_out });
    }
    if !missing.is_empty() {
        firewall::ensure(rt).map_err(kernel("set the firewall for", &container.name))?;
    }
    let plugged = match missing.is_empty() {
        true => Ok(()),
        // What the container has switched for its links must stay as it is.
        false => veth::plug(&mut socket, &missing, netns, true),
    };
    if let Err(error) = plugged.and_then(|()| veth::lead_out(&ways, netns)) {
        for plug in &missing {
            let _ = bridge::remove(&mut socket, &plug.endpoint.host_link);
        }
        return Err(kernel("plug in the network of", &container.name)(error).into());
    }
    let mut endpoints = Vec::new();
    for (network, mut endpoint) in leases {
        if !endpoint.up {
            endpoint.up = true;
            record::write(&leases::path(rt, &network.id, &container.id), &endpoint)?;
        }
        endpoints.push(endpoint);
    }
    Ok(endpoints)
}

/// Takes the lines of addresses that are given up out of `/etc/hosts` and adds those that are new; others stay, also
/// what the container has written. The file keeps its place: the container has it mounted.
fn rewrite_hosts(
    path: &Path,
    container: &ContainerRecord,
    gone: &[IpAddr],
    endpoints: &[EndpointRecord],
) -> std::io::Result<()> {
    let is_small = std::fs::symlink_metadata(path).is_ok_and(|file| file.is_file() && file.len() <= LARGEST_HOSTS);
    if !is_small {
        tracing::warn!(path = %path.display(), "the container's hosts file is gone or too large: left alone");
        return Ok(());
    }
    let old = std::fs::read_to_string(path)?;
    let new = hosts(&old, container, gone, endpoints);
    if old == new { Ok(()) } else { std::fs::write(path, new) }
}

fn hosts(old: &str, container: &ContainerRecord, gone: &[IpAddr], endpoints: &[EndpointRecord]) -> String {
    let address_of = |line: &str| line.split_ascii_whitespace().next().and_then(|word| word.parse::<IpAddr>().ok());
    let is_own = |line: &str| line.split_ascii_whitespace().skip(1).any(|name| name == container.hostname);
    let is_gone = |line: &str| is_own(line) && address_of(line).is_some_and(|address| gone.contains(&address));
    let mut text: String = old.split_inclusive('\n').filter(|line| !is_gone(line)).collect();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for address in endpoints.iter().flat_map(|endpoint| &endpoint.addresses) {
        if !text.lines().any(|line| address_of(line) == Some(*address) && is_own(line)) {
            text.push_str(&files::own_line(container, *address));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::tests::scratch::container_record;

    #[test]
    fn hosts_loses_what_is_given_up_and_keeps_what_the_container_wrote() {
        let container = container_record("web", Vec::new());
        let old = "127.0.0.1\tlocalhost\n10.0.0.2\tweb\n10.0.0.2 by-hand\n10.0.1.2\tweb";
        let gone = ["10.0.0.2".parse().unwrap()];
        let text = hosts(old, &container, &gone, &[]);
        assert_eq!(text, "127.0.0.1\tlocalhost\n10.0.0.2 by-hand\n10.0.1.2\tweb\n");
        assert_eq!(hosts(&text, &container, &gone, &[]), text, "twice is once");
    }
}
