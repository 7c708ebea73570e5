//! A text for a list of one, a list of names for a mapping.

use crate::document::node::{Entry, Mapping, Node, Value};

/// Makes a list of a text.
pub fn of_one(node: &mut Node) {
    if node.as_str().is_some() {
        let item = Node::new(node.value.clone(), node.span);
        node.value = Value::Sequence(vec![item]);
    }
}

/// Makes a mapping without values of a list of names.
pub fn names(node: &mut Node) {
    named(node, |item| Node::new(Value::Null, item.span));
}

/// Makes a mapping of a list of names, each with what `value` gives; other forms stay.
pub fn named(node: &mut Node, value: impl Fn(&Node) -> Node) {
    let Value::Sequence(items) = &node.value else { return };
    let mut mapping = Mapping::default();
    for item in items {
        if let Some(name) = item.as_str() {
            mapping.insert(name, item.span, value(item));
        }
    }
    node.value = Value::Mapping(mapping);
}

/// Makes a mapping of entries that are not in the file, all at the place of `like`.
pub fn mapping(like: &Node, entries: impl IntoIterator<Item = (&'static str, Value)>) -> Node {
    let entries = entries.into_iter().map(|(key, value)| Entry {
        key: key.to_owned(),
        key_span: like.span,
        value: Node::new(value, like.span),
    });
    Node::new(Value::Mapping(entries.collect()), like.span)
}
