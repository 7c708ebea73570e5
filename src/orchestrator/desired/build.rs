//! How a service's image is built.

use compose::Project;
use compose::model::build::Build;
use compose::model::service::Service;

use crate::desired::{container, limits};
use crate::engine::image::BuildSpec;
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
        unsupported: unsupported(&service.name, build),
    }
}

fn unsupported(service: &str, build: &Build) -> Vec<String> {
    [
        ("additional_contexts", !build.additional_contexts.is_empty()),
        ("cache_to", !build.cache_to.is_empty()),
        ("entitlements", !build.entitlements.is_empty()),
        ("isolation", build.isolation.is_some()),
        ("no_cache_filter", !build.no_cache_filter.is_empty()),
        ("privileged", build.privileged),
        ("secrets", !build.secrets.is_empty()),
        ("ssh", !build.ssh.is_empty()),
        ("ulimits", !build.ulimits.is_empty()),
    ]
    .into_iter()
    .filter(|(_, asked)| *asked)
    .map(|(attribute, _)| format!("services.{service}.build.{attribute}"))
    .collect()
}
