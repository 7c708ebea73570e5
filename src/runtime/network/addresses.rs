//! Which subnet a network gets, and which address a container.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

use sha2::{Digest as _, Sha256};

use crate::network::lifecycle::Pool;
use crate::network::link;
use crate::network::subnet::{Subnet, octets};
use crate::state::network::SubnetRecord;
use crate::sys::netlink::Socket;

impl From<&SubnetRecord> for Subnet {
    fn from(record: &SubnetRecord) -> Self {
        Self { address: record.address, prefix: record.prefix }
    }
}

/// Returns Docker's default pools, in its order: 172.17-31.0.0/16, then 192.168.0-240.0/20.
fn default_pools() -> impl Iterator<Item = Subnet> {
    let large = (17..=31).map(|n| Subnet { address: Ipv4Addr::new(172, n, 0, 0).into(), prefix: 16 });
    let small = (0..16).map(|n| Subnet { address: Ipv4Addr::new(192, 168, n * 16, 0).into(), prefix: 20 });
    large.chain(small)
}

/// What a new subnet must keep clear of.
#[derive(Debug, Clone, Default)]
pub struct Taken {
    /// Subnets of our own networks: what a person asked for may not overlap them either.
    pub ours: Vec<Subnet>,
    /// The host's routes and name servers: what we choose keeps clear of them.
    pub host: Vec<Subnet>,
}

impl Taken {
    /// Reads the host's routes: they also show the links of other state roots and other programs.
    pub fn read(socket: &mut Socket, ours: Vec<Subnet>) -> io::Result<Self> {
        let mut host = link::routes(socket, true)?.destinations;
        host.extend(link::routes(socket, false).map(|routes| routes.destinations).unwrap_or_default());
        Ok(Self { ours, host })
    }

    fn allows(&self, subnet: Subnet) -> bool {
        !self.ours.iter().chain(&self.host).any(|taken| taken.overlaps(subnet))
    }
}

/// Chooses the subnets of a network: those of the pools, and a free one for each family that has none.
/// The error says what is wrong.
pub fn choose_subnets(
    id: &str,
    pools: &[Pool],
    (ipv4, ipv6): (bool, bool),
    taken: &Taken,
) -> Result<Vec<SubnetRecord>, String> {
    let mut subnets = Vec::new();
    for pool in pools {
        let Some(text) = &pool.subnet else { continue };
        let subnet: Subnet = text.parse()?;
        if (subnet.address.is_ipv4() && !ipv4) || (subnet.address.is_ipv6() && !ipv6) {
            continue;
        }
        if let Some(other) = taken.ours.iter().find(|ours| ours.overlaps(subnet)) {
            return Err(format!("subnet {subnet} overlaps {other} of another network"));
        }
        subnets.push(of_pool(subnet, pool)?);
    }
    let has = |subnets: &[SubnetRecord], is_ipv4| subnets.iter().any(|s| s.address.is_ipv4() == is_ipv4);
    if ipv4 && !has(&subnets, true) {
        let free = default_pools().find(|subnet| taken.allows(*subnet));
        let free = free.ok_or("every default subnet (172.17.0.0/16 .. 192.168.240.0/20) is in use")?;
        let loose = pools.iter().find(|pool| pool.subnet.is_none()).cloned().unwrap_or_default();
        subnets.insert(0, of_pool(free, &loose)?);
    }
    if ipv6 && !has(&subnets, false) {
        subnets.push(of_pool(unique_local(id), &Pool::default())?);
    }
    Ok(subnets)
}

/// Returns a unique local /64 (RFC 4193): 40 random bits, here of the network's random id.
fn unique_local(id: &str) -> Subnet {
    let hash = Sha256::digest(id.as_bytes());
    let mut bytes = [0; 16];
    bytes[0] = 0xfd;
    bytes[1..6].copy_from_slice(&hash[..5]);
    Subnet { address: IpAddr::from(bytes), prefix: 64 }
}

fn of_pool(subnet: Subnet, pool: &Pool) -> Result<SubnetRecord, String> {
    let inside = |text: &String| {
        let address: IpAddr = text.parse().map_err(|_| format!("`{text}` is no address"))?;
        if subnet.contains(address) { Ok(address) } else { Err(format!("{address} is not in subnet {subnet}")) }
    };
    let range = pool.range.as_ref().map(|text| text.parse::<Subnet>()).transpose()?;
    if let Some(range) = range
        && !(subnet.contains(range.address) && range.prefix >= subnet.prefix)
    {
        return Err(format!("range {range} is not in subnet {subnet}"));
    }
    let reserved = pool.reserved.iter().map(inside).collect::<Result<Vec<_>, _>>()?;
    let gateway = match &pool.gateway {
        Some(text) => inside(text)?,
        None => subnet
            .hosts()
            .find(|address| !reserved.contains(address))
            .ok_or_else(|| format!("subnet {subnet} has no address for a gateway"))?,
    };
    let range = range.map(|range| (range.address, range.prefix));
    Ok(SubnetRecord { address: subnet.address, prefix: subnet.prefix, gateway, range, reserved })
}

