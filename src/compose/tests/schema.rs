//! The JSON Schema is current, says something of every key, and agrees with the loader.
//!
//! `UPDATE_EXPECT=1` rewrites `schema/compose.schema.json`.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]
#![expect(clippy::print_stdout, reason = "a test says what it skips")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use compose::document::node::{Node, Value as Yaml};
use compose::document::parse;
use compose::document::session::Session;
use compose::model::json_schema;
use compose::{FileSystem, LoadRequest};
use regex::Regex;
use serde_json::{Map, Value};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_file_is_what_the_tables_say() {
    let text = serde_json::to_string_pretty(&json_schema::generate()).unwrap() + "\n";
    expect_test::expect_file![root().join("schema/compose.schema.json")].assert_eq(&text);
}

#[test]
fn every_key_has_a_description() {
    fn walk(schema: &Value, path: &str, missing: &mut Vec<String>) {
        for (key, value) in schema["properties"].as_object().into_iter().flatten() {
            if value["description"].as_str().is_none_or(str::is_empty) {
                missing.push(format!("{path}.{key}"));
            }
        }
        match schema {
            Value::Object(members) => {
                members.iter().for_each(|(key, value)| walk(value, &format!("{path}.{key}"), missing));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, path, missing)),
            _ => {}
        }
    }
    let mut missing = Vec::new();
    walk(&json_schema::generate(), "", &mut missing);
    assert!(missing.is_empty(), "{missing:#?}");
}

/// The part of JSON Schema that our schema is written in.
#[derive(Default)]
struct Validator {
    patterns: HashMap<String, Regex>,
}

impl Validator {
    fn matches(&mut self, pattern: &str, text: &str) -> bool {
        let made = || Regex::new(pattern).unwrap();
        self.patterns.entry(pattern.to_owned()).or_insert_with(made).is_match(text)
    }

    /// Returns where and why `value` does not fit.
    fn check(&mut self, schema: &Value, value: &Value, path: &str) -> Result<(), String> {
        for (keyword, rule) in schema.as_object().unwrap() {
            let fits = match keyword.as_str() {
                "type" => match rule {
                    Value::Array(names) => names.iter().any(|name| is(name.as_str().unwrap(), value)),
                    name => is(name.as_str().unwrap(), value),
                },
                "enum" => rule.as_array().unwrap().contains(value),
                "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
                "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().unwrap()),
                "minLength" => value.as_str().is_none_or(|text| text.len() as u64 >= rule.as_u64().unwrap()),
                "pattern" => value.as_str().is_none_or(|text| self.matches(rule.as_str().unwrap(), text)),
                "required" => value.as_object().is_none_or(|members| {
                    rule.as_array().unwrap().iter().all(|key| members.contains_key(key.as_str().unwrap()))
                }),
                "uniqueItems" => value
                    .as_array()
                    .is_none_or(|items| items.iter().enumerate().all(|(index, item)| !items[..index].contains(item))),
                "anyOf" => rule.as_array().unwrap().iter().any(|schema| self.check(schema, value, path).is_ok()),
                "items" => {
                    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(rule, item, &format!("{path}[{index}]"))?;
                    }
                    true
                }
                "propertyNames" => value.as_object().is_none_or(|members| {
                    members.keys().all(|key| self.check(rule, &Value::String(key.clone()), path).is_ok())
                }),
                "properties" | "patternProperties" | "additionalProperties" => true,
                "$schema" | "title" | "description" => true,
                other => panic!("`{other}` is not known here"),
            };
            if !fits {
                let shown: String = value.to_string().chars().take(100).collect();
                return Err(format!(
                    "{path}: {keyword} {}: {shown}",
                    rule.to_string().chars().take(160).collect::<String>()
                ));
            }
        }
        for (key, member) in value.as_object().into_iter().flatten() {
            self.member(schema, key, member, path)?;
        }
        Ok(())
    }

    fn member(&mut self, schema: &Value, key: &str, member: &Value, path: &str) -> Result<(), String> {
        let path = format!("{path}.{key}");
        let mut known = false;
        if let Some(own) = schema["properties"].get(key) {
            known = true;
            self.check(own, member, &path)?;
        }
        for (pattern, own) in schema["patternProperties"].as_object().into_iter().flatten() {
            if self.matches(pattern, key) {
                known = true;
                self.check(own, member, &path)?;
            }
        }
        match &schema["additionalProperties"] {
            _ if known => Ok(()),
            Value::Bool(false) => Err(format!("{path}: unknown key")),
            Value::Null => Ok(()),
            other => self.check(other, member, &path),
        }
    }
}

