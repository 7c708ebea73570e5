//! Arithmetic of addresses: a subnet holds, overlaps, counts.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A range of addresses with a common beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subnet {
    /// First address: bits past the prefix are zero.
    pub address: IpAddr,
    /// Bits in common.
    pub prefix: u8,
}

impl Subnet {
    /// Returns the subnet that holds `address`; `None` when the family has not that many bits.
    pub fn of(address: IpAddr, prefix: u8) -> Option<Self> {
        let width = width(address);
        (prefix <= width)
            .then(|| Self { address: from_number(number(address) & mask(width, prefix), address.is_ipv4()), prefix })
    }

    /// Returns the first and the last address as numbers.
    fn bounds(self) -> (u128, u128) {
        let width = width(self.address);
        let first = number(self.address);
        let all = if width == 128 { u128::MAX } else { (1 << width) - 1 };
        (first, first | (all & !mask(width, self.prefix)))
    }

    /// Says whether the address is in it.
    pub fn contains(self, address: IpAddr) -> bool {
        let (first, last) = self.bounds();
        address.is_ipv4() == self.address.is_ipv4() && (first..=last).contains(&number(address))
    }

    /// Says whether an address is in both.
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }

    /// Returns the last address: of IPv4 the broadcast address.
    pub fn last(self) -> IpAddr {
        from_number(self.bounds().1, self.address.is_ipv4())
    }

    /// Returns the address after the last one; `None` past the end of all addresses.
    pub fn end(self) -> Option<IpAddr> {
        let next = self.bounds().1.checked_add(1)?;
        let is_ipv4 = self.address.is_ipv4();
        (!is_ipv4 || next <= u128::from(u32::MAX)).then(|| from_number(next, is_ipv4))
    }

    /// Returns the addresses that a host may have, in order: neither the subnet's own nor IPv4's broadcast.
    pub fn hosts(self) -> impl Iterator<Item = IpAddr> {
        let (first, last) = self.bounds();
        let is_ipv4 = self.address.is_ipv4();
        // A /31 and a /32 have no address to spare (RFC 3021).
        let (first, last) = match last - first {
            0 | 1 => (first, last),
            _ if is_ipv4 => (first + 1, last - 1),
            _ => (first + 1, last),
        };
        (first..=last).map(move |number| from_number(number, is_ipv4))
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Subnet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no subnet such as 10.5.0.0/16");
        let (address, prefix) = text.trim().split_once('/').ok_or_else(wrong)?;
        let address = address.parse().map_err(|_| wrong())?;
        Self::of(address, prefix.parse().map_err(|_| wrong())?).ok_or_else(wrong)
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn mask(width: u8, prefix: u8) -> u128 {
    let all = if width == 128 { u128::MAX } else { (1 << width) - 1 };
    let free = u32::from(width - prefix);
    if free >= 128 { 0 } else { (all >> free) << free }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

fn from_number(number: u128, is_ipv4: bool) -> IpAddr {
    if is_ipv4 {
        IpAddr::V4(Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX)))
    } else {
        IpAddr::V6(Ipv6Addr::from(number))
    }
}

/// Returns the bytes of an address in the network's order.
pub fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn host_bits_are_cut_off() {
        assert_eq!(subnet("10.5.7.9/16").to_string(), "10.5.0.0/16");
        assert_eq!(subnet("fd00:1::9/64").to_string(), "fd00:1::/64");
        assert_eq!(subnet("0.0.0.0/0").last().to_string(), "255.255.255.255");
        assert_eq!(subnet("::/0").end(), None);
    }

    #[test]
    fn nonsense_is_named() {
        for text in ["10.0.0.0", "10.0.0.0/33", "x/8", "fd00::/129", ""] {
            assert!(text.parse::<Subnet>().unwrap_err().contains("no subnet"), "{text}");
        }
    }

    #[test]
    fn families_never_overlap_and_neighbours_do_not() {
        assert!(subnet("10.0.0.0/8").overlaps(subnet("10.5.0.0/16")));
        assert!(subnet("10.5.0.0/16").overlaps(subnet("10.0.0.0/8")));
        assert!(!subnet("10.5.0.0/16").overlaps(subnet("10.6.0.0/16")));
        assert!(!subnet("0.0.0.0/0").overlaps(subnet("::/0")));
    }

    #[test]
    fn hosts_spare_the_ends() {
        let hosts: Vec<_> = subnet("10.0.0.0/30").hosts().map(|h| h.to_string()).collect();
        assert_eq!(hosts, ["10.0.0.1", "10.0.0.2"]);
        assert_eq!(subnet("10.0.0.4/31").hosts().count(), 2);
        assert_eq!(subnet("10.0.0.4/32").hosts().count(), 1);
        assert_eq!(subnet("fd00::/64").hosts().next().unwrap().to_string(), "fd00::1");
        assert_eq!(subnet("10.0.0.0/16").end().unwrap().to_string(), "10.1.0.0");
    }
}
