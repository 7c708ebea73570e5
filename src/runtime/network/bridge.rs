//! A network's link on the host: made with the network, and again when a reboot has lost it.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use rustix::io::Errno;

use crate::network::addresses::mac_of;
use crate::network::lifecycle::{NetworkError, kernel};
use crate::network::subnet::Subnet;
use crate::network::{link, trunk};
use crate::state::network::NetworkRecord;
use crate::sys::netlink::Socket;

const MTU_OPTION: &str = "com.docker.network.driver.mtu";
const NAME_OPTION: &str = "com.docker.network.bridge.name";
const MASQUERADE_OPTION: &str = "com.docker.network.bridge.enable_ip_masquerade";
const ICC_OPTION: &str = "com.docker.network.bridge.enable_icc";
const HOST_OPTION: &str = "com.docker.network.bridge.host_binding_ipv4";
const PREFIX_OPTION: &str = "com.docker.network.container_iface_prefix";
const DEFAULT_OPTION: &str = "com.docker.network.bridge.default_bridge";
const INHIBIT_OPTION: &str = "com.docker.network.bridge.inhibit_ipv4";
const MODE4_OPTION: &str = "com.docker.network.bridge.gateway_mode_ipv4";
const MODE6_OPTION: &str = "com.docker.network.bridge.gateway_mode_ipv6";
const DEFAULT_MTU: u32 = 1500;

/// Returns the name of a network's link; the error says what is wrong with the name asked for.
pub fn name(id: &str, options: &BTreeMap<String, String>) -> Result<String, String> {
    match options.get(NAME_OPTION) {
        None => Ok(format!("mt-{}", &id[..12])),
        Some(name) if is_link_name(name) => Ok(name.clone()),
        Some(name) => Err(format!("`{name}` can't be the name of a link: 1 to 15 bytes, no blank, `/` or `:`")),
    }
}

/// Says whether the kernel takes it for the name of a link.
pub fn is_link_name(name: &str) -> bool {
    (1..16).contains(&name.len()) && !name.contains(['/', ' ', ':', '%']) && name != "." && name != ".."
}

/// Checks what a network's options ask for; the error says what is wrong. One that nobody knows is only told.
pub fn check(options: &BTreeMap<String, String>) -> Result<(), String> {
    for (key, value) in options {
        let wrong = |what: &str| Err(format!("`{key}: {value}` is no {what}"));
        match key.as_str() {
            MTU_OPTION if value.parse::<u32>().is_err() => return wrong("size of a packet"),
            MASQUERADE_OPTION | ICC_OPTION if value.parse::<bool>().is_err() => return wrong("`true` or `false`"),
            HOST_OPTION if value.parse::<IpAddr>().is_err() => return wrong("address"),
            PREFIX_OPTION if !is_link_name(&format!("{value}00")) => return wrong("beginning of a link's name"),
            DEFAULT_OPTION | INHIBIT_OPTION if value != "false" => {
                return Err(format!("the option `{key}` can't be done: a network's link has its gateway's address"));
            }
            MODE4_OPTION | MODE6_OPTION if value != "nat" => {
                return Err(format!(
                    "the option `{key}` can't be `{value}`: published ports lead in, nothing else does"
                ));
            }
            MTU_OPTION | NAME_OPTION | MASQUERADE_OPTION | ICC_OPTION | HOST_OPTION | PREFIX_OPTION
            | DEFAULT_OPTION | INHIBIT_OPTION | MODE4_OPTION | MODE6_OPTION => {}
            _ => tracing::warn!("the network option `{key}` has no effect"),
        }
    }
    Ok(())
}

/// Returns the host's address that ports are published on when they don't say; `None`: every one.
pub fn host_address(network: &NetworkRecord) -> Option<IpAddr> {
    network.options.get(HOST_OPTION)?.parse().ok().filter(|address: &IpAddr| !address.is_unspecified())
}

/// Returns what the names of its containers' links begin with.
pub fn interface_prefix(network: &NetworkRecord) -> &str {
    network.options.get(PREFIX_OPTION).map_or("eth", String::as_str)
}

/// Says whether its containers' packets leave with the host's address.
pub fn is_masqueraded(network: &NetworkRecord) -> bool {
    !network.internal && network.options.get(MASQUERADE_OPTION).is_none_or(|value| value != "false")
}

/// Says whether its containers may speak to each other.
pub fn is_open_inside(network: &NetworkRecord) -> bool {
    network.options.get(ICC_OPTION).is_none_or(|value| value != "false")
}