fn is(name: &str, value: &Value) -> bool {
    match name {
        "string" => value.is_string(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("`{other}` is no type"),
    }
}

/// Returns the documents of a file as an editor sees them: references are not replaced.
fn documents(file: &Path) -> Vec<Value> {
    let mut session = Session::new(&FileSystem);
    let id = session.read(file).unwrap();
    let documents = parse::parse(&mut session, id).unwrap_or_default();
    documents.iter().map(|document| json(&document.root)).collect()
}

fn json(node: &Node) -> Value {
    match &node.value {
        Yaml::Null => Value::Null,
        Yaml::Bool(value) => (*value).into(),
        Yaml::Int(value) => i64::try_from(*value).map_or_else(|_| node.plain().into(), Value::from),
        Yaml::Float(value) => (*value).into(),
        Yaml::String(_) => node.plain().into(),
        // JSON has no dates: something that no scalar's schema takes.
        Yaml::Timestamp(_) => serde_json::json!({"": node.plain()}),
        Yaml::Sequence(items) => items.iter().map(json).collect(),
        Yaml::Mapping(mapping) => {
            Value::Object(mapping.iter().map(|entry| (entry.key.clone(), json(&entry.value))).collect::<Map<_, _>>())
        }
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() && entry.file_name() != ".git" {
            files(&path, found);
        } else if kind.is_file() && path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml")
        {
            found.push(path);
        }
    }
}

/// The codes of what the schema says: unknown keys, wrong types, words, names, and keys that lack.
const SCHEMA: [u16; 6] = [107, 120, 122, 123, 124, 117];

/// Holds the schema against the loader, file by file: how many are accepted, and where the two differ.
fn agree(folder: &Path) -> (usize, Vec<String>) {
    let mut found = Vec::new();
    files(folder, &mut found);
    found.sort();
    let schema = json_schema::generate();
    let mut validator = Validator::default();
    let (mut accepted, mut refused, mut findings) = (0, 0, Vec::new());
    for file in found {
        let request = LoadRequest {
            files: vec![file.clone()],
            working_directory: file.parent().unwrap().to_path_buf(),
            ..LoadRequest::default()
        };
        let loaded = compose::load(&request, &FileSystem);
        // What comes from another file or from a variable is not in the text that an editor looks at.
        let own = |code: u16| {
            let found = loaded.diagnostics.iter().find(|diagnostic| diagnostic.code.0 == code)?;
            let source = loaded.sources.get(found.span?.file)?;
            (source.path == file && !source.text.contains(['$', '!'])).then(|| found.message.clone())
        };
        let verdict = documents(&file).iter().try_for_each(|document| validator.check(&schema, document, ""));
        match (loaded.project.is_some(), verdict) {
            (true, Ok(())) => accepted += 1,
            (true, Err(why)) => findings.push(format!("{}: {why}", file.display())),
            (false, Err(_)) => refused += 1,
            (false, Ok(())) => {
                if let Some(message) = SCHEMA.into_iter().find_map(own) {
                    findings.push(format!("{}: validates, and the loader says: {message}", file.display()));
                }
            }
        }
    }
    println!("{}: {accepted} accepted, {refused} refused", folder.display());
    (accepted, findings)
}

#[test]
fn mistakes_do_not_validate_and_references_stand_for_anything() {
    let schema = json_schema::generate();
    let check = |service: Value, expected: Result<(), &str>| {
        let found = Validator::default().check(&schema, &serde_json::json!({"services": {"a": service}}), "");
        match (&found, expected) {
            (Ok(()), Ok(())) => {}
            (Err(why), Err(part)) if why.starts_with(part) => {}
            _ => panic!("{found:?}, expected {expected:?}"),
        }
    };
    check(serde_json::json!({"image": "x", "x-mine": 1, "use_api_socket": "${ON}"}), Ok(()));
    check(serde_json::json!({"cgroup": "${CGROUP}", "oom_score_adj": "${ADJUST}", "pull_policy": "every_2d"}), Ok(()));
    check(serde_json::json!({"comand": "x"}), Err(".services.a.comand: unknown key"));
    check(serde_json::json!({"image": 5}), Err(".services.a.image: type"));
    check(serde_json::json!({"cgroup": "mine"}), Err(".services.a.cgroup: anyOf"));
    check(serde_json::json!({"oom_score_adj": 2000}), Err(".services.a.oom_score_adj: anyOf"));
    check(serde_json::json!({"pull_policy": "sometimes"}), Err(".services.a.pull_policy: pattern"));
    check(serde_json::json!({"models": ["m", "m"]}), Err(".services.a.models: anyOf"));
    check(serde_json::json!({"provider": {}}), Err(".services.a.provider: required"));
}

#[test]
fn what_the_loader_accepts_validates_and_what_its_schema_refuses_does_not() {
    let corpus = root().join("../shared/parity/corpus");
    let folders = [root().join("examples"), Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases"), corpus];
    for folder in folders {
        if !folder.exists() {
            println!("skipped: `{}` is not here", folder.display());
            continue;
        }
        let (accepted, findings) = agree(&folder);
        assert!(findings.is_empty(), "{} of {accepted}:\n{}", findings.len(), findings.join("\n"));
    }
}
