//! What our own names mean: read from the leases of the networks that a container is on.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::Runtime;
use crate::network::lifecycle;
use crate::network::names::message::{Kind, Record};
use crate::network::names::services;
use crate::network::subnet::Subnet;
use crate::state::network::{EndpointRecord, NetworkRecord};

/// A file system's clock may stand still for this long: a folder changed so lately may change again unseen.
const CLOCK_TICK: Duration = Duration::from_millis(20);

/// The meaning of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// Ours; without records it has none of the kind asked for.
    Known(Vec<Record>),
    /// Ours, but nothing that has it runs: nobody outside is asked.
    Down,
    /// Not ours.
    Foreign,
}

/// One network as it was last read.
#[derive(Debug)]
struct Watched {
    network: NetworkRecord,
    folder: PathBuf,
    read: Option<SystemTime>,
    changed: Option<SystemTime>,
    endpoints: Vec<EndpointRecord>,
}

/// The names of a container's networks.
#[derive(Debug)]
pub struct Zone {
    rt: Runtime,
    watched: Vec<Watched>,
    /// What this container alone calls others: its name to theirs, both in small letters.
    links: BTreeMap<String, String>,
    names: BTreeMap<String, BTreeSet<IpAddr>>,
    down: BTreeSet<String>,
    reverse: BTreeMap<IpAddr, String>,
    /// Turns the answers of a name with several addresses.
    turn: usize,
}

impl Zone {
    /// Opens the names of these networks.
    pub fn open(rt: &Runtime, networks: Vec<NetworkRecord>) -> Self {
        let watch = |network: NetworkRecord| Watched {
            folder: rt.layout.endpoints(&network.id),
            network,
            read: None,
            changed: None,
            endpoints: Vec::new(),
        };
        let watched = networks.into_iter().map(watch).collect();
        Self {
            rt: rt.clone(),
            watched,
            links: BTreeMap::new(),
            names: BTreeMap::new(),
            down: BTreeSet::new(),
            reverse: BTreeMap::new(),
            turn: 0,
        }
    }

    /// Adds names that this container alone has for others.
    #[must_use]
    pub fn linking(mut self, links: &[(String, String)]) -> Self {
        let small = |(container, alias): &(String, String)| (alias.to_lowercase(), container.to_lowercase());
        self.links = links.iter().map(small).collect();
        self
    }

    /// Returns what a name means now. `name` is in small letters.
    pub fn look_up(&mut self, name: &str, kind: Kind) -> Meaning {
        self.refresh();
        let target = self.links.get(name).filter(|target| *target != name).cloned();
        match target {
            // A link is never a question for others, be its target there or not.
            Some(target) => match self.look_up_own(&target, kind) {
                Meaning::Foreign => Meaning::Down,
                meaning @ (Meaning::Known(_) | Meaning::Down) => meaning,
            },
            None => self.look_up_own(name, kind),
        }
    }

    fn look_up_own(&mut self, name: &str, kind: Kind) -> Meaning {
        if let Some(address) = reverse_address(name) {
            return self.look_up_reverse(address, kind);
        }
        // `_http._tcp.web`: a port of `web`.
        let (port, name) = match services::split(name) {
            Some((port, rest)) if self.names.contains_key(rest) || self.down.contains(rest) => (Some(port), rest),
            Some(_) | None => (None, name),
        };
        let Some(addresses) = self.names.get(name) else {
            return if self.down.contains(name) { Meaning::Down } else { Meaning::Foreign };
        };
        if let Some(port) = port {
            let mut records = self.services(addresses, port, kind);
            self.take_turns(&mut records);
            return Meaning::Known(records);
        }
        let mut records: Vec<_> = addresses
            .iter()
            .filter(|address| match kind {
                Kind::A => address.is_ipv4(),
                Kind::Aaaa => address.is_ipv6(),
                Kind::Any => true,
                Kind::Ptr | Kind::Srv | Kind::Other(_) => false,
            })
            .map(|address| Record::Address(*address))
            .collect();
        self.take_turns(&mut records);
        Meaning::Known(records)
    }

    fn take_turns(&mut self, records: &mut [Record]) {
        if records.len() > 1 {
            self.turn = self.turn.wrapping_add(1);
            let by = self.turn % records.len();
            records.rotate_left(by);
        }
    }

