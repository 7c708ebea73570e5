//! Writes a project as `config` prints it.

use crate::model::project::Project;

/// Returns the project as YAML.
pub fn to_yaml(project: &Project) -> String {
    serde_yaml::to_string(&project.canonical).unwrap_or_default()
}

/// Returns the project as JSON.
pub fn to_json(project: &Project) -> String {
    serde_json::to_string_pretty(&project.canonical).unwrap_or_default()
}

/// Returns the config hash of `service`: equal hashes need no new container.
pub fn service_hash(project: &Project, service: &str) -> String {
    format!("{:?}", project.services.get(service))
}
