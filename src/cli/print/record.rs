//! Errors and warnings for programs: one JSON object a line, with the same words and places as the text for people.

use compose::{Diagnostic, Severity, SourceMap, Span};
use orchestrator::event::Failure;
use serde_json::{Map, Value, json};

use crate::error::{CommandError, LoadedProject, Source};
use crate::print::diagnostic::Look;

/// Returns the objects for an error that ends a command; none if all has been said.
pub(crate) fn of_error(error: &CommandError, look: &Look) -> Vec<String> {
    match &error.source {
        Source::Said => Vec::new(),
        Source::Message(message) => vec![without_place(message, &error.hints).to_string()],
        Source::Diagnostics(diagnostics, sources) => {
            diagnostics.iter().map(|diagnostic| of_diagnostic(diagnostic, sources, look)).collect()
        }
        Source::Operation(operation, project) => {
            let hints: Vec<String> = operation.hints.iter().chain(&error.hints).cloned().collect();
            if operation.failures.is_empty() {
                return vec![without_place(&operation.to_string(), &hints).to_string()];
            }
            let record = |failure| of_failure(failure, project.as_deref(), &hints, look).to_string();
            operation.failures.iter().map(record).collect()
        }
    }
}

/// Returns the object for a mistake in a file. Lines and columns count from 1, columns in characters; the end is the
/// place behind the last character.
pub(crate) fn of_diagnostic(diagnostic: &Diagnostic, sources: &SourceMap, look: &Look) -> String {
    let (letter, severity) = match diagnostic.severity {
        Severity::Error => ('E', "error"),
        Severity::Warning => ('W', "warning"),
    };
    let mut record = Map::new();
    record.insert(severity.into(), true.into());
    record.insert("code".into(), format!("{letter}{:04}", diagnostic.code.0).into());
    record.insert("severity".into(), severity.into());
    record.insert("message".into(), diagnostic.message.as_str().into());
    place(&mut record, diagnostic.span, sources, look);
    record.insert("label".into(), diagnostic.label.as_str().into());
    let related = diagnostic.related.iter().map(|label| {
        let mut record = Map::new();
        place(&mut record, Some(label.span), sources, look);
        record.insert("label".into(), label.text.as_str().into());
        Value::Object(record)
    });
    record.insert("related".into(), related.collect());
    record.insert("help".into(), json!(diagnostic.help));
    Value::Object(record).to_string()
}

fn without_place(message: &str, hints: &[String]) -> Value {
    json!({ "error": true, "severity": "error", "message": message, "help": hints })
}

fn of_failure(failure: &Failure, project: Option<&LoadedProject>, hints: &[String], look: &Look) -> Value {
    let error = &failure.error;
    let mut record = Map::new();
    record.insert("error".into(), true.into());
    record.insert("severity".into(), "error".into());
    record.insert("message".into(), error.message.as_str().into());
    record.insert("id".into(), error.resource.as_str().into());
    if let (Some(path), Some(loaded)) = (&failure.path, project) {
        place(&mut record, loaded.project.span(path), &loaded.sources, look);
        record.insert("label".into(), format!("{path} asks for it").into());
    }
    if let Some(place) = &error.place {
        record
            .insert("related".into(), json!([{ "file": place.file, "line": place.line, "label": place.text.trim() }]));
    }
    record.insert("output".into(), json!(error.output));
    record.insert("help".into(), error.hints.iter().chain(hints).map(String::as_str).collect());
    Value::Object(record)
}

/// Adds where it is; without a place the keys are there, with null.
fn place(record: &mut Map<String, Value>, span: Option<Span>, sources: &SourceMap, look: &Look) {
    let source = span.and_then(|span| sources.get(span.file));
    record.insert("file".into(), source.map(|source| look.path(&source.path)).into());
    let start = span.and_then(|span| sources.position(span));
    let end = span.and_then(|span| sources.position(Span { start: span.end, ..span }));
    let number = |value: Option<u32>| value.map_or(Value::Null, Value::from);
    record.insert("line".into(), number(start.map(|at| at.line)));
    record.insert("column".into(), number(start.map(|at| at.column)));
    record.insert("end_line".into(), number(end.map(|at| at.line)));
    record.insert("end_column".into(), number(end.map(|at| at.column)));
}

#[cfg(test)]
mod tests {
    use orchestrator::engine::error::{EngineError, ErrorKind};

    use super::*;

    fn look() -> Look {
        Look { colour: false, width: None, folder: "/shop".into() }
    }

    #[test]
    fn a_mistake_is_an_object_with_its_place_and_its_help() {
        let mut sources = SourceMap::default();
        let file = sources.add("/shop/compose.yaml".into(), "services:\n  wéb: {comand: a}\n".into());
        let span = |start, end| Span { file, start, end };
        let diagnostic = Diagnostic::error(107, "unknown key `comand`")
            .at(span(19, 25))
            .label("not a key of Compose")
            .related(span(12, 16), "in this service")
            .help("a key with a similar name exists: `command`");
        let record: Value = serde_json::from_str(&of_diagnostic(&diagnostic, &sources, &look())).unwrap();
        assert_eq!(
            record,
            json!({
                "error": true, "code": "E0107", "severity": "error", "message": "unknown key `comand`",
                "file": "compose.yaml", "line": 2, "column": 9, "end_line": 2, "end_column": 15,
                "label": "not a key of Compose",
                "related": [{
                    "file": "compose.yaml", "line": 2, "column": 3, "end_line": 2, "end_column": 6,
                    "label": "in this service",
                }],
                "help": ["a key with a similar name exists: `command`"],
            })
        );
    }

    #[test]
    fn a_failure_of_an_operation_and_a_sentence_are_objects_too() {
        let failure = Failure::new(EngineError::new(ErrorKind::Failed, "image a", "no\nway").hint("try b"), None);
        let error = CommandError::operation(failure.into(), None);
        let lines = of_error(&error, &look());
        assert_eq!(lines.len(), 1);
        let record: Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!((&record["error"], &record["message"]), (&json!(true), &json!("no\nway")));
        assert_eq!(record["help"], json!(["try b"]));
        let sentence = CommandError::new(crate::error::Kind::Usage, "what").hint("that");
        let record: Value = serde_json::from_str(&of_error(&sentence, &look())[0]).unwrap();
        assert_eq!((&record["message"], &record["help"]), (&json!("what"), &json!(["that"])));
    }
}
