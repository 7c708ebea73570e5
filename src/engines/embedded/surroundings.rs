//! What the host's network asks of builds and containers: the proxies that lead out, and the authorities that re-sign what comes in.

use std::collections::BTreeMap;

use runtime::Runtime;
use runtime::build::HostCa;
use runtime::build::host_ca::{self, TARGET};
use runtime::container::request::{ContainerRequest, MountRequest, MountSourceRequest};
use runtime::image::store;

use crate::embedded::EmbeddedOptions;

/// Gives a build the proxies that it is not given otherwise: RUN sees them, nothing remembers them.
pub(crate) fn of_build(options: &EmbeddedOptions, args: &mut BTreeMap<String, String>) {
    for (name, value) in &options.proxies {
        if !args.keys().any(|key| key.eq_ignore_ascii_case(name)) {
            args.insert(name.clone(), value.clone());
        }
    }
}

/// Gives a container the proxies, and the host's certificate bundle where that is wanted; what the file or the image says wins.
pub(crate) fn of_container(rt: &Runtime, options: &EmbeddedOptions, request: &mut ContainerRequest) {
    let wants_bundle = options.host_ca == HostCa::Always;
    if options.proxies.is_empty() && !wants_bundle {
        return;
    }
    let image = store::find(rt, &request.image).ok().flatten();
    let own = image.map(|image| image.config.config.env).unwrap_or_default();
    let mut more: Vec<(String, String)> = Vec::new();
    for (name, value) in &options.proxies {
        // Programs differ in which spelling they read.
        more.extend([name.to_ascii_uppercase(), name.to_ascii_lowercase()].map(|name| (name, value.clone())));
    }
    if let Some(path) = host_ca::bundle(options.host_ca, rt.registry.ca_file.as_deref()).filter(|_| wants_bundle) {
        let variables = host_ca::variables(&own);
        more.extend(
            variables.iter().filter_map(|line| line.split_once('=')).map(|(a, b)| (a.to_owned(), b.to_owned())),
        );
        let source =
            MountSourceRequest::Bind { path, create: false, propagation: None, recursive: false, relabel: None };
        request.mounts.push(MountRequest { source, target: TARGET.to_owned(), read_only: true });
    }
    for (name, value) in more {
        let in_image = own.iter().any(|line| line.split('=').next() == Some(name.as_str()));
        if !in_image {
            request.environment.entry(name).or_insert(Some(value));
        }
    }
}
