//! What a service may not say at once, and limits that must agree.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use crate::check::attributes::SERVICE;
use crate::check::values::items;
use crate::check::{cycle, references};
use crate::diagnostic::Diagnostic;
use crate::document::node::{Mapping, Node, Value};
use crate::document::session::Session;
use crate::document::spans::Spans;
use crate::source::Span;

/// The whole project as the rules see it.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The canonical tree, with places.
    pub root: &'a Node,
    /// The same in final forms, with numbers.
    pub encoded: &'a Json,
    /// Services whose profiles are active.
    pub enabled: &'a BTreeSet<String>,
}

impl<'a> View<'a> {
    /// Returns the services whose profiles are active.
    pub fn services(&self) -> impl Iterator<Item = (&'a str, &'a Node)> + use<'a> {
        let (root, enabled) = (self.root, self.enabled);
        let services = root.get("services").and_then(Node::as_mapping);
        services
            .into_iter()
            .flat_map(Mapping::iter)
            .filter(|entry| enabled.contains(&entry.key))
            .map(|entry| (entry.key.as_str(), &entry.value))
    }

    /// Returns the keys of a section.
    pub fn names(&self, section: &str) -> Vec<&'a str> {
        let root = self.root;
        let section = root.get(section).and_then(Node::as_mapping);
        section.into_iter().flat_map(Mapping::iter).map(|entry| entry.key.as_str()).collect()
    }

    /// Says whether a section has this key.
    pub fn has(&self, section: &str, key: &str) -> bool {
        self.root.get(section).is_some_and(|section| section.get(key).is_some())
    }

    /// Returns where a service is named.
    pub fn key_span(&self, name: &str) -> Span {
        let services = self.root.get("services").and_then(Node::as_mapping);
        services.and_then(|services| services.entry(name)).map_or(self.root.span, |entry| entry.key_span)
    }
}

/// Checks the services whose profiles are active.
pub fn check(session: &mut Session<'_>, view: &View<'_>) {
    for (name, service) in view.services() {
        if service.as_mapping().is_none() {
            continue;
        }
        source(session, view, name, service);
        build(session, name, service);
        networks(session, name, service);
        healthcheck(session, name, service);
        replicas(session, view, name, service);
        limits(session, view, name, service);
        targets(session, name, service);
        watch(session, name, service);
        references::check(session, view, name, service);
    }
    for secret in view.root.get("secrets").and_then(Node::as_mapping).into_iter().flat_map(Mapping::iter) {
        let says = |key: &str| secret.value.get(key).is_some_and(|node| !node.plain().is_empty());
        let external = secret.value.get("external").is_some_and(|node| node.plain() == "true");
        if !external && !says("file") && !says("environment") && says("driver") {
            session.report(
                Diagnostic::error(503, format!("the secret `{}` has neither `file` nor `environment`", secret.key))
                    .at(secret.key_span)
                    .label("no source"),
            );
        }
    }
    cycle::check(session, view);
}

fn source(session: &mut Session<'_>, view: &View<'_>, name: &str, service: &Node) {
    let says = |key: &str| service.get(key).is_some_and(|node| !node.is_null() && node.as_str() != Some(""));
    if !says("image") && !says("build") && !says("provider") {
        let mut diagnostic = Diagnostic::error(510, format!("service `{name}` has neither `image` nor `build`"))
            .at(view.key_span(name))
            .label("runs nothing");
        if SERVICE.attributes.iter().any(|(attribute, _)| *attribute == name) {
            diagnostic =
                diagnostic.help(format!("`{name}` is a key of services: indent it as far as the keys of its service"));
        }
        session.report(diagnostic.help("name an image, `image: nginx`, or the folder of a Dockerfile, `build: .`"));
    }
}

fn build(session: &mut Session<'_>, name: &str, service: &Node) {
    let Some(build) = service.get("build").and_then(Node::as_mapping) else { return };
    if let (Some(file), Some(inline)) = (build.entry("dockerfile"), build.entry("dockerfile_inline")) {
        session.report(
            Diagnostic::error(511, format!("the build of `{name}` has `dockerfile` and `dockerfile_inline`"))
                .at(inline.key_span)
                .label("the text")
                .related(file.key_span, "the file")
                .help("keep one of the two"),
        );
    }
    let platforms: Vec<&str> = items(build.get("platforms")).filter_map(Node::as_str).collect();
    if let Some(platform) = service.get("platform").filter(|node| node.as_str() != Some(""))
        && !platforms.is_empty()
        && !platforms.contains(&platform.plain().as_str())
    {
        session.report(
            Diagnostic::error(
                512,
                format!("`{}` is not among the platforms that `{name}` is built for", platform.plain()),
            )
            .at(platform.span)
            .label("runs on this")
            .help(format!("it is built for {}", platforms.join(", "))),
        );
    }
}

fn networks(session: &mut Session<'_>, name: &str, service: &Node) {
    let (Some(mode), Some(networks)) = (service.get("network_mode"), service.get("networks")) else { return };
    if !mode.plain().is_empty() && networks.as_mapping().is_some_and(|networks| !networks.is_empty()) {
        session.report(
            Diagnostic::error(513, format!("service `{name}` has `network_mode` and `networks`"))
                .at(mode.span)
                .label("shares a network")
                .related(networks.span, "joins networks")
                .help("keep one of the two"),
        );
    }
}

fn healthcheck(session: &mut Session<'_>, name: &str, service: &Node) {
    let Some(test) = service.get("healthcheck").and_then(|check| check.get("test")) else { return };
    let Some(first) = test.as_sequence().and_then(<[Node]>::first) else { return };
    if !matches!(first.as_str(), Some("CMD" | "CMD-SHELL" | "NONE")) {
        session.report(
            Diagnostic::error(514, format!("the health test of `{name}` begins with `{}`", first.plain()))
                .at(first.span)
                .label("none of `CMD`, `CMD-SHELL`, `NONE`")
                .help("put \"CMD\" first for a program and its arguments, or write the test as one string for a shell"),
        );
    }
}

