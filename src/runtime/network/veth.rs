//! The pairs that join a container to its bridges, and what its network namespace needs beside them.

use std::io;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use crate::network::addresses::parse_mac;
use crate::network::link::{self, Pair, PortMode};
use crate::network::subnet::Subnet;
use crate::network::{bridge, trunk};
use crate::state::network::{EndpointRecord, NetworkRecord, SubnetRecord};
use crate::sys::netlink::{Message, Socket};
use crate::sys::netns;

/// One place to plug a container in.
#[derive(Debug)]
pub struct Plug<'a> {
    /// The network.
    pub network: &'a NetworkRecord,
    /// The lease.
    pub endpoint: &'a EndpointRecord,
    /// Number of the network's link.
    pub bridge: u32,
    /// Which families' default routes it carries.
    pub way_out: WayOut,
}

/// The families whose packets to everywhere else go by one network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct WayOut {
    pub ipv4: bool,
    pub ipv6: bool,
}

impl WayOut {
    fn is_for(self, address: IpAddr) -> bool {
        if address.is_ipv4() { self.ipv4 } else { self.ipv6 }
    }
}

impl Plug<'_> {
    fn has_ipv6(&self) -> bool {
        self.endpoint.addresses.iter().chain(&self.endpoint.link_local).any(|address| address.is_ipv6())
    }

    fn subnet_of(&self, address: IpAddr) -> Option<&SubnetRecord> {
        self.network.subnets.iter().find(|subnet| Subnet::from(*subnet).contains(address))
    }
}