    /// Returns where a port of a name is to be had: a record a container.
    fn services(&self, addresses: &BTreeSet<IpAddr>, port: Option<u16>, kind: Kind) -> Vec<Record> {
        let (Kind::Srv | Kind::Any, Some(port)) = (kind, port) else { return Vec::new() };
        let targets: BTreeSet<&String> = addresses.iter().filter_map(|address| self.reverse.get(address)).collect();
        targets.into_iter().map(|target| Record::Service { port, target: target.clone() }).collect()
    }

    fn look_up_reverse(&self, address: IpAddr, kind: Kind) -> Meaning {
        let is_asked = matches!(kind, Kind::Ptr | Kind::Any);
        match self.reverse.get(&address) {
            Some(name) => Meaning::Known(if is_asked { vec![Record::Name(name.clone())] } else { Vec::new() }),
            // No server outside knows better who has an address of ours.
            None if self.holds(address) => Meaning::Down,
            None => Meaning::Foreign,
        }
    }

    fn holds(&self, address: IpAddr) -> bool {
        let subnets = self.watched.iter().flat_map(|watched| &watched.network.subnets);
        subnets.map(Subnet::from).any(|subnet| subnet.contains(address))
    }

    /// Reads the leases again where a folder has changed: every write of a lease is a rename in it.
    fn refresh(&mut self) {
        let mut is_changed = false;
        for watched in &mut self.watched {
            let changed = watched.folder.metadata().and_then(|metadata| metadata.modified()).ok();
            let is_settled = match (watched.read, changed) {
                (Some(read), Some(changed)) => read.duration_since(changed).is_ok_and(|age| age > CLOCK_TICK),
                (_, None) => watched.read.is_some(),
                (None, Some(_)) => false,
            };
            if is_settled && changed == watched.changed {
                continue;
            }
            // Taken before the reading: what comes during it is then seen as new.
            watched.read = Some(SystemTime::now());
            watched.changed = changed;
            // A damaged lease must not take the other names away.
            if let Ok(endpoints) = lifecycle::endpoints(&self.rt, &watched.network.id) {
                is_changed |= watched.endpoints != endpoints;
                watched.endpoints = endpoints;
            }
        }
        if is_changed {
            self.index();
        }
    }

    fn index(&mut self) {
        self.names.clear();
        self.down.clear();
        self.reverse.clear();
        for watched in &self.watched {
            let network = watched.network.name.to_lowercase();
            for endpoint in &watched.endpoints {
                let names = endpoint.names.iter().map(|name| name.to_lowercase());
                for name in names.flat_map(|name| [format!("{name}.{network}"), name]) {
                    if endpoint.up {
                        self.names.entry(name).or_default().extend(&endpoint.addresses);
                    } else {
                        self.down.insert(name);
                    }
                }
                if endpoint.up {
                    let name = format!("{}.{}", endpoint.container_name, watched.network.name);
                    self.reverse.extend(endpoint.addresses.iter().map(|address| (*address, name.clone())));
                }
            }
        }
    }
}

/// Returns the address that a name below `in-addr.arpa` or `ip6.arpa` stands for.
fn reverse_address(name: &str) -> Option<IpAddr> {
    if let Some(labels) = name.strip_suffix(".in-addr.arpa") {
        let bytes: Vec<u8> = labels.split('.').rev().map(|label| label.parse().ok()).collect::<Option<_>>()?;
        return Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?));
    }
    let labels: Vec<&str> = name.strip_suffix(".ip6.arpa")?.split('.').rev().collect();
    if labels.len() != 32 || labels.iter().any(|label| label.len() != 1) {
        return None;
    }
    u128::from_str_radix(&labels.concat(), 16).ok().map(|number| IpAddr::V6(number.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reverse_names_are_read() {
        assert_eq!(reverse_address("2.0.18.172.in-addr.arpa").unwrap().to_string(), "172.18.0.2");
        let six = format!("9.{}0.0.d.f.ip6.arpa", "0.".repeat(27));
        assert_eq!(reverse_address(&six).unwrap().to_string(), "fd00::9");
        for name in ["18.172.in-addr.arpa", "x.0.18.172.in-addr.arpa", "1.ip6.arpa", "web"] {
            assert_eq!(reverse_address(name), None, "{name}");
        }
    }
}
