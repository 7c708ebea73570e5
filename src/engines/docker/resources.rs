//! Networks of the engine.

use std::collections::BTreeMap;

use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest};
use orchestrator::engine::network::{NetworkSpec, NetworkSummary};
use serde_json::{Value, json};

use crate::docker::client::{Client, escape, query};
use crate::docker::create::some;
use crate::docker::fault::{Fault, Version};
use crate::docker::summary;

/// Lists networks; the containers on them, running or not, are counted.
pub(crate) async fn list_networks(client: &Client, labels: &[String]) -> Result<Vec<NetworkSummary>, Fault> {
    let filters = json!({"label": labels});
    let path = format!("/networks{}", query(&[("filters", filters.to_string())]));
    let found = client.get(&path).await?;
    let found = found.as_array().cloned().unwrap_or_default();
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let counts = count_endpoints(client).await?;
    let count = |network: &Value| counts.get(network["Id"].as_str().unwrap_or_default()).copied().unwrap_or(0);
    Ok(found.iter().map(|network| summary::network(network, count(network))).collect())
}

/// Counts by network id: the engine itself tells only of those that run.
async fn count_endpoints(client: &Client) -> Result<BTreeMap<String, usize>, Fault> {
    let rows = client.get("/containers/json?all=1").await?;
    let mut counts = BTreeMap::new();
    for row in rows.as_array().into_iter().flatten() {
        for (_, endpoint) in row["NetworkSettings"]["Networks"].as_object().into_iter().flatten() {
            *counts.entry(endpoint["NetworkID"].as_str().unwrap_or_default().to_owned()).or_insert(0) += 1;
        }
    }
    Ok(counts)
}

/// Finds a network by name; the engine finds beginnings of ids, too.
pub(crate) async fn find_network(client: &Client, name: &str) -> Result<Option<NetworkSummary>, Fault> {
    let found = match client.get(&format!("/networks/{}", escape(name))).await {
        Ok(found) => found,
        Err(Fault::Refused { status: 404, .. }) => return Ok(None),
        Err(fault) => return Err(fault),
    };
    if found["Name"] != name && found["Id"] != name {
        return Ok(None);
    }
    let counts = count_endpoints(client).await?;
    let count = counts.get(found["Id"].as_str().unwrap_or_default()).copied().unwrap_or(0);
    Ok(Some(summary::network(&found, count)))
}

/// Creates a network; one of the same name and labels is success.
pub(crate) async fn create_network(client: &Client, spec: &NetworkSpec) -> Result<(), Fault> {
    if !spec.ipv4 {
        client.require("enable_ipv4", Version(1, 47)).await?;
    }
    let version = client.api().await?.version;
    let pools = spec.pools.iter().map(|pool| IpamConfig {
        subnet: pool.subnet.clone(),
        ip_range: pool.ip_range.clone(),
        gateway: pool.gateway.clone(),
        auxiliary_addresses: some(pool.aux_addresses.clone().into_iter().collect()),
    });
    let ipam = Ipam {
        driver: spec.ipam_driver.clone(),
        config: some(pools.collect::<Vec<_>>()),
        options: some(spec.ipam_options.clone().into_iter().collect()),
    };
    let request = NetworkCreateRequest {
        name: spec.name.clone(),
        driver: Some(spec.driver.clone().unwrap_or_else(|| "bridge".to_owned())),
        internal: Some(spec.internal),
        attachable: Some(spec.attachable),
        ipam: some(ipam),
        enable_ipv4: (version >= Version(1, 47)).then_some(spec.ipv4),
        enable_ipv6: Some(spec.ipv6),
        options: some(spec.driver_opts.clone().into_iter().collect()),
        labels: Some(spec.labels.clone().into_iter().collect()),
        ..NetworkCreateRequest::default()
    };
    let mut body = serde_json::to_value(&request).map_err(|error| Fault::Broken { why: error.to_string() })?;
    // Older engines make a second network of the same name unless they are told not to.
    if version < Version(1, 44) {
        body["CheckDuplicate"] = true.into();
    }
    match client.post("/networks/create", &body).await {
        Ok(_) => Ok(()),
        Err(fault @ Fault::Refused { status: 409, .. }) => match find_network(client, &spec.name).await? {
            Some(found) if spec.labels.iter().all(|(key, value)| found.labels.get(key) == Some(value)) => Ok(()),
            Some(_) | None => Err(fault),
        },
        Err(fault) => Err(fault),
    }
}
