//! Dependencies must not go in a circle.

use std::collections::{BTreeMap, HashSet};

use crate::check::rules::View;
use crate::diagnostic::Diagnostic;
use crate::document::node::{Mapping, Node};
use crate::document::session::Session;
use crate::source::Span;

/// An edge: who depends, and where that is written.
type Edge<'a> = (&'a str, Span);

/// A service that the search is in: what it depends on, and how much of that has been followed.
struct Visit<'a> {
    name: &'a str,
    edges: Vec<Edge<'a>>,
    next: usize,
}

/// Notes every circle that shares no edge with one before it, each with all its edges.
///
/// The search keeps its own stack: a chain of dependencies may be as long as the file.
pub fn check(session: &mut Session<'_>, view: &View<'_>) {
    let services: BTreeMap<&str, &Node> = view.services().collect();
    let mut done: HashSet<&str> = HashSet::new();
    for name in services.keys() {
        let mut on_trail: HashSet<&str> = HashSet::new();
        let mut trail: Vec<Visit<'_>> = Vec::new();
        enter(&services, name, &mut trail, &mut on_trail, &done);
        while let Some(last) = trail.last_mut() {
            let Some((target, _)) = last.edges.get(last.next).copied() else {
                on_trail.remove(last.name);
                done.insert(last.name);
                trail.pop();
                continue;
            };
            last.next += 1;
            if on_trail.contains(target) {
                let start = trail.iter().position(|visit| visit.name == target).unwrap_or(0);
                let circle: Vec<Edge<'_>> =
                    trail[start..].iter().map(|visit| (visit.name, visit.edges[visit.next - 1].1)).collect();
                session.report(describe(&circle));
            } else {
                enter(&services, target, &mut trail, &mut on_trail, &done);
            }
        }
    }
}

fn enter<'a>(
    services: &BTreeMap<&'a str, &'a Node>,
    name: &str,
    trail: &mut Vec<Visit<'a>>,
    on_trail: &mut HashSet<&'a str>,
    done: &HashSet<&'a str>,
) {
    let Some((name, service)) = services.get_key_value(name).filter(|(name, _)| !done.contains(*name)) else { return };
    let depends_on = service.get("depends_on").and_then(Node::as_mapping);
    let mut edges: Vec<Edge<'a>> =
        depends_on.into_iter().flat_map(Mapping::iter).map(|edge| (edge.key.as_str(), edge.key_span)).collect();
    edges.sort_unstable();
    on_trail.insert(name);
    trail.push(Visit { name, edges, next: 0 });
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
