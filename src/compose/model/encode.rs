//! Writes a project as `config` prints it.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};

use crate::assemble::merge_rules;
use crate::canonical::forms;
use crate::document::path::Place;
use crate::model::project::Project;
use crate::model::yaml;

/// Returns the project as YAML, dollar signs doubled so that it reads back as it is.
pub fn to_yaml(project: &Project) -> String {
    let mut tree = project.canonical.clone();
    if project.uninterpolated {
        natural_order("", &mut tree, true);
        return yaml::document(&tree);
    }
    for (_, service) in section(&mut tree, "services") {
        without_empty(service, &["command", "entrypoint"]);
        if let Some(deploy) = service.get_mut("deploy") {
            without_empty(deploy, &["resources", "placement"]);
        }
        for hooks in ["pre_start", "post_start", "pre_stop"] {
            for hook in service.get_mut(hooks).and_then(Json::as_array_mut).into_iter().flatten() {
                without_empty(hook, &["command"]);
            }
        }
        limits(service);
        env_files(service, &["path", "required"]);
        let watch = service.get_mut("develop").and_then(|develop| develop.get_mut("watch"));
        for rule in watch.and_then(Json::as_array_mut).into_iter().flatten() {
            if let Some(exec) = rule.get_mut("exec") {
                without_empty(exec, &["command"]);
            }
            without_empty(rule, &["exec"]);
        }
    }
    for (_, network) in section(&mut tree, "networks") {
        without_empty(network, &["ipam"]);
    }
    if let Some(tree) = tree.as_object_mut() {
        tree.retain(|key, value| key != "name" || value != "");
    }
    natural_order("", &mut tree, false);
    doubled(project, yaml::document(&tree))
}

/// Doubles dollar signs, so that the text reads back as it is, unless references are still in it.
fn doubled(project: &Project, text: String) -> String {
    if project.uninterpolated { text } else { text.replace('$', "$$") }
}

/// Writes limits so that they read back: no limit of 0 as an empty object, no capital keys.
fn limits(service: &mut Json) {
    for holder in ["/ulimits", "/build/ulimits"] {
        let ulimits = service.pointer_mut(holder).and_then(Json::as_object_mut);
        for (_, limit) in ulimits.into_iter().flatten() {
            if let Some(limit) = limit.as_object_mut() {
                let part = |name: &str| limit.get(name).cloned().unwrap_or_else(|| Json::from(0));
                let (soft, hard) = (part("soft"), part("hard"));
                limit.insert("soft".into(), soft);
                limit.insert("hard".into(), hard);
            }
        }
    }
    let blkio = service.get_mut("blkio_config").and_then(Json::as_object_mut);
    for (_, devices) in blkio.into_iter().flatten() {
        for device in devices.as_array_mut().into_iter().flatten() {
            if let Some(device) = device.as_object_mut() {
                *device =
                    std::mem::take(device).into_iter().map(|(key, value)| (key.to_ascii_lowercase(), value)).collect();
            }
        }
    }
}

/// Writes a file of variables that must be there as its path alone, and of another one these `keys`.
fn env_files(service: &mut Json, keys: &[&str]) {
    for file in service.get_mut("env_file").and_then(Json::as_array_mut).into_iter().flatten() {
        match file.as_object_mut() {
            Some(entry) if entry.get("required") == Some(&Json::Bool(true)) => {
                *file = entry.get("path").cloned().unwrap_or_default();
            }
            Some(entry) => entry.retain(|key, _| keys.contains(&key.as_str())),
            None => {}
        }
    }
}

