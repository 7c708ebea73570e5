//! Lists whose items have a key keep one item a key: the last, in the place of the first.

use std::collections::HashMap;

use crate::assemble::merge_rules::{Identity, identity};
use crate::canonical::volumes;
use crate::diagnostic::Diagnostic;
use crate::document::node::{Node, Value};
use crate::document::path::Path;
use crate::document::session::Session;

/// Applies the rule below `node`.
pub fn enforce(session: &mut Session<'_>, node: &mut Node, path: &mut Path) {
    match &mut node.value {
        Value::Mapping(mapping) => {
            for entry in mapping.iter_mut() {
                path.push(&entry.key);
                enforce(session, &mut entry.value, path);
                path.pop();
            }
        }
        Value::Sequence(items) => {
            if let Some(identity) = identity(path) {
                let old = std::mem::take(items);
                *items = unique(session, old, identity, path);
            }
        }
        _ => {}
    }
}

fn unique(session: &mut Session<'_>, old: Vec<Node>, identity: Identity, path: &mut Path) -> Vec<Node> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut kept: Vec<Node> = Vec::new();
    for (index, item) in old.into_iter().enumerate() {
        match key(&item, identity) {
            Ok(key) => match places.get(&key) {
                Some(place) => {
                    session.shadow(item.span, kept[*place].span);
                    kept[*place] = item;
                }
                None => {
                    places.insert(key, kept.len());
                    kept.push(item);
                }
            },
            Err(reason) => {
                path.push_index(index);
                session.report(
                    Diagnostic::error(302, format!("`{path}` {reason}"))
                        .at(item.span)
                        .label(format!("{} here", item.kind())),
                );
                path.pop();
                kept.push(item);
            }
        }
    }
    kept
}

fn key(item: &Node, identity: Identity) -> Result<String, String> {
    let text_or = |what: &str| Err(format!("takes {what}, and this is {}", item.kind()));
    match identity {
        Identity::Name => match item.as_str() {
            Some(text) => Ok(text.split('=').next().unwrap_or(text).to_owned()),
            // The schema says that this is wrong, and how to mend it.
            None => Ok(item.plain()),
        },
        Identity::Text => match &item.value {
            Value::String(_) | Value::Int(_) => Ok(item.plain()),
            _ => text_or("a string or a whole number"),
        },
        Identity::VolumeTarget => match &item.value {
            Value::Mapping(_) => item.get_str("target").map(str::to_owned).ok_or("has no `target`".into()),
            Value::String(text) => Ok(volumes::parse(text)?.target),
            _ => Ok(String::new()),
        },
        Identity::DeviceTarget => match &item.value {
            Value::Mapping(_) => item.get_str("target").map(str::to_owned).ok_or("has no `target`".into()),
            Value::String(text) => {
                let mut parts = text.split(':');
                let source = parts.next().unwrap_or_default();
                Ok(parts.next().unwrap_or(source).to_owned())
            }
            _ => Ok(String::new()),
        },
        Identity::FileTarget(folder) => match &item.value {
            Value::String(name) => Ok(format!("{folder}/{name}")),
            Value::Mapping(_) => match item.get_str("target") {
                Some(target) => Ok(target.to_owned()),
                None => Ok(format!("{folder}/{}", item.get_str("source").unwrap_or("%!s(<nil>)"))),
            },
            _ => text_or("a name or a mapping"),
        },
        Identity::EnvFilePath => match &item.value {
            Value::Mapping(_) => item.get_str("path").map(str::to_owned).ok_or("has no `path`".into()),
            Value::String(path) => Ok(path.clone()),
            _ => Ok(String::new()),
        },
        Identity::Port => match &item.value {
            Value::Mapping(port) => {
                let target = port.get("target").ok_or("has no `target` port")?;
                let part = |name: &str, default: &str| port.get(name).map_or(default.to_owned(), Node::plain);
                Ok(format!(
                    "{}:{}:{}/{}",
                    part("host_ip", "0.0.0.0"),
                    part("published", "<nil>"),
                    target.plain(),
                    part("protocol", "tcp")
                ))
            }
            Value::Int(_) | Value::String(_) => Ok(item.plain()),
            _ => Ok(String::new()),
        },
    }
}
