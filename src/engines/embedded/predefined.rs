//! The networks that are always there, as in Docker: `bridge`, for containers that ask for none, and `host` and `none`,
//! which are no networks of the runtime's.
//!
//! `bridge` gets its record and its link with the first container on it, and both may go when it has none: its id and its
//! addresses are the same before, between and after.

use std::time::UNIX_EPOCH;

use orchestrator::engine::container::Endpoint;
use orchestrator::engine::error::{EngineError, ErrorKind};
use orchestrator::engine::network::NetworkSummary;
use runtime::Runtime;
use runtime::container::list;
use runtime::image::digest::Digest;
use runtime::network::{self, NetworkError, NetworkRequest};
use runtime::state::container::NetworkModeRecord;
use runtime::state::network::NetworkRecord;
use serde_json::{Map, Value, json};

use crate::embedded::{errors, observe, stamp};

/// For containers that ask for no network.
pub(crate) const BRIDGE: &str = "bridge";
/// All of them, by name.
const NAMES: [&str; 3] = [BRIDGE, "host", "none"];

/// Returns the name of the one that is meant by its name or its id.
pub(crate) fn find(rt: &Runtime, name: &str) -> Option<&'static str> {
    let is_meant = |one: &str| one == name || (name.len() >= 12 && id(rt, one).starts_with(name));
    NAMES.into_iter().find(|one| is_meant(one))
}

/// The same at all times, but another one in each state root: the link is named after it.
fn id(rt: &Runtime, name: &str) -> String {
    Digest::of(format!("predefined network {name} of {}", rt.layout.lib.display()).as_bytes()).hex()
}

fn request(rt: &Runtime) -> NetworkRequest {
    NetworkRequest { name: BRIDGE.into(), id: Some(id(rt, BRIDGE)), ..NetworkRequest::default() }
}

/// Sees to it that containers can be on `bridge`.
pub(crate) fn ensure_bridge(rt: &Runtime) -> Result<(), EngineError> {
    let failed = |error: NetworkError| errors::network(BRIDGE, "create", &error);
    if network::find(rt, BRIDGE).map_err(failed)?.is_some() {
        return Ok(());
    }
    match network::create(rt, &request(rt)) {
        Ok(_) | Err(NetworkError::NameTaken { .. }) => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

/// Sees to it that what a container on `bridge` is linked to is there; as in Docker it may come later on other networks.
pub(crate) fn must_have_links(rt: &Runtime, name: &str, endpoints: &[Endpoint]) -> Result<(), EngineError> {
    let on_bridge = endpoints.iter().filter(|endpoint| endpoint.network == BRIDGE);
    for (target, _) in on_bridge.flat_map(|endpoint| &endpoint.links) {
        if let Err(error) = list::find_id(rt, target) {
            let resource = errors::container(name);
            let message = format!("cannot link {resource} to `{target}`: {error}");
            // That the image is missing must not be read from it.
            return Err(EngineError::new(ErrorKind::Failed, resource, message)
                .hint("start that one first, or put both on a network of their own"));
        }
    }
    Ok(())
}

/// Takes the link of `bridge` away if no container is on it.
pub(crate) fn let_go(rt: &Runtime) -> Result<(), EngineError> {
    match network::remove_unused(rt, BRIDGE) {
        Ok(()) | Err(NetworkError::NotFound { .. } | NetworkError::InUse { .. }) => Ok(()),
        Err(error) => Err(errors::network(BRIDGE, "take away the link of", &error)),
    }
}

/// Returns `bridge` as it would be if somebody were on it.
pub(crate) fn bridge(rt: &Runtime) -> Result<NetworkRecord, EngineError> {
    network::preview(rt, &request(rt)).map_err(|error| errors::network(BRIDGE, "look at", &error))
}

/// Tells of one that has no record.
pub(crate) fn summary(rt: &Runtime, name: &str) -> NetworkSummary {
    let driver = match name {
        "none" => "null",
        name => name,
    };
    NetworkSummary {
        id: id(rt, name),
        name: name.into(),
        driver: driver.into(),
        labels: Default::default(),
        created: None,
        endpoints: 0,
    }
}

/// Tells of those that have no record.
pub(crate) fn summaries(rt: &Runtime, recorded: &[NetworkRecord]) -> Vec<NetworkSummary> {
    let has_none = |name: &&str| !recorded.iter().any(|network| network.name == *name);
    NAMES.into_iter().filter(has_none).map(|name| summary(rt, name)).collect()
}

/// Describes `host` or `none`, with the containers that run there.
pub(crate) fn describe(rt: &Runtime, name: &str) -> Result<Value, EngineError> {
    let wanted = if name == "host" { NetworkModeRecord::Host } else { NetworkModeRecord::None };
    let (containers, _) = observe::containers(rt, &[])?;
    let there = containers.iter().filter(|it| it.record.network == wanted && it.status.status.is_up());
    let there = there.map(|it| {
        let told = json!({
            "Name": it.record.name, "EndpointID": "", "MacAddress": "", "IPv4Address": "", "IPv6Address": "",
        });
        (it.record.id.clone(), told)
    });
    let summary = summary(rt, name);
    Ok(json!({
        "Name": name,
        "Id": summary.id,
        "Created": stamp::format(UNIX_EPOCH),
        "Scope": "local",
        "Driver": summary.driver,
        "EnableIPv4": true,
        "EnableIPv6": false,
        "IPAM": { "Driver": "default", "Options": null, "Config": [] },
        "Internal": false,
        "Attachable": false,
        "Ingress": false,
        "ConfigFrom": { "Network": "" },
        "ConfigOnly": false,
        "Containers": there.collect::<Map<_, _>>(),
        "Options": {},
        "Labels": {},
    }))
}

/// Makes the error of a removal.
pub(crate) fn never_removed(name: &str) -> EngineError {
    let message = format!("{name} is a pre-defined network and cannot be removed");
    EngineError::new(ErrorKind::Conflict, format!("network `{name}`"), message)
}

/// Makes the error of creating one, or of putting a container on it that is there already.
pub(crate) fn not_permitted(name: &str) -> EngineError {
    let message = format!("operation is not permitted on predefined {name} network");
    EngineError::new(ErrorKind::Conflict, format!("network `{name}`"), message)
}
