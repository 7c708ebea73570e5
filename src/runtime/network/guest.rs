//! Plugs in a network namespace that is no container's: a build step's. It has an address and no name or lease.

use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use crate::Runtime;
use crate::network::addresses::{mac_of, mac_text};
use crate::network::attach::AttachError;
use crate::network::leases::host_link;
use crate::network::lifecycle::kernel;
use crate::network::subnet::Subnet;
use crate::network::veth::{self, Plug, WayOut};
use crate::network::{bridge, firewall};
use crate::state::network::{EndpointRecord, NetworkRecord, VERSION};
use crate::sys::netlink::Socket;

/// Plugs `netns` into a network of which its caller is the only user, at the address of that number, from 0.
///
/// The pair goes with the namespace.
pub fn plug(rt: &Runtime, network: &NetworkRecord, number: u32, netns: BorrowedFd<'_>) -> Result<(), AttachError> {
    let name = format!("step {number}");
    let no_address =
        || AttachError::Address { network: network.name.clone(), problem: format!("no address for {name}") };
    let address = address(network, number).ok_or_else(no_address)?;
    let mut socket = Socket::route().map_err(kernel("open", "rtnetlink"))?;
    let bridge = bridge::ensure(&mut socket, network)?;
    firewall::ensure(rt).map_err(kernel("set the firewall for", &name))?;
    let endpoint = EndpointRecord {
        version: VERSION,
        container: String::new(),
        container_name: name.clone(),
        addresses: vec![address],
        mac: mac_text(mac_of(address)),
        host_link: host_link(&name, &network.id),
        interface: "eth0".to_owned(),
        names: Vec::new(),
        up: true,
        link_local: Vec::new(),
        sysctls: Vec::new(),
    };
    let plug = Plug { network, endpoint: &endpoint, bridge, way_out: WayOut { ipv4: true, ipv6: true } };
    veth::plug(&mut socket, &[plug], netns, false).map_err(kernel("plug in the network of", &name))?;
    Ok(())
}

/// Each number has an address of its own; past the last one they begin again.
fn address(network: &NetworkRecord, number: u32) -> Option<IpAddr> {
    let subnet = network.subnets.first()?;
    let free = || Subnet::from(subnet).hosts().filter(|address| *address != subnet.gateway);
    let count = free().take(1 << 16).count();
    free().nth(usize::try_from(number).ok()?.checked_rem(count)?)
}
