//! A canonical tree to the values that `config` prints: every attribute in its final form, in the reference's order.

use serde_json::{Map, Value as Json};

use crate::canonical::forms::{self, Field, Form};
use crate::canonical::{bytes, command, duration, mappings};
use crate::diagnostic::Diagnostic;
use crate::document::node::{Mapping, Node, Value};
use crate::document::path::Place;
use crate::document::session::Session;
use crate::interpolate::cast;

/// Encodes the whole project; values that have no final form are noted and left out.
pub fn encode(session: &mut Session<'_>, root: &Node, name: &str) -> Json {
    let mut project = Map::new();
    project.insert("name".into(), Json::String(name.into()));
    let empty = Mapping::default();
    for (section, fields) in forms::SECTIONS {
        let place = Place::ROOT.key(section);
        let resources = root.get(section).and_then(Node::as_mapping).map(sorted).unwrap_or_default();
        let mut encoded = Map::with_capacity(resources.len());
        for entry in resources {
            let resource = entry.value.as_mapping().unwrap_or(&empty);
            encoded.insert(entry.key.clone(), object(session, resource, fields, &place.key(&entry.key)));
        }
        if !encoded.is_empty() || *section == "services" {
            project.insert((*section).into(), Json::Object(encoded));
        }
    }
    if let Some(root) = root.as_mapping() {
        extensions(root, &mut project);
    }
    Json::Object(project)
}

/// Makes the mistake of a value without a final form: what the reason says behind a semicolon is how to mend it.
fn refused(session: &Session<'_>, place: &Place<'_>, reason: &str, node: &Node) -> Diagnostic {
    let (reason, help) = reason.split_once("; ").map_or((reason, None), |(reason, help)| (reason, Some(help)));
    let diagnostic = Diagnostic::error(404, format!("`{place}`: {reason}")).label("not understood");
    // In a list it is one item that is wrong: what the reason quotes.
    let part = reason.rsplit('`').nth(1).unwrap_or_default();
    let diagnostic = diagnostic.at(if is_list(node) { session.within(node.span, part) } else { node.span });
    match help {
        Some(help) => diagnostic.help(help),
        None => diagnostic,
    }
}

fn is_list(node: &Node) -> bool {
    node.as_sequence().is_some()
}

fn sorted(mapping: &Mapping) -> Vec<&crate::document::node::Entry> {
    let mut entries: Vec<_> = mapping.iter().collect();
    entries.sort_by(|a, b| a.key.cmp(&b.key));
    entries
}

fn extensions(mapping: &Mapping, into: &mut Map<String, Json>) {
    for entry in sorted(mapping) {
        if entry.key.starts_with("x-") {
            into.insert(entry.key.clone(), any(&entry.value));
        }
    }
}

fn object(session: &mut Session<'_>, mapping: &Mapping, fields: &[Field], place: &Place<'_>) -> Json {
    let mut encoded = Map::with_capacity(mapping.len() + 2);
    for field in fields {
        let value = match mapping.get(field.name) {
            Some(node) if !node.is_null() => {
                let place = place.key(field.name);
                match form(session, node, &field.form, &place) {
                    Ok(value) => value,
                    Err(reason) => {
                        // Where an earlier check has spoken, its message is the better one.
                        if !session.spoke_at(node.span) {
                            session.report(refused(session, &place, &reason, node));
                        }
                        None
                    }
                }
            }
            _ => None,
        };
        if let Some(value) = value.or_else(|| field.missing()) {
            encoded.insert(field.shown.unwrap_or(field.name).into(), value);
        }
    }
    extensions(mapping, &mut encoded);
    Json::Object(encoded)
}

