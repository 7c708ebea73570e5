//! Dependencies must not go in a circle.

use crate::check::rules::View;
use crate::diagnostic::Diagnostic;
use crate::document::node::{Mapping, Node};
use crate::document::session::Session;
use crate::source::Span;

/// Notes the first circle, with every edge of it.
pub fn check(session: &mut Session<'_>, view: &View<'_>) {
    let mut done: Vec<&str> = Vec::new();
    let mut names: Vec<&str> = view.services().map(|(name, _)| name).collect();
    names.sort_unstable();
    for name in names {
        let mut trail = Vec::new();
        if let Some(circle) = search(view, name, &mut trail, &mut done) {
            session.report(describe(&circle));
            return;
        }
    }
}

/// An edge: who depends, and where that is written.
type Edge<'a> = (&'a str, Span);

fn search<'a>(
    view: &View<'a>,
    name: &'a str,
    trail: &mut Vec<Edge<'a>>,
    done: &mut Vec<&'a str>,
) -> Option<Vec<Edge<'a>>> {
    if let Some(start) = trail.iter().position(|(at, _)| *at == name) {
        return Some(trail[start..].to_vec());
    }
    if done.contains(&name) {
        return None;
    }
    let (_, service) = view.services().find(|(other, _)| *other == name)?;
    let depends_on = service.get("depends_on").and_then(Node::as_mapping);
    let mut edges: Vec<_> = depends_on.into_iter().flat_map(Mapping::iter).collect();
    edges.sort_by(|a, b| a.key.cmp(&b.key));
    for edge in edges {
        trail.push((name, edge.key_span));
        let found = search(view, &edge.key, trail, done);
        trail.pop();
        if found.is_some() {
            return found;
        }
    }
    done.push(name);
    None
}

fn describe(circle: &[Edge<'_>]) -> Diagnostic {
    let mut names: Vec<&str> = circle.iter().map(|(name, _)| *name).collect();
    names.push(names[0]);
    let mut diagnostic =
        Diagnostic::error(540, format!("services depend on each other in a circle: {}", names.join(" -> ")));
    for (position, (name, span)) in circle.iter().enumerate() {
        let text = format!("`{name}` needs `{}`", names[position + 1]);
        diagnostic = if position == 0 { diagnostic.at(*span).label(text) } else { diagnostic.related(*span, text) };
    }
    diagnostic.help("drop one of these dependencies")
}
