//! `config --origins`: where each value comes from. What looks like a secret is not shown.

use std::collections::BTreeSet;

use compose::interpolate::template::references;
use compose::model::encode::{json_by, yaml_by};
use compose::{Project, SourceMap, Span};
use serde_json::{Value, json};

use crate::app::{App, Warnings};
use crate::commands::config::{Args, Format};
use crate::error::{CommandError, Kind, LoadedProject};

/// What a name holds that must not be shown: these words are looked for in it.
const SECRET: [&str; 9] =
    ["password", "passwd", "passphrase", "secret", "token", "credential", "api_key", "apikey", "private_key"];

/// What stands in the place of a secret.
const MASK: &str = "********";

/// Where one value comes from.
struct Origin {
    path: String,
    value: String,
    /// Nothing where it is only implied.
    place: Option<Place>,
    /// Each variable in it, and who set that.
    variables: Vec<(String, String)>,
    /// What it took the place of.
    earlier: Vec<(String, Place)>,
}

/// A line of a file.
struct Place {
    file: String,
    line: u32,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Returns every value with its origin, in the format that is asked for.
pub(super) fn print(args: &Args, app: &App) -> Result<String, CommandError> {
    let loaded = app.load_with(&args.names, args.passes(app), Warnings::Shown)?;
    let asked = |path: &str| {
        args.names.is_empty() || args.names.iter().any(|name| path.starts_with(&format!("services.{name}.")))
    };
    let values = leaves(&loaded.project.canonical).into_iter().filter(|(path, _)| asked(path));
    let origins = values.map(|(path, value)| origin(app, &loaded, path, &value));
    match args.format {
        None => Ok(origins.map(|origin| text(&origin)).collect()),
        Some(Format::Json) => Ok(json_by(2, &origins.map(|origin| json(&origin)).collect()) + "\n"),
        Some(Format::Yaml) => Ok(yaml_by(2, &origins.map(|origin| json(&origin)).collect())),
        Some(Format::Table) => {
            let error = CommandError::new(Kind::Usage, "origins are no table");
            Err(error.hint("leave `--format` out, or write `--format json`"))
        }
    }
}

/// A line for the value, and below it what it came through.
fn text(origin: &Origin) -> String {
    let Origin { path, value, .. } = origin;
    let Some(place) = &origin.place else { return format!("{path}: {value}  (implied)\n") };
    let mut text = format!("{path}: {value}  {place}\n");
    for (name, setter) in &origin.variables {
        text.push_str(&format!("    {name} {setter}\n"));
    }
    for (old, place) in &origin.earlier {
        text.push_str(&format!("    instead of {old}  {place}\n"));
    }
    text
}

fn json(origin: &Origin) -> Value {
    let of_place = |value: &mut Value, place: &Place| {
        value["file"] = json!(place.file);
        value["line"] = json!(place.line);
    };
    let mut value = json!({ "path": origin.path, "value": origin.value });
    if let Some(place) = &origin.place {
        of_place(&mut value, place);
    }
    let variables = origin.variables.iter().map(|(name, setter)| json!({ "name": name, "setter": setter }));
    value["variables"] = variables.collect();
    let earlier = origin.earlier.iter().map(|(old, place)| {
        let mut earlier = json!({ "value": old });
        of_place(&mut earlier, place);
        earlier
    });
    value["instead_of"] = earlier.collect();
    value
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

fn origin(app: &App, loaded: &LoadedProject, path: String, value: &str) -> Origin {
    let LoadedProject { project, sources } = loaded;
    let name = path.rsplit(['.', '[']).next().unwrap_or(&path);
    let span = span(project, &path);
    // A harmless name may hold a variable that is a secret.
    let refers = span.map(|span| references(written(sources, span))).unwrap_or_default();
    let secret = is_secret(name) || refers.iter().any(|reference| is_secret(&reference.name));
    let shown = |value: &str| if secret { MASK.to_owned() } else { value.replace('\n', "\\n") };
    let mut seen = BTreeSet::new();
    let refers = refers.into_iter().filter(|it| seen.insert(it.name.clone()));
    let earlier = span.and_then(|span| project.shadowed.get(&span)).into_iter().flatten();
    Origin {
        value: shown(value),
        place: span.map(|span| place(app, sources, span)),
        variables: refers.map(|it| (it.name.clone(), variable(app, project, &it.name))).collect(),
        earlier: earlier.map(|span| (shown(written(sources, *span)), place(app, sources, *span))).collect(),
        path,
    }
}

/// Returns where `path` is written: itself, or the short form or list that holds it. What only its service or resource
/// holds is nowhere in the file.
fn span(project: &Project, path: &str) -> Option<Span> {
    if let Some(span) = project.from_files.get(path) {
        return Some(*span);
    }
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

fn place(app: &App, sources: &SourceMap, span: Span) -> Place {
    let path = sources.get(span.file).map(|source| source.path.as_path());
    let path = path.map(|path| path.strip_prefix(&app.folder).unwrap_or(path).display().to_string());
    let line = sources.position(span).map_or(0, |position| position.line);
    Place { file: path.unwrap_or_default(), line }
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
