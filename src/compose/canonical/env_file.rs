//! `env_file: .env` to a list of `{path, required}`.

use crate::canonical::{expand, lists};
use crate::document::node::{Node, Value};

/// Spells out a text and the items of a list.
pub fn expand(node: &mut Node) {
    lists::of_one(node);
    let Value::Sequence(items) = &mut node.value else { return };
    for item in items {
        expand::keyed(item, "path");
        let span = item.span;
        if let Some(mapping) = item.as_mapping_mut()
            && !mapping.contains("required")
        {
            mapping.insert("required", span, Node::new(Value::Bool(true), span));
        }
    }
}
