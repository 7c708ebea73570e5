//! A network on disk, and the leases of the containers on it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::state::process::ProcessId;

use crate::state::container::OpenPortRecord;

/// Version of both formats.
pub const VERSION: u32 = 1;

/// A network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the attributes of a network under their usual names")]
pub struct NetworkRecord {
    pub version: u32,
    /// 64 hex digits.
    pub id: String,
    pub name: String,
    pub created_ms: u64,
    /// `bridge`, `macvlan` or `ipvlan`.
    pub driver: String,
    /// Name of the link on the host, at most 15 bytes.
    pub bridge: String,
    /// The link was not there before: it goes with the network.
    #[serde(default = "yes")]
    pub owns_link: bool,
    pub subnets: Vec<SubnetRecord>,
    pub internal: bool,
    pub attachable: bool,
    pub mtu: u32,
    pub options: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    /// The process that it was made for, and without which it is to be cleared away; `None`: it stays.
    #[serde(default)]
    pub owner: Option<ProcessId>,
}

/// What records say that were written before it was asked.
fn yes() -> bool {
    true
}

/// One subnet of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the attributes of an address pool under their usual names")]
pub struct SubnetRecord {
    pub address: IpAddr,
    pub prefix: u8,
    pub gateway: IpAddr,
    /// Part that leases come from; `None`: all of it.
    pub range: Option<(IpAddr, u8)>,
    /// Addresses never given out.
    pub reserved: Vec<IpAddr>,
}

/// One container's place on one network: its lease, and the names it answers to. The name server reads these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct EndpointRecord {
    pub version: u32,
    pub container: String,
    pub container_name: String,
    pub addresses: Vec<IpAddr>,
    pub mac: String,
    /// Name of the host's end of the pair.
    pub host_link: String,
    /// Name inside.
    pub interface: String,
    /// Every name it answers to on this network: container name, aliases, short id.
    pub names: Vec<String>,
    /// It runs: only then it is answered for.
    pub up: bool,
    /// Further addresses, of no use beyond the link.
    #[serde(default)]
    pub link_local: Vec<IpAddr>,
    /// Settings of the link, with `IFNAME` for its name, and their values.
    #[serde(default)]
    pub sysctls: Vec<(String, String)>,
}

/// The published ports of one running container, below the run root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicationRecord {
    /// Version of the format.
    pub version: u32,
    /// The container.
    pub container: String,
    /// The process that holds the ports; when it is gone, this record is garbage.
    pub owner: Option<ProcessId>,
    /// What is open on the host.
    pub open: Vec<OpenPortRecord>,
    /// The container's addresses that the ports lead to, at most one a family.
    pub targets: Vec<IpAddr>,
    /// The host drops what is forwarded: the owner carries all of it.
    #[serde(default)]
    pub is_proxied: bool,
}
