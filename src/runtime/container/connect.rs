//! Puts a container on a network, or takes it off, whether it runs or not.
//!
//! The lease comes first and the record second: that is when it is done. Killed before, a lease is left that the next
//! start, `connect` or `disconnect` clears away; killed after, they do what is still to be done.

use crate::Runtime;
use crate::container::act::{self, ActError};
use crate::container::list::{self, FindError};
use crate::keeper::control::Request;
use crate::network::{self, AttachError, NetworkError};
use crate::state::container::{ContainerRecord, EndpointRequest, NetworkModeRecord};
use crate::state::record::{self, RecordError};

/// Why a container could not be put on a network or taken off.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum ConnectError {
    #[error(transparent)]
    Find(#[from] FindError),
    #[error("container `{name}` {why}: it can't be on networks")]
    Mode { name: String, why: &'static str },
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error(transparent)]
    Attach(#[from] AttachError),
    #[error(transparent)]
    Act(#[from] ActError),
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Puts a container on a network; one that is on it already stays there as it is.
pub fn connect(rt: &Runtime, name: &str, endpoint: &EndpointRequest) -> Result<(), ConnectError> {
    let network = network::find(rt, &endpoint.network)?
        .ok_or_else(|| NetworkError::NotFound { name: endpoint.network.clone() })?;
    let id = list::find_id(rt, name)?;
    let _act = record::lock(&rt.layout.bundle(&id).act_lock())?;
    let old = list::find(rt, &id)?.record;
    let mut new = old.clone();
    let requests = requests(&mut new)?;
    let is_new = !requests.iter().any(|request| request.network == network.id);
    if is_new {
        requests.push(EndpointRequest { network: network.id.clone(), ..endpoint.clone() });
        network::lease(rt, &new)?;
        record::write(&rt.layout.bundle(&id).record(), &new)?;
    }
    if let Err(error) = settle(rt, &new) {
        if is_new {
            // The error that brought us here is the one to tell.
            let _ = record::write(&rt.layout.bundle(&id).record(), &old);
            let _ = settle(rt, &old);
        }
        return Err(error);
    }
    if is_new {
        network::tell_of(rt, &network, &id, "connect");
    }
    Ok(())
}

/// Takes a container off a network; one that is not on it is left alone.
pub fn disconnect(rt: &Runtime, name: &str, network: &str) -> Result<(), ConnectError> {
    let network = network::find(rt, network)?.ok_or_else(|| NetworkError::NotFound { name: network.into() })?;
    let id = list::find_id(rt, name)?;
    let _act = record::lock(&rt.layout.bundle(&id).act_lock())?;
    let mut container = list::find(rt, &id)?.record;
    let requests = requests(&mut container)?;
    let count = requests.len();
    requests.retain(|request| request.network != network.id);
    let was_there = requests.len() < count;
    if was_there {
        record::write(&rt.layout.bundle(&id).record(), &container)?;
    }
    settle(rt, &container)?;
    if was_there {
        network::tell_of(rt, &network, &id, "disconnect");
    }
    Ok(())
}

fn requests(container: &mut ContainerRecord) -> Result<&mut Vec<EndpointRequest>, ConnectError> {
    let why = match &mut container.network {
        NetworkModeRecord::Networks(requests) => return Ok(requests),
        NetworkModeRecord::None => "is made to have no network",
        NetworkModeRecord::Host => "is on the host's network",
        NetworkModeRecord::Container(_) => "is on another container's network",
    };
    Err(ConnectError::Mode { name: container.name.clone(), why })
}

/// The keeper of one that runs does it: it goes on when we are killed. Without one there are only files.
fn settle(rt: &Runtime, container: &ContainerRecord) -> Result<(), ConnectError> {
    if act::ask(rt, &container.id, "change the networks of", &Request::Networks)?.is_none() {
        network::settle(rt, container, None)?;
    }
    Ok(())
}