/// Sorts the mappings whose keys the file chooses as Go's YAML encoder does; `all` of them if so asked.
fn natural_order(key: &str, value: &mut Json, all: bool) {
    match value {
        Json::Object(map) => {
            let free = all || CHOSEN.contains(&key) || key.starts_with("x-");
            for (name, value) in map.iter_mut() {
                natural_order(name, value, all || key.starts_with("x-"));
            }
            if free {
                let mut entries: Vec<(String, Json)> = std::mem::take(map).into_iter().collect();
                entries.sort_by(|a, b| yaml::natural(&a.0, &b.0));
                map.extend(entries);
            }
        }
        Json::Array(items) => items.iter_mut().for_each(|item| natural_order("", item, all)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

fn section<'a>(tree: &'a mut Json, name: &str) -> impl Iterator<Item = (&'a String, &'a mut Json)> {
    tree.get_mut(name).and_then(Json::as_object_mut).into_iter().flatten()
}

/// Takes out what JSON prints and YAML does not: nothing, and objects with nothing in them.
fn without_empty(value: &mut Json, keys: &[&str]) {
    if let Some(map) = value.as_object_mut() {
        map.retain(|key, value| {
            let empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
            !(empty && keys.contains(&key.as_str()))
        });
    }
}

/// Returns the project as JSON without a newline at its end: the reference's keys, so without `models` and `x-` keys
/// below the top. With references still in it, it is the tree as it stands.
pub fn to_json(project: &Project) -> String {
    if project.uninterpolated {
        return json_by(2, &without_raw_lists(sorted(&project.canonical), &Place::ROOT));
    }
    let mut top: Vec<(String, Json)> = Vec::new();
    if let Some(tree) = project.canonical.as_object() {
        for (key, value) in tree {
            let own = key.starts_with("x-");
            if key != "models" {
                top.push((key.clone(), if own { without_lists(value) } else { without_extensions(key, value) }));
            }
        }
    }
    top.sort_by(|a, b| a.0.cmp(&b.0));
    let mut tree = Json::Object(top.into_iter().collect());
    for (_, service) in section(&mut tree, "services") {
        env_files(service, &["path", "required", "format"]);
    }
    doubled(project, json_by(2, &tree))
}

/// Returns `value` as Go indents and escapes it, `step` columns a level.
pub fn json_by(step: usize, value: &Json) -> String {
    let indent = " ".repeat(step);
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    // Writing into memory cannot fail, and every key is a string.
    let written = serde::Serialize::serialize(value, &mut serializer);
    written.ok().and_then(|()| String::from_utf8(text).ok()).map(|text| escaped(&text)).unwrap_or_default()
}

/// Returns `value` as Go writes YAML, `step` columns a level.
pub fn yaml_by(step: usize, value: &Json) -> String {
    yaml::document_by(step, value)
}

/// Sorts the keys of every mapping.
fn sorted(value: &Json) -> Json {
    match value {
        Json::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            Json::Object(entries.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect())
        }
        Json::Array(items) => Json::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

/// Returns the config hash of `service`: equal hashes need no new container. Docker Compose has the same.
pub fn service_hash(project: &Project, service: &str) -> String {
    let digest = Sha256::digest(hashed_service(project, service).as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the JSON that the config hash of `service` is the hash of: all that a container of it is made from.
pub fn hashed_service(project: &Project, service: &str) -> String {
    let mut tree = without_extensions("", &project.canonical["services"][service]);
    env_files(&mut tree, &["path", "required", "format"]);
    if let Some(service) = tree.as_object_mut() {
        for key in ["build", "pull_policy", "scale", "depends_on", "profiles"] {
            service.shift_remove(key);
        }
        if let Some(deploy) = service.get_mut("deploy").and_then(Json::as_object_mut) {
            deploy.shift_remove("replicas");
        }
    }
    escaped(&tree.to_string())
}

/// Puts `environment` into the tree of a service, where the reference's order has it.
pub fn set_environment(service: &mut Json, environment: &BTreeMap<String, Option<String>>) {
    let Some(tree) = service.as_object_mut() else { return };
    let value = environment.iter().map(|(key, value)| (key.clone(), value.clone().map_or(Json::Null, Json::String)));
    let value = Json::Object(value.collect());
    if let Some(present) = tree.get_mut("environment") {
        *present = value;
        return;
    }
    let fields =
        forms::SECTIONS.iter().find(|(section, _)| *section == "services").map_or(&[][..], |(_, fields)| fields);
    let earlier = fields.iter().map(|field| field.name).take_while(|name| *name != "environment");
    let place = earlier.filter(|name| tree.contains_key(*name)).count();
    tree.shift_insert(place, "environment".into(), value);
}

/// Mappings whose keys the file chooses, so that an `x-` key is a name like any other.
const CHOSEN: [&str; 17] = [
    "services",
    "depends_on",
    "volumes",
    "networks",
    "secrets",
    "configs",
    "environment",
    "labels",
    "args",
    "annotations",
    "options",
    "driver_opts",
    "sysctls",
    "ulimits",
    "models",
    "additional_contexts",
    "aux_addresses",
];

/// Takes out the `x-` keys below `value`, which stands at `key`.
fn without_extensions(key: &str, value: &Json) -> Json {
    let own = |name: &str| !name.starts_with("x-") || CHOSEN.contains(&key);
    match value {
        Json::Object(map) => Json::Object(
            map.iter()
                .filter(|(name, _)| own(name))
                .map(|(name, value)| (name.clone(), without_extensions(name, value)))
                .collect(),
        ),
        Json::Array(items) => Json::Array(items.iter().map(|item| without_extensions("", item)).collect()),
        other => other.clone(),
    }
}

/// Returns an extension as Go prints it as JSON: an empty list is nothing there.
fn without_lists(value: &Json) -> Json {
    match value {
        Json::Array(items) if items.is_empty() => Json::Null,
        Json::Array(items) => Json::Array(items.iter().map(without_lists).collect()),
        Json::Object(map) => Json::Object(map.iter().map(|(key, value)| (key.clone(), without_lists(value))).collect()),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => value.clone(),
    }
}

/// Makes nothing of empty lists, as Go prints them as JSON; those whose items have a key are kept, since the search for
/// doubles has made them anew, unless variables without values were looked up in them after that.
fn without_raw_lists(value: Json, place: &Place<'_>) -> Json {
    match value {
        Json::Array(items) if items.is_empty() => {
            let looked_up = matches!(place.up().next(), Some(Some("environment" | "args")));
            if merge_rules::identity(place).is_some() && !looked_up { Json::Array(items) } else { Json::Null }
        }
        Json::Array(items) => {
            items.into_iter().enumerate().map(|(index, item)| without_raw_lists(item, &place.index(index))).collect()
        }
        Json::Object(map) => {
            let entry = |(key, value): (String, Json)| {
                let value = without_raw_lists(value, &place.key(&key));
                (key, value)
            };
            Json::Object(map.into_iter().map(entry).collect())
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => value,
    }
}

/// Escapes what Go's encoder escapes in strings.
fn escaped(json: &str) -> String {
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}