/// Returns the final form of `node`, or nothing where it is the same as not written.
fn form(session: &mut Session<'_>, node: &Node, form: &Form, place: &Place<'_>) -> Result<Option<Json>, String> {
    let value = match form {
        Form::Text => Some(Json::String(text(node)?)).filter(|value| value != ""),
        Form::Bool => Some(Json::Bool(boolean(node)?)).filter(|value| *value != Json::Bool(false)),
        Form::MaybeBool => Some(Json::Bool(boolean(node)?)),
        Form::Int => Some(Json::from(integer(node)?)).filter(|value| value != 0),
        Form::Number | Form::MaybeNumber if node.as_str().is_some() => return Err(wanted("a whole number", node)),
        Form::Number => Some(Json::from(integer(node)?)).filter(|value| value != 0),
        Form::MaybeCount if integer(node)? < 0 => {
            return Err(format!("takes a whole number from 0, and this is {}", node.plain()));
        }
        Form::MaybeInt | Form::MaybeNumber | Form::MaybeCount => Some(Json::from(integer(node)?)),
        Form::Float => Some(number(single(node)?)).filter(|value| value != 0),
        Form::Bytes => match size(node)? {
            0 => None,
            size => Some(Json::String(size.to_string())),
        },
        Form::Duration => {
            Some(Json::String(duration::format(duration::parse(&node.plain())?))).filter(|value| value != "0s")
        }
        Form::MaybeDuration => Some(Json::String(duration::format(duration::parse(&node.plain())?))),
        Form::Texts => list(node, text)?,
        Form::Plains => list(node, |item| Ok(item.plain()))?,
        Form::List(item_form) => objects(session, node, item_form, place)?,
        Form::Object(fields) => {
            let mapping = node.as_mapping().ok_or_else(|| wanted("a mapping", node))?;
            Some(object(session, mapping, fields, place))
        }
        Form::Map(item_form) => map(session, node, item_form, place)?,
        Form::Environment => mappings::environment(node)?,
        Form::Mapping => mappings::mapping(node)?,
        Form::Labels => mappings::labels(node)?,
        Form::Options => mappings::options(node)?,
        Form::MultiOptions => mappings::multi_options(node)?,
        Form::Hosts => mappings::hosts(node)?,
        Form::Ssh => mappings::ssh(node)?,
        Form::Command => Some(words(node)?),
        Form::Test => Some(test(node)?).filter(|value| value.as_array().is_none_or(|list| !list.is_empty())),
        Form::Mode => Some(Json::String(format!("0{:o}", mode(node)?))),
        Form::Ulimit => Some(ulimit(node)?),
        Form::DeviceCount => Some(Json::from(device_count(node)?)).filter(|value| value != 0),
    };
    Ok(value)
}

fn wanted(what: &str, node: &Node) -> String {
    format!("takes {what}, and this is {}", node.kind())
}

fn text(node: &Node) -> Result<String, String> {
    match &node.value {
        Value::String(text) => Ok(text.clone()),
        Value::Int(value) => Ok(value.to_string()),
        Value::Null => Ok(String::new()),
        _ => Err(wanted("a string", node)),
    }
}

fn boolean(node: &Node) -> Result<bool, String> {
    match &node.value {
        Value::Bool(value) => Ok(*value),
        Value::String(text) => {
            cast::boolean(text).ok_or_else(|| format!("`{text}` is no boolean; write `true` or `false`"))
        }
        _ => Err(wanted("a boolean", node)),
    }
}

fn integer(node: &Node) -> Result<i64, String> {
    match &node.value {
        Value::Int(value) => i64::try_from(*value).map_err(|_| format!("`{value}` is too large")),
        #[expect(clippy::cast_possible_truncation, reason = "whole, and within the range or saturated")]
        Value::Float(value) => Ok(*value as i64),
        Value::String(text) => {
            cast::integer(text).ok_or_else(|| format!("`{text}` is no whole number; write for example `3`"))
        }
        _ => Err(wanted("a whole number", node)),
    }
}

fn single(node: &Node) -> Result<f32, String> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "Compose keeps 32 bits")]
    match &node.value {
        Value::Int(value) => Ok(*value as f32),
        Value::Float(value) => Ok(*value as f32),
        Value::String(text) => text.parse().map_err(|_| format!("`{text}` is no number; write for example `0.5`")),
        _ => Err(wanted("a number", node)),
    }
}

/// Returns the JSON number that Go prints for a 32-bit float.
fn number(value: f32) -> Json {
    let shortest: f64 = value.to_string().parse().unwrap_or_default();
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
    if shortest.fract() == 0.0 && shortest.abs() < 1e15 { Json::from(shortest as i64) } else { Json::from(shortest) }
}

fn size(node: &Node) -> Result<i64, String> {
    match &node.value {
        Value::Int(value) => i64::try_from(*value).map_err(|_| format!("`{value}` is too large")),
        Value::String(text) => bytes::parse(text),
        // Compose takes no other type and keeps zero.
        _ => Ok(0),
    }
}

