//! Diagnostics as text: every part of them, each on its line, with the words that each place covers.

use std::fmt::Write;

use compose::{Loaded, Severity, Span};

/// Returns all that is said of a load.
pub fn describe(loaded: &Loaded) -> String {
    let place = |span: Span| {
        let file = &loaded.sources.get(span.file).unwrap().path;
        let position = loaded.sources.position(span).unwrap();
        let text = &loaded.sources.get(span.file).unwrap().text[span.start as usize..span.end as usize];
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        format!("{name}:{}:{} `{}`", position.line, position.column, text.replace('\n', "\\n"))
    };
    let mut text = String::new();
    for diagnostic in &loaded.diagnostics {
        let severity = if diagnostic.severity == Severity::Error { "error" } else { "warning" };
        writeln!(text, "{severity}[E{:04}]: {}", diagnostic.code.0, diagnostic.message).unwrap();
        if let Some(span) = diagnostic.span {
            writeln!(text, "  {}: {}", place(span), diagnostic.label).unwrap();
        }
        for label in &diagnostic.related {
            writeln!(text, "  {}: {}", place(label.span), label.text).unwrap();
        }
        for help in &diagnostic.help {
            writeln!(text, "  help: {help}").unwrap();
        }
    }
    text
}
