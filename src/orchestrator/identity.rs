//! Names and labels: how a project's things are told apart from everything else on the engine.
//!
//! The labels are those of Docker Compose, so that either tool can take over from the other.

use std::collections::BTreeMap;

use compose::Project;
use compose::model::encode;
use compose::model::service::{Condition, Dependency, Service};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::engine::container::ContainerSummary;

/// Name of the project.
pub const PROJECT: &str = "com.docker.compose.project";
/// Name of the service.
pub const SERVICE: &str = "com.docker.compose.service";
/// Number of the replica, from 1.
pub const NUMBER: &str = "com.docker.compose.container-number";
/// `True` on `run` containers.
pub const ONE_OFF: &str = "com.docker.compose.oneoff";
/// Random digits in the name of a `run` container.
pub const SLUG: &str = "com.docker.compose.slug";
/// Hash of what the thing was made from.
pub const CONFIG_HASH: &str = "com.docker.compose.config-hash";
/// Hash of the contents of configs and secrets that a container was given copies of; no label of Docker Compose's.
pub const FILES_HASH: &str = "motet.files-hash";
/// What a container was made from, as JSON: it tells what has changed since. No label of Docker Compose's.
pub const MADE_FROM: &str = "motet.made-from";
/// Variables that providers and model runners have set in a container, as JSON. No label of Docker Compose's.
pub const PROVIDED: &str = "motet.provided";
/// `pre_start` on the containers of such hooks.
pub const HOOK: &str = "com.docker.compose.hook";
/// Id of the image that a container was made from.
pub const IMAGE: &str = "com.docker.compose.image";
/// Version of the tool that made it.
pub const VERSION: &str = "com.docker.compose.version";
/// `db:service_healthy:false,..`
pub const DEPENDS_ON: &str = "com.docker.compose.depends_on";
/// Folder of the project.
pub const WORKING_DIR: &str = "com.docker.compose.project.working_dir";
/// Compose files, with commas between.
pub const CONFIG_FILES: &str = "com.docker.compose.project.config_files";
/// `.env` files, with commas between.
pub const ENVIRONMENT_FILE: &str = "com.docker.compose.project.environment_file";
/// Name of the container that this one takes the place of.
pub const REPLACE: &str = "com.docker.compose.replace";
/// Key of a network in the file.
pub const NETWORK: &str = "com.docker.compose.network";
/// Key of a volume in the file.
pub const VOLUME: &str = "com.docker.compose.volume";

/// Returns the name of a replica's container.
pub fn container_name(project: &str, service: &Service, number: u32) -> String {
    service.container_name.clone().unwrap_or_else(|| {
        let separator = separator(service);
        format!("{project}{separator}{}{separator}{number}", service.name)
    })
}

/// Returns the name that a replica's container has as a rule: its service may give it another one.
pub fn usual_name(project: &str, service: &str, number: u32) -> String {
    format!("{project}-{service}-{number}")
}

/// Returns the name of a container that runs one command, once.
pub fn one_off_name(project: &str, service: &Service, slug: &str) -> String {
    let separator = separator(service);
    [project, &service.name, "run", slug].join(&separator.to_string())
}

/// Returns the name of the container of a `pre_start` hook.
pub fn pre_start_name(project: &str, service: &Service, index: usize) -> String {
    let separator = separator(service);
    [project, &service.name, "pre_start", &index.to_string()].join(&separator.to_string())
}

/// Returns what joins the parts of a name.
fn separator(service: &Service) -> char {
    if service.joined_by_underscore { '_' } else { '-' }
}

/// Returns the name that a container bears until the one it replaces is gone.
pub fn temporary_name(replaced_id: &str, name: &str) -> String {
    format!("{}_{name}", replaced_id.get(..12).unwrap_or(replaced_id))
}

/// Returns the name that a container is going to keep: its own, or what [`temporary_name`] was made of.
pub fn lasting_name(name: &str) -> &str {
    match name.split_once('_') {
        Some((id, lasting)) if id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) => lasting,
        Some(_) | None => name,
    }
}

/// Returns the reference of a service's image.
pub fn image_reference(project: &str, service: &Service) -> String {
    service.image.clone().unwrap_or_else(|| format!("{project}{}{}", separator(service), service.name))
}

