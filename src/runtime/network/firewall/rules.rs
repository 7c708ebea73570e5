//! The rules, which never change, and the sets, which do: what a packet of a container may do.

use std::net::IpAddr;

use crate::network::firewall::table::{Element, Field, Hook, Meta, Rule, Set, add_chain, add_rule, add_set, kind};
use crate::network::subnet::{Subnet, octets};
use crate::network::{bridge, trunk};
use crate::state::container::Protocol;
use crate::state::network::NetworkRecord;
use crate::sys::netlink::Message;

const BRIDGES: &str = "bridges";
const INTERNAL: &str = "internal";
const PAIRS: &str = "pairs";

/// The sets of one address family.
struct Family {
    is_ipv4: bool,
    /// `NFPROTO_..`
    number: u8,
    source: Field,
    destination: Field,
    subnets: &'static str,
    masqueraded: &'static str,
    /// Ports on one address of the host.
    ports: &'static str,
    /// Ports on every address of the host.
    any: &'static str,
}

const IPV4: Family = Family {
    is_ipv4: true,
    number: 2,
    source: Field { base: 1, offset: 12, length: 4 },
    destination: Field { base: 1, offset: 16, length: 4 },
    subnets: "subnets4",
    masqueraded: "masqueraded4",
    ports: "ports4",
    any: "any4",
};

const IPV6: Family = Family {
    is_ipv4: false,
    number: 10,
    source: Field { base: 1, offset: 8, length: 16 },
    destination: Field { base: 1, offset: 24, length: 16 },
    subnets: "subnets6",
    masqueraded: "masqueraded6",
    ports: "ports6",
    any: "any6",
};

const FAMILIES: [&Family; 2] = [&IPV4, &IPV6];
/// First byte of the destination address: 127 is the host's loopback.
const DESTINATION_BYTE: Field = Field { base: 1, offset: 16, length: 1 };
const SOURCE_BYTE: Field = Field { base: 1, offset: 12, length: 1 };
const DESTINATION_PORT: Field = Field { base: 2, offset: 2, length: 2 };
/// conntrack: ESTABLISHED | RELATED
const KNOWN: u32 = 2 | 4;
/// conntrack: `IPS_DST_NAT`
const REDIRECTED: u32 = 1 << 5;
const LOOPBACK: u8 = 127;

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// Address on the host; unspecified is every one.
    pub host_ip: IpAddr,
    /// Port on the host.
    pub host_port: u16,
    /// Transport.
    pub protocol: Protocol,
    /// Address of the container, of the same family.
    pub target: IpAddr,
    /// Port in the container.
    pub target_port: u16,
}

/// Returns all of an empty table: sets, chains, rules.
pub fn all(table: &str) -> Vec<Message> {
    let mut messages: Vec<_> = sets().iter().zip(1..).map(|(set, number)| add_set(table, set, number)).collect();
    let hook = |kind, number, priority| Some(Hook { kind, number, priority });
    // nft(8), priorities: raw -300, dstnat -100, filter 0, srcnat 100.
    let chains: [(&str, Option<Hook>, Vec<Rule>); 6] = [
        ("published", None, published()),
        ("early", hook("filter", 0, -300), early()),
        ("prerouting", hook("nat", 0, -100), vec![Rule::default().is_local().jump("published")]),
        ("output", hook("nat", 3, -100), output()),
        ("forward", hook("filter", 2, 0), forward()),
        ("postrouting", hook("nat", 4, 100), postrouting()),
    ];
    messages.extend(chains.iter().map(|(name, hook, _)| add_chain(table, name, *hook)));
    for (name, _, rules) in &chains {
        messages.extend(rules.iter().map(|rule| add_rule(table, name, rule)));
    }
    messages
}

fn sets() -> Vec<Set> {
    let set = |name, key| Set { name, key, data: None, is_interval: false };
    let mut sets = vec![
        set(BRIDGES, (kind::LINK, 16)),
        set(INTERNAL, (kind::LINK, 16)),
        set(PAIRS, (kind::join(&[kind::LINK, kind::LINK]), 32)),
    ];
    for family in FAMILIES {
        let (address, length) = if family.is_ipv4 { (kind::IPV4, 4) } else { (kind::IPV6, 16) };
        let data = Some((kind::join(&[address, kind::PORT]), length + 4));
        for name in [family.subnets, family.masqueraded] {
            sets.push(Set { name, key: (address, length), data: None, is_interval: true });
        }
        let key = (kind::join(&[address, kind::PROTOCOL, kind::PORT]), length + 8);
        sets.push(Set { name: family.ports, key, data, is_interval: false });
        let key = (kind::join(&[kind::PROTOCOL, kind::PORT]), 8);
        sets.push(Set { name: family.any, key, data, is_interval: false });
    }
    sets
}

/// Begins a rule for IPv4 packets to an address.
pub(crate) fn is_ipv4_to(address: std::net::Ipv4Addr) -> Rule {
    is(&IPV4).payload(IPV4.destination).equals(&address.octets(), true)
}

fn is(family: &Family) -> Rule {
    Rule::default().meta(Meta::Family).equals(&[family.number], true)
}

