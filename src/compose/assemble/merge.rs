//! Lays one tree over another.

use crate::assemble::merge_rules::{Rule, rule};
use crate::canonical::{self, lists};
use crate::diagnostic::Diagnostic;
use crate::document::node::{Entry, Mapping, MergeTag, Node, Value};
use crate::document::path::Place;
use crate::document::session::{Session, Stop};

/// Lays `over` on `base` at `place`.
pub fn merge(session: &mut Session<'_>, base: Node, over: Node, place: &Place<'_>) -> Result<Node, Stop> {
    let merged = match rule(place) {
        Some(Rule::Replace) => {
            session.shadow(over.span, base.span);
            Ok(over)
        }
        Some(Rule::ToSequence) => Ok(append(to_sequence(base), to_sequence(over))),
        Some(Rule::ExtraHosts) => Ok(extra_hosts(base, over)),
        Some(Rule::Build) => mappings(session, build(base), build(over), place),
        Some(Rule::DependsOn) => mappings(session, depends_on(base), depends_on(over), place),
        Some(Rule::NamesToMapping) => mappings(session, names(base), names(over), place),
        Some(Rule::Logging) => logging(session, base, over, place),
        Some(Rule::IpamConfig) => ipam_config(session, base, over, place),
        None => plain(session, base, over, place),
    };
    merged.map(|node| Node { tag: MergeTag::None, ..node })
}

fn plain(session: &mut Session<'_>, base: Node, over: Node, place: &Place<'_>) -> Result<Node, Stop> {
    if over.is_null() {
        return Ok(base);
    }
    match (&base.value, &over.value) {
        (Value::Mapping(_), Value::Mapping(_)) => mappings(session, base, over, place),
        (Value::Sequence(_), Value::Sequence(_)) => Ok(append(base, over)),
        (Value::Mapping(_) | Value::Sequence(_), _) => cannot(session, &base, &over, place),
        _ => {
            session.shadow(over.span, base.span);
            Ok(over)
        }
    }
}

fn cannot(session: &mut Session<'_>, base: &Node, over: &Node, place: &Place<'_>) -> Result<Node, Stop> {
    session.stop(
        Diagnostic::error(
            301,
            format!("`{place}` is {} here and {} in what it is merged with", over.kind(), base.kind()),
        )
        .at(over.span)
        .label(over.kind())
        .related(base.span, base.kind())
        .help("write both in the same form, or put !override before this one"),
    )
}

fn mappings(session: &mut Session<'_>, base: Node, over: Node, place: &Place<'_>) -> Result<Node, Stop> {
    if over.is_null() {
        return Ok(base);
    }
    if base.is_null() {
        return Ok(over);
    }
    let (base_kind, over_kind) = (base.clone_kind(), over.clone_kind());
    let (Value::Mapping(mut base_map), Value::Mapping(over_map)) = (base.value, over.value) else {
        return cannot(session, &base_kind, &over_kind, place);
    };
    for entry in over_map.into_entries() {
        match base_map.get_mut(&entry.key) {
            None => base_map.push(entry),
            Some(slot) => {
                let old = std::mem::replace(slot, Node::new(Value::Null, entry.value.span));
                *slot = merge(session, old, entry.value, &place.key(&entry.key))?;
            }
        }
    }
    Ok(Node::new(Value::Mapping(base_map), over_kind.span))
}

fn append(base: Node, over: Node) -> Node {
    let span = over.span;
    let mut items = into_items(base);
    items.extend(into_items(over));
    Node::new(Value::Sequence(items), span)
}

fn into_items(node: Node) -> Vec<Node> {
    match node.value {
        Value::Sequence(items) => items,
        _ => Vec::new(),
    }
}

/// Makes `K=V` items of a mapping, sorted; a text becomes a list of one.
pub fn to_sequence(node: Node) -> Node {
    let span = node.span;
    let items = match node.value {
        Value::Mapping(mapping) => {
            let mut items = Vec::new();
            for entry in mapping.into_entries() {
                let span = entry.value.span;
                match entry.value.value {
                    Value::Null => items.push(Node::string(entry.key, entry.key_span)),
                    Value::Sequence(values) => items
                        .extend(values.iter().map(|v| Node::string(format!("{}={}", entry.key, v.plain()), v.span))),
                    value => {
                        let text = format!("{}={}", entry.key, Node::new(value, span).plain());
                        items.push(Node::string(text, span));
                    }
                }
            }
            items.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
            items
        }
        Value::Sequence(items) => items,
        Value::String(text) => vec![Node::string(text, span)],
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Timestamp(_) => Vec::new(),
    };
    Node::new(Value::Sequence(items), span)
}

fn extra_hosts(base: Node, over: Node) -> Node {
    let base = to_sequence(base);
    let mut over = to_sequence(over);
    if let (Value::Sequence(old), Value::Sequence(new)) = (&base.value, &mut over.value) {
        new.retain(|item| !old.contains(item));
    }
    append(base, over)
}

fn build(node: Node) -> Node {
    if node.as_str().is_none() {
        return node;
    }
    let span = node.span;
    let context = Entry { key: "context".into(), key_span: span, value: node };
    Node::new(Value::Mapping(Mapping::from_iter([context])), span)
}

fn names(mut node: Node) -> Node {
    lists::names(&mut node);
    node
}

fn depends_on(mut node: Node) -> Node {
    if node.as_sequence().is_some() {
        canonical::depends_on::expand(&mut node);
    }
    node
}

/// Options of a log driver add up only if it is the same driver.
fn logging(session: &mut Session<'_>, base: Node, over: Node, place: &Place<'_>) -> Result<Node, Stop> {
    let (old, new) = (base.get("driver"), over.get("driver"));
    if old.is_none() || new.is_none() || old == new {
        return mappings(session, base, over, place);
    }
    Ok(over)
}

fn ipam_config(session: &mut Session<'_>, base: Node, over: Node, place: &Place<'_>) -> Result<Node, Stop> {
    let span = over.span;
    let (Value::Sequence(_), Value::Sequence(_)) = (&base.value, &over.value) else {
        return cannot(session, &base, &over, place);
    };
    let mut merged: Vec<Node> = Vec::new();
    let overs = into_items(over);
    for old in into_items(base) {
        for new in &overs {
            let known = |list: &[Node], pool: &Node| list.iter().position(|p| p.get("subnet") == pool.get("subnet"));
            if new.get("subnet") != old.get("subnet") && known(&merged, new).is_none() {
                merged.push(new.clone());
                continue;
            }
            let pool = mappings(session, old.clone(), new.clone(), place)?;
            match known(&merged, &pool) {
                Some(position) => merged[position] = pool,
                None => merged.push(pool),
            }
        }
    }
    Ok(Node::new(Value::Sequence(merged), span))
}

impl Node {
    /// Returns a node of the same kind and place without its content, for messages.
    fn clone_kind(&self) -> Node {
        let value = match &self.value {
            Value::Mapping(_) => Value::Mapping(Mapping::default()),
            Value::Sequence(_) => Value::Sequence(Vec::new()),
            other => other.clone(),
        };
        Node::new(value, self.span)
    }
}
