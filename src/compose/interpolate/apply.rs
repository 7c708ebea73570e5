//! Replaces the references in a tree's strings, never in its keys, and casts what a place wants typed.

use std::collections::BTreeMap;

use crate::diagnostic::Diagnostic;
use crate::diagnostic::similar::closest;
use crate::document::node::{Node, Value};
use crate::document::path::Place;
use crate::document::session::Session;
use crate::interpolate::cast::{self, Cast};
use crate::interpolate::template::{self, MAXIMUM_DEPTH, TemplateError};
use crate::source::Span;

/// Interpolates every value below `node`.
pub fn apply(session: &mut Session<'_>, node: &mut Node, variables: &BTreeMap<String, String>) {
    walk(session, node, &Place::ROOT, variables);
}

/// Interpolates one text that stands at `span`; what is wrong is noted, and the text comes back as it was.
pub fn text(session: &mut Session<'_>, text: &str, span: Span, variables: &BTreeMap<String, String>) -> String {
    if !text.contains('$') {
        return text.to_owned();
    }
    let mut unset = Vec::new();
    match template::substitute(text, &|name| variables.get(name).cloned(), &mut unset) {
        Ok(value) => {
            for name in unset {
                session.report(not_set(session, &name, span));
            }
            value
        }
        Err(error) => {
            session.report(refused(session, &error, span));
            text.to_owned()
        }
    }
}

fn walk(session: &mut Session<'_>, node: &mut Node, place: &Place<'_>, variables: &BTreeMap<String, String>) {
    match &mut node.value {
        Value::String(written) => {
            let errors = session.errors();
            if written.contains('$') {
                let value = text(session, written, node.span, variables);
                if session.errors() != errors {
                    return;
                }
                *written = value;
            }
            if let Some(wanted) = cast::wanted(place) {
                let value = written.clone();
                typed(session, node, place, wanted, &value);
            }
        }
        Value::Mapping(mapping) => {
            for entry in mapping.iter_mut() {
                walk(session, &mut entry.value, &place.key(&entry.key), variables);
            }
        }
        Value::Sequence(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                walk(session, item, &place.index(index), variables);
            }
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Timestamp(_) => {}
    }
}

fn typed(session: &mut Session<'_>, node: &mut Node, place: &Place<'_>, wanted: Cast, value: &str) {
    if let Some(value) = cast::cast(wanted, value) {
        node.value = value;
        return;
    }
    let (name, example) = wanted.describe();
    let key = place.up().next().flatten().unwrap_or_default();
    session.report(
        Diagnostic::error(204, format!("`{place}` takes {name}, and `{value}` is none"))
            .at(node.span)
            .label(format!("not {name}"))
            .help(format!("write for example `{key}: {example}`")),
    );
}

/// Returns `start`, the beginning of a braced reference in `whole`, with the rest of the reference up to its brace.
fn reference_at(session: &Session<'_>, start: Span, whole: Span) -> Span {
    let behind = Span { end: whole.end, ..start };
    let text = session.text(behind);
    let line = text.lines().next().unwrap_or(text);
    match template::balanced(line).and_then(|at| u32::try_from(at + 1).ok()) {
        Some(length) if start != whole => Span { end: start.start + length, ..start },
        _ => start,
    }
}

fn not_set(session: &Session<'_>, name: &str, span: Span) -> Diagnostic {
    let mut place = span;
    for form in [format!("${{{name}}}"), format!("${name}"), format!("${{{name}")] {
        place = session.within(span, &form);
        if place != span {
            break;
        }
    }
    let braced = session.text(place).starts_with("${");
    let diagnostic =
        Diagnostic::warning(203, format!("the variable `{name}` is not set, so nothing stands in its place"))
            .at(place)
            .label("looked for in the environment and in the .env file");
    let diagnostic = with_similar(session, diagnostic, name);
    let diagnostic =
        diagnostic.help(format!("give it a default, `${{{name}:-value}}`, or demand it, `${{{name}:?reason}}`"));
    if braced {
        diagnostic
    } else {
        diagnostic.help(format!("a dollar sign that begins no variable is written twice: `$${name}`"))
    }
}

/// Points at a variable of a similar name, which files of variables set.
fn with_similar(session: &Session<'_>, diagnostic: Diagnostic, name: &str) -> Diagnostic {
    let names = session.variable_places.keys().map(String::as_str).filter(|known| *known != name);
    let Some(similar) = closest(name, names) else { return diagnostic };
    match session.variable_places[similar].last() {
        Some(place) => diagnostic.related(*place, format!("a variable with a similar name: `{similar}`")),
        None => diagnostic,
    }
}

fn refused(session: &Session<'_>, error: &TemplateError, span: Span) -> Diagnostic {
    match error {
        TemplateError::Invalid { reference } => {
            let closed = reference.contains('}');
            let shown: String =
                if closed { reference[..=reference.find('}').unwrap_or(0)].to_owned() } else { reference.clone() };
            let diagnostic = if closed {
                Diagnostic::error(201, format!("`{shown}` is no reference to a variable"))
                    .label("not a name, or not an operator behind it")
            } else {
                Diagnostic::error(201, format!("`{shown}` is opened and never closed")).label("a `}` is missing")
            };
            diagnostic.at(session.within(span, &shown)).help(
                "write ${NAME}, ${NAME:-default}, ${NAME:?reason} or ${NAME:+alternative}; a plain dollar sign is $$",
            )
        }
        TemplateError::TooDeep => {
            Diagnostic::error(205, format!("references stand in each other more than {MAXIMUM_DEPTH} deep"))
                .at(span)
                .label("in this value")
                .help("set a variable in the .env file to what the inner references say")
        }
        TemplateError::Required { variable, reason } => {
            let message = if reason.is_empty() {
                format!("the variable `{variable}` is required and not set")
            } else {
                format!("the variable `{variable}` is required and not set: {reason}")
            };
            let place = reference_at(session, session.within(span, &format!("${{{variable}")), span);
            let diagnostic = Diagnostic::error(202, message).at(place).label("demanded here");
            with_similar(session, diagnostic, variable)
                .help(format!("set {variable} in the environment or in the .env file"))
        }
    }
}
