//! The failure card: what failed, where in the file that comes from, what was written meanwhile, how to mend it.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Snippet};
use compose::{Project, SourceMap, Span};
use orchestrator::engine::error::{EngineError, Place};

use crate::error::{CommandError, Failure, Source};
use crate::print::diagnostic::{self, Look};

/// The project that a command was about, so that a failure can be shown at its place.
pub(crate) struct Subject<'a> {
    /// The project.
    pub(crate) project: &'a Project,
    /// Its files.
    pub(crate) sources: &'a SourceMap,
}

/// Returns the lines for an error that ends a command; empty if all has been said.
pub(crate) fn render(error: &CommandError, subject: Option<&Subject<'_>>, look: &Look) -> String {
    match &error.source {
        Source::Said => String::new(),
        Source::Message(message) => sentence(message, &error.hints, look),
        Source::Diagnostics(diagnostics, sources) => {
            let mut text: String =
                diagnostics.iter().map(|diagnostic| diagnostic::render(diagnostic, sources, look) + "\n").collect();
            text.truncate(text.trim_end().len());
            text.push('\n');
            text
        }
        Source::Engine(failures) => {
            let mut text = String::new();
            for (index, failure) in failures.iter().enumerate() {
                let hints = if index + 1 == failures.len() { error.hints.as_slice() } else { &[] };
                text.push_str(&card(failure, hints, subject, look));
            }
            text
        }
    }
}

fn sentence(message: &str, hints: &[String], look: &Look) -> String {
    let mut group = Group::with_title(Level::ERROR.primary_title(message));
    for hint in hints {
        group = group.element(Level::HELP.message(hint.as_str()));
    }
    look.renderer().render(&[group]) + "\n"
}

fn card(failure: &Failure, hints: &[String], subject: Option<&Subject<'_>>, look: &Look) -> String {
    let error = &failure.error;
    let mut group = Group::with_title(Level::ERROR.primary_title(error.message.as_str()));
    if let Some(place) = &error.place {
        group = with_place(group, place);
    }
    let (path, span, text);
    if let Some(subject) = subject
        && let Some(found) = span_of(failure, subject.project)
        && let Some(source) = subject.sources.get(found.file)
    {
        (path, span, text) = (look.path(&source.path), diagnostic::range(found, &source.text), source.text.as_str());
        let mark = AnnotationKind::Primary.span(span);
        group = group.element(Snippet::source(text).path(path).fold(true).annotation(mark));
    }
    let output = error.output.join("\n");
    if !output.is_empty() {
        group = group.element(Level::NOTE.with_name("output").message(output.as_str()));
    }
    for hint in error.hints.iter().chain(hints) {
        group = group.element(Level::HELP.message(hint.as_str()));
    }
    look.renderer().render(&[group]) + "\n"
}

/// Adds a line of a file that only the engine has read.
fn with_place<'a>(group: Group<'a>, place: &'a Place) -> Group<'a> {
    if place.text.is_empty() {
        return group.element(Origin::path(place.file.as_str()).line(place.line as usize));
    }
    let snippet = Snippet::source(place.text.as_str())
        .line_start(place.line as usize)
        .path(place.file.as_str())
        .annotation(AnnotationKind::Primary.span(0..place.text.trim_end().len()));
    group.element(snippet)
}

/// Returns where in the Compose file a failure comes from: the attribute that asked for what failed, or else the
/// service.
fn span_of(failure: &Failure, project: &Project) -> Option<Span> {
    let service = failure.service.as_deref()?;
    attribute(&failure.error, service, project)
        .and_then(|path| project.spans.get(&path).copied())
        .or_else(|| project.span(&format!("services.{service}")))
}

/// Guesses the attribute from what the failure is about.
fn attribute(error: &EngineError, service: &str, project: &Project) -> Option<String> {
    let model = project.services.get(service)?;
    let at = |attribute: &str| Some(format!("services.{service}.{attribute}"));
    if let Some(port) = error.resource.strip_prefix("host port ") {
        let number = port.split(['/', ' ']).next().unwrap_or(port);
        let index = model.ports.iter().position(|port| port.published.as_deref() == Some(number))?;
        return at(&format!("ports[{index}]"));
    }
    if error.place.is_some() {
        return at("build");
    }
    if error.resource.starts_with("image") {
        return at(if model.image.is_some() { "image" } else { "build" });
    }
    if error.resource.starts_with("healthcheck") || error.message.contains("unhealthy") {
        return at("healthcheck");
    }
    if error.message.starts_with("cannot run") {
        return at(if model.command.is_some() { "command" } else { "entrypoint" });
    }
    None
}
