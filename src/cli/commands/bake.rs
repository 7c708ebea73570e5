//! `build --print`: the builds of a project in the form that `docker buildx bake` reads.

use std::path::Path;

use compose::Project;
use compose::model::build::Build;
use compose::model::encode::json_by;
use compose::model::file_object::Content;
use compose::model::service::Service;
use orchestrator::identity;
use serde_json::{Map, Value, json};

/// Returns the file; no `services`: all.
pub(crate) fn file(project: &Project, services: &[String], push: bool) -> String {
    let wanted = |name: &String| services.is_empty() || services.contains(name);
    let mut targets = Map::new();
    for (name, service) in project.services.iter().filter(|(name, _)| wanted(name)) {
        if let Some(build) = &service.build {
            targets.insert(name.clone(), target(project, service, build, push));
        }
    }
    let names: Vec<&String> = targets.keys().collect();
    json_by(2, &json!({ "group": { "default": { "targets": names } }, "target": targets }))
}

fn target(project: &Project, service: &Service, build: &Build, push: bool) -> Value {
    let mut target = Map::new();
    let mut put = |key: &str, value: Value| {
        let is_empty = match &value {
            Value::Null | Value::Bool(false) => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(entries) => entries.is_empty(),
            Value::Bool(true) | Value::Number(_) => false,
        };
        if !is_empty {
            target.insert(key.to_owned(), value);
        }
    };
    let dockerfile = build.dockerfile.as_deref().unwrap_or("Dockerfile");
    let mut labels = build.labels.clone();
    labels.extend(identity::image_labels(&project.name, &service.name));
    let image = identity::image_reference(&project.name, service);
    let tags: Vec<&String> = build.tags.iter().filter(|tag| **tag != image).chain([&image]).collect();
    put("context", json!(build.context));
    put("contexts", contexts(build));
    match &build.dockerfile_inline {
        Some(text) => put("dockerfile-inline", json!(text.replace("${", "$${"))),
        None if build.context.contains("://") => put("dockerfile", json!(dockerfile)),
        None => put("dockerfile", json!(Path::new(&build.context).join(dockerfile))),
    }
    let args = build.args.iter().filter_map(|(key, value)| Some((key.clone(), json!(value.as_ref()?))));
    put("args", Value::Object(args.collect()));
    put("labels", json!(labels));
    put("tags", json!(tags));
    put("cache-from", json!(build.cache_from));
    put("cache-to", json!(build.cache_to));
    put("target", json!(build.target));
    put("secret", json!(secrets(project, build)));
    let ssh = build.ssh.iter().map(|(id, path)| format!("{id}={}", path.as_deref().unwrap_or_default()));
    put("ssh", json!(ssh.collect::<Vec<_>>()));
    put("platforms", json!(service.platform.iter().chain(&build.platforms).collect::<Vec<_>>()));
    put("pull", json!(build.pull));
    put("no-cache", json!(build.no_cache));
    put("network", json!(build.network));
    put("no-cache-filter", json!(build.no_cache_filter));
    put("shm-size", json!(build.shm_size.map(|size| size.0.to_string())));
    let ulimits = build.ulimits.iter().map(|(name, limit)| match limit.soft == limit.hard {
        true => format!("{name}={}", limit.soft),
        false => format!("{name}={}:{}", limit.soft, limit.hard),
    });
    put("ulimits", json!(ulimits.collect::<Vec<_>>()));
    put("entitlements", json!(build.entitlements));
    let hosts = build.extra_hosts.iter().map(|(host, addresses)| (host.clone(), json!(addresses.join(","))));
    put("extra-hosts", Value::Object(hosts.collect()));
    let output = if push && service.image.is_some() { "type=registry" } else { "type=docker" };
    put("output", json!([output]));
    Value::Object(target)
}

/// Returns the named contexts; one of another service is that one's target.
fn contexts(build: &Build) -> Value {
    let context = |(name, place): (&String, &String)| {
        let place = match place.strip_prefix("service:") {
            Some(service) => format!("target:{service}"),
            None => place.clone(),
        };
        (name.clone(), json!(place))
    };
    Value::Object(build.additional_contexts.iter().map(context).collect())
}

fn secrets(project: &Project, build: &Build) -> Vec<String> {
    let secret = |reference: &compose::model::file_object::FileReference| {
        let id = reference.target.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or(&reference.source);
        Some(match &project.secrets.get(&reference.source)?.content {
            Content::File(path) => format!("id={id},type=file,src={path}"),
            Content::Environment(variable) => format!("id={id},type=env,env={variable}"),
            Content::Inline(_) | Content::External => return None,
        })
    };
    build.secrets.iter().filter_map(secret).collect()
}
