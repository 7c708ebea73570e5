//! `build: ./dir` and the short forms inside of a build.

use crate::canonical::{expand as short, file_mounts};
use crate::document::node::{Mapping, Node, Value};
use crate::document::session::Session;

/// Spells out a context and what a build holds.
pub fn expand(session: &mut Session<'_>, node: &mut Node) {
    short::keyed(node, "context");
    let Some(build) = node.as_mapping_mut() else { return };
    for entry in build.iter_mut() {
        let node = &mut entry.value;
        match entry.key.as_str() {
            "secrets" => {
                if let Value::Sequence(items) = &mut node.value {
                    for item in items {
                        let _ = file_mounts::expand(item);
                    }
                }
            }
            "provenance" | "sbom" if node.as_str().is_none() && !node.is_null() => {
                node.value = Value::String(node.plain());
            }
            "additional_contexts" => pairs(session, node),
            "ssh" => keys(session, node),
            _ => {}
        }
    }
}

fn pairs(session: &mut Session<'_>, node: &mut Node) {
    let Value::Sequence(items) = &node.value else { return };
    let mut mapping = Mapping::default();
    for item in items.clone() {
        match item.as_str().and_then(|text| text.split_once('=')) {
            Some((name, context)) => mapping.insert(name, item.span, Node::string(context, item.span)),
            None => short::refuse(session, &item, format!("`{}` is not of the form `name=context`", item.plain())),
        }
    }
    node.value = Value::Mapping(mapping);
}

fn keys(session: &mut Session<'_>, node: &mut Node) {
    let Value::Sequence(items) = &node.value else { return };
    let mut mapping = Mapping::default();
    for item in items.clone() {
        let Some(text) = item.as_str() else { continue };
        match text.split_once('=') {
            Some((id, path)) => mapping.insert(id, item.span, Node::string(path, item.span)),
            None if text == "default" => mapping.insert(text, item.span, Node::new(Value::Null, item.span)),
            None => {
                short::refuse(session, &item, format!("the key `{text}` needs a path: only `default` goes without"));
            }
        }
    }
    node.value = Value::Mapping(mapping);
}
