//! Holds a tree against the schema, and says all that does not fit.

use std::collections::HashMap;

use crate::check::attributes::{FILE, SERVICE};
use crate::check::mend;
use crate::check::shape::{BOOLEAN, INTEGER, Keys, NULL, NUMBER, Object, STRING, Shape};
use crate::diagnostic::Diagnostic;
use crate::diagnostic::similar;
use crate::document::node::{Entry, Mapping, Node, Value};
use crate::document::path::Place;
use crate::document::session::Session;
use crate::source::Span;

/// Checks the tree of a whole file.
pub fn check(session: &mut Session<'_>, root: &Node) {
    if let Some(mapping) = root.as_mapping() {
        object(session, mapping, root.span, &FILE, &Place::ROOT, None);
    }
}

fn node(session: &mut Session<'_>, node: &Node, shape: &Shape, place: &Place<'_>, key: Option<Span>) {
    match (shape, &node.value) {
        (Shape::Any, _) => {}
        (Shape::Either(shapes), _) => match shapes.iter().find(|shape| takes(shape, node)) {
            Some(shape) => self::node(session, node, shape, place, key),
            None => wrong(session, node, shape, place),
        },
        (Shape::List(item), Value::Sequence(items)) => list(session, items, item, place),
        (Shape::Unique(item), Value::Sequence(items)) => {
            list(session, items, item, place);
            repeated(session, items, place);
        }
        (Shape::Map(keys, value), Value::Mapping(mapping)) => map(session, mapping, *keys, value, place),
        (Shape::Object(known), Value::Mapping(mapping)) => object(session, mapping, node.span, known, place, key),
        (Shape::Is(kinds), _) if kinds & kind(node) != 0 => {}
        (Shape::Whole { least, most }, Value::Int(_) | Value::Float(_)) if kind(node) & INTEGER != 0 => {
            let value = whole(node);
            if value < i128::from(*least) || value > i128::from(*most) {
                wrong(session, node, shape, place);
            }
        }
        (Shape::Choice(words), Value::String(text)) if words.contains(&text.as_str()) => {}
        (Shape::Choice(words), Value::String(text)) => {
            let mut diagnostic =
                Diagnostic::error(120, format!("`{place}` takes {}, and this is `{text}`", shape.describe()))
                    .at(node.span)
                    .label("none of them");
            if let Some(near) = similar::closest(text, words.iter().copied()) {
                diagnostic = diagnostic.help(format!("a similar one exists: `{near}`"));
            }
            session.report(diagnostic);
        }
        (Shape::Pattern(test, _, _), Value::String(text)) if test(text) => {}
        _ => wrong(session, node, shape, place),
    }
}

/// The kinds of scalar that a node counts as.
fn kind(node: &Node) -> u8 {
    match &node.value {
        Value::Null => NULL,
        Value::Bool(_) => BOOLEAN,
        Value::Int(_) => INTEGER | NUMBER,
        Value::Float(value) if value.fract() == 0.0 => INTEGER | NUMBER,
        Value::Float(_) => NUMBER,
        Value::String(_) => STRING,
        Value::Timestamp(_) | Value::Sequence(_) | Value::Mapping(_) => 0,
    }
}

fn whole(node: &Node) -> i128 {
    match &node.value {
        Value::Int(value) => *value,
        #[expect(clippy::cast_possible_truncation, reason = "whole, as its kind says")]
        Value::Float(value) => *value as i128,
        Value::Null
        | Value::Bool(_)
        | Value::String(_)
        | Value::Timestamp(_)
        | Value::Sequence(_)
        | Value::Mapping(_) => 0,
    }
}

/// Says whether `shape` is for this kind of node at all.
fn takes(shape: &Shape, node: &Node) -> bool {
    match shape {
        Shape::Any => true,
        Shape::Is(kinds) => kinds & kind(node) != 0,
        Shape::Whole { .. } => kind(node) & INTEGER != 0,
        Shape::Choice(_) | Shape::Pattern(..) => node.as_str().is_some(),
        Shape::List(_) | Shape::Unique(_) => node.as_sequence().is_some(),
        Shape::Map(..) | Shape::Object(_) => node.as_mapping().is_some(),
        Shape::Either(shapes) => shapes.iter().any(|shape| takes(shape, node)),
    }
}

fn list(session: &mut Session<'_>, items: &[Node], item: &Shape, place: &Place<'_>) {
    for (index, value) in items.iter().enumerate() {
        node(session, value, item, &place.index(index), None);
    }
}

fn repeated(session: &mut Session<'_>, items: &[Node], place: &Place<'_>) {
    // Equal items have equal texts, so only those few are compared.
    let mut seen: HashMap<String, Vec<&Node>> = HashMap::with_capacity(items.len());
    for item in items {
        let alike = seen.entry(item.plain()).or_default();
        let first = alike.iter().find(|other| **other == item).copied();
        alike.push(item);
        if let Some(first) = first {
            session.report(
                Diagnostic::error(121, format!("`{place}` has the same item twice"))
                    .at(item.span)
                    .label("again here")
                    .related(first.span, "first here")
                    .help("remove one of the two"),
            );
        }
    }
}

