//! What there is: containers and networks, one look a command.

use orchestrator::engine::error::EngineError;
use runtime::Runtime;
use runtime::container::list::{self, Container};
use runtime::network::{self, NetworkError};

use crate::embedded::errors;
use crate::embedded::summary::{self, Networks};

/// Returns the containers that have all of `labels`, and the networks they may be on.
pub(crate) fn containers(rt: &Runtime, labels: &[String]) -> Result<(Vec<Container>, Networks), EngineError> {
    let mut containers = list::list(rt).map_err(|error| errors::find("*", &error))?;
    containers.retain(|container| summary::has_labels(&container.record.labels, labels));
    let networks = if containers.is_empty() { Networks::default() } else { networks(rt, &[])? };
    Ok((containers, networks))
}

/// Returns the networks that have all of `labels`, with who is on them.
pub(crate) fn networks(rt: &Runtime, labels: &[String]) -> Result<Networks, EngineError> {
    let failed = |name: &str, error: &NetworkError| errors::network(name, "look at", error);
    let mut found = Vec::new();
    for network in network::list(rt).map_err(|error| failed("*", &error))? {
        if summary::has_labels(&network.labels, labels) {
            let endpoints = network::endpoints(rt, &network.id).map_err(|error| failed(&network.name, &error))?;
            found.push((network, endpoints));
        }
    }
    Ok(Networks(found))
}
