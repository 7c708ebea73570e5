//! Networks as files: made, found, listed, removed.

use std::collections::BTreeMap;

use crate::Runtime;
use crate::state::network::{EndpointRecord, NetworkRecord};
use crate::state::record::RecordError;

/// A network to create.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the attributes of a network under their usual names")]
pub struct NetworkRequest {
    pub name: String,
    /// Empty is `bridge`, the only one there is.
    pub driver: String,
    /// `com.docker.network.driver.mtu`, `com.docker.network.bridge.name`, `..enable_ip_masquerade`, `..enable_icc`.
    pub options: BTreeMap<String, String>,
    pub pools: Vec<Pool>,
    pub internal: bool,
    pub attachable: bool,
    pub ipv4: bool,
    pub ipv6: bool,
    pub labels: BTreeMap<String, String>,
}

/// Addresses of a network, as a person wrote them (`10.5.0.0/16`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the attributes of an address pool under their usual names")]
pub struct Pool {
    pub subnet: Option<String>,
    pub range: Option<String>,
    pub gateway: Option<String>,
    /// Never given out.
    pub reserved: Vec<String>,
}

/// Why a network could not be made, found or removed.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// A network of this name exists.
    #[error("a network `{name}` exists already")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// There is none.
    #[error("no network `{name}`")]
    NotFound {
        /// Name or id.
        name: String,
    },
    /// Containers are on it.
    #[error("network `{name}` is in use by {}", containers.join(", "))]
    InUse {
        /// The network.
        name: String,
        /// Names of the containers.
        containers: Vec<String>,
    },
    /// What is asked for can't be had.
    #[error("network `{name}`: {problem}")]
    Unsupported {
        /// The network.
        name: String,
        /// What is wrong, and with what.
        problem: String,
    },
    /// The state on disk.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The kernel refused.
    #[error("cannot {act} `{what}`")]
    Kernel {
        /// What was attempted.
        act: &'static str,
        /// On what.
        what: String,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
}

/// Creates a network: its record, its link, its place in the firewall.
pub fn create(rt: &Runtime, _request: &NetworkRequest) -> Result<NetworkRecord, NetworkError> {
    let _ = rt;
    Err(unwritten())
}
/// Removes a network that no container is on.
pub fn remove(rt: &Runtime, _id_or_name: &str) -> Result<(), NetworkError> {
    let _ = rt;
    Err(unwritten())
}
/// Returns every network, by name.
pub fn list(rt: &Runtime) -> Result<Vec<NetworkRecord>, NetworkError> {
    let _ = rt;
    Err(unwritten())
}
/// Finds a network by its id, a unique beginning of it, or its name.
pub fn find(rt: &Runtime, _id_or_name: &str) -> Result<Option<NetworkRecord>, NetworkError> {
    let _ = rt;
    Err(unwritten())
}
/// Returns the leases of a network, by container.
pub fn endpoints(rt: &Runtime, _network: &str) -> Result<Vec<EndpointRecord>, NetworkError> {
    let _ = rt;
    Err(unwritten())
}

fn unwritten() -> NetworkError {
    NetworkError::Unsupported { name: "network".into(), problem: "networks are being written".into() }
}
