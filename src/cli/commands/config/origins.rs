//! `config --origins`: where each value comes from. What looks like a secret is not shown.

use std::collections::BTreeSet;

use compose::interpolate::template::references;
use compose::{Passes, Project, SourceMap, Span};
use serde_json::Value;

use crate::app::{App, Warnings};
use crate::commands::config::Args;
use crate::error::{CommandError, LoadedProject};

/// What a name holds that must not be shown: these words are looked for in it.
const SECRET: [&str; 9] =
    ["password", "passwd", "passphrase", "secret", "token", "credential", "api_key", "apikey", "private_key"];

/// Returns a line a value, and below it what it came through.
pub(super) fn print(args: &Args, app: &App) -> Result<String, CommandError> {
    let passes = Passes { resolve_env: false, ..args.passes(app) };
    let loaded = app.load_with(&args.names, passes, Warnings::Shown)?;
    let mut text = String::new();
    for (path, value) in leaves(&loaded.project.canonical) {
        let asked =
            args.names.is_empty() || args.names.iter().any(|name| path.starts_with(&format!("services.{name}.")));
        if asked {
            text.push_str(&origin(app, &loaded, &path, &value));
        }
    }
    Ok(text)
}

/// Returns every value that holds no others, with its place.
fn leaves(tree: &Value) -> Vec<(String, String)> {
    fn walk(value: &Value, path: &str, found: &mut Vec<(String, String)>) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    let place = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    walk(value, &place, found);
                }
            }
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(index, item)| walk(item, &format!("{path}[{index}]"), found));
            }
            Value::Null => {}
            Value::String(text) => found.push((path.to_owned(), text.clone())),
            Value::Bool(_) | Value::Number(_) => found.push((path.to_owned(), value.to_string())),
        }
    }
    let mut found = Vec::new();
    walk(tree, "", &mut found);
    found
}

fn origin(app: &App, loaded: &LoadedProject, path: &str, value: &str) -> String {
    let LoadedProject { project, sources } = loaded;
    let name = path.rsplit(['.', '[']).next().unwrap_or(path);
    let span = span(project, path);
    // A harmless name may hold a variable that is a secret.
    let refers = span.map(|span| references(written(sources, span))).unwrap_or_default();
    let secret = is_secret(name) || refers.iter().any(|reference| is_secret(&reference.name));
    let shown = if secret { "********".to_owned() } else { value.replace('\n', "\\n") };
    let Some(span) = span else {
        return format!("{path}: {shown}  (implied)\n");
    };
    let mut text = format!("{path}: {shown}  {}\n", place(app, sources, span));
    let mut seen = BTreeSet::new();
    for reference in refers.into_iter().filter(|it| seen.insert(it.name.clone())) {
        text.push_str(&format!("    {} {}\n", reference.name, variable(app, project, &reference.name)));
    }
    for earlier in project.shadowed.get(&span).into_iter().flatten() {
        let old = if secret { "********".to_owned() } else { written(sources, *earlier).replace('\n', "\\n") };
        text.push_str(&format!("    instead of {old}  {}\n", place(app, sources, *earlier)));
    }
    text
}

/// Returns where `path` is written: itself, or the short form or list that holds it. What only its service or resource
/// holds is nowhere in the file.
fn span(project: &Project, path: &str) -> Option<Span> {
    let mut path = path;
    loop {
        if let Some(span) = project.spans.get(path) {
            return (span.start != span.end).then_some(span);
        }
        path = &path[..path.rfind(['.', '['])?];
        if path.matches('.').count() < 2 && path.contains('.') {
            return None;
        }
    }
}

fn written(sources: &SourceMap, span: Span) -> &str {
    let text = sources.get(span.file).map_or("", |source| source.text.as_str());
    text.get(span.start as usize..span.end as usize).unwrap_or("").trim_end()
}

fn place(app: &App, sources: &SourceMap, span: Span) -> String {
    let path = sources.get(span.file).map(|source| source.path.as_path());
    let path = path.map(|path| path.strip_prefix(&app.folder).unwrap_or(path).display().to_string());
    let line = sources.position(span).map_or(0, |position| position.line);
    format!("{}:{line}", path.unwrap_or_default())
}

/// Says who set a variable.
fn variable(app: &App, project: &Project, name: &str) -> String {
    if app.environment.0.contains_key(name) {
        return "is set in the environment".to_owned();
    }
    if !project.environment.contains_key(name) {
        return "is not set here".to_owned();
    }
    for file in project.environment_files.iter().rev() {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let sets = |line: &str| {
            let line = line.trim_start();
            let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
            line.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with(['=', ':']))
        };
        let last = text.lines().enumerate().filter(|(_, line)| sets(line)).last();
        if let Some((index, _)) = last {
            let path = file.strip_prefix(&app.folder).unwrap_or(file);
            return format!("is set in {}:{}", path.display(), index + 1);
        }
    }
    "is the project's own".to_owned()
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_of_secrets_are_known_by_their_words() {
        assert!(["DB_PASSWORD", "apiToken", "AWS_SECRET_ACCESS_KEY"].iter().all(|name| is_secret(name)));
        assert!(!["image", "KEYBOARD", "PASS_THROUGH"].iter().any(|name| is_secret(name)));
    }

    #[test]
    fn every_value_has_its_place() {
        let found = leaves(&json!({"services": {"web": {"ports": [{"target": 80}], "command": null}}}));
        assert_eq!(found, [("services.web.ports[0].target".to_owned(), "80".to_owned())]);
    }
}