fn replicas(session: &mut Session<'_>, view: &View<'_>, name: &str, service: &Node) {
    let encoded = &view.encoded["services"][name];
    let scale = encoded["scale"].as_i64();
    let replicas = encoded["deploy"]["replicas"].as_i64();
    let scale_span = service.get("scale").map(|node| node.span);
    let replicas_span = service.get("deploy").and_then(|deploy| deploy.get("replicas")).map(|node| node.span);
    if let (Some(scale), Some(replicas), Some(at), Some(other)) = (scale, replicas, scale_span, replicas_span)
        && scale != replicas
    {
        session.report(
            Diagnostic::error(515, format!("`scale` and `deploy.replicas` of `{name}` differ"))
                .at(at)
                .label(scale.to_string())
                .related(other, replicas.to_string()),
        );
    }
    for (count, span) in [(scale, scale_span), (replicas, replicas_span)] {
        if let (Some(count), Some(span)) = (count, span)
            && count < 0
        {
            session.report(
                Diagnostic::error(516, format!("`{name}` cannot run {count} times")).at(span).label("less than none"),
            );
        }
    }
    let count = scale.or(replicas).unwrap_or(1);
    if let Some(container) = service.get("container_name").filter(|node| !node.plain().is_empty())
        && count > 1
    {
        session.report(
            Diagnostic::error(517, format!("`{name}` runs {count} times, and one container name is not enough"))
                .at(container.span)
                .label("one name")
                .help("remove `container_name`: the containers are then named after the project and the service"),
        );
    }
}

/// A limit of the service, its name under `deploy.resources`, and which half.
const LIMITS: [(&str, &str, &str); 4] = [
    ("cpus", "limits", "cpus"),
    ("mem_limit", "limits", "memory"),
    ("mem_reservation", "reservations", "memory"),
    ("pids_limit", "limits", "pids"),
];

fn limits(session: &mut Session<'_>, view: &View<'_>, name: &str, service: &Node) {
    let encoded = &view.encoded["services"][name];
    for (own, half, key) in LIMITS {
        let (Some(value), Some(node)) = (encoded.get(own), service.get(own)) else { continue };
        let Some(section) = encoded["deploy"]["resources"].get(half) else { continue };
        let other = section.get(key).cloned().unwrap_or(Json::Null);
        if *value != other {
            session.report(
                Diagnostic::error(518, format!("`{own}` of `{name}` is not what `deploy.resources.{half}.{key}` says"))
                    .at(node.span)
                    .label("differs")
                    .help("keep one of the two, or make them equal"),
            );
        }
    }
}

fn targets(session: &mut Session<'_>, name: &str, service: &Node) {
    let mut seen: BTreeMap<String, Span> = BTreeMap::new();
    let tmpfs = match service.get("tmpfs").map(|node| (&node.value, node)) {
        Some((Value::String(_), node)) => vec![node],
        Some((_, node)) => items(Some(node)).collect(),
        None => Vec::new(),
    };
    let tmpfs = tmpfs.into_iter().map(|node| {
        let text = node.plain();
        (text.split(':').next().unwrap_or_default().to_owned(), node.span)
    });
    let mounts = items(service.get("volumes"))
        .map(|mount| (mount.get("target").map(Node::plain).unwrap_or_default(), mount.span));
    for (target, span) in tmpfs.chain(mounts) {
        match seen.get(&target) {
            Some(first) => session.report(
                Diagnostic::error(519, format!("two things are mounted on `{target}` in `{name}`"))
                    .at(span)
                    .label("the second")
                    .related(*first, "the first"),
            ),
            None => {
                seen.insert(target, span);
            }
        }
    }
}

fn watch(session: &mut Session<'_>, name: &str, service: &Node) {
    for rule in items(service.get("develop").and_then(|develop| develop.get("watch"))) {
        let action = rule.get_str("action").unwrap_or_default();
        let target = rule.get("target").map(Node::plain).unwrap_or_default();
        // Without an action it is wrong already.
        if target.is_empty() && matches!(action, "sync" | "sync+restart" | "sync+exec") {
            session.report(
                Diagnostic::error(520, format!("a watch rule of `{name}` does not say where its files go"))
                    .at(rule.span)
                    .label(format!("`{action}` needs a `target`"))
                    .help("`target` is the path in the container"),
            );
        }
    }
}

/// Checks that no two services want the same container name.
pub fn container_names(session: &mut Session<'_>, encoded: &Json, spans: &Spans) {
    let services = encoded.get("services").and_then(Json::as_object).into_iter().flatten();
    let mut named: Vec<(Option<Span>, &str, &String)> = services
        .filter_map(|(name, service)| {
            let container = service.get("container_name")?.as_str()?;
            Some((spans.get(&format!("services.{name}.container_name")), container, name))
        })
        .collect();
    named.sort_unstable();
    let mut seen: BTreeMap<&str, (Option<Span>, &String)> = BTreeMap::new();
    for (span, container, name) in named {
        let Some((first, other)) = seen.get(container) else {
            seen.insert(container, (span, name));
            continue;
        };
        let message = format!("`{other}` and `{name}` have the same container name");
        let mut diagnostic = Diagnostic::error(521, message).label(format!("of `{name}`"));
        diagnostic.span = span;
        if let Some(first) = first {
            diagnostic = diagnostic.related(*first, format!("of `{other}`"));
        }
        session.report(
            diagnostic.help("remove `container_name`: the containers are then named after the project and the service"),
        );
    }
}
