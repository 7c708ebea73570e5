//! What a service refers to must be there.

use crate::check::rules::View;
use crate::check::values::items;
use crate::diagnostic::Diagnostic;
use crate::diagnostic::similar;
use crate::document::node::{Entry, Mapping, Node};
use crate::document::session::Session;
use crate::source::Span;

/// Checks every reference of one service.
pub fn check(session: &mut Session<'_>, view: &View<'_>, name: &str, service: &Node) {
    for entry in entries(service.get("networks")) {
        resource(session, view, name, "network", &entry.key, entry.key_span);
    }
    for mount in items(service.get("volumes")) {
        let source = mount.get_str("source").unwrap_or_default();
        if mount.get_str("type") == Some("volume") && !source.is_empty() {
            resource(session, view, name, "volume", source, mount.get("source").map_or(mount.span, |node| node.span));
        }
    }
    let build = service.get("build");
    for (kind, list) in [
        ("config", service.get("configs")),
        ("secret", service.get("secrets")),
        ("secret", build.and_then(|build| build.get("secrets"))),
    ] {
        for item in items(list) {
            let source = item.get("source");
            let span = source.map_or(item.span, |node| node.span);
            resource(session, view, name, kind, &source.map(Node::plain).unwrap_or_default(), span);
        }
    }
    for entry in entries(service.get("models")) {
        resource(session, view, name, "model", &entry.key, entry.key_span);
    }
    dependencies(session, view, name, service);
    if let Some(mode) = service.get("network_mode")
        && let Some(target) = mode.as_str().and_then(|text| text.strip_prefix("service:"))
        && !view.enabled.contains(target)
    {
        undefined_service(session, view, name, target, mode.span, "shares the network of");
    }
    for entry in entries(build.and_then(|build| build.get("additional_contexts"))) {
        if let Some(target) = entry.value.as_str().and_then(|text| text.strip_prefix("service:")) {
            context(session, view, name, target, entry.value.span);
        }
    }
}

fn entries(node: Option<&Node>) -> impl Iterator<Item = &Entry> {
    node.and_then(Node::as_mapping).into_iter().flat_map(Mapping::iter)
}

fn resource(session: &mut Session<'_>, view: &View<'_>, name: &str, kind: &str, key: &str, span: Span) {
    let section = format!("{kind}s");
    if view.has(&section, key) {
        return;
    }
    if key.is_empty() {
        session.report(
            Diagnostic::error(530, format!("service `{name}` does not say which {kind} it uses"))
                .at(span)
                .label("no `source`")
                .help(format!("write `source: NAME`, the name of one under `{section}:` at the top level")),
        );
        return;
    }
    let names = view.names(&section);
    let span = session.within(span, key);
    let content = match kind {
        "secret" => format!("{{file: ./{key}.txt}}"),
        "config" => format!("{{file: ./{key}.conf}}"),
        "model" => "{model: NAME}".to_owned(),
        _ => "{}".to_owned(),
    };
    let mut diagnostic =
        Diagnostic::error(530, format!("service `{name}` uses the {kind} `{key}`, which is not defined"))
            .at(span)
            .label(format!("there is no {kind} of this name"));
    diagnostic = match similar::closest(key, names) {
        Some(near) => diagnostic.help(format!("a {kind} with a similar name exists: `{near}`")),
        None => diagnostic.help(format!("define it at the top level: `{kind}s: {{{key}: {content}}}`")),
    };
    session.report(diagnostic);
}

fn dependencies(session: &mut Session<'_>, view: &View<'_>, name: &str, service: &Node) {
    for entry in entries(service.get("depends_on")) {
        if view.enabled.contains(&entry.key) {
            continue;
        }
        let disabled = view.has("services", &entry.key);
        let required = entry.value.get("required").is_none_or(|node| node.plain() != "false");
        if !disabled || required {
            undefined_service(session, view, name, &entry.key, entry.key_span, "depends on");
        }
    }
}

fn undefined_service(session: &mut Session<'_>, view: &View<'_>, name: &str, target: &str, span: Span, how: &str) {
    let names = view.names("services");
    let disabled = names.contains(&target);
    let why = if disabled { "which no active profile enables" } else { "which is not defined" };
    let mut diagnostic = Diagnostic::error(531, format!("service `{name}` {how} `{target}`, {why}")).at(span);
    if disabled {
        diagnostic = diagnostic
            .label("not enabled")
            .related(view.key_span(target), "it has profiles")
            .help("enable one of its profiles with --profile, or say `required: false`");
    } else {
        diagnostic = diagnostic.label("there is no service of this name");
        if let Some(near) = similar::closest(target, names) {
            diagnostic = diagnostic.help(format!("a service with a similar name exists: `{near}`"));
        }
    }
    session.report(diagnostic);
}

fn context(session: &mut Session<'_>, view: &View<'_>, name: &str, target: &str, span: Span) {
    let services = view.root.get("services");
    let found = services.and_then(|services| services.get(target)).filter(|_| view.enabled.contains(target));
    match found {
        None => undefined_service(session, view, name, target, span, "builds with"),
        Some(other) if other.get("build").is_none() => session.report(
            Diagnostic::error(532, format!("service `{name}` builds with `{target}`, which is not built itself"))
                .at(span)
                .label("has no `build`"),
        ),
        Some(_) => {}
    }
}
