//! What RUN sees of the network: a bridge of the build's own with a way out, the host's, or nothing.

use std::fs;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::Runtime;
use crate::network::{self, NetworkError, NetworkRequest};
use crate::state::layout::Layout;
use crate::state::network::NetworkRecord;
use crate::state::process::ProcessId;

/// The network of one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepNetwork {
    /// Nothing but `lo`.
    None,
    /// The host's own.
    Host,
    /// The build's, at the address of this number.
    Guest(Box<Guest>),
}

/// A step's place on its build's network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guest {
    /// The state roots, for the process that plugs it in.
    pub roots: Layout,
    /// The build's network.
    pub network: NetworkRecord,
    /// Number of the step, from 0.
    pub number: u32,
}

/// The network of one build: made for its first step that needs one, and gone with it.
#[derive(Debug)]
pub struct BuildNetwork<'a> {
    rt: &'a Runtime,
    made: Mutex<Option<NetworkRecord>>,
    steps: AtomicU32,
}

/// Builds of this process so far: each has a network of its own.
static BUILDS: AtomicU32 = AtomicU32::new(0);

impl<'a> BuildNetwork<'a> {
    /// Makes nothing yet.
    pub fn new(rt: &'a Runtime) -> Self {
        Self { rt, made: Mutex::new(None), steps: AtomicU32::new(0) }
    }

    /// Returns the network of one more step.
    ///
    /// Where the host's only name servers are on its loopback, that is the host's: nothing else reaches them.
    pub fn join(&self) -> Result<StepNetwork, NetworkError> {
        if resolvers().is_none() {
            return Ok(StepNetwork::Host);
        }
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let network = match &*made {
            Some(network) => network.clone(),
            None => made.insert(make(self.rt)?).clone(),
        };
        let number = self.steps.fetch_add(1, Ordering::Relaxed);
        Ok(StepNetwork::Guest(Box::new(Guest { roots: (*self.rt.layout).clone(), network, number })))
    }
}

impl Drop for BuildNetwork<'_> {
    fn drop(&mut self) {
        let made = self.made.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(network) = made.take()
            && let Err(error) = network::remove(self.rt, &network.id)
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot remove the build's network");
        }
    }
}

fn make(rt: &Runtime) -> Result<NetworkRecord, NetworkError> {
    // The networks of builds that were killed go with a listing, and not while one is made: their subnets would run out.
    network::list(rt)?;
    let owner = ProcessId::of(std::process::id().cast_signed());
    let name = format!("build {} {}", std::process::id(), BUILDS.fetch_add(1, Ordering::Relaxed));
    network::create(rt, &NetworkRequest { name, owner, ..NetworkRequest::default() })
}

/// Returns a resolv.conf(5) whose servers a namespace of its own reaches: the host's, or what its local stub asks.
/// `None`: the host has nothing but a stub.
pub fn resolvers() -> Option<Vec<u8>> {
    let is_reachable = |text: &str| {
        let servers = text.lines().filter_map(|line| line.strip_prefix("nameserver")?.trim().parse::<IpAddr>().ok());
        let mut servers = servers.peekable();
        servers.peek().is_some() && servers.all(|server| !server.is_loopback())
    };
    // systemd-resolved(8) keeps what it asks itself in the second.
    ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"]
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .find(|text| is_reachable(text))
        .map(String::into_bytes)
}
