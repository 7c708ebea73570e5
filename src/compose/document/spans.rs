//! Where each value of a tree was written, by path.

use std::collections::BTreeMap;

use crate::document::node::{Node, Value};
use crate::source::Span;

/// Returns the span of every value below `root`.
pub fn collect(root: &Node) -> BTreeMap<String, Span> {
    let mut spans = BTreeMap::new();
    walk(root, String::new(), &mut spans);
    spans
}

fn walk(node: &Node, path: String, spans: &mut BTreeMap<String, Span>) {
    match &node.value {
        Value::Mapping(mapping) => {
            for entry in mapping.iter() {
                let place = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
                walk(&entry.value, place, spans);
            }
        }
        Value::Sequence(items) => {
            for (index, item) in items.iter().enumerate() {
                // `- NAME=value` is known by its name too.
                if let Some((name, _)) = item.as_str().and_then(|text| text.split_once('=')) {
                    spans.insert(format!("{path}.{name}"), item.span);
                }
                walk(item, format!("{path}[{index}]"), spans);
            }
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_) | Value::Timestamp(_) => {}
    }
    if !path.is_empty() {
        spans.insert(path, node.span);
    }
}
