//! The failure card: what failed, where in the file that comes from, what was written meanwhile, what was left
//! behind, how to mend it.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Snippet};
use compose::Span;
use orchestrator::engine::error::Place;
use orchestrator::event::Failure;
use orchestrator::operations::{Leftover, OperationError};

use crate::error::{CommandError, LoadedProject, Source};
use crate::print::diagnostic::{self, Look};
use crate::print::words;

/// Returns the lines for an error that ends a command; empty if all has been said.
pub(crate) fn render(error: &CommandError, look: &Look) -> String {
    match &error.source {
        Source::Said => String::new(),
        Source::Message(message) => sentence(message, &error.hints, look),
        Source::Diagnostics(diagnostics, sources) => {
            let cards: Vec<String> =
                diagnostics.iter().map(|diagnostic| diagnostic::render(diagnostic, sources, look)).collect();
            cards.join("\n")
        }
        Source::Operation(operation, project) => {
            let hints: Vec<&str> = operation.hints.iter().chain(&error.hints).map(String::as_str).collect();
            operation_cards(operation, project.as_deref(), &hints, look)
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

fn operation_cards(operation: &OperationError, project: Option<&LoadedProject>, hints: &[&str], look: &Look) -> String {
    let mut cards = Vec::new();
    let left = left_behind(&operation.left_behind);
    for (index, failure) in operation.failures.iter().enumerate() {
        let is_last = index + 1 == operation.failures.len();
        let (left, hints) = if is_last { (left.as_deref(), hints) } else { (None, [].as_slice()) };
        cards.push(card(failure, project, left, hints, look));
    }
    cards.join("\n")
}

fn card(failure: &Failure, project: Option<&LoadedProject>, left: Option<&str>, hints: &[&str], look: &Look) -> String {
    let error = &failure.error;
    let mut group = Group::with_title(Level::ERROR.primary_title(error.message.as_str()));
    if let Some(place) = &error.place {
        group = with_place(group, place);
    }
    if let Some(path) = &failure.path
        && let Some(loaded) = project
        && let Some(span) = loaded.project.span(path)
        && let Some(source) = loaded.sources.get(span.file)
    {
        let range = diagnostic::range(span, &source.text);
        let mark = AnnotationKind::Primary.span(key_of_block(&source.text, span).unwrap_or(range));
        let snippet = Snippet::source(source.text.as_str()).path(look.path(&source.path)).fold(true);
        group = group.element(snippet.annotation(mark.label(format!("{path} asks for it"))));
    }
    let output = error.output.join("\n");
    if !output.is_empty() {
        group = group.element(Level::NOTE.with_name("output").message(output));
    }
    if !failure.blocked.is_empty() {
        let names: Vec<String> = failure.blocked.iter().map(|name| format!("`{name}`")).collect();
        group = group.element(Level::NOTE.message(format!("not started because of it: {}", names.join(", "))));
    }
    if let Some(left) = left {
        group = group.element(Level::NOTE.message(left.to_owned()));
    }
    for hint in error.hints.iter().map(String::as_str).chain(hints.iter().copied()) {
        group = group.element(Level::HELP.message(hint));
    }
    look.renderer().render(&[group]) + "\n"
}

/// Returns the key of a mapping, or of a list of several lines: it stands for them better than their first line does.
fn key_of_block(text: &str, block: Span) -> Option<Range<usize>> {
    let block = block.start as usize..block.end as usize;
    let value = text.get(block.clone())?.trim_end();
    if !value.starts_with('{') && !value.contains('\n') {
        return None;
    }
    let line = text[..block.start].trim_end().strip_suffix(':')?;
    // A key of a flow mapping has others before it on its line.
    let start = line.rfind(['\n', '{', ',']).map_or(0, |at| at + 1);
    let start = start + (line[start..].len() - line[start..].trim_start().len());
    (start < line.len()).then_some(start..line.len())
}

fn left_behind(left: &[Leftover]) -> Option<String> {
    if left.is_empty() {
        return None;
    }
    let names: Vec<String> = left
        .iter()
        .map(|left| {
            let name = words::subject(left.kind, &left.name);
            if left.state.is_empty() { name } else { format!("{name} ({})", left.state) }
        })
        .collect();
    Some(format!("left behind: {}; `down` takes them away", names.join(", ")))
}

/// Adds a line of a file that only the engine has read.
fn with_place<'a>(group: Group<'a>, place: &'a Place) -> Group<'a> {
    let text = place.text.trim_end();
    if text.is_empty() {
        return group.element(Origin::path(place.file.as_str()).line(place.line as usize));
    }
    let start = text.len() - text.trim_start().len();
    let mark = AnnotationKind::Primary.span(start..text.len());
    let snippet = Snippet::source(text).line_start(place.line as usize).path(place.file.as_str());
    group.element(snippet.annotation(mark))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use compose::{LoadRequest, SourceMap};
    use expect_test::{Expect, expect};
    use orchestrator::engine::error::{EngineError, ErrorKind};
    use orchestrator::event::ResourceKind;

    use super::*;

    const FILE: &str = "services:\n  web:\n    build: .\n    ports: [\"18181:80\"]\n";

    fn loaded() -> LoadedProject {
        let files = BTreeMap::from([(PathBuf::from("/shop/compose.yaml"), FILE.to_owned())]);
        let request = LoadRequest { working_directory: "/shop".into(), ..LoadRequest::default() };
        let loaded = compose::load(&request, &files);
        LoadedProject { project: loaded.project.unwrap(), sources: loaded.sources }
    }

    fn check(operation: OperationError, expected: Expect) {
        let error = CommandError::operation(operation, Some(&loaded()));
        let look = Look { colour: false, width: None, folder: "/shop".into() };
        expected.assert_eq(&render(&error, &look));
    }

    #[test]
    fn a_failing_run_shows_its_line_its_output_and_who_asked() {
        let mut error = EngineError::new(ErrorKind::Failed, "image shop-web", "`RUN make` ended with exit code 127")
            .hint("127 means that a program was not found");
        error.output = vec!["compiling".into(), "sh: make: not found".into()];
        error.place = Some(Place { file: "Dockerfile".into(), line: 3, text: "RUN make\n".into() });
        check(
            Failure::new(error, Some("services.web.build".into())).into(),
            expect![[r#"
                error: `RUN make` ended with exit code 127
                 --> Dockerfile:3:1
                  |
                3 | RUN make
                  | ^^^^^^^^
                  |
                 ::: compose.yaml:3:12
                  |
                3 |     build: .
                  |            ^ services.web.build asks for it
                  |
                  = output: compiling
                            sh: make: not found
                  = help: 127 means that a program was not found
            "#]],
        );
    }

    #[test]
    fn a_taken_port_shows_its_place_and_what_was_left() {
        let error = EngineError::new(ErrorKind::Conflict, "host port 18181", "host port 18181 is held by pid 42 `nc`");
        let mut failure = Failure::new(error, Some("services.web.ports[0]".into()));
        failure.blocked = vec!["proxy".into()];
        let mut operation = OperationError::from(failure);
        let (kind, name) = (ResourceKind::Container, "shop-db-1".to_owned());
        operation.left_behind.push(Leftover { kind, name, state: "running".into() });
        check(
            operation,
            expect![[r#"
            error: host port 18181 is held by pid 42 `nc`
             --> compose.yaml:4:13
              |
            4 |     ports: ["18181:80"]
              |             ^^^^^^^^^^ services.web.ports[0] asks for it
              |
              = note: not started because of it: `proxy`
              = note: left behind: Container shop-db-1 (running); `down` takes them away
        "#]],
        );
    }

    #[test]
    fn a_service_as_a_whole_is_shown_by_its_name() {
        let error =
            EngineError::new(ErrorKind::Failed, "container `shop-web-1`", "cannot start container `shop-web-1`");
        check(
            Failure::new(error, Some("services.web".into())).into(),
            expect![[r#"
            error: cannot start container `shop-web-1`
             --> compose.yaml:2:3
              |
            2 |   web:
              |   ^^^ services.web asks for it
        "#]],
        );
    }

    #[test]
    fn the_key_of_a_flow_mapping_is_found_behind_others() {
        let text = "  web: {image: a, healthcheck: {test: x}}";
        let start = text.find("{test").unwrap();
        let mut sources = SourceMap::default();
        let file = sources.add("/shop/compose.yaml".into(), text.into());
        let span = Span { file, start: start as u32, end: text.len() as u32 - 1 };
        assert_eq!(&text[key_of_block(text, span).unwrap()], "healthcheck");
    }

    #[test]
    fn a_sentence_has_its_hints_below() {
        let error = CommandError::new(crate::error::Kind::Usage, "no such service: wbe").hint("did you mean `web`?");
        let look = Look { colour: false, width: None, folder: "/shop".into() };
        expect![[r#"
            error: no such service: wbe
             |
             = help: did you mean `web`?
        "#]]
        .assert_eq(&render(&error, &look));
    }
}
