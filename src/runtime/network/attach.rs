//! A container's places on networks: leased at its creation, plugged in at its start.

use std::os::fd::BorrowedFd;

use crate::Runtime;
use crate::network::lifecycle::NetworkError;
use crate::state::container::ContainerRecord;
use crate::state::network::EndpointRecord;
use crate::state::record::RecordError;

/// Why a container could not be put on its networks.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The network is not there, or can't be made to work.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// No address is left, or the one asked for is taken.
    #[error("network `{network}`: {problem}")]
    Address {
        /// The network's name.
        network: String,
        /// What is wrong, and with which address.
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

/// Takes addresses and names for a container on each of its networks; called at its creation, idempotent.
pub fn lease(_rt: &Runtime, _container: &ContainerRecord) -> Result<Vec<EndpointRecord>, AttachError> {
    Ok(Vec::new())
}

/// Gives up the addresses and names of a container; called at its removal, idempotent.
pub fn release(_rt: &Runtime, _container_id: &str) -> Result<(), AttachError> {
    Ok(())
}

/// Plugs a container into its networks: links, addresses, routes, `lo`, and the namespace's sysctls.
///
/// `netns` is its network namespace. Also for a container without networks: then only `lo` is brought up.
pub fn attach(
    _rt: &Runtime,
    _container: &ContainerRecord,
    _netns: BorrowedFd<'_>,
) -> Result<Vec<EndpointRecord>, AttachError> {
    Ok(Vec::new())
}

/// Unplugs a container that no longer runs; idempotent. Its leases stay.
pub fn detach(_rt: &Runtime, _container_id: &str) -> Result<(), AttachError> {
    Ok(())
}
