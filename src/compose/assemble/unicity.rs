//! Lists whose items have a key keep one item a key: the last, in the place of the first.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::assemble::merge_rules::{Identity, identity};
use crate::canonical::volumes;
use crate::diagnostic::Diagnostic;
use crate::document::node::{Node, Value};
use crate::document::path::Place;
use crate::document::session::Session;

/// Applies the rule below `node`.
pub fn enforce(session: &mut Session<'_>, node: &mut Node, place: &Place<'_>) {
    match &mut node.value {
        Value::Mapping(mapping) => {
            for entry in mapping.iter_mut() {
                enforce(session, &mut entry.value, &place.key(&entry.key));
            }
        }
        Value::Sequence(items) => {
            if let Some(identity) = identity(place) {
                unique(session, items, identity, place);
            }
        }
        _ => {}
    }
}

fn unique(session: &mut Session<'_>, items: &mut Vec<Node>, identity: Identity, place: &Place<'_>) {
    // For each item the first one with its key. Lists are short, and most have no two of a key.
    let mut firsts: Vec<usize> = Vec::new();
    let mut keys: Keys<'_> = Keys::default();
    for (index, item) in items.iter().enumerate() {
        firsts.push(match key(item, identity) {
            Ok(key) => keys.first(key, index),
            Err(reason) => {
                session.report(
                    Diagnostic::error(302, format!("`{}` {reason}", place.index(index)))
                        .at(item.span)
                        .label(format!("{} here", item.kind())),
                );
                index
            }
        });
    }
    drop(keys);
    if firsts.iter().enumerate().all(|(index, first)| index == *first) {
        return;
    }
    let mut kept: Vec<Node> = Vec::new();
    let mut places: Vec<usize> = Vec::new();
    for (item, first) in std::mem::take(items).into_iter().zip(&firsts) {
        let known = places.get(*first).copied();
        places.push(known.unwrap_or(kept.len()));
        match known {
            Some(at) => {
                session.shadow(item.span, kept[at].span);
                kept[at] = item;
            }
            None => kept.push(item),
        }
    }
    *items = kept;
}

/// The keys seen so far, and where.
#[derive(Default)]
struct Keys<'a> {
    few: Vec<(Cow<'a, str>, usize)>,
    many: HashMap<Cow<'a, str>, usize>,
}

/// More keys than this are hashed.
const FEW: usize = 16;

impl<'a> Keys<'a> {
    /// Returns where `key` was seen first; here, if it was not.
    fn first(&mut self, key: Cow<'a, str>, index: usize) -> usize {
        if self.many.is_empty() && self.few.len() < FEW {
            if let Some((_, first)) = self.few.iter().find(|(known, _)| *known == key) {
                return *first;
            }
            self.few.push((key, index));
            return index;
        }
        self.many.extend(self.few.drain(..));
        *self.many.entry(key).or_insert(index)
    }
}

fn key(item: &Node, identity: Identity) -> Result<Cow<'_, str>, String> {
    match identity {
        Identity::Name => match item.as_str() {
            Some(text) => Ok(text.split('=').next().unwrap_or(text).into()),
            // The schema says that this is wrong, and how to mend it.
            None => Ok(item.plain().into()),
        },
        Identity::Text => match &item.value {
            Value::String(text) => Ok(text.into()),
            Value::Int(_) => Ok(item.plain().into()),
            _ => Ok(Cow::Owned(format!("{:?}", item.span))),
        },
        Identity::VolumeTarget => match &item.value {
            Value::Mapping(_) => item.get_str("target").map(Cow::from).ok_or("has no `target`".into()),
            Value::String(text) => Ok(volumes::parse(text)?.target.into()),
            _ => Ok(Cow::default()),
        },
        Identity::DeviceTarget => match &item.value {
            Value::Mapping(_) => item.get_str("target").map(Cow::from).ok_or("has no `target`".into()),
            Value::String(text) => {
                let mut parts = text.split(':');
                let source = parts.next().unwrap_or_default();
                Ok(parts.next().unwrap_or(source).into())
            }
            _ => Ok(Cow::default()),
        },
        Identity::FileTarget(folder) => match &item.value {
            Value::String(name) => Ok(format!("{folder}/{name}").into()),
            Value::Mapping(_) => match item.get_str("target") {
                Some(target) => Ok(target.into()),
                None => Ok(format!("{folder}/{}", item.get_str("source").unwrap_or("%!s(<nil>)")).into()),
            },
            _ => Ok(Cow::Owned(format!("{:?}", item.span))),
        },
        Identity::EnvFilePath => match &item.value {
            // The schema says what is missing.
            Value::Mapping(_) => Ok(item.get_str("path").map_or(Cow::Owned(format!("{:?}", item.span)), Cow::from)),
            Value::String(path) => Ok(path.into()),
            _ => Ok(Cow::default()),
        },
        Identity::Port => match &item.value {
            Value::Mapping(port) => {
                let target = port.get("target").ok_or("has no `target` port")?;
                let part = |name: &str, default: &str| port.get(name).map_or(default.to_owned(), Node::plain);
                let (address, published) = (part("host_ip", "0.0.0.0"), part("published", "<nil>"));
                Ok(format!("{address}:{published}:{}/{}", target.plain(), part("protocol", "tcp")).into())
            }
            Value::String(text) => Ok(text.into()),
            Value::Int(_) => Ok(item.plain().into()),
            _ => Ok(Cow::default()),
        },
    }
}