/// Returns the filter that finds everything of a project.
pub fn project_filter(project: &str) -> Vec<String> {
    vec![format!("{PROJECT}={project}")]
}

/// Says whether a container is of that project.
pub fn is_of_project(container: &ContainerSummary, project: &str) -> bool {
    container.labels.get(PROJECT).is_some_and(|of| of == project)
}

/// Returns the filter that finds every container of a service.
pub fn service_filter(project: &str, service: &str) -> Vec<String> {
    vec![format!("{PROJECT}={project}"), format!("{SERVICE}={service}")]
}

/// Returns the labels of a replica's container; `image_id` is known once the image is in the store.
pub fn container_labels(project: &Project, service: &Service, number: u32, hash: &str) -> BTreeMap<String, String> {
    let mut labels = service.labels.clone();
    let join = |paths: &[std::path::PathBuf]| {
        paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(",")
    };
    labels.insert(PROJECT.into(), project.name.clone());
    labels.insert(SERVICE.into(), service.name.clone());
    labels.insert(NUMBER.into(), number.to_string());
    labels.insert(ONE_OFF.into(), "False".into());
    labels.insert(CONFIG_HASH.into(), hash.into());
    labels.insert(VERSION.into(), env!("CARGO_PKG_VERSION").into());
    labels.insert(DEPENDS_ON.into(), depends_on_label(&service.depends_on));
    labels.insert(WORKING_DIR.into(), project.directory.display().to_string());
    labels.insert(CONFIG_FILES.into(), join(&project.files));
    if !project.environment_files.is_empty() {
        labels.insert(ENVIRONMENT_FILE.into(), join(&project.environment_files));
    }
    labels
}

/// Returns the labels of a network (`kind` is [`NETWORK`]) or volume ([`VOLUME`]).
pub fn resource_labels(
    project: &str,
    kind: &str,
    key: &str,
    hash: &str,
    own: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut labels = own.clone();
    labels.insert(PROJECT.into(), project.into());
    labels.insert(kind.into(), key.into());
    labels.insert(CONFIG_HASH.into(), hash.into());
    labels.insert(VERSION.into(), env!("CARGO_PKG_VERSION").into());
    labels
}

