//! Published ports: who holds them, taking them, forwarding them.

use std::net::IpAddr;

use crate::Runtime;
use crate::state::container::{OpenPortRecord, PortRecord, Protocol};
use crate::state::network::EndpointRecord;
use crate::state::record::RecordError;

/// A port that somebody else has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("port {port} is taken")]
pub struct PortConflict {
    /// Address on the host.
    pub host_ip: Option<IpAddr>,
    /// The port, or the first of the range when all of it is taken.
    pub port: u16,
    /// Transport.
    pub protocol: Protocol,
    /// Who has it, where that can be told.
    pub holder: Option<Holder>,
    /// Why else it can't be had (`no such address on this host`).
    pub problem: Option<String>,
}

/// The process that has a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub pid: i32,
    /// Its name.
    pub command: String,
    /// Name of the container of ours that it keeps.
    pub container: Option<String>,
}

/// Sockets on the host that keep ports from everybody else.
#[derive(Debug)]
pub struct Reserved {
    /// What is open.
    pub open: Vec<OpenPortRecord>,
}

/// Why a port could not be forwarded.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The state on disk.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The kernel refused.
    #[error("cannot forward the ports of `{container}`")]
    Firewall {
        /// The container.
        container: String,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
}

/// Returns those of `ports` that can't be had now, with who holds them. Opens nothing that stays open.
pub fn check(_rt: &Runtime, _ports: &[PortRecord]) -> Vec<PortConflict> {
    Vec::new()
}

/// Takes all of `ports`, or none.
pub fn reserve(_ports: &[PortRecord]) -> Result<Reserved, PortConflict> {
    Ok(Reserved { open: Vec::new() })
}

/// Has the kernel forward what is reserved to the container.
pub fn publish(
    _rt: &Runtime,
    _container_id: &str,
    _reserved: &Reserved,
    _endpoints: &[EndpointRecord],
) -> Result<(), PublishError> {
    Ok(())
}

/// Ends the forwarding to a container; idempotent.
pub fn unpublish(_rt: &Runtime, _container_id: &str) -> Result<(), PublishError> {
    Ok(())
}
