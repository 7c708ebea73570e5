//! Networks.

use std::collections::BTreeMap;
use std::time::SystemTime;

/// A network to create.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the attributes of a network, named as in the Compose specification")]
pub struct NetworkSpec {
    pub name: String,
    pub driver: Option<String>,
    pub driver_opts: BTreeMap<String, String>,
    pub pools: Vec<AddressPool>,
    pub internal: bool,
    pub attachable: bool,
    pub ipam_driver: Option<String>,
    pub ipam_options: BTreeMap<String, String>,
    pub ipv4: bool,
    pub ipv6: bool,
    pub labels: BTreeMap<String, String>,
}

/// Addresses of a network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the attributes of `ipam.config`, named as in the Compose specification")]
pub struct AddressPool {
    pub subnet: Option<String>,
    pub ip_range: Option<String>,
    pub gateway: Option<String>,
    pub aux_addresses: BTreeMap<String, String>,
}

/// A network as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct NetworkSummary {
    pub id: String,
    pub name: String,
    pub driver: String,
    pub labels: BTreeMap<String, String>,
    pub created: Option<SystemTime>,
    /// Containers on it that run.
    pub endpoints: usize,
}
