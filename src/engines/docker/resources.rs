//! Networks of the engine.

use std::collections::BTreeMap;

use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest};
use bytes::Bytes;
use hyper::Method;
use orchestrator::engine::network::{NetworkSpec, NetworkSummary};
use serde_json::{Value, json};

use crate::docker::client::{Client, escape, query};
use crate::docker::create::some;
use crate::docker::fault::{Fault, Version};
use crate::docker::summary;

/// Lists networks; the containers on them that run are counted.
pub(crate) async fn list_networks(client: &Client, labels: &[String]) -> Result<Vec<NetworkSummary>, Fault> {
    let filters = json!({"label": labels});
    let path = format!("/networks{}", query(&[("filters", filters.to_string())]));
    let found = client.get(&path).await?;
    let found = found.as_array().cloned().unwrap_or_default();
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let counts = count_endpoints(client, false).await?;
    let count = |network: &Value| counts.get(network["Id"].as_str().unwrap_or_default()).copied().unwrap_or(0);
    Ok(found.iter().map(|network| summary::network(network, count(network))).collect())
}

/// Counts by network id.
async fn count_endpoints(client: &Client, all: bool) -> Result<BTreeMap<String, usize>, Fault> {
    let rows = client.get(if all { "/containers/json?all=1" } else { "/containers/json" }).await?;
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
    let mut found = client.get(&format!("/networks/{}", escape(name))).await;
    if found.as_ref().is_err_and(is_ambiguous) {
        keep_one(client, name).await?;
        found = client.get(&format!("/networks/{}", escape(name))).await;
    }
    let found = match found {
        Ok(found) => found,
        Err(Fault::Refused { status: 404, .. }) => return Ok(None),
        Err(fault) => return Err(fault),
    };
    if found["Name"] != name && found["Id"] != name {
        return Ok(None);
    }
    let counts = count_endpoints(client, false).await?;
    let count = counts.get(found["Id"].as_str().unwrap_or_default()).copied().unwrap_or(0);
    Ok(Some(summary::network(&found, count)))
}

/// Says whether the engine has several networks of one name: those of commands that were killed while it made them.
pub(crate) fn is_ambiguous(fault: &Fault) -> bool {
    matches!(fault, Fault::Refused { message, .. } if message.contains("is ambiguous"))
}

/// Returns the networks of exactly this name.
async fn namesakes(client: &Client, name: &str) -> Result<Vec<Value>, Fault> {
    let path = format!("/networks{}", query(&[("filters", json!({"name": [name]}).to_string())]));
    let found = client.get(&path).await?;
    Ok(found.as_array().into_iter().flatten().filter(|network| network["Name"] == name).cloned().collect())
}

/// Leaves one of several networks of one name: that which containers are on, else the oldest.
pub(crate) async fn keep_one(client: &Client, name: &str) -> Result<(), Fault> {
    let mut found = namesakes(client, name).await?;
    let counts = count_endpoints(client, true).await?;
    found.sort_by_key(|network| {
        let id = network["Id"].as_str().unwrap_or_default();
        (!counts.contains_key(id), network["Created"].as_str().unwrap_or_default().to_owned(), id.to_owned())
    });
    for other in found.iter().skip(1) {
        let path = format!("/networks/{}", other["Id"].as_str().unwrap_or_default());
        match client.call(Method::DELETE, &path, None, bollard::body_full(Bytes::new())).await {
            Ok(_) | Err(Fault::Refused { status: 404, .. }) => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(())
}

/// Removes a network and its namesakes; one that is not there is success.
pub(crate) async fn remove_network(client: &Client, name: &str) -> Result<(), Fault> {
    let remove = |name: String| async move {
        let path = format!("/networks/{}", escape(&name));
        match client.call(Method::DELETE, &path, None, bollard::body_full(Bytes::new())).await {
            Ok(_) | Err(Fault::Refused { status: 404, .. }) => Ok(()),
            Err(fault) => Err(fault),
        }
    };
    match remove(name.to_owned()).await {
        Err(fault) if is_ambiguous(&fault) => {
            for network in namesakes(client, name).await? {
                remove(network["Id"].as_str().unwrap_or_default().to_owned()).await?;
            }
            Ok(())
        }
        other => other,
    }
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
