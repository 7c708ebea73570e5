//! rtnetlink messages: links, addresses, routes.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::network::subnet::{Subnet, octets};
use crate::sys::netlink::{CREATE, EXCLUSIVE, Message, REPLACE, Socket, attributes};

const NEWLINK: u16 = 16;
const DELLINK: u16 = 17;
const GETLINK: u16 = 18;
/// Of the bridge family; `NEWLINK` would leave the port alone without a word.
const SETLINK: u16 = 19;
const NEWADDR: u16 = 20;
const NEWROUTE: u16 = 24;
const GETROUTE: u16 = 26;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_PROTINFO: u16 = 12;
const IFLA_LINKINFO: u16 = 18;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFLA_VLAN_ID: u16 = 1;
const IFLA_MACVLAN_MODE: u16 = 1;
const IFLA_IPVLAN_MODE: u16 = 1;
const IFLA_IPVLAN_FLAGS: u16 = 2;
const IFLA_BRPORT_MODE: u16 = 4;
const IFLA_BRPORT_ISOLATED: u16 = 33;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;
/// No duplicate address detection: the lease is what makes an address single.
const IFA_F_NODAD: u32 = 0x02;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_TABLE: u16 = 15;
const IFF_UP: u32 = 1;
const TABLE_MAIN: u8 = 254;
const AF_BRIDGE: u8 = 7;
const AF_INET6: u8 = 10;

/// A link as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number in its namespace.
    pub index: u32,
    /// Largest packet.
    pub mtu: u32,
    /// Is up.
    pub up: bool,
    /// Kind (`bridge`, `veth`); empty for hardware.
    pub kind: String,
}

/// `struct ifinfomsg`
fn header(family: u8, index: u32, up: bool) -> [u8; 16] {
    let flags = if up { IFF_UP } else { 0 };
    let mut bytes = [0; 16];
    bytes[0] = family;
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..16].copy_from_slice(&flags.to_ne_bytes());
    bytes
}

/// Finds a link by its name.
pub fn find(socket: &mut Socket, name: &str) -> io::Result<Option<Link>> {
    let mut message = Message::new(GETLINK, 0, &header(0, 0, false));
    message.put_text(IFLA_IFNAME, name);
    find_by(socket, &message)
}

/// Finds a link by its number.
pub fn find_index(socket: &mut Socket, index: u32) -> io::Result<Option<Link>> {
    find_by(socket, &Message::new(GETLINK, 0, &header(0, index, false)))
}

fn find_by(socket: &mut Socket, message: &Message) -> io::Result<Option<Link>> {
    match socket.get(message) {
        Ok(reply) => Ok(reply.and_then(|reply| parse(&reply.payload))),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error()) => Ok(None),
        Err(error) => Err(error),
    }
}

fn parse(payload: &[u8]) -> Option<Link> {
    let number = |range: std::ops::Range<usize>| Some(u32::from_ne_bytes(payload.get(range)?.try_into().ok()?));
    let mut link = Link { index: number(4..8)?, mtu: 0, up: number(8..12)? & IFF_UP != 0, kind: String::new() };
    for (kind, value) in attributes(payload.get(16..)?) {
        match kind {
            IFLA_MTU => link.mtu = u32::from_ne_bytes(value.try_into().ok()?),
            IFLA_LINKINFO => {
                let name = attributes(value).find(|(kind, _)| *kind == IFLA_INFO_KIND).map(|(_, value)| value);
                link.kind = String::from_utf8_lossy(name.unwrap_or_default()).trim_end_matches('\0').to_owned();
            }
            _ => {}
        }
    }
    Some(link)
}

/// Makes a bridge, which is up at once. Refused with EEXIST when the name is taken.
pub fn add_bridge(name: &str, mac: [u8; 6], mtu: u32) -> Message {
    let mut message = Message::new(NEWLINK, CREATE | EXCLUSIVE, &header(0, 0, true));
    message.put_text(IFLA_IFNAME, name).put_u32(IFLA_MTU, mtu).put(IFLA_ADDRESS, &mac).nest(IFLA_LINKINFO, |info| {
        info.put_text(IFLA_INFO_KIND, "bridge");
    });
    message
}

/// One veth pair.
#[derive(Debug, Clone)]
pub struct Pair<'a> {
    /// Name on the host.
    pub host: &'a str,
    /// The bridge's number.
    pub bridge: u32,
    /// Name inside.
    pub inside: &'a str,
    /// Address inside.
    pub mac: [u8; 6],
    /// Largest packet, both ends.
    pub mtu: u32,
    /// Where the inner end is born: moving it there afterwards costs 20 ms (RCU grace periods).
    pub netns: BorrowedFd<'a>,
}

