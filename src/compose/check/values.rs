//! What the schema cannot say of single values: keys that exclude each other, addresses, sources of files.

use std::net::IpAddr;

use crate::diagnostic::Diagnostic;
use crate::document::node::{Mapping, Node};
use crate::document::session::Session;

/// Checks the canonical tree of a set of files.
pub fn check(session: &mut Session<'_>, root: &Node) {
    for (key, volume) in entries(root.get("volumes")) {
        external(session, key, volume);
    }
    for (section, keys) in [("configs", &["file", "environment", "content"][..]), ("secrets", &["file", "environment"])]
    {
        for (key, object) in entries(root.get(section)) {
            file_object(session, &format!("{section}.{key}"), object, keys);
        }
    }
    for (name, service) in entries(root.get("services")) {
        self::service(session, name, service);
    }
}

fn entries(section: Option<&Node>) -> impl Iterator<Item = (&str, &Node)> {
    let mapping = section.and_then(Node::as_mapping);
    mapping.into_iter().flat_map(Mapping::iter).map(|entry| (entry.key.as_str(), &entry.value))
}

fn external(session: &mut Session<'_>, key: &str, volume: &Node) {
    if volume.get("external").is_none_or(|node| node.plain() != "true") {
        return;
    }
    for entry in volume.as_mapping().into_iter().flat_map(Mapping::iter) {
        if !matches!(entry.key.as_str(), "name" | "external") && !entry.key.starts_with("x-") {
            session.report(
                Diagnostic::error(501, format!("`volumes.{key}` is external, so it has no `{}`", entry.key))
                    .at(entry.key_span)
                    .label("cannot stand beside `external`")
                    .help("an external volume exists already: it has a name and nothing else"),
            );
        }
    }
}

fn file_object(session: &mut Session<'_>, place: &str, object: &Node, keys: &[&str]) {
    let Some(mapping) = object.as_mapping() else { return };
    let present: Vec<&str> = keys.iter().copied().filter(|key| mapping.contains(key)).collect();
    let all: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
    if let [first, second, ..] = present.as_slice()
        && let (Some(first), Some(second)) = (mapping.entry(first), mapping.entry(second))
    {
        session.report(
            Diagnostic::error(502, format!("`{place}` has `{}` and `{}`", first.key, second.key))
                .at(second.key_span)
                .label("one too many")
                .related(first.key_span, "the other")
                .help(format!("keep one of {}", all.join(", "))),
        );
    } else if present.is_empty() && !mapping.contains("driver") && !mapping.contains("external") {
        session.report(
            Diagnostic::error(503, format!("`{place}` does not say where its content comes from"))
                .at(object.span)
                .label("no source")
                .help(format!("give one of {}, or `external: true`", all.join(", "))),
        );
    }
}

fn service(session: &mut Session<'_>, name: &str, service: &Node) {
    for port in items(service.get("ports")) {
        if let Some(address) = port.get("host_ip")
            && address.plain().parse::<IpAddr>().is_err()
        {
            let message = format!("`{}` is no IP address", address.plain());
            session.report(Diagnostic::error(504, message).at(address.span).label("not an address"));
        }
    }
    for mount in items(service.get("volumes")) {
        if mount.get_str("type") == Some("bind") && mount.get("source").is_none() {
            session.report(
                Diagnostic::error(505, format!("a bind mount of `{name}` has no `source`"))
                    .at(mount.span)
                    .label("mounts nothing")
                    .help("`source` is the path on the host"),
            );
        }
    }
    for rule in items(service.get("develop").and_then(|develop| develop.get("watch"))) {
        if let Some(path) = rule.get("path").filter(|path| path.as_str() == Some("")) {
            session.report(Diagnostic::error(506, "the path to watch is empty").at(path.span).label("empty"));
        }
    }
    let reserved = ["resources", "reservations", "devices"];
    let reserved = reserved.iter().try_fold(service.get("deploy"), |node, key| node.map(|node| node.get(key)));
    for request in items(service.get("gpus")).chain(items(reserved.flatten())) {
        if let (Some(count), Some(ids)) = (request.get("count"), request.get("device_ids")) {
            session.report(
                Diagnostic::error(507, "a device request has `count` and `device_ids`")
                    .at(count.span)
                    .label("how many")
                    .related(ids.span, "and which")
                    .help("keep one of the two"),
            );
        }
    }
}

/// Returns the items of a list, or none.
pub fn items(node: Option<&Node>) -> impl Iterator<Item = &Node> {
    node.and_then(Node::as_sequence).into_iter().flatten()
}