/// Ports published on 127.0.0.1 are for the host alone. The kernel drops packets from elsewhere to 127/8 as martians,
/// but not on our bridges (`route_localnet`), nor where somebody has set that on a link of the host.
fn early() -> Vec<Rule> {
    let to_loopback = || is(&IPV4).payload(DESTINATION_BYTE).equals(&[LOOPBACK], true);
    vec![
        to_loopback().meta(Meta::InLink).is_in(BRIDGES, true).drop(),
        to_loopback()
            .meta(Meta::InLink)
            .equals(&link_key("lo"), false)
            .payload(IPV4.destination)
            .meta(Meta::Transport)
            .payload(DESTINATION_PORT)
            .map(IPV4.ports)
            .drop(),
    ]
}

/// A published port leads to its container; the exact address goes before every address.
fn published() -> Vec<Rule> {
    let mut rules = Vec::new();
    for family in FAMILIES {
        let exact = is(family).payload(family.destination).meta(Meta::Transport).payload(DESTINATION_PORT);
        rules.push(exact.map(family.ports).redirect(family.is_ipv4));
        let any = is(family).meta(Meta::Transport).payload(DESTINATION_PORT);
        rules.push(any.map(family.any).redirect(family.is_ipv4));
    }
    rules
}

/// The host's own packets. From ::1 none can leave the host, so there our proxy listens.
fn output() -> Vec<Rule> {
    let mut ipv6_loopback = [0; 16];
    ipv6_loopback[15] = 1;
    vec![
        is(&IPV6).payload(IPV6.destination).equals(&ipv6_loopback, true).accept(),
        Rule::default().is_local().jump("published"),
    ]
}

/// Between networks, and from outside, only published ports are open. What concerns no bridge of ours passes.
fn forward() -> Vec<Rule> {
    vec![
        Rule::default().tracked(false, KNOWN).accept(),
        Rule::default().meta(Meta::InLink).meta(Meta::OutLink).is_in(PAIRS, true).accept(),
        Rule::default().meta(Meta::InLink).is_in(INTERNAL, true).drop(),
        Rule::default().meta(Meta::OutLink).is_in(INTERNAL, true).drop(),
        Rule::default().tracked(true, REDIRECTED).accept(),
        Rule::default().meta(Meta::OutLink).is_in(BRIDGES, true).drop(),
    ]
}

fn postrouting() -> Vec<Rule> {
    let mut rules = vec![
        // From the host through 127.0.0.1: a container could not answer to that.
        is(&IPV4).payload(SOURCE_BYTE).equals(&[LOOPBACK], true).meta(Meta::OutLink).is_in(BRIDGES, true).masquerade(),
    ];
    for family in FAMILIES {
        // From a container to a published port: the answer must come back through the host, also from a neighbour.
        let hairpin = is(family).tracked(true, REDIRECTED).payload(family.source).is_in(family.subnets, true);
        rules.push(hairpin.meta(Meta::OutLink).is_in(BRIDGES, true).masquerade());
        let outwards = is(family).payload(family.source).is_in(family.masqueraded, true);
        rules.push(outwards.meta(Meta::OutLink).is_in(BRIDGES, false).masquerade());
    }
    rules
}

fn link_key(name: &str) -> Vec<u8> {
    let mut key = name.as_bytes().to_vec();
    key.resize(16, 0);
    key
}

/// Returns what a network adds to the sets.
pub fn network(network: &NetworkRecord) -> Vec<Element> {
    // Their packets never pass the host's own network.
    if trunk::is_one(network) {
        return Vec::new();
    }
    let element = |set, key| Element { set, key, data: None, is_end: false };
    let link = link_key(&network.bridge);
    let mut elements = vec![element(BRIDGES, link.clone())];
    if network.internal {
        elements.push(element(INTERNAL, link.clone()));
    }
    if bridge::is_open_inside(network) {
        elements.push(element(PAIRS, [link.clone(), link].concat()));
    }
    for record in &network.subnets {
        let subnet = Subnet::from(record);
        let family = if subnet.address.is_ipv4() { &IPV4 } else { &IPV6 };
        let mut sets = vec![family.subnets];
        if bridge::is_masqueraded(network) {
            sets.push(family.masqueraded);
        }
        for set in sets {
            elements.push(element(set, octets(subnet.address)));
            elements.extend(subnet.end().map(|end| Element { is_end: true, ..element(set, octets(end)) }));
        }
    }
    elements
}

/// Returns what a published port adds to the maps.
pub fn port(forward: &Forward) -> Element {
    let family = if forward.target.is_ipv4() { &IPV4 } else { &IPV6 };
    let protocol = match forward.protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    };
    let port = |port: u16| [port.to_be_bytes()[0], port.to_be_bytes()[1], 0, 0];
    let mut key = Vec::new();
    if !forward.host_ip.is_unspecified() {
        key.extend(octets(forward.host_ip));
    }
    key.extend([protocol, 0, 0, 0]);
    key.extend(port(forward.host_port));
    let mut data = octets(forward.target);
    data.extend(port(forward.target_port));
    let set = if forward.host_ip.is_unspecified() { family.any } else { family.ports };
    Element { set, key, data: Some(data), is_end: false }
}