/// Makes a veth pair; both ends are down.
pub fn add_pair(pair: &Pair<'_>) -> Message {
    let mut message = Message::new(NEWLINK, CREATE | EXCLUSIVE, &header(0, 0, false));
    message.put_text(IFLA_IFNAME, pair.host).put_u32(IFLA_MTU, pair.mtu).put_u32(IFLA_MASTER, pair.bridge).nest(
        IFLA_LINKINFO,
        |info| {
            info.put_text(IFLA_INFO_KIND, "veth").nest(IFLA_INFO_DATA, |data| {
                data.nest(VETH_INFO_PEER, |peer| {
                    peer.raw(&header(0, 0, false))
                        .put_text(IFLA_IFNAME, pair.inside)
                        .put_u32(IFLA_MTU, pair.mtu)
                        .put(IFLA_ADDRESS, &pair.mac)
                        .put_u32(IFLA_NET_NS_FD, pair.netns.as_raw_fd().unsigned_abs());
                });
            });
        },
    );
    message
}

/// A link of a container that hangs on one of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Child {
    /// With a hardware address of its own.
    Macvlan {
        /// `MACVLAN_MODE_..`
        mode: u32,
    },
    /// With that of the host's link.
    Ipvlan {
        /// `IPVLAN_MODE_..`
        mode: u16,
        /// `IPVLAN_F_..`
        flags: u16,
    },
}

/// Makes a link that hangs on the host's link of the number `pair.bridge`; `pair.host` is of no account.
pub fn add_child(child: Child, pair: &Pair<'_>) -> Message {
    let mut message = Message::new(NEWLINK, CREATE | EXCLUSIVE, &header(0, 0, false));
    message
        .put_text(IFLA_IFNAME, pair.inside)
        .put_u32(IFLA_LINK, pair.bridge)
        .put_u32(IFLA_NET_NS_FD, pair.netns.as_raw_fd().unsigned_abs());
    if let Child::Macvlan { .. } = child {
        message.put(IFLA_ADDRESS, &pair.mac);
    }
    message.nest(IFLA_LINKINFO, |info| match child {
        Child::Macvlan { mode } => {
            info.put_text(IFLA_INFO_KIND, "macvlan").nest(IFLA_INFO_DATA, |data| {
                data.put_u32(IFLA_MACVLAN_MODE, mode);
            });
        }
        Child::Ipvlan { mode, flags } => {
            info.put_text(IFLA_INFO_KIND, "ipvlan").nest(IFLA_INFO_DATA, |data| {
                data.put(IFLA_IPVLAN_MODE, &mode.to_ne_bytes()).put(IFLA_IPVLAN_FLAGS, &flags.to_ne_bytes());
            });
        }
    });
    message
}

/// Makes the link of a VLAN on another link.
pub fn add_vlan(name: &str, trunk: u32, number: u16) -> Message {
    let mut message = Message::new(NEWLINK, CREATE | EXCLUSIVE, &header(0, 0, false));
    message.put_text(IFLA_IFNAME, name).put_u32(IFLA_LINK, trunk).nest(IFLA_LINKINFO, |info| {
        info.put_text(IFLA_INFO_KIND, "vlan").nest(IFLA_INFO_DATA, |data| {
            data.put(IFLA_VLAN_ID, &number.to_ne_bytes());
        });
    });
    message
}

/// Brings a link up, by number.
pub fn up(index: u32) -> Message {
    Message::new(NEWLINK, 0, &header(0, index, true))
}

/// Brings a link up, by name.
pub fn up_by_name(name: &str) -> Message {
    let mut message = Message::new(NEWLINK, 0, &header(0, 0, true));
    message.put_text(IFLA_IFNAME, name);
    message
}

/// Keeps a link from giving itself an IPv6 address, by name. Refused where the host has no IPv6.
pub fn without_own_ipv6(name: &str) -> Message {
    const NONE: u8 = 1;
    let mut message = Message::new(NEWLINK, 0, &header(0, 0, false));
    message.put_text(IFLA_IFNAME, name).nest(IFLA_AF_SPEC, |families| {
        families.nest(u16::from(AF_INET6), |ipv6| {
            ipv6.put(IFLA_INET6_ADDR_GEN_MODE, &[NONE]);
        });
    });
    message
}

/// What is special about a bridge's port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PortMode {
    /// It may not speak to other such ports.
    pub is_isolated: bool,
    /// Packets may leave by the port that they came in by.
    pub is_hairpin: bool,
}