fn map(session: &mut Session<'_>, mapping: &Mapping, keys: Keys, value: &Shape, place: &Place<'_>) {
    let name = |key: &str| {
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    };
    for entry in mapping.iter() {
        match keys {
            Keys::Free if !entry.key.is_empty() => {}
            Keys::Names | Keys::LooseNames if name(&entry.key) => {}
            Keys::LooseNames => continue,
            Keys::Free | Keys::Names => {
                let message = format!("`{}` cannot be a name in `{place}`", entry.key);
                session.report(
                    Diagnostic::error(122, message)
                        .at(entry.key_span)
                        .label("not a name")
                        .help("names are letters, digits, `.`, `_` and `-`"),
                );
                continue;
            }
        }
        node(session, &entry.value, value, &place.key(&entry.key), Some(entry.key_span));
    }
}

fn object(
    session: &mut Session<'_>,
    mapping: &Mapping,
    span: Span,
    known: &Object,
    place: &Place<'_>,
    key: Option<Span>,
) {
    for entry in mapping.iter() {
        match known.attributes.iter().find(|(name, _)| *name == entry.key) {
            Some((_, shape)) => {
                node(session, &entry.value, shape, &place.key(&entry.key), Some(entry.key_span));
            }
            None if known.open || (known.extensions && entry.key.starts_with("x-")) => {}
            None => unknown(session, entry, known, place, key),
        }
    }
    for name in known.required {
        if !mapping.contains(name) {
            session.report(
                Diagnostic::error(123, format!("`{place}` lacks `{name}`"))
                    .at(key.unwrap_or(span))
                    .label(format!("{} {} needs `{name}`", mend::article(known.noun), known.noun))
                    .help(format!("write `{name}: {}`", mend::example(known, name))),
            );
        }
    }
}

fn unknown(session: &mut Session<'_>, entry: &Entry, known: &Object, place: &Place<'_>, key: Option<Span>) {
    let whose = match place.depth() {
        0 => "at the top of the file".to_owned(),
        2 if place.name(0) == Some("services") => format!("in service `{}`", place.name(1).unwrap_or_default()),
        _ => format!("in `{place}`"),
    };
    let mut diagnostic = Diagnostic::error(107, format!("unknown key `{}` {whose}", entry.key)).at(entry.key_span);
    if let Some(span) = key {
        diagnostic = diagnostic.related(span, format!("in this {}", known.noun));
    }
    let names = |object: &'static Object| object.attributes.iter().map(|(name, _)| *name);
    let top = place.depth() == 0;
    if let Some(near) = similar::closest(&entry.key, known.attributes.iter().map(|(name, _)| *name)) {
        diagnostic = diagnostic.label(format!("a key with a similar name exists: `{near}`"));
    } else if top && names(&SERVICE).any(|name| name == entry.key) {
        diagnostic = diagnostic
            .label("this belongs into a service")
            .help(format!("move `{}` under `services:` and the name of the service that it is for", entry.key));
    } else if top && ["image", "build"].iter().any(|name| entry.value.get(name).is_some()) {
        diagnostic = diagnostic
            .label("this looks like a service")
            .help("put services under a `services:` key")
            .help("keys that are yours begin with `x-`");
    } else {
        diagnostic = diagnostic.label("not a key of Compose").help("keys that are yours begin with `x-`");
    }
    session.report(diagnostic);
}

fn wrong(session: &mut Session<'_>, node: &Node, shape: &Shape, place: &Place<'_>) {
    let wanted = shape.describe();
    let message = match &node.value {
        Value::Null => format!("`{place}` has no value; it takes {wanted}"),
        Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::Timestamp(_) => {
            format!("`{place}` takes {wanted}, and `{}` is {}", node.plain(), node.kind())
        }
        Value::String(text) if text.len() <= 40 => {
            format!("`{place}` takes {wanted}, and this is the string `{text}`")
        }
        Value::String(_) | Value::Sequence(_) | Value::Mapping(_) => {
            format!("`{place}` takes {wanted}, and this is {}", node.kind())
        }
    };
    let label = match (shape, &node.value) {
        (_, Value::Null) => "nothing stands here".to_owned(),
        (Shape::Choice(_), _) => "none of them".to_owned(),
        (Shape::Pattern(..), _) => "not of this form".to_owned(),
        _ => format!("not {wanted}"),
    };
    let mut diagnostic = Diagnostic::error(124, message).at(node.span).label(label);
    if let Some(help) = mend::mend(node, shape, place) {
        diagnostic = diagnostic.help(help);
    }
    session.report(diagnostic);
}
