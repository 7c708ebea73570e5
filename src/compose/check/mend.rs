//! How to write what was meant, where a value has the wrong kind: in the words of the file.

use crate::check::shape::{BOOLEAN, INTEGER, NULL, NUMBER, Object, STRING, Shape};
use crate::document::node::{Mapping, Node, Value};
use crate::document::path::Place;

/// Attributes that are lengths of time: a bare number lacks its unit.
const DURATIONS: [&str; 7] =
    ["interval", "timeout", "start_period", "start_interval", "stop_grace_period", "delay", "window"];

/// Lists of names and values, of which an item is no mapping.
const PAIRS: [&str; 9] = [
    "environment",
    "labels",
    "annotations",
    "args",
    "sysctls",
    "driver_opts",
    "options",
    "additional_contexts",
    "extra_hosts",
];

/// How many keys of an object are named.
const NAMED: usize = 4;

/// Returns how to write `node`, which does not have this `shape`; nothing where that cannot be told.
pub fn mend(node: &Node, shape: &Shape, place: &Place<'_>) -> Option<String> {
    let key = place.up().flatten().next()?;
    let is_item = place.up().next() == Some(None);
    match &node.value {
        Value::Null if is_item => Some("write a value behind the dash, or remove the line".to_owned()),
        Value::Null => Some(match sample(shape) {
            Some(sample) => format!("write a value, for example `{key}: {sample}`, or remove the line"),
            None => "write a value, or remove the line".to_owned(),
        }),
        Value::Int(value) if DURATIONS.contains(&key) => Some(format!("with a unit: `{key}: {value}s`")),
        Value::Bool(_) if takes_number(shape) => Some(format!("write for example `{key}: 1`")),
        Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::Timestamp(_) if takes_text(shape) => {
            Some(format!("put it in quotes: \"{}\"", node.plain()))
        }
        Value::Mapping(mapping) if key == "ports" => {
            let port = mapping.iter().next().map(|entry| entry.value.plain())?;
            Some(format!("write a list: `- \"{port}:{port}\"`"))
        }
        Value::Mapping(mapping) if mapping.len() == 1 && is_item && takes_text(shape) => pair(mapping, key),
        Value::Sequence(items) if (takes_text(shape) || takes_flag(shape)) && !is_item => {
            let first = items.first().filter(|item| !is_collection(item))?;
            Some(format!("write one, and no list: `{key}: {}`", first.plain()))
        }
        Value::String(text) if takes_map(shape) && text.contains('=') => {
            Some(format!("write a list: `{key}: [{text}]`"))
        }
        Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::String(_) if takes_map(shape) => {
            Some(format!("write names and values: `{key}: {}`", sample(shape)?))
        }
        Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::String(_) if takes_list(shape) => {
            Some(format!("write a list: `{key}: [{}]`", node.plain()))
        }
        Value::Mapping(mapping) if takes_list(shape) && !mapping.is_empty() => {
            Some(format!("write a list: each entry of `{key}` behind a dash"))
        }
        _ => match keys(shape) {
            Some(keys) => Some(format!("its keys are {keys}")),
            None => sample(shape).filter(|_| !is_item).map(|sample| format!("write for example `{key}: {sample}`")),
        },
    }
}

/// `- a: b` is a mapping, and a text was meant.
fn pair(mapping: &Mapping, list: &str) -> Option<String> {
    let entry = mapping.iter().next()?;
    let value = if entry.value.is_null() { String::new() } else { entry.value.plain() };
    if PAIRS.contains(&list) {
        return Some(format!("write `- {}={value}`, or leave the dashes out", entry.key));
    }
    let text = format!("{}: {value}", entry.key);
    Some(format!("a colon and a space make a mapping; put the text in quotes: \"{}\"", text.trim_end()))
}

fn is_collection(node: &Node) -> bool {
    matches!(node.value, Value::Sequence(_) | Value::Mapping(_))
}

