//! Flows that the kernel remembers: those of a published datagram port end when what it leads to changes.
//!
//! A connection has an end of its own; a flow of datagrams goes on to where it began to go, a container that is no more
//! or the host itself, for as long as its sender does not pause.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use crate::network::firewall::rules::Forward;
use crate::state::container::Protocol;
use crate::sys::netlink::{Message, Socket, attributes};

/// `NFNL_SUBSYS_CTNETLINK`, `IPCTNL_MSG_CT_*` (linux/netfilter/nfnetlink_conntrack.h).
const GET: u16 = 1 << 8 | 1;
const DELETE: u16 = 1 << 8 | 2;
const TUPLE_ORIGINAL: u16 = 1;
const ZONE: u16 = 18;
const TUPLE_ADDRESSES: u16 = 1;
const TUPLE_PORTS: u16 = 2;
const IPV4_DESTINATION: u16 = 2;
const IPV6_DESTINATION: u16 = 4;
const PROTOCOL: u16 = 1;
const DESTINATION_PORT: u16 = 3;

/// Where a flow began to go.
#[derive(Debug, PartialEq, Eq)]
struct Destination {
    address: IpAddr,
    protocol: u8,
    port: u16,
}

/// Ends the flows of datagrams to these published ports.
pub fn forget(forwards: &[Forward]) -> io::Result<()> {
    let wanted: Vec<&Forward> = forwards.iter().filter(|forward| number(forward.protocol).is_some()).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let mut socket = Socket::netfilter()?;
    let mut deletions = Vec::new();
    for family in [libc_family(true), libc_family(false)] {
        for flow in socket.dump(&Message::new(GET, 0, &[family, 0, 0, 0]))? {
            let Some(body) = flow.payload.get(4..) else { continue };
            let Some((_, tuple)) = attributes(body).find(|(kind, _)| *kind == TUPLE_ORIGINAL) else { continue };
            if !destination(tuple).is_some_and(|to| wanted.iter().any(|forward| is_to(&to, forward))) {
                continue;
            }
            let mut deletion = Message::new(DELETE, 0, &[family, 0, 0, 0]);
            deletion.nest(TUPLE_ORIGINAL, |nest| {
                nest.raw(tuple);
            });
            if let Some((_, zone)) = attributes(body).find(|(kind, _)| *kind == ZONE) {
                deletion.put(ZONE, zone);
            }
            deletions.push(deletion);
        }
    }
    for deletion in deletions {
        match socket.request(&[deletion]) {
            // It has ended by itself.
            Err(refused) if refused.is(rustix::io::Errno::NOENT) => {}
            other => other?,
        }
    }
    Ok(())
}

/// `AF_INET`, `AF_INET6`.
fn libc_family(is_ipv4: bool) -> u8 {
    if is_ipv4 { 2 } else { 10 }
}

/// A protocol whose flows have no end of their own.
fn number(protocol: Protocol) -> Option<u8> {
    match protocol {
        Protocol::Udp => Some(17),
        Protocol::Sctp => Some(132),
        Protocol::Tcp => None,
    }
}

fn is_to(to: &Destination, forward: &Forward) -> bool {
    number(forward.protocol) == Some(to.protocol)
        && forward.host_port == to.port
        && forward.host_ip.is_ipv4() == to.address.is_ipv4()
        && (forward.host_ip == to.address || forward.host_ip.is_unspecified() && is_local(to.address))
}

/// Says whether the host has this address: only such a one can be bound.
fn is_local(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

fn destination(tuple: &[u8]) -> Option<Destination> {
    let part = |kind| attributes(tuple).find(|(found, _)| *found == kind).map(|(_, value)| value);
    let mut address = None;
    for (kind, value) in attributes(part(TUPLE_ADDRESSES)?) {
        match kind {
            IPV4_DESTINATION => address = Some(IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?))),
            IPV6_DESTINATION => address = Some(IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(value).ok()?))),
            _ => {}
        }
    }
    let of_protocol = |kind| attributes(part(TUPLE_PORTS)?).find(|(found, _)| *found == kind).map(|(_, value)| value);
    Some(Destination {
        address: address?,
        protocol: *of_protocol(PROTOCOL)?.first()?,
        port: u16::from_be_bytes(of_protocol(DESTINATION_PORT)?.try_into().ok()?),
    })
}
