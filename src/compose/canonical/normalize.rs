//! What is implied between the parts of a project: the default network, dependencies, names, the Dockerfile.

use std::collections::BTreeMap;

use crate::canonical::{lists, volumes};
use crate::document::node::{Mapping, Node, Value};

/// Fills in what the parts of the project imply. `separator` joins the project's name and a key.
pub fn normalize(root: &mut Node, name: &str, variables: &BTreeMap<String, String>) {
    let span = root.span;
    let Some(root) = root.as_mapping_mut() else { return };
    root.insert("name", span, Node::string(name, span));
    if networks(root) {
        let section = root.get("networks").filter(|node| !node.is_null()).cloned();
        let mut section = section.unwrap_or_else(|| Node::new(Value::Mapping(Mapping::default()), span));
        if let Some(networks) = section.as_mapping_mut()
            && !networks.contains("default")
        {
            networks.insert("default", span, Node::new(Value::Null, span));
        }
        root.insert("networks", span, section);
    }
    if let Some(services) = root.get_mut("services").and_then(Node::as_mapping_mut) {
        for entry in services.iter_mut() {
            let span = entry.value.span;
            if let Some(service) = entry.value.as_mapping_mut() {
                self::service(service, variables);
                dependencies(service, span);
            }
        }
    }
    for section in ["networks", "volumes", "configs", "secrets"] {
        if let Some(resources) = root.get_mut(section).and_then(Node::as_mapping_mut) {
            for entry in resources.iter_mut() {
                named(&entry.key, &mut entry.value, name);
            }
        }
    }
}

/// Puts services without networks on the default one, and says whether any is on it.
fn networks(root: &mut Mapping) -> bool {
    let mut used = false;
    let services = root.get_mut("services").and_then(Node::as_mapping_mut);
    for entry in services.into_iter().flat_map(Mapping::iter_mut) {
        let node = &mut entry.value;
        let span = node.span;
        if node.get("provider").is_some() || node.get("network_mode").is_some() {
            continue;
        }
        let default = lists::mapping(node, [("default", Value::Null)]);
        let Some(service) = node.as_mapping_mut() else { continue };
        match service.get("networks").and_then(Node::as_mapping) {
            Some(networks) if !networks.is_empty() => used |= networks.contains("default"),
            _ => {
                service.insert("networks", span, default);
                used = true;
            }
        }
    }
    used
}

fn service(service: &mut Mapping, variables: &BTreeMap<String, String>) {
    if let Some(policy) = service.get_mut("pull_policy")
        && policy.as_str() == Some("if_not_present")
    {
        policy.value = Value::String("missing".into());
    }
    if let Some(build) = service.get_mut("build") {
        let span = build.span;
        if let Some(build) = build.as_mapping_mut() {
            let missing = |build: &Mapping, key: &str| build.get(key).is_none_or(Node::is_null);
            if missing(build, "context") {
                build.insert("context", span, Node::string(".", span));
            }
            if missing(build, "dockerfile") && missing(build, "dockerfile_inline") {
                build.insert("dockerfile", span, Node::string("Dockerfile", span));
            }
            if let Some(args) = build.get_mut("args") {
                bare(args, variables, false);
            }
        }
    }
    environment(service, variables);
    if let Some(Node { value: Value::Sequence(mounts), .. }) = service.get_mut("volumes") {
        for mount in mounts {
            if let Some(target) = mount.as_mapping_mut().and_then(|mount| mount.get_mut("target"))
                && let Value::String(path) = &mut target.value
            {
                *path = if path.is_empty() { ".".into() } else { volumes::clean(path) };
            }
        }
    }
}

/// Gives variables of services that have no value the one of the environment.
pub fn environments(root: &mut Node, variables: &BTreeMap<String, String>) {
    let services = root.as_mapping_mut().and_then(|root| root.get_mut("services")).and_then(Node::as_mapping_mut);
    for entry in services.into_iter().flat_map(Mapping::iter_mut) {
        if let Some(service) = entry.value.as_mapping_mut() {
            environment(service, variables);
        }
    }
}

fn environment(service: &mut Mapping, variables: &BTreeMap<String, String>) {
    if let Some(environment) = service.get_mut("environment") {
        bare(environment, variables, true);
    }
}

/// Gives names without a value that of the environment; the rest is kept or dropped.
fn bare(node: &mut Node, variables: &BTreeMap<String, String>, keep: bool) {
    match &mut node.value {
        Value::Mapping(mapping) => {
            for entry in mapping.iter_mut() {
                if entry.value.is_null()
                    && let Some(value) = variables.get(&entry.key)
                {
                    entry.value.value = Value::String(value.clone());
                }
            }
            mapping.retain(|entry| keep || !entry.value.is_null());
        }
        Value::Sequence(items) => {
            let bare = |item: &Node| item.as_str().is_some_and(|text| !text.contains('='));
            for item in items.iter_mut() {
                if bare(item)
                    && let Some(value) = item.as_str().and_then(|name| variables.get(name))
                {
                    item.value = Value::String(format!("{}={value}", item.plain()));
                }
            }
            items.retain(|item| keep || !bare(item));
        }
        _ => {}
    }
}

/// Adds the dependencies that links, shared namespaces and `volumes_from` imply.
fn dependencies(service: &mut Mapping, span: crate::source::Span) {
    let mut implied: Vec<(String, bool, Node)> = Vec::new();
    for link in service.get("links").and_then(Node::as_sequence).into_iter().flatten() {
        if let Some(text) = link.as_str() {
            let parts: Vec<&str> = text.split(':').collect();
            let name = if parts.len() == 2 { parts[0] } else { text };
            implied.push((name.to_owned(), true, link.clone()));
        }
    }
    for namespace in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        if let Some(node) = service.get(namespace)
            && let Some(name) = node.as_str().and_then(|text| text.strip_prefix("service:"))
        {
            implied.push((name.to_owned(), true, node.clone()));
        }
    }
    for from in service.get("volumes_from").and_then(Node::as_sequence).into_iter().flatten() {
        if let Some(text) = from.as_str().filter(|text| !text.starts_with("container:")) {
            implied.push((text.split(':').next().unwrap_or(text).to_owned(), false, from.clone()));
        }
    }
    if implied.is_empty() {
        return;
    }
    let existing = service.get("depends_on").filter(|node| node.as_mapping().is_some()).cloned();
    let mut section = existing.unwrap_or_else(|| Node::new(Value::Mapping(Mapping::default()), span));
    if let Some(depends_on) = section.as_mapping_mut() {
        for (name, restart, node) in implied {
            if !depends_on.contains(&name) {
                let dependency = lists::mapping(
                    &node,
                    [
                        ("condition", Value::String("service_started".into())),
                        ("restart", Value::Bool(restart)),
                        ("required", Value::Bool(true)),
                    ],
                );
                depends_on.insert(&name, node.span, dependency);
            }
        }
    }
    service.insert("depends_on", span, section);
}

/// Names a resource after the project and its key, or only its key if it is external.
fn named(key: &str, node: &mut Node, project: &str) {
    let span = node.span;
    if node.is_null() {
        node.value = Value::Mapping(Mapping::default());
    }
    let Some(resource) = node.as_mapping_mut() else { return };
    if resource.get("name").is_some_and(|name| !name.is_null()) {
        return;
    }
    let external = resource.get("external").is_some_and(|node| matches!(node.plain().as_str(), "true" | "1" | "t"));
    let name = if external { key.to_owned() } else { format!("{project}_{key}") };
    resource.insert("name", span, Node::string(name, span));
}
