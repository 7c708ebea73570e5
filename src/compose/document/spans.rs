//! Where each value of a tree was written, by path. Most paths are never asked for: none is spelt out before.

use std::sync::Arc;

use crate::document::node::{Node, Value};
use crate::source::Span;

/// The places of a tree.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Spans {
    root: Option<Arc<Node>>,
}

impl Spans {
    /// Returns the places of `root`.
    pub fn of(root: Node) -> Self {
        Self { root: Some(Arc::new(root)) }
    }

    /// Returns where `path` (`services.web.ports[0]`) was written; an item `NAME=value` is known by its name too.
    pub fn get(&self, path: &str) -> Option<Span> {
        self.root.as_deref().filter(|_| !path.is_empty())?.find(path)
    }
}

impl Node {
    /// Returns where `path`, from here on, was written. Keys may hold dots and brackets: the longest that fits counts.
    fn find(&self, path: &str) -> Option<Span> {
        if path.is_empty() {
            return Some(self.span);
        }
        match &self.value {
            Value::Mapping(mapping) => {
                let path = path.strip_prefix('.').unwrap_or(path);
                if let Some(node) = mapping.get(path) {
                    return Some(node.span);
                }
                let ends = path.rmatch_indices(['.', '[']).map(|(at, _)| at);
                ends.filter_map(|at| mapping.get(&path[..at]).map(|node| (node, &path[at..])))
                    .find_map(|(node, rest)| node.find(rest))
            }
            Value::Sequence(items) => match path.strip_prefix('[') {
                Some(rest) => {
                    let (index, rest) = rest.split_once(']')?;
                    items.get(index.parse::<usize>().ok()?)?.find(rest)
                }
                None => {
                    let name = path.strip_prefix('.')?;
                    let is_named = |item: &&Node| {
                        item.as_str().and_then(|text| text.split_once('=')).is_some_and(|(own, _)| own == name)
                    };
                    items.iter().rfind(is_named).map(|item| item.span)
                }
            },
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_) | Value::Timestamp(_) => {
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::node::{Entry, Mapping};
    use crate::source::FileId;

    fn span(start: u32) -> Span {
        Span { file: FileId(0), start, end: start + 1 }
    }

    fn mapping(start: u32, entries: impl IntoIterator<Item = (&'static str, Node)>) -> Node {
        let entry = |(key, value): (&str, Node)| Entry { key: key.into(), key_span: span(start), value };
        Node::new(Value::Mapping(entries.into_iter().map(entry).collect::<Mapping>()), span(start))
    }

    #[test]
    fn a_path_leads_to_its_place_through_keys_with_dots_items_and_names_of_items() {
        let items = [Node::string("A=1", span(5)), Node::string("B.c[0]=2", span(6)), Node::string("A=3", span(7))];
        let list = Node::new(Value::Sequence(items.into()), span(4));
        let web = mapping(2, [("environment", list), ("image", Node::string("x", span(8)))]);
        let services = mapping(1, [("a", Node::string("", span(3))), ("a.b", web)]);
        let spans = Spans::of(mapping(0, [("services", services)]));
        let at = |path: &str| spans.get(path).map(|span| span.start);
        assert_eq!(at("services.a"), Some(3));
        assert_eq!(at("services.a.b.image"), Some(8));
        assert_eq!(at("services.a.b.environment"), Some(4));
        assert_eq!(at("services.a.b.environment[1]"), Some(6));
        assert_eq!(at("services.a.b.environment.A"), Some(7), "the last one counts");
        assert_eq!(at("services.a.b.environment.B.c[0]"), Some(6));
        assert_eq!([at("services.a.b.environment[3]"), at("services.c"), at("")], [None; 3]);
    }
}