/// Plugs a container in at all `plugs`, and sets up its namespace. `socket` speaks for the host.
///
/// `sets_ipv6`: meanwhile the container writes IPv6 switches of its own, and they must stay as it writes them.
pub fn plug(socket: &mut Socket, plugs: &[Plug<'_>], netns: BorrowedFd<'_>, sets_ipv6: bool) -> io::Result<()> {
    // Switched off before the links are there, it waits for no lock; on a link the write spins until nobody else
    // changes any link of the host.
    let without_ipv6 = !sets_ipv6 && !plugs.is_empty() && !plugs.iter().any(Plug::has_ipv6);
    let is_barred = without_ipv6 && netns::within(netns, bar_ipv6)?;
    for plug in plugs {
        add(socket, plug, netns)?;
    }
    // The namespace first: when the host's end comes up, the carrier is there at once.
    netns::within(netns, || set_up_inside(plugs, is_barred))??;
    // With br_netfilter a packet to a port that its own sender has published never leaves the bridge.
    let is_filtered =
        std::fs::read("/proc/sys/net/bridge/bridge-nf-call-iptables").is_ok_and(|text| text.starts_with(b"1"));
    let mut messages = Vec::new();
    for plug in plugs.iter().filter(|plug| !trunk::is_one(plug.network)) {
        messages.push(link::up_by_name(&plug.endpoint.host_link));
        let mode = PortMode { is_isolated: !bridge::is_open_inside(plug.network), is_hairpin: is_filtered };
        if mode != PortMode::default() {
            let index = link::find(socket, &plug.endpoint.host_link)?.ok_or(Errno::NODEV)?.index;
            messages.push(link::set_port(index, mode));
        }
    }
    if messages.is_empty() {
        return Ok(());
    }
    Ok(socket.request(&messages)?)
}

fn add(socket: &mut Socket, plug: &Plug<'_>, netns: BorrowedFd<'_>) -> io::Result<()> {
    let host = plug.endpoint.host_link.as_str();
    let pair = Pair {
        host,
        bridge: plug.bridge,
        inside: &plug.endpoint.interface,
        mac: parse_mac(&plug.endpoint.mac).ok_or(Errno::INVAL)?,
        mtu: plug.network.mtu,
        netns,
    };
    if trunk::is_one(plug.network) {
        let message = link::add_child(trunk::child(plug.network)?, &pair);
        return match socket.request(&[message]) {
            // Of a join that was broken off: it is what we would make.
            Err(refused) if refused.is(Errno::EXIST) => Ok(()),
            Err(refused) if refused.is(Errno::OPNOTSUPP) => {
                let problem = format!("the kernel has no links of kind `{}`", plug.network.driver);
                Err(io::Error::new(io::ErrorKind::Unsupported, problem))
            }
            other => Ok(other?),
        };
    }
    match socket.request(&[link::add_pair(&pair)]) {
        Ok(()) => {}
        // Left over from an earlier run whose namespace the kernel has not yet taken apart.
        Err(refused) if refused.is(Errno::EXIST) => {
            bridge::remove(socket, host)?;
            socket.request(&[link::add_pair(&pair)])?;
        }
        Err(refused) => return Err(refused.into()),
    }
    // A bridge's port needs no address of its own. Refused where the host has no IPv6.
    let _ = socket.request(&[link::without_own_ipv6(host)]);
    Ok(())
}

const DEFAULT_IPV6: &str = "ipv6/conf/default/disable_ipv6";

/// Has links that are made from now on in the thread's namespace lack IPv6; `false`: they do already, or there is none.
fn bar_ipv6() -> bool {
    std::fs::read(format!("/proc/sys/net/{DEFAULT_IPV6}")).is_ok_and(|text| text.starts_with(b"0"))
        && bridge::sysctl(DEFAULT_IPV6, "1").is_ok()
}

/// Runs inside the container's namespace.
fn set_up_inside(plugs: &[Plug<'_>], is_barred: bool) -> io::Result<()> {
    if is_barred {
        // The container's own links, such as a tunnel's, may have it.
        bridge::sysctl(DEFAULT_IPV6, "0")?;
    }
    let mut socket = Socket::route()?;
    let mut messages = vec![link::up_by_name("lo")];
    for plug in plugs {
        let interface = &plug.endpoint.interface;
        if !is_barred && !plug.has_ipv6() {
            let _ = bridge::sysctl(&format!("ipv6/conf/{interface}/disable_ipv6"), "1");
        }
        let index = link::find(&mut socket, interface)?.ok_or(Errno::NODEV)?.index;
        for (name, value) in &plug.endpoint.sysctls {
            let path = name.trim_start_matches("net.").replace('.', "/").replace("IFNAME", interface);
            bridge::sysctl(&path, value).map_err(|error| io::Error::new(error.kind(), format!("`{name}`: {error}")))?;
        }
        if trunk::is_one(plug.network) {
            trunk::bring_up(&mut socket, index)?;
        }
        messages.push(link::up(index));
        messages.extend(addresses(plug, index));
    }
    Ok(socket.request(&messages)?)
}

fn addresses(plug: &Plug<'_>, index: u32) -> Vec<Message> {
    let mut messages = Vec::new();
    for address in &plug.endpoint.link_local {
        // 169.254.0.0/16 (RFC 3927), fe80::/64 (RFC 4291).
        let subnet = Subnet::of(*address, if address.is_ipv4() { 16 } else { 64 });
        messages.extend(subnet.map(|subnet| link::add_address(index, *address, subnet)));
    }
    for address in &plug.endpoint.addresses {
        let Some(subnet) = plug.subnet_of(*address) else { continue };
        messages.push(link::add_address(index, *address, Subnet::from(subnet)));
        if plug.way_out.is_for(*address) {
            messages.push(match trunk::is_routed(plug.network) {
                true => link::set_default_link(index, *address),
                false => link::add_default_route(index, subnet.gateway),
            });
        }
    }
    messages
}

/// Leads packets to everywhere else by the networks of `plugs` that carry them, wherever they went before.
pub fn lead_out(plugs: &[Plug<'_>], netns: BorrowedFd<'_>) -> io::Result<()> {
    netns::within(netns, || {
        let mut socket = Socket::route()?;
        let mut messages = Vec::new();
        for plug in plugs {
            let index = link::find(&mut socket, &plug.endpoint.interface)?.ok_or(Errno::NODEV)?.index;
            let carried = plug.endpoint.addresses.iter().filter(|address| plug.way_out.is_for(**address));
            for address in carried {
                let Some(subnet) = plug.subnet_of(*address) else { continue };
                messages.push(match trunk::is_routed(plug.network) {
                    true => link::set_default_link(index, *address),
                    false => link::set_default_route(index, subnet.gateway),
                });
            }
        }
        Ok(socket.request(&messages)?)
    })?
}
