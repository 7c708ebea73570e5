//! `external: {name: x}`, the old form, to `external: true` and `name: x`.

use crate::diagnostic::Diagnostic;
use crate::document::node::{Node, Value};
use crate::document::session::Session;

/// Spells out the old form of the resource at `place`.
pub fn expand(session: &mut Session<'_>, node: &mut Node, place: &str) {
    let Some(resource) = node.as_mapping_mut() else { return };
    let Some(external) = resource.get("external") else { return };
    if external.as_mapping().is_none() {
        return;
    }
    let span = external.span;
    let old_name = external.get("name").cloned();
    resource.insert("external", span, Node::new(Value::Bool(true), span));
    let Some(old_name) = old_name else { return };
    session.report(
        Diagnostic::warning(402, format!("`{place}.external.name` is an old form"))
            .at(span)
            .help("write `name` and `external: true` side by side"),
    );
    match resource.get("name") {
        Some(name) if *name != old_name => session.report(
            Diagnostic::error(403, format!("`{place}` has two names"))
                .at(old_name.span)
                .label("one")
                .related(name.span, "two")
                .help("keep `name`"),
        ),
        Some(_) => {}
        None => resource.insert("name", span, old_name),
    }
}
