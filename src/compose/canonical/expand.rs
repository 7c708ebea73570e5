//! Walks the tree and gives every short form to the file that knows it.

use crate::canonical::{build, depends_on, devices, env_file, external, file_mounts, lists, ports, volumes};
use crate::diagnostic::Diagnostic;
use crate::document::node::{Mapping, Node, Value};
use crate::document::session::Session;

/// Spells out every short form. What has a wrong type is left: the check of the schema has said so.
/// With references still in it (`lenient`), a text that cannot be read stays as it is.
pub fn expand(session: &mut Session<'_>, root: &mut Node, lenient: bool) {
    let Some(root) = root.as_mapping_mut() else { return };
    if let Some(services) = root.get_mut("services").and_then(Node::as_mapping_mut) {
        for entry in services.iter_mut() {
            if let Some(service) = entry.value.as_mapping_mut() {
                self::service(session, service, lenient);
            }
        }
    }
    for section in ["networks", "volumes", "secrets", "configs"] {
        if let Some(resources) = root.get_mut(section).and_then(Node::as_mapping_mut) {
            for entry in resources.iter_mut() {
                let place = format!("{section}.{}", entry.key);
                external::expand(session, &mut entry.value, &place);
            }
        }
    }
}

fn service(session: &mut Session<'_>, service: &mut Mapping, lenient: bool) {
    for entry in service.iter_mut() {
        let node = &mut entry.value;
        match entry.key.as_str() {
            "build" => build::expand(session, node),
            "depends_on" => depends_on::expand(node),
            "env_file" => env_file::expand(node),
            "label_file" | "dns" => lists::of_one(node),
            "extends" => keyed(node, "service"),
            "gpus" => devices::expand_gpus(node),
            "networks" | "models" => lists::names(node),
            "volumes" => each(session, node, lenient, volumes::expand),
            "devices" => each(session, node, lenient, devices::expand),
            "secrets" | "configs" => each(session, node, lenient, |_, item| file_mounts::expand(item)),
            "ports" => ports::expand(session, node, lenient),
            "develop" => develop(node),
            _ => {}
        }
    }
    if let Some(dns) = service.get_mut("dns")
        && let Value::Sequence(items) = &mut dns.value
    {
        items.retain(|item| !item.is_null() && item.as_str() != Some(""));
    }
}

/// Makes `{key: text}` of a text.
pub fn keyed(node: &mut Node, key: &str) {
    if node.as_str().is_none() {
        return;
    }
    let span = node.span;
    let text = std::mem::replace(node, Node::new(Value::Mapping(Mapping::default()), span));
    if let Some(mapping) = node.as_mapping_mut() {
        mapping.insert(key, span, text);
    }
}

fn each(
    session: &mut Session<'_>,
    node: &mut Node,
    lenient: bool,
    mut expand: impl FnMut(&mut Session<'_>, &mut Node) -> Result<(), String>,
) {
    if let Value::Sequence(items) = &mut node.value {
        for item in items {
            if let Err(reason) = expand(session, item)
                && !lenient
            {
                refuse(session, item, reason);
            }
        }
    }
}

/// Notes that a short form could not be read. What the reason quotes last is what is wrong, if it stands there.
pub fn refuse(session: &mut Session<'_>, item: &Node, reason: String) {
    let part = reason.rsplit('`').nth(1).unwrap_or_default();
    let place = session.within(item.span, part);
    let mut diagnostic = Diagnostic::error(401, reason.as_str()).at(place).label("not understood");
    if reason.starts_with("the port `") {
        diagnostic = diagnostic.help("a port is `[[address:]host:]container[/protocol]`, for example `\"8080:80\"`");
    }
    session.report(diagnostic);
}

fn develop(node: &mut Node) {
    let watch = node.as_mapping_mut().and_then(|mapping| mapping.get_mut("watch"));
    if let Some(Node { value: Value::Sequence(rules), .. }) = watch {
        for rule in rules {
            for key in ["ignore", "include"] {
                if let Some(list) = rule.as_mapping_mut().and_then(|mapping| mapping.get_mut(key)) {
                    lists::of_one(list);
                }
            }
        }
    }
}