/// Returns the labels of an image that is built for a service.
pub fn image_labels(project: &str, service: &str) -> BTreeMap<String, String> {
    [(PROJECT, project), (SERVICE, service), (VERSION, env!("CARGO_PKG_VERSION"))]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// Returns the hash that says whether a container still is what the file asks for.
pub fn service_hash(project: &Project, service: &str) -> String {
    encode::service_hash(project, service)
}

/// Returns what the containers of a service are made from, as JSON.
pub fn made_from(project: &Project, service: &str) -> String {
    encode::hashed_service(project, service)
}

/// Returns the hash of a network of the project.
pub fn network_hash(project: &Project, key: &str) -> String {
    hash_of(project.canonical.get("networks").and_then(|networks| networks.get(key)).unwrap_or(&Value::Null))
}

/// Returns the hash of a volume of the project.
pub fn volume_hash(project: &Project, key: &str) -> String {
    hash_of(&with_driver(project.canonical.get("volumes").and_then(|volumes| volumes.get(key)).unwrap_or(&Value::Null)))
}

/// Puts the driver that is meant where none is named in its place, which is behind the name: the order is hashed, too.
fn with_driver(volume: &Value) -> Value {
    let Value::Object(fields) = volume else { return volume.clone() };
    let driver = fields.get("driver").cloned().unwrap_or_else(|| "local".into());
    let first = [("name", fields.get("name").cloned()), ("driver", Some(driver))];
    let first = first.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    let rest = fields.iter().filter(|(key, _)| !matches!(key.as_str(), "name" | "driver"));
    Value::Object(first.chain(rest.map(|(key, value)| (key.clone(), value.clone()))).collect())
}

fn hash_of(value: &Value) -> String {
    Sha256::digest(value.to_string()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn depends_on_label(depends_on: &BTreeMap<String, Dependency>) -> String {
    let entry = |(name, dependency): (&String, &Dependency)| {
        format!("{name}:{}:{}", condition_name(dependency.condition), dependency.restart)
    };
    depends_on.iter().map(entry).collect::<Vec<_>>().join(",")
}

/// Returns a condition's name in the Compose specification.
pub fn condition_name(condition: Condition) -> &'static str {
    match condition {
        Condition::Started => "service_started",
        Condition::Healthy => "service_healthy",
        Condition::CompletedSuccessfully => "service_completed_successfully",
    }
}

/// What a container's labels say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Service that it belongs to.
    pub service: String,
    /// Its number among the replicas; 0 if it has none.
    pub number: u32,
    /// It is a `run` container.
    pub one_off: bool,
    /// Hash of the service that it was made from.
    pub hash: String,
    /// Id of the image that it was made from.
    pub image_id: String,
    /// Name of the container that it was made to replace.
    pub replaces: Option<String>,
    /// What its service depended on when it was made.
    pub depends_on: BTreeMap<String, Dependency>,
}

impl Identity {
    /// Reads the labels; `None` if it is no container of a project.
    pub fn of(container: &ContainerSummary) -> Option<Self> {
        let label = |key: &str| container.labels.get(key).map(String::as_str);
        Some(Self {
            service: label(SERVICE)?.to_owned(),
            number: label(NUMBER).and_then(|number| number.parse().ok()).unwrap_or(0),
            one_off: label(ONE_OFF) == Some("True"),
            hash: label(CONFIG_HASH)?.to_owned(),
            image_id: label(IMAGE).unwrap_or(&container.image_id).to_owned(),
            replaces: label(REPLACE).map(str::to_owned),
            depends_on: label(DEPENDS_ON).unwrap_or_default().split(',').filter_map(dependency_of).collect(),
        })
    }
}

fn dependency_of(entry: &str) -> Option<(String, Dependency)> {
    let mut parts = entry.split(':');
    let name = parts.next().filter(|name| !name.is_empty())?;
    let condition = match parts.next() {
        Some("service_healthy") => Condition::Healthy,
        Some("service_completed_successfully") => Condition::CompletedSuccessfully,
        Some(_) | None => Condition::Started,
    };
    let restart = parts.next() == Some("true");
    Some((name.to_owned(), Dependency { condition, restart, required: true }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_with_labels_has_the_hash_that_docker_compose_gives_it() {
        // Of `data: {labels: {v: "1"}}` in project `proj`, as Docker Compose 2.40.3 labels the volume it makes.
        let volume = serde_json::json!({"name": "proj_data", "labels": {"v": "1"}});
        let hash = hash_of(&with_driver(&volume));
        assert_eq!(hash, "d7fbeb95397156154f77c441456d85122def50a70ff9a537f71f8410f4c9f8b9");
    }

    #[test]
    fn dependencies_survive_their_label() {
        let depends_on = BTreeMap::from([
            ("cache".to_owned(), Dependency { condition: Condition::Started, restart: false, required: true }),
            ("db".to_owned(), Dependency { condition: Condition::Healthy, restart: true, required: true }),
        ]);
        let label = depends_on_label(&depends_on);
        assert_eq!(label, "cache:service_started:false,db:service_healthy:true");
        assert_eq!(label.split(',').filter_map(dependency_of).collect::<BTreeMap<_, _>>(), depends_on);
    }

    #[test]
    fn names_are_those_of_docker_compose() {
        let mut service = Service { name: "web".into(), ..Service::default() };
        assert_eq!(container_name("shop", &service, 2), "shop-web-2");
        assert_eq!(image_reference("shop", &service), "shop-web");
        assert_eq!(one_off_name("shop", &service, "0123456789ab"), "shop-web-run-0123456789ab");
        service.joined_by_underscore = true;
        assert_eq!(container_name("shop", &service, 2), "shop_web_2");
        assert_eq!(image_reference("shop", &service), "shop_web");
        assert_eq!(temporary_name("0123456789abcdef", "shop-web-2"), "0123456789ab_shop-web-2");
        assert_eq!(lasting_name("0123456789ab_shop-web-2"), "shop-web-2");
        assert_eq!(lasting_name("my_shop-web-2"), "my_shop-web-2");
        service.container_name = Some("front".into());
        assert_eq!(container_name("shop", &service, 1), "front");
    }
}
