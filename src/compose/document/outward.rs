//! The files that a Compose file names for its services, and where in its text: what moves with it when it is published.

use std::path::Path;

use crate::document::node::{Mapping, Node, Value};
use crate::document::parse::parse;
use crate::document::session::Session;
use crate::file_system::FileSystem;
use crate::source::Span;

/// What a named file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `env_file`
    Environment,
    /// `extends.file`
    Base,
}

/// A file that the text names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Service that names it.
    pub service: String,
    /// What for.
    pub role: Role,
    /// The name as it is written, without quotes.
    pub name: String,
    /// Where its value stands in the text, quotes included.
    pub span: Span,
}

/// Returns what the services of a Compose file name, in the order of the text; nothing of a text that is no YAML.
pub fn outward(text: &str) -> Vec<Named> {
    let mut session = Session::new(&FileSystem);
    let file = session.sources.add("compose.yaml".into(), text.to_owned());
    let documents = parse(&mut session, file).unwrap_or_default();
    let mut named = Vec::new();
    for document in &documents {
        let services = document.root.get("services").and_then(Node::as_mapping);
        for entry in services.into_iter().flat_map(Mapping::iter) {
            of_service(&entry.key, &entry.value, &mut named);
        }
    }
    named.sort_by_key(|named| named.span.start);
    named
}

/// Returns the paths that a Compose file includes.
pub fn includes(text: &str) -> Vec<String> {
    let mut session = Session::new(&FileSystem);
    let file = session.sources.add("compose.yaml".into(), text.to_owned());
    let documents = parse(&mut session, file).unwrap_or_default();
    let mut paths = Vec::new();
    let includes = documents.iter().filter_map(|document| document.root.get("include"));
    for include in includes {
        let entries = if let Value::Sequence(entries) = &include.value { entries.as_slice() } else { &[] };
        for path in entries.iter().map(|entry| entry.get("path").unwrap_or(entry)) {
            match &path.value {
                Value::Sequence(several) => paths.extend(several.iter().filter_map(Node::as_str).map(str::to_owned)),
                _ => paths.extend(path.as_str().map(str::to_owned)),
            }
        }
    }
    paths
}

/// Returns `text` with each of `named` replaced; the new names need no quotes.
pub fn renamed(text: &str, named: &[(Span, String)]) -> String {
    let mut renamed = text.to_owned();
    for (span, name) in named.iter().rev() {
        let range = usize::try_from(span.start).unwrap_or(usize::MAX)..usize::try_from(span.end).unwrap_or(usize::MAX);
        if renamed.get(range.clone()).is_some() {
            renamed.replace_range(range, name);
        }
    }
    renamed
}

fn of_service(service: &str, node: &Node, named: &mut Vec<Named>) {
    let mut add = |role, node: Option<&Node>| {
        if let Some((name, node)) = node.and_then(|node| Some((node.as_str()?, node))) {
            named.push(Named { service: service.to_owned(), role, name: name.to_owned(), span: node.span });
        }
    };
    if let Some(files) = node.get("env_file") {
        match &files.value {
            Value::Sequence(files) => {
                for file in files {
                    add(Role::Environment, file.get("path").or(Some(file)));
                }
            }
            _ => add(Role::Environment, files.get("path").or(Some(files))),
        }
    }
    add(Role::Base, node.get("extends").and_then(|extends| extends.get("file")));
}

/// Whether the name is that of a file here, and not of a remote one.
pub fn is_here(name: &str) -> bool {
    !crate::source::is_remote(name) && Path::new(name).file_name().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_files_are_found_and_replaced_where_they_stand() {
        let text = "services:\n  a:\n    env_file: \"a.env\"\n    extends: { file: base.yaml, service: b }\n  b:\n    \
                    env_file:\n      - b.env\n      - path: ./c.env # kept\n        required: false\n";
        let named = outward(text);
        let names: Vec<_> =
            named.iter().map(|named| (named.service.as_str(), named.role, named.name.as_str())).collect();
        assert_eq!(
            names,
            [
                ("a", Role::Environment, "a.env"),
                ("a", Role::Base, "base.yaml"),
                ("b", Role::Environment, "b.env"),
                ("b", Role::Environment, "./c.env"),
            ]
        );
        let new: Vec<_> = named.iter().enumerate().map(|(index, named)| (named.span, format!("n{index}"))).collect();
        assert_eq!(
            renamed(text, &new),
            "services:\n  a:\n    env_file: n0\n    extends: { file: n1, service: b }\n  b:\n    env_file:\n      \
             - n2\n      - path: n3 # kept\n        required: false\n"
        );
    }
}
