//! What `env_file` and `label_file` bring into a service.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value as Json};

use crate::diagnostic::Diagnostic;
use crate::document::session::{Session, read_failure};
use crate::environment::precedence::{Unreadable, read_file};
use crate::source::{ReadError, Span};

/// Merges these files of variables into the environment of one service, and returns where they set what.
pub fn environment(
    session: &mut Session<'_>,
    service: &mut Map<String, Json>,
    files: &[Json],
    variables: &BTreeMap<String, String>,
    span: &dyn Fn(&str) -> Option<Span>,
) -> BTreeMap<String, Span> {
    let mut places = BTreeMap::new();
    let own = service.get("environment").and_then(Json::as_object).cloned().unwrap_or_default();
    let mut all: BTreeMap<String, String> =
        own.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect();
    let own_values = all.clone();
    let lookup = |name: &str| variables.get(name).or_else(|| own_values.get(name)).cloned();
    for (index, file) in files.iter().enumerate() {
        let path = file["path"].as_str().unwrap_or_default();
        let optional = file["required"] == Json::Bool(false);
        let at = span(&format!("env_file[{index}]"));
        let format = file["format"].as_str();
        if format.is_some_and(|format| format != "raw") {
            let message = format!("`{}` is no format of an env file", format.unwrap_or_default());
            session.report(placed(Diagnostic::error(508, message).help("there is `raw`, or none"), at));
            continue;
        }
        load(session, path, format, optional, &mut all, &lookup, at);
        note(session, &mut places);
    }
    let mut environment: Map<String, Json> = all.into_iter().map(|(name, value)| (name, Json::String(value))).collect();
    environment.extend(own);
    put(service, "environment", environment);
    places
}

/// Merges these files of labels into the labels of one service, and returns where they set what.
pub fn labels(
    session: &mut Session<'_>,
    service: &mut Map<String, Json>,
    files: &[Json],
    span: &dyn Fn(&str) -> Option<Span>,
) -> BTreeMap<String, Span> {
    let mut places = BTreeMap::new();
    let mut all = BTreeMap::new();
    for (index, file) in files.iter().enumerate() {
        let at = span(&format!("label_file[{index}]"));
        let earlier = all.clone();
        let lookup = |name: &str| earlier.get(name).cloned();
        load(session, file.as_str().unwrap_or_default(), None, false, &mut all, &lookup, at);
        note(session, &mut places);
    }
    let mut labels: Map<String, Json> = all.into_iter().map(|(name, value)| (name, Json::String(value))).collect();
    if let Some(Json::Object(own)) = service.get("labels") {
        labels.extend(own.clone());
    }
    put(service, "labels", labels);
    places
}

/// Adds where the file that was read last sets what; of two files the later counts.
fn note(session: &mut Session<'_>, places: &mut BTreeMap<String, Span>) {
    for (name, span) in std::mem::take(&mut session.noted) {
        if let Some(earlier) = places.insert(name, span) {
            session.shadow(span, earlier);
        }
    }
}

fn load(
    session: &mut Session<'_>,
    path: &str,
    format: Option<&str>,
    optional: bool,
    into: &mut BTreeMap<String, String>,
    lookup: &dyn Fn(&str) -> Option<String>,
    at: Option<Span>,
) {
    match read_file(session, Path::new(path), format, into, lookup) {
        Ok(()) | Err(Unreadable::Content) => {}
        Err(Unreadable::File(ReadError::NotFound)) if optional => {}
        Err(Unreadable::File(error)) => {
            let mut diagnostic = Diagnostic::error(509, format!("cannot read `{path}`: {}", read_failure(&error)));
            let example = format!("{path}.example");
            if error == ReadError::NotFound && session.reader.exists(Path::new(&example)) {
                diagnostic = diagnostic.help(format!("`{example}` exists: copy it"));
            }
            if error == ReadError::NotFound {
                diagnostic = diagnostic.help("if it may be missing, write `path:` and `required: false`");
            }
            session.report(placed(diagnostic, at));
        }
    }
}

fn placed(diagnostic: Diagnostic, at: Option<Span>) -> Diagnostic {
    match at {
        Some(span) => diagnostic.at(span).label("named here"),
        None => diagnostic,
    }
}

/// Puts a sorted map in the place of the old one, or at the end.
fn put(service: &mut Map<String, Json>, key: &str, map: Map<String, Json>) {
    let mut entries: Vec<(String, Json)> = map.into_iter().collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    let map: Map<String, Json> = entries.into_iter().collect();
    if !map.is_empty() {
        service.insert(key.to_owned(), Json::Object(map));
    }
}