/// Returns a value that an attribute of this shape could have.
fn sample(shape: &Shape) -> Option<String> {
    match shape {
        Shape::Is(kinds) if kinds & BOOLEAN != 0 && kinds & NUMBER == 0 => Some("true".to_owned()),
        Shape::Is(kinds) if kinds & (INTEGER | NUMBER) != 0 && kinds & BOOLEAN == 0 => Some("1".to_owned()),
        Shape::Is(kinds) if kinds & STRING != 0 => Some("TEXT".to_owned()),
        Shape::Whole { least, .. } => Some(least.max(&1).to_string()),
        Shape::Choice(words) => words.first().map(|word| (*word).to_owned()),
        Shape::List(item) | Shape::Unique(item) => sample(item).map(|item| format!("[{item}]")),
        Shape::Map(_, value) => sample(value).map(|value| format!("{{NAME: {value}}}")),
        Shape::Either(shapes) => shapes.iter().find_map(sample),
        Shape::Object(object) => {
            let (key, shape) = object.attributes.first()?;
            Some(format!("{{{key}: {}}}", sample(shape)?))
        }
        Shape::Any | Shape::Is(_) | Shape::Pattern(..) => None,
    }
}

/// Returns what an attribute of `object` could be.
pub fn example(object: &Object, name: &str) -> String {
    let attribute = object.attributes.iter().find(|(own, _)| *own == name);
    attribute.and_then(|(_, shape)| sample(shape)).unwrap_or_else(|| "..".to_owned())
}

/// Returns the first keys of what is an object.
fn keys(shape: &Shape) -> Option<String> {
    match shape {
        Shape::Object(object) => {
            let mut names: Vec<String> =
                object.attributes.iter().take(NAMED).map(|(name, _)| format!("`{name}`")).collect();
            if object.attributes.len() > NAMED {
                names.push("..".to_owned());
            }
            Some(names.join(", "))
        }
        Shape::Either(shapes) => shapes.iter().find_map(keys),
        Shape::Any
        | Shape::Is(_)
        | Shape::Whole { .. }
        | Shape::Choice(_)
        | Shape::Pattern(..)
        | Shape::List(_)
        | Shape::Unique(_)
        | Shape::Map(..) => None,
    }
}

/// Returns `a` or `an`.
pub fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

/// Says whether a boolean or a word for one is wanted, and nothing else.
fn takes_flag(shape: &Shape) -> bool {
    matches!(shape, Shape::Is(kinds) if kinds & !NULL & !STRING == BOOLEAN)
}

/// Says whether a number is wanted, which may be written as text.
fn takes_number(shape: &Shape) -> bool {
    matches!(shape, Shape::Is(kinds) if kinds & (INTEGER | NUMBER) != 0)
}

/// Says whether names with values that the file chooses are taken.
fn takes_map(shape: &Shape) -> bool {
    match shape {
        Shape::Map(_, Shape::Is(_)) => true,
        Shape::Either(shapes) => shapes.iter().any(takes_map),
        Shape::Any
        | Shape::Is(_)
        | Shape::Whole { .. }
        | Shape::Choice(_)
        | Shape::Pattern(..)
        | Shape::List(_)
        | Shape::Unique(_)
        | Shape::Map(..)
        | Shape::Object(_) => false,
    }
}

fn takes_text(shape: &Shape) -> bool {
    match shape {
        Shape::Is(_) if takes_flag(shape) => false,
        Shape::Is(kinds) => kinds & STRING != 0,
        Shape::Pattern(..) => true,
        Shape::Either(shapes) => shapes.iter().any(takes_text),
        Shape::Any
        | Shape::Choice(_)
        | Shape::Whole { .. }
        | Shape::List(_)
        | Shape::Unique(_)
        | Shape::Map(..)
        | Shape::Object(_) => false,
    }
}

fn takes_list(shape: &Shape) -> bool {
    match shape {
        Shape::List(_) | Shape::Unique(_) => true,
        Shape::Either(shapes) => shapes.iter().any(takes_list),
        Shape::Any
        | Shape::Is(_)
        | Shape::Whole { .. }
        | Shape::Choice(_)
        | Shape::Pattern(..)
        | Shape::Map(..)
        | Shape::Object(_) => false,
    }
}
