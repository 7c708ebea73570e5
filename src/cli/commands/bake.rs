//! `build --print`: the builds as a bake file, which `docker buildx bake` reads.

use std::collections::BTreeMap;

use compose::Project;
use compose::model::build::Build;
use compose::model::file_object::{Content, FileReference};
use compose::model::service::Service;
use orchestrator::identity;
use serde::Serialize;

/// The whole file.
#[derive(Debug, Serialize)]
pub(crate) struct Bake {
    group: BTreeMap<&'static str, Group>,
    target: BTreeMap<String, Target>,
}

#[derive(Debug, Serialize)]
struct Group {
    targets: Vec<String>,
}

/// One build, members in buildx's order.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Target {
    #[serde(skip_serializing_if = "String::is_empty")]
    context: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    contexts: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dockerfile: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dockerfile_inline: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    args: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cache_from: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cache_to: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secret: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ssh: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    platforms: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pull: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    no_cache: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    no_cache_filter: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shm_size: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ulimits: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    entitlements: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extra_hosts: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    output: Vec<String>,
}

/// What the command line adds to every build.
#[derive(Debug, Clone, Default)]
pub(crate) struct Additions {
    /// Over those of the file.
    pub(crate) args: BTreeMap<String, Option<String>>,
    pub(crate) ssh: Vec<String>,
    pub(crate) no_cache: bool,
    pub(crate) pull: bool,
    pub(crate) push: bool,
    pub(crate) check: bool,
}

/// Writes the builds of `names`, and of the services whose images are contexts of them.
pub(crate) fn bake(project: &Project, names: &[String], additions: &Additions) -> Bake {
    let mut targets: Vec<String> = names.to_vec();
    let mut at = 0;
    while at < targets.len() {
        let build = project.services.get(&targets[at]).and_then(|service| service.build.as_ref());
        for text in build.iter().flat_map(|build| build.additional_contexts.values()) {
            if let Some(other) = text.strip_prefix("service:")
                && !targets.iter().any(|known| known == other)
            {
                targets.push(other.to_owned());
            }
        }
        at += 1;
    }
    let target = |name: &String| {
        let service = project.services.get(name)?;
        Some((name.replace('.', "_"), target(project, service, service.build.as_ref()?, additions)))
    };
    let target = targets.iter().filter_map(target).collect();
    Bake { group: BTreeMap::from([("default", Group { targets })]), target }
}

fn target(project: &Project, service: &Service, build: &Build, additions: &Additions) -> Target {
    let image = identity::image_reference(&project.name, service);
    let mut tags = build.tags.clone();
    if !tags.contains(&image) {
        tags.push(image);
    }
    let mut args = build.args.clone();
    args.extend(additions.args.clone());
    let mut labels = build.labels.clone();
    labels.extend(identity::image_labels(&project.name, &service.name));
    let context = |(name, text): (&String, &String)| {
        let text = text.strip_prefix("service:").map_or_else(|| text.clone(), |other| format!("target:{other}"));
        (name.clone(), text)
    };
    let limit = |(name, limit): (&String, &compose::model::service::Ulimit)| match limit.soft == limit.hard {
        true => format!("{name}={}", limit.soft),
        false => format!("{name}={}:{}", limit.soft, limit.hard),
    };
    let mut entitlements = build.entitlements.clone();
    if build.privileged && !entitlements.iter().any(|it| it == "security.insecure") {
        entitlements.push("security.insecure".to_owned());
    }
    let push = additions.push && service.image.is_some();
    let output = match (additions.check, build.platforms.len()) {
        (true, _) => None,
        (false, 2..) => Some(format!("type=image,push={push}")),
        (false, _) => Some(if push { "type=registry" } else { "type=docker" }.to_owned()),
    };
    let is_here = build.context.starts_with('/');
    let dockerfile = build.dockerfile.clone().unwrap_or_else(|| "Dockerfile".to_owned());
    let dockerfile = match is_here && !dockerfile.starts_with('/') {
        true => format!("{}/{dockerfile}", build.context.trim_end_matches('/')),
        false => dockerfile,
    };
    let ssh = build.ssh.iter().map(|(id, path)| format!("{id}={}", path.as_deref().unwrap_or_default()));
    Target {
        context: build.context.clone(),
        contexts: build.additional_contexts.iter().map(context).collect(),
        dockerfile: build.dockerfile_inline.is_none().then_some(dockerfile),
        dockerfile_inline: build.dockerfile_inline.clone(),
        args: args.into_iter().filter_map(|(key, value)| Some((key, value?))).collect(),
        labels,
        tags,
        cache_from: build.cache_from.clone(),
        cache_to: build.cache_to.clone(),
        target: build.target.clone(),
        secret: build.secrets.iter().filter_map(|it| secret(project, it)).collect(),
        ssh: ssh.chain(additions.ssh.iter().cloned()).collect(),
        platforms: build.platforms.clone(),
        pull: build.pull || additions.pull,
        no_cache: build.no_cache || additions.no_cache,
        network: build.network.clone(),
        no_cache_filter: build.no_cache_filter.clone(),
        shm_size: build.shm_size.map(|size| size.0.to_string()),
        ulimits: build.ulimits.iter().map(limit).collect(),
        call: additions.check.then(|| "lint".to_owned()),
        entitlements,
        extra_hosts: build.extra_hosts.iter().map(|(host, addresses)| (host.clone(), addresses.join(","))).collect(),
        output: output.into_iter().collect(),
    }
}

/// Where a secret's content is; one given by its text has no word in a bake file.
fn secret(project: &Project, reference: &FileReference) -> Option<String> {
    let id = reference.target.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or(&reference.source);
    match &project.secrets.get(&reference.source)?.content {
        Content::File(path) => Some(format!("id={id},type=file,src={path}")),
        Content::Environment(variable) => Some(format!("id={id},type=env,env={variable}")),
        Content::Inline(_) | Content::External => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_that_is_another_service_brings_that_service_along() {
        let mut project = Project { name: "shop".into(), ..Project::default() };
        let build = Build { context: "/srv/base".into(), ..Build::default() };
        project
            .services
            .insert("base".into(), Service { name: "base".into(), build: Some(build), ..Service::default() });
        let contexts = BTreeMap::from([("base".to_owned(), "service:base".to_owned())]);
        let build = Build { context: "/srv".into(), additional_contexts: contexts, ..Build::default() };
        let web = Service {
            name: "web".into(),
            image: Some("r.example/web".into()),
            build: Some(build),
            ..Service::default()
        };
        project.services.insert("web".into(), web);
        let additions = Additions { push: true, ..Additions::default() };
        let bake = serde_json::to_value(bake(&project, &["web".to_owned()], &additions)).unwrap();
        assert_eq!(bake["group"]["default"]["targets"], serde_json::json!(["web", "base"]));
        assert_eq!(bake["target"]["web"]["contexts"]["base"], "target:base");
        assert_eq!(bake["target"]["web"]["dockerfile"], "/srv/Dockerfile");
        assert_eq!(bake["target"]["web"]["output"], serde_json::json!(["type=registry"]));
        // Only what the file names is worth sending.
        assert_eq!(bake["target"]["base"]["output"], serde_json::json!(["type=docker"]));
    }
}
