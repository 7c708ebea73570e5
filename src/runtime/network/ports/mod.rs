//! Published ports: who holds them, taking them, forwarding them.

pub mod holder;
pub mod publications;
pub mod publish;
pub mod reserve;

use std::fmt;
use std::net::IpAddr;

use crate::network::lifecycle::NetworkError;
use crate::state::container::Protocol;
use crate::state::record::RecordError;

pub use publish::{check, lead_anew, publish, unpublish};
pub use reserve::{Reserved, reserve};

/// A port that can't be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortConflict {
    /// Address on the host; `None` is every one.
    pub host_ip: Option<IpAddr>,
    /// The port, or the first of the range when all of it is taken.
    pub port: u16,
    /// Transport.
    pub protocol: Protocol,
    /// Who has it, where that can be told.
    pub holder: Option<Holder>,
    /// Why it can't be had when nobody has it.
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

impl PortConflict {
    /// Returns the name of the container of ours that has the port.
    pub fn container(&self) -> Option<&str> {
        self.holder.as_ref().and_then(|holder| holder.container.as_deref())
    }
}

impl fmt::Display for PortConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        };
        write!(f, "port ")?;
        match self.host_ip {
            Some(IpAddr::V6(address)) => write!(f, "[{address}]:")?,
            Some(IpAddr::V4(address)) => write!(f, "{address}:")?,
            None => {}
        }
        write!(f, "{}/{protocol} ", self.port)?;
        match (&self.holder, &self.problem) {
            (_, Some(problem)) => write!(f, "can't be opened: {problem}"),
            (Some(Holder { container: Some(container), .. }), _) => write!(f, "is taken by container `{container}`"),
            (Some(holder), _) => write!(f, "is taken by `{}` (pid {})", holder.command, holder.pid),
            (None, None) => write!(f, "is taken"),
        }
    }
}

impl std::error::Error for PortConflict {}

/// Why a port could not be forwarded.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The state on disk.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The networks can't be read.
    #[error("cannot read the networks")]
    Network {
        /// What was wrong.
        #[source]
        source: NetworkError,
    },
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
