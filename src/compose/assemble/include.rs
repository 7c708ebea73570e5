//! `include`: other projects' resources, each project read in its own folder and with its own `.env`.

use std::collections::BTreeMap;
use std::path::{Path as FilePath, PathBuf};

use crate::assemble::file::{self, ParsedFile};
use crate::assemble::model::{self, Scope};
use crate::canonical::paths::{self, Base};
use crate::canonical::{lists, normalize};
use crate::diagnostic::Diagnostic;
use crate::document::node::{Mapping, Node, Value};
use crate::document::session::{Session, Stop};
use crate::environment::{discovery, precedence};
use crate::source::Span;

/// How many files one project may include, each time counted.
pub const MAXIMUM_FILES: usize = 1000;

/// How deep files may include each other.
pub const MAXIMUM_DEPTH: usize = 50;

const SECTIONS: [&str; 6] = ["services", "volumes", "networks", "secrets", "configs", "models"];

/// Brings in what `root`, the file at `path`, includes.
pub fn apply(
    session: &mut Session<'_>,
    root: &mut Node,
    path: &FilePath,
    scope: &Scope<'_>,
    included: &mut Vec<PathBuf>,
) -> Result<(), Stop> {
    included.push(path.to_path_buf());
    let Some(entry) = root.as_mapping_mut().and_then(|root| root.remove("include")) else { return Ok(()) };
    if entry.value.is_null() {
        return Ok(());
    }
    let Value::Sequence(items) = entry.value.value else {
        let message = format!("`include` takes a list of files, and this is {}", entry.value.kind());
        return session.stop(Diagnostic::error(308, message).at(entry.value.span).label("not a list"));
    };
    for item in items {
        let imported = one(session, &item, scope, included)?;
        import(session, imported, root)?;
    }
    Ok(())
}

fn one(session: &mut Session<'_>, item: &Node, scope: &Scope<'_>, included: &[PathBuf]) -> Result<Node, Stop> {
    let files = files(session, item, scope)?;
    let Some((main, span)) = files.first().cloned() else {
        return session.stop(Diagnostic::error(309, "an `include` names no file").at(item.span).label("no `path`"));
    };
    if included.contains(&main) {
        let mut chain: Vec<String> = included.iter().map(|path| format!("`{}`", path.display())).collect();
        chain.push(format!("`{}`", main.display()));
        let message = format!("files include each other in a circle: {}", chain.join(" -> "));
        return session.stop(Diagnostic::error(310, message).at(span).label("comes back here"));
    }
    session.included += files.len();
    if included.len() > MAXIMUM_DEPTH || session.included > MAXIMUM_FILES {
        let message = format!("more is included than {MAXIMUM_FILES} files, {MAXIMUM_DEPTH} deep");
        return session.stop(Diagnostic::error(313, message).at(span).label("too much by here"));
    }
    let directory = match item.get_str("project_directory").filter(|text| !text.is_empty()) {
        Some(text) => PathBuf::from(paths::absolute(scope.base(), text)),
        None => main.parent().map(FilePath::to_path_buf).unwrap_or_default(),
    };
    let variables = variables(session, item, scope, &directory)?;
    let mut parsed: Vec<ParsedFile> = Vec::with_capacity(files.len());
    for (path, span) in files {
        parsed.push(file::read(session, &path, Some(span))?);
    }
    let options = crate::request::Passes { resolve_paths: true, ..scope.options };
    let own = Scope { directory: &directory, variables: &variables, options };
    let mut root = model::load(session, parsed, &own, included)?;
    normalize::environments(&mut root, &variables);
    contents(session, &root, scope, &variables);
    Ok(root)
}

/// Notes the contents of configs and secrets that come from variables which the including project does not see.
fn contents(session: &mut Session<'_>, root: &Node, scope: &Scope<'_>, variables: &BTreeMap<String, String>) {
    for section in ["secrets", "configs"] {
        let resources = root.get(section).and_then(Node::as_mapping);
        for entry in resources.into_iter().flat_map(Mapping::iter) {
            let Some(variable) = entry.value.get_str("environment") else { continue };
            if let Some(value) = variables.get(variable).filter(|_| !scope.variables.contains_key(variable)) {
                session.contents.insert((section, entry.key.clone()), value.clone());
            }
        }
    }
}

fn files(session: &mut Session<'_>, item: &Node, scope: &Scope<'_>) -> Result<Vec<(PathBuf, Span)>, Stop> {
    let mut list = match item.get("path") {
        Some(path) => path.clone(),
        None => item.clone(),
    };
    lists::of_one(&mut list);
    let mut files = Vec::new();
    for node in list.as_sequence().into_iter().flatten() {
        let Some(text) = node.as_str() else { continue };
        let local = |text: &str| PathBuf::from(paths::absolute(scope.base(), text));
        files.push((discovery::locate(session, text, Some(node.span), local)?, node.span));
    }
    Ok(files)
}

/// Returns what an included project sees: what includes it sees, then its own files of variables.
fn variables(
    session: &mut Session<'_>,
    item: &Node,
    scope: &Scope<'_>,
    directory: &FilePath,
) -> Result<BTreeMap<String, String>, Stop> {
    let mut list = item.get("env_file").cloned().unwrap_or_else(|| Node::new(Value::Sequence(Vec::new()), item.span));
    lists::of_one(&mut list);
    let base = Base { directory: scope.directory, home: None };
    let mut env_files: Vec<PathBuf> = list
        .as_sequence()
        .into_iter()
        .flatten()
        .filter_map(Node::as_str)
        .map(|text| PathBuf::from(paths::absolute(base, text)))
        .collect();
    if env_files.is_empty() {
        let default = directory.join(".env");
        if session.reader.exists(&default) {
            env_files.push(default);
        }
    }
    let own = precedence::read_files(session, &env_files, item.get("env_file").map(|node| node.span), scope.variables)?;
    let mut variables = scope.variables.clone();
    for (name, value) in own {
        variables.entry(name).or_insert(value);
    }
    Ok(variables)
}

/// Puts the resources of an included project into `root`; the same name twice must mean the same thing.
fn import(session: &mut Session<'_>, imported: Node, root: &mut Node) -> Result<(), Stop> {
    let Some(root) = root.as_mapping_mut() else { return Ok(()) };
    for section in SECTIONS {
        let Some(from) = imported.get(section) else { continue };
        let Some(resources) = from.as_mapping() else { continue };
        if root.get(section).is_none_or(Node::is_null) {
            root.insert(section, from.span, Node::new(Value::Mapping(Mapping::default()), from.span));
        }
        let Some(to) = root.get_mut(section).and_then(Node::as_mapping_mut) else { continue };
        for entry in resources.iter() {
            match to.entry(&entry.key) {
                None => to.push(entry.clone()),
                Some(own) if own.value == entry.value => {}
                Some(own) => {
                    let message =
                        format!("`{section}.{}` is defined here, and differently in an included file", entry.key);
                    return session.stop(
                        Diagnostic::error(311, message)
                            .at(own.key_span)
                            .label("here")
                            .related(entry.key_span, "and included")
                            .help("rename one of them, or change it in an override file listed in `include.path`"),
                    );
                }
            }
        }
    }
    Ok(())
}
