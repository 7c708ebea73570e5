//! Names and values in their two spellings, `{A: b}` and `[A=b]`, to one.

use serde_json::{Map, Value as Json};

use crate::document::node::{Node, Value};

type Encoded = Result<Option<Json>, String>;

fn finish(mut entries: Vec<(String, Json)>) -> Encoded {
    // Of the same name the later wins; a stable sort keeps them in order.
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    let map: Map<String, Json> = entries.into_iter().collect();
    Ok((!map.is_empty()).then_some(Json::Object(map)))
}

fn wrong(node: &Node) -> String {
    format!("takes a mapping or a list of `NAME=value`, and this is {}", node.kind())
}

fn entries(node: &Node, value: impl Fn(&Node) -> Json, bare: &Json) -> Result<Vec<(String, Json)>, String> {
    match &node.value {
        Value::Mapping(mapping) => Ok(mapping.iter().map(|entry| (entry.key.clone(), value(&entry.value))).collect()),
        Value::Sequence(items) => Ok(items
            .iter()
            .map(|item| {
                let text = item.plain();
                match text.split_once('=') {
                    Some((name, value)) => (name.to_owned(), Json::String(value.to_owned())),
                    None => (text, bare.clone()),
                }
            })
            .collect()),
        _ => Err(wrong(node)),
    }
}

/// A name without a value stays without one.
pub fn environment(node: &Node) -> Encoded {
    let value = |node: &Node| if node.is_null() { Json::Null } else { Json::String(node.plain()) };
    let entries = entries(node, value, &Json::Null)?;
    if let Some((name, _)) = entries.iter().find(|(name, _)| name.ends_with(char::is_whitespace)) {
        return Err(format!("the variable `{name}` ends in a space"));
    }
    finish(entries)
}

/// A name without a value has an empty one.
pub fn mapping(node: &Node) -> Encoded {
    finish(entries(node, |node| Json::String(or_empty(node)), &Json::String(String::new()))?)
}

/// As [`mapping`].
pub fn labels(node: &Node) -> Encoded {
    mapping(node)
}

/// Options have only the one spelling.
pub fn options(node: &Node) -> Encoded {
    if node.as_mapping().is_none() {
        return Err(format!("takes a mapping, and this is {}", node.kind()));
    }
    mapping(node)
}

/// Options that may have many values.
pub fn multi_options(node: &Node) -> Encoded {
    let mapping = node.as_mapping().ok_or_else(|| wrong(node))?;
    let list = |node: &Node| match &node.value {
        Value::Sequence(items) => Json::from(items.iter().map(Node::plain).collect::<Vec<_>>()),
        _ => Json::from(vec![node.plain()]),
    };
    finish(mapping.iter().map(|entry| (entry.key.clone(), list(&entry.value))).collect())
}

fn or_empty(node: &Node) -> String {
    if node.is_null() { String::new() } else { node.plain() }
}

/// Host names and their addresses, as sorted `host=address`.
pub fn hosts(node: &Node) -> Encoded {
    let mut pairs: Vec<(String, String)> = Vec::new();
    match &node.value {
        Value::Mapping(mapping) => {
            for entry in mapping.iter() {
                match &entry.value.value {
                    Value::Sequence(items) => pairs.extend(items.iter().map(|ip| (entry.key.clone(), ip.plain()))),
                    _ => pairs.push((entry.key.clone(), or_empty(&entry.value))),
                }
            }
        }
        Value::Sequence(items) => {
            for item in items {
                let text = item.plain();
                let (host, addresses) = text
                    .split_once('=')
                    .or_else(|| text.split_once(':'))
                    .ok_or_else(|| format!("the host `{text}` has no address; write `host=address`"))?;
                pairs.extend(addresses.split(',').map(|address| (host.to_owned(), address.to_owned())));
            }
        }
        _ => return Err(wrong(node)),
    }
    let mut list = Vec::with_capacity(pairs.len());
    for (host, address) in pairs {
        if host.is_empty() || host.contains([':', '=']) {
            return Err(format!("`{host}` is no host name"));
        }
        let bare = address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
        list.push(format!("{host}={}", bare.filter(|inner| !inner.is_empty()).unwrap_or(&address)));
    }
    list.sort();
    Ok((!list.is_empty()).then_some(Json::from(list)))
}

/// Keys of the SSH agent: `default`, or `id=path`.
pub fn ssh(node: &Node) -> Encoded {
    let mapping = node.as_mapping().ok_or_else(|| wrong(node))?;
    let mut keys: Vec<String> = mapping
        .iter()
        .map(|entry| match or_empty(&entry.value) {
            path if path.is_empty() => entry.key.clone(),
            path => format!("{}={path}", entry.key),
        })
        .collect();
    keys.sort();
    Ok((!keys.is_empty()).then_some(Json::from(keys)))
}
