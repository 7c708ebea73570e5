//! Writes a project as `config` prints it.

use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};

use crate::model::project::Project;
use crate::model::yaml;

/// Returns the project as YAML, dollar signs doubled so that it reads back as it is.
pub fn to_yaml(project: &Project) -> String {
    let mut tree = project.canonical.clone();
    if let Some(services) = tree.get_mut("services").and_then(Json::as_object_mut) {
        for (_, service) in services.iter_mut() {
            if let Some(service) = service.as_object_mut() {
                service.retain(|key, value| !(value.is_null() && matches!(key.as_str(), "command" | "entrypoint")));
            }
        }
    }
    yaml::document(&tree).replace('$', "$$")
}

/// Returns the project as JSON: the reference's keys, so without `models` and `x-` keys below the top.
pub fn to_json(project: &Project) -> String {
    let mut top: Vec<(String, Json)> = Vec::new();
    if let Some(tree) = project.canonical.as_object() {
        for (key, value) in tree {
            let own = key.starts_with("x-");
            if key != "models" {
                top.push((key.clone(), if own { value.clone() } else { without_extensions(key, value) }));
            }
        }
    }
    top.sort_by(|a, b| a.0.cmp(&b.0));
    let tree: Map<String, Json> = top.into_iter().collect();
    escaped(&serde_json::to_string_pretty(&tree).unwrap_or_default()).replace('$', "$$")
}

/// Returns the config hash of `service`: equal hashes need no new container. Docker Compose has the same.
pub fn service_hash(project: &Project, service: &str) -> String {
    let mut tree = without_extensions("", &project.canonical["services"][service]);
    if let Some(service) = tree.as_object_mut() {
        for key in ["build", "pull_policy", "scale", "depends_on", "profiles"] {
            service.shift_remove(key);
        }
        if let Some(deploy) = service.get_mut("deploy").and_then(Json::as_object_mut) {
            deploy.shift_remove("replicas");
        }
    }
    let digest = Sha256::digest(escaped(&tree.to_string()).as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Mappings whose keys the file chooses, so that an `x-` key is a name like any other.
const CHOSEN: [&str; 13] = [
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

/// Escapes what Go's encoder escapes in strings.
fn escaped(json: &str) -> String {
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}
