//! `depends_on: [db]` to conditions.

use crate::canonical::lists;
use crate::document::node::{Node, Value};

/// Spells out a list of names and what a long form leaves out.
pub fn expand(node: &mut Node) {
    lists::named(node, |item| {
        lists::mapping(item, [("condition", Value::String("service_started".into())), ("required", Value::Bool(true))])
    });
    let Some(mapping) = node.as_mapping_mut() else { return };
    for entry in mapping.iter_mut() {
        let span = entry.value.span;
        if let Some(dependency) = entry.value.as_mapping_mut() {
            if !dependency.contains("condition") {
                dependency.insert("condition", span, Node::string("service_started", span));
            }
            if !dependency.contains("required") {
                dependency.insert("required", span, Node::new(Value::Bool(true), span));
            }
        }
    }
}