/// Chooses a free address of a subnet, or takes the one asked for. The error says what is wrong.
pub fn choose_address(record: &SubnetRecord, used: &BTreeSet<IpAddr>, fixed: Option<IpAddr>) -> Result<IpAddr, String> {
    let subnet = Subnet::from(record);
    if let Some(address) = fixed {
        return if !subnet.contains(address) {
            Err(format!("{address} is not in subnet {subnet}"))
        } else if address == record.gateway {
            Err(format!("{address} is the gateway's"))
        } else if used.contains(&address) {
            Err(format!("{address} is taken"))
        } else {
            Ok(address)
        };
    }
    let pool = record.range.map_or(subnet, |(address, prefix)| Subnet { address, prefix });
    // A range's ends are ordinary addresses, unless they are the subnet's too.
    let barred = |address: IpAddr| {
        address == record.gateway
            || record.reserved.contains(&address)
            || address == subnet.address
            || (address.is_ipv4() && address == subnet.last())
    };
    pool.hosts()
        .find(|address| !barred(*address) && !used.contains(address))
        .ok_or_else(|| format!("no address of {pool} is free"))
}

/// Returns the hardware address that goes with an address: whoever gets the address next has the same, so that no
/// neighbour's table is ever wrong.
pub fn mac_of(address: IpAddr) -> [u8; 6] {
    let bytes = octets(address);
    match address {
        IpAddr::V4(_) => [0x02, 0x42, bytes[0], bytes[1], bytes[2], bytes[3]],
        IpAddr::V6(_) => [0x02, 0x42, bytes[12], bytes[13], bytes[14], bytes[15]],
    }
}

/// Writes a hardware address as people do.
pub fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// Reads a hardware address; `None` when it is none.
pub fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let bytes: Vec<u8> = text
        .split([':', '-'])
        .map(|byte| (byte.len() == 2).then(|| u8::from_str_radix(byte, 16).ok()).flatten())
        .collect::<Option<_>>()?;
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn the_first_pool_that_is_clear_of_host_and_networks_is_taken() {
        let taken = Taken { ours: vec![subnet("172.18.0.0/16")], host: vec![subnet("172.17.0.0/16")] };
        let chosen = choose_subnets("id", &[], (true, false), &taken).unwrap();
        assert_eq!(Subnet::from(&chosen[0]), subnet("172.19.0.0/16"));
        assert_eq!(chosen[0].gateway.to_string(), "172.19.0.1");
        let vpn = Taken { ours: Vec::new(), host: vec![subnet("172.16.0.0/12"), subnet("192.168.0.0/24")] };
        let chosen = choose_subnets("id", &[], (true, true), &vpn).unwrap();
        assert_eq!(Subnet::from(&chosen[0]), subnet("192.168.16.0/20"));
        assert!(chosen[1].address.to_string().starts_with("fd"));
        let full = Taken { ours: vec![subnet("0.0.0.0/0")], host: Vec::new() };
        assert!(choose_subnets("id", &[], (true, false), &full).unwrap_err().contains("in use"));
    }

    #[test]
    fn what_a_person_asks_for_is_checked() {
        let taken = Taken { ours: vec![subnet("10.1.0.0/16")], host: vec![subnet("10.9.0.0/16")] };
        let pool = |subnet: &str, range: Option<&str>, gateway: Option<&str>| Pool {
            subnet: Some(subnet.into()),
            range: range.map(Into::into),
            gateway: gateway.map(Into::into),
            reserved: Vec::new(),
        };
        let choose = |pool: Pool| choose_subnets("id", &[pool], (true, false), &taken);
        assert!(choose(pool("10.1.2.0/24", None, None)).unwrap_err().contains("overlaps 10.1.0.0/16"));
        assert!(choose(pool("10.2.0.0/24", Some("10.3.0.0/28"), None)).unwrap_err().contains("range"));
        assert!(choose(pool("10.2.0.0/24", None, Some("10.3.0.1"))).unwrap_err().contains("not in subnet"));
        assert!(choose(pool("10.9.0.0/24", None, None)).is_ok(), "a person may choose over a route");
        let chosen = choose(pool("10.2.0.0/24", Some("10.2.0.128/25"), Some("10.2.0.254"))).unwrap();
        assert_eq!(choose_address(&chosen[0], &BTreeSet::new(), None).unwrap().to_string(), "10.2.0.129");
    }

    #[test]
    fn addresses_are_given_once() {
        let record =
            of_pool(subnet("10.0.0.0/29"), &Pool { reserved: vec!["10.0.0.3".into()], ..Pool::default() }).unwrap();
        let mut used = BTreeSet::new();
        while let Ok(address) = choose_address(&record, &used, None) {
            assert!(used.insert(address));
        }
        let given: Vec<_> = used.iter().map(ToString::to_string).collect();
        assert_eq!(given, ["10.0.0.2", "10.0.0.4", "10.0.0.5", "10.0.0.6"]);
        let fixed = |text: &str| choose_address(&record, &used, Some(text.parse().unwrap()));
        assert!(fixed("10.0.0.2").unwrap_err().contains("taken"));
        assert!(fixed("10.0.0.1").unwrap_err().contains("gateway"));
        assert!(fixed("10.0.1.1").unwrap_err().contains("not in subnet"));
        assert!(fixed("10.0.0.3").is_ok(), "reserved addresses are for those who ask for them");
    }

    #[test]
    fn hardware_addresses_follow_addresses() {
        let mac = mac_of("172.18.0.2".parse().unwrap());
        assert_eq!(mac_text(mac), "02:42:ac:12:00:02");
        assert_eq!(parse_mac(&mac_text(mac)), Some(mac));
        for text in ["", "02:42", "02:42:ac:12:00:0g", "02:42:ac:12:00:02:03", "2:42:ac:12:00:02"] {
            assert_eq!(parse_mac(text), None, "{text}");
        }
    }
}