/// Returns the largest packet: as asked for, else that of the host's way out.
pub fn mtu(socket: &mut Socket, options: &BTreeMap<String, String>) -> io::Result<u32> {
    if let Some(mtu) = options.get(MTU_OPTION).and_then(|text| text.parse().ok()) {
        return Ok(mtu);
    }
    let mut way_out = link::routes(socket, true)?.default_link;
    if way_out.is_none() {
        way_out = link::routes(socket, false).ok().and_then(|routes| routes.default_link);
    }
    let Some(index) = way_out else { return Ok(DEFAULT_MTU) };
    Ok(link::find_index(socket, index)?.map_or(DEFAULT_MTU, |link| link.mtu))
}

/// Returns the number of the network's link, which is made where it is missing.
pub fn ensure(socket: &mut Socket, network: &NetworkRecord) -> Result<u32, NetworkError> {
    if trunk::is_one(network) {
        return trunk::ensure(socket, network);
    }
    match link::find(socket, &network.bridge).map_err(kernel("find the link", &network.bridge))? {
        Some(link) if link.up => Ok(link.index),
        Some(_) | None => make(socket, network),
    }
}

/// Makes the link with its addresses, brings it up, and has the host forward packets; what is there already stays.
pub fn make(socket: &mut Socket, network: &NetworkRecord) -> Result<u32, NetworkError> {
    let error = kernel("make the link", &network.bridge);
    // Any fixed address will do: a bridge without one takes that of a port, and changes it when the port goes.
    let mac = network.subnets.first().map_or([0x02, 0x42, 0, 0, 0, 1], |subnet| mac_of(subnet.gateway));
    match socket.request(&[link::add_bridge(&network.bridge, mac, network.mtu)]) {
        Ok(()) => {}
        Err(refused) if refused.is(Errno::EXIST) => {}
        Err(refused) => return Err(error(refused.into())),
    }
    let found = link::find(socket, &network.bridge).map_err(&error)?;
    let link = found.ok_or_else(|| error(Errno::NODEV.into()))?;
    if link.kind != "bridge" {
        let problem = format!("the host has a link `{}` that is no bridge", network.bridge);
        return Err(NetworkError::Unsupported { name: network.name.clone(), problem });
    }
    let has_ipv6 = network.subnets.iter().any(|subnet| subnet.address.is_ipv6());
    if !has_ipv6 {
        // No link-local address, no multicast: nobody asked for IPv6 here. Where the host has none the file is missing.
        let _ = sysctl(&format!("ipv6/conf/{}/disable_ipv6", network.bridge), "1");
    }
    for subnet in &network.subnets {
        match socket.request(&[link::add_address(link.index, subnet.gateway, Subnet::from(subnet))]) {
            Ok(()) => {}
            Err(refused) if refused.is(Errno::EXIST) => {}
            Err(refused) => return Err(error(refused.into())),
        }
    }
    // Ports published on 127.0.0.1 send packets from there through this link; the firewall bars the way back.
    sysctl(&format!("ipv4/conf/{}/route_localnet", network.bridge), "1").map_err(&error)?;
    forward("ipv4/ip_forward").map_err(kernel("turn on", "net.ipv4.ip_forward"))?;
    if has_ipv6 {
        forward("ipv6/conf/all/forwarding").map_err(kernel("turn on", "net.ipv6.conf.all.forwarding"))?;
    }
    // Last: a link that is up has all else.
    socket.request(&[link::up(link.index)]).map_err(|refused| error(refused.into()))?;
    Ok(link.index)
}

/// Has the host forward packets, unless it does: a host where the switch is read-only may have it on already.
fn forward(name: &str) -> io::Result<()> {
    if std::fs::read_to_string(format!("/proc/sys/net/{name}"))?.trim() == "1" {
        return Ok(());
    }
    sysctl(name, "1")
}

/// Sets a switch of the calling thread's network namespace, below `/proc/sys/net/`.
pub fn sysctl(name: &str, value: &str) -> io::Result<()> {
    std::fs::write(format!("/proc/sys/net/{name}"), value)
}

/// Removes a link; that there is none is fine.
pub fn remove(socket: &mut Socket, name: &str) -> io::Result<()> {
    match socket.request(&[link::remove(name)]) {
        Err(refused) if refused.is(Errno::NODEV) => Ok(()),
        other => Ok(other?),
    }
}