/// Sets the mode of a bridge's port.
pub fn set_port(index: u32, mode: PortMode) -> Message {
    let mut message = Message::new(SETLINK, 0, &header(AF_BRIDGE, index, false));
    message.nest(IFLA_PROTINFO, |port| {
        port.put(IFLA_BRPORT_MODE, &[u8::from(mode.is_hairpin)]);
        port.put(IFLA_BRPORT_ISOLATED, &[u8::from(mode.is_isolated)]);
    });
    message
}

/// Removes a link by its number; a pair goes as a whole.
pub fn remove_index(index: u32) -> Message {
    Message::new(DELLINK, 0, &header(0, index, false))
}

/// Removes a link by its name; a pair goes as a whole.
pub fn remove(name: &str) -> Message {
    let mut message = Message::new(DELLINK, 0, &header(0, 0, false));
    message.put_text(IFLA_IFNAME, name);
    message
}

/// Gives a link an address.
pub fn add_address(index: u32, address: IpAddr, subnet: Subnet) -> Message {
    // struct ifaddrmsg
    let mut header = [family(address), subnet.prefix, 0, 0, 0, 0, 0, 0];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    let mut message = Message::new(NEWADDR, CREATE | EXCLUSIVE, &header);
    message.put(IFA_LOCAL, &octets(address)).put(IFA_ADDRESS, &octets(address));
    match address {
        IpAddr::V4(_) => message.put(IFA_BROADCAST, &octets(subnet.last())),
        IpAddr::V6(_) => message.put_u32(IFA_FLAGS, IFA_F_NODAD),
    };
    message
}

/// Sends everything else of the gateway's family to it, instead of to where it went before.
pub fn set_default_route(index: u32, gateway: IpAddr) -> Message {
    default_route(index, gateway, CREATE | REPLACE)
}

/// Sends everything else of the gateway's family to it.
pub fn add_default_route(index: u32, gateway: IpAddr) -> Message {
    default_route(index, gateway, CREATE | EXCLUSIVE)
}

/// Sends everything else of the family of `like` out of a link, whoever is there.
pub fn set_default_link(index: u32, like: IpAddr) -> Message {
    const PROTOCOL_BOOT: u8 = 3;
    const UNICAST: u8 = 1;
    const SCOPE_LINK: u8 = 253;
    let header = [family(like), 0, 0, 0, TABLE_MAIN, PROTOCOL_BOOT, SCOPE_LINK, UNICAST, 0, 0, 0, 0];
    let mut message = Message::new(NEWROUTE, CREATE | REPLACE, &header);
    message.put_u32(RTA_OIF, index);
    message
}

fn default_route(index: u32, gateway: IpAddr, flags: u16) -> Message {
    const PROTOCOL_BOOT: u8 = 3;
    const UNICAST: u8 = 1;
    // struct rtmsg
    let header = [family(gateway), 0, 0, 0, TABLE_MAIN, PROTOCOL_BOOT, 0, UNICAST, 0, 0, 0, 0];
    let mut message = Message::new(NEWROUTE, flags, &header);
    message.put(RTA_GATEWAY, &octets(gateway)).put_u32(RTA_OIF, index);
    message
}

fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 2,
        IpAddr::V6(_) => 10,
    }
}

/// Where the host's packets go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes {
    /// Destinations but for the default.
    pub destinations: Vec<Subnet>,
    /// Number of the link that the best default route leaves by.
    pub default_link: Option<u32>,
}

/// Reads the host's routes of one family.
pub fn routes(socket: &mut Socket, is_ipv4: bool) -> io::Result<Routes> {
    let mut header = [0; 12];
    header[0] = if is_ipv4 { 2 } else { 10 };
    let mut routes = Routes::default();
    let mut best = u32::MAX;
    for reply in socket.dump(&Message::new(GETROUTE, 0, &header))? {
        let Some([_, prefix, _, _, table, ..]) = reply.payload.get(..12) else { continue };
        let (mut destination, mut link, mut priority, mut table) = (None, None, 0, u32::from(*table));
        for (kind, value) in attributes(&reply.payload[12..]) {
            let number = || value.try_into().ok().map(u32::from_ne_bytes);
            match kind {
                RTA_DST => destination = address(value),
                RTA_OIF => link = number(),
                RTA_PRIORITY => priority = number().unwrap_or_default(),
                RTA_TABLE => table = number().unwrap_or_default(),
                _ => {}
            }
        }
        if table != u32::from(TABLE_MAIN) {
            continue;
        }
        match destination {
            Some(destination) if *prefix > 0 => routes.destinations.extend(Subnet::of(destination, *prefix)),
            _ if link.is_some() && priority < best => {
                best = priority;
                routes.default_link = link;
            }
            _ => {}
        }
    }
    Ok(routes)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        16 => Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?)),
        _ => None,
    }
}
