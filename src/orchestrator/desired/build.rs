//! How a service's image is built.

use std::collections::BTreeMap;

use compose::Project;
use compose::model::build::Build;
use compose::model::file_object::{Content, FileReference};
use compose::model::service::Service;

use crate::desired::{container, limits};
use crate::engine::image::{BuildSecret, BuildSpec};
use crate::identity;

/// Returns the build of a service's image.
pub(crate) fn build(project: &Project, service: &Service, build: &Build) -> BuildSpec {
    let mut tags = vec![identity::image_reference(&project.name, service)];
    tags.extend(build.tags.iter().filter(|tag| **tag != tags[0]).cloned().collect::<Vec<_>>());
    let mut labels = build.labels.clone();
    labels.extend(identity::image_labels(&project.name, &service.name));
    let platforms = match &service.platform {
        Some(platform) => vec![platform.clone()],
        None => build.platforms.clone(),
    };
    BuildSpec {
        context: build.context.clone(),
        dockerfile: build.dockerfile.as_ref().map(Into::into),
        dockerfile_inline: build.dockerfile_inline.clone(),
        tags,
        args: build.args.clone(),
        labels,
        target: build.target.clone(),
        no_cache: build.no_cache,
        pull: build.pull,
        network: build.network.clone(),
        extra_hosts: container::flatten_hosts(&build.extra_hosts),
        platforms,
        shm_size: build.shm_size.and_then(limits::bytes),
        no_bootstrap: false,
        additional_contexts: contexts(project, build),
        cache_from: build.cache_from.clone(),
        cache_to: build.cache_to.clone(),
        secrets: secrets(project, build),
        ssh: ssh(build),
        entitlements: build.entitlements.clone(),
        privileged: build.privileged,
        ulimits: build.ulimits.iter().map(|(name, limit)| (name.clone(), (limit.soft, limit.hard))).collect(),
        no_cache_filter: build.no_cache_filter.clone(),
        provenance: build.provenance.clone(),
        sbom: build.sbom.clone(),
        push: false,
        check: false,
        memory: None,
        keep_last_good: false,
        unsupported: unsupported(&service.name, build),
    }
}

/// The begin of a context that is the image of another service.
pub(crate) const BUILT: &str = "built-image://";

/// Returns the named contexts; `service:NAME` is the image of that service.
fn contexts(project: &Project, build: &Build) -> BTreeMap<String, String> {
    let context = |(name, text): (&String, &String)| {
        let service = text
            .strip_prefix("service:")
            .and_then(|name| project.services.get(name).or_else(|| project.disabled_services.get(name)));
        let text = match service {
            Some(service) => format!("{BUILT}{}", identity::image_reference(&project.name, service)),
            None => text.clone(),
        };
        (name.clone(), text)
    };
    build.additional_contexts.iter().map(context).collect()
}

/// Returns the secrets by the id that a step asks for, which is the name that the `build` section gives them.
fn secrets(project: &Project, build: &Build) -> BTreeMap<String, BuildSecret> {
    let secret = |reference: &FileReference| {
        let content = match &project.secrets.get(&reference.source)?.content {
            Content::File(path) => BuildSecret::File(path.into()),
            Content::Inline(text) => BuildSecret::Value(text.clone().into_bytes()),
            Content::Environment(variable) => {
                BuildSecret::Value(project.environment.get(variable)?.clone().into_bytes())
            }
            Content::External => return None,
        };
        let id = reference.target.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or(&reference.source);
        Some((id.to_owned(), content))
    };
    build.secrets.iter().filter_map(secret).collect()
}

fn ssh(build: &Build) -> Vec<String> {
    let entry = |(id, path): (&String, &Option<String>)| match path {
        Some(path) => format!("{id}={path}"),
        None => id.clone(),
    };
    build.ssh.iter().map(entry).collect()
}

fn unsupported(service: &str, build: &Build) -> Vec<String> {
    let isolation = build.isolation.as_deref().is_some_and(|isolation| isolation != "default");
    if isolation { vec![format!("services.{service}.build.isolation")] } else { Vec::new() }
}
