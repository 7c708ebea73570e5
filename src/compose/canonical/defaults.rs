//! Values that an attribute has when it is not written.

use crate::document::node::{Mapping, Node, Value};

/// Fills in the defaults of every service.
pub fn fill(root: &mut Node) {
    let services = root.as_mapping_mut().and_then(|root| root.get_mut("services")).and_then(Node::as_mapping_mut);
    for entry in services.into_iter().flat_map(Mapping::iter_mut) {
        let Some(service) = entry.value.as_mapping_mut() else { continue };
        if let Some(build) = service.get_mut("build") {
            default(build, "context", || Value::String(".".into()));
        }
        for secret in items(service.get_mut("secrets")) {
            let source = secret.get("source").map(Node::plain).unwrap_or_default();
            default(secret, "target", || Value::String(format!("/run/secrets/{source}")));
        }
        for port in items(service.get_mut("ports")) {
            default(port, "protocol", || Value::String("tcp".into()));
            default(port, "mode", || Value::String("ingress".into()));
        }
        devices(service.get_mut("gpus"));
        let reservations = ["resources", "reservations", "devices"];
        let place = reservations.iter().try_fold(service.get_mut("deploy"), |node, key| {
            node.map(|node| node.as_mapping_mut().and_then(|mapping| mapping.get_mut(key)))
        });
        devices(place.flatten());
    }
}

fn devices(node: Option<&mut Node>) {
    for request in items(node) {
        if request.get("device_ids").is_none() {
            default(request, "count", || Value::String("all".into()));
        }
    }
}

fn items(node: Option<&mut Node>) -> impl Iterator<Item = &mut Node> {
    let items = match node.map(|node| &mut node.value) {
        Some(Value::Sequence(items)) => items.as_mut_slice(),
        _ => &mut [],
    };
    items.iter_mut()
}

/// Puts in `key` where a mapping lacks it.
pub fn default(node: &mut Node, key: &str, value: impl FnOnce() -> Value) {
    let span = node.span;
    if let Some(mapping) = node.as_mapping_mut()
        && !mapping.contains(key)
    {
        mapping.insert(key, span, Node::new(value(), span));
    }
}