fn list(node: &Node, item: impl Fn(&Node) -> Result<String, String>) -> Result<Option<Json>, String> {
    let items = match &node.value {
        Value::Sequence(items) => {
            items.iter().map(|node| item(node).map(Json::String)).collect::<Result<Vec<_>, _>>()?
        }
        Value::String(text) => vec![Json::String(text.clone())],
        _ => return Err(wanted("a list", node)),
    };
    Ok((!items.is_empty()).then_some(Json::Array(items)))
}

fn objects(
    session: &mut Session<'_>,
    node: &Node,
    item_form: &Form,
    place: &Place<'_>,
) -> Result<Option<Json>, String> {
    let items = node.as_sequence().ok_or_else(|| wanted("a list", node))?;
    let mut encoded = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        encoded.extend(form(session, item, item_form, &place.index(index))?);
    }
    Ok((!encoded.is_empty()).then_some(Json::Array(encoded)))
}

fn map(session: &mut Session<'_>, node: &Node, item_form: &Form, place: &Place<'_>) -> Result<Option<Json>, String> {
    let mapping = node.as_mapping().ok_or_else(|| wanted("a mapping", node))?;
    let mut encoded = Map::with_capacity(mapping.len());
    for entry in sorted(mapping) {
        let place = place.key(&entry.key);
        let value = if entry.value.is_null() { None } else { form(session, &entry.value, item_form, &place)? };
        encoded.insert(entry.key.clone(), value.unwrap_or(Json::Null));
    }
    Ok((!encoded.is_empty()).then_some(Json::Object(encoded)))
}

fn words(node: &Node) -> Result<Json, String> {
    match &node.value {
        Value::String(line) => Ok(Json::from(command::words(line)?)),
        Value::Sequence(items) => {
            Ok(Json::Array(items.iter().map(|item| text(item).map(Json::String)).collect::<Result<_, _>>()?))
        }
        _ => Err(wanted("a string or a list", node)),
    }
}

fn test(node: &Node) -> Result<Json, String> {
    match &node.value {
        Value::String(line) => Ok(Json::from(vec!["CMD-SHELL", line])),
        _ => words(node),
    }
}

fn mode(node: &Node) -> Result<i64, String> {
    match &node.value {
        Value::String(text) => i64::from_str_radix(text, 8).map_err(|_| format!("`{text}` is no octal mode")),
        _ => integer(node),
    }
}

fn ulimit(node: &Node) -> Result<Json, String> {
    let Some(limits) = node.as_mapping() else {
        return match integer(node)? {
            0 => Ok(Json::Object(Map::new())),
            limit => Ok(Json::from(limit)),
        };
    };
    let mut encoded = Map::new();
    for name in ["soft", "hard"] {
        if let Some(limit) = limits.get(name) {
            let limit = integer(limit)?;
            if limit != 0 {
                encoded.insert(name.into(), Json::from(limit));
            }
        }
    }
    Ok(Json::Object(encoded))
}

fn device_count(node: &Node) -> Result<i64, String> {
    match node.as_str() {
        Some(text) if text.eq_ignore_ascii_case("all") => Ok(-1),
        Some(text) => {
            cast::integer(text).ok_or_else(|| format!("`{text}` is neither `all` nor a number; write for example `1`"))
        }
        None => integer(node),
    }
}

/// Returns `node` as it stands.
pub fn any(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Int(value) => i64::try_from(*value)
            .map(Json::from)
            .or_else(|_| u64::try_from(*value).map(Json::from))
            .unwrap_or(Json::Null),
        #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
        Value::Float(value) if value.fract() == 0.0 && value.abs() < 1e15 => Json::from(*value as i64),
        Value::Float(value) => Json::from(*value),
        Value::String(text) => Json::String(text.clone()),
        Value::Timestamp(text) if text.len() <= 10 => Json::String(format!("{text}T00:00:00Z")),
        Value::Timestamp(text) => Json::String(text.clone()),
        Value::Sequence(items) => Json::Array(items.iter().map(any).collect()),
        Value::Mapping(mapping) => {
            Json::Object(sorted(mapping).into_iter().map(|entry| (entry.key.clone(), any(&entry.value))).collect())
        }
    }
}

/// Puts the attributes of a service into the order in which they are printed.
pub fn in_order(service: &mut Map<String, Json>) {
    let mut old = std::mem::take(service);
    for name in forms::service_attributes() {
        if let Some(value) = old.shift_remove(name) {
            service.insert(name.to_owned(), value);
        }
    }
    service.extend(old);
}
