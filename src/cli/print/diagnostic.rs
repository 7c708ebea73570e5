//! A mistake in the user's file, in the look that rustc has taught: place, line, caret, label, help.

use std::path::{Path, PathBuf};

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use compose::{Diagnostic, FileId, Severity, SourceMap, Span};

/// How to draw.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    /// With escape sequences.
    pub(crate) colour: bool,
    /// Columns of the terminal, if it is one.
    pub(crate) width: Option<usize>,
    /// Paths below this folder are shown relative to it.
    pub(crate) folder: PathBuf,
}

impl Look {
    /// Returns the renderer for this look.
    pub(crate) fn renderer(&self) -> Renderer {
        let renderer = if self.colour { Renderer::styled() } else { Renderer::plain() };
        renderer.decor_style(DecorStyle::Ascii).term_width(self.width.unwrap_or(140).max(40))
    }

    /// Returns `path` as the person would type it here.
    pub(crate) fn path(&self, path: &Path) -> String {
        let shown = path.strip_prefix(&self.folder).unwrap_or(path);
        let shown = if shown.as_os_str().is_empty() { path } else { shown };
        shown.display().to_string()
    }
}

/// Returns the lines for one diagnostic, with a newline at the end.
pub(crate) fn render(diagnostic: &Diagnostic, sources: &SourceMap, look: &Look) -> String {
    let (level, letter) = match diagnostic.severity {
        Severity::Error => (Level::ERROR, 'E'),
        Severity::Warning => (Level::WARNING, 'W'),
    };
    let code = format!("{letter}{:04}", diagnostic.code.0);
    let mut group = Group::with_title(level.primary_title(diagnostic.message.as_str()).id(code));
    for element in snippets(diagnostic, sources, look) {
        group = match element {
            Part::Text(snippet) => group.element(snippet),
            Part::Place(origin) => group.element(origin),
        };
    }
    for help in &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    let mut text = look.renderer().render(&[group]);
    text.push('\n');
    text
}

enum Part<'a> {
    Text(Snippet<'a, Annotation<'a>>),
    Place(Origin<'a>),
}

/// One snippet a file: first that of the mistake itself.
fn snippets<'a>(diagnostic: &'a Diagnostic, sources: &'a SourceMap, look: &Look) -> Vec<Part<'a>> {
    let mut files: Vec<FileId> = Vec::new();
    let places = diagnostic.span.iter().chain(diagnostic.related.iter().map(|label| &label.span));
    for span in places {
        if !files.contains(&span.file) {
            files.push(span.file);
        }
    }
    let mut parts = Vec::new();
    for file in files {
        let Some(source) = sources.get(file) else { continue };
        let path = look.path(&source.path);
        if source.text.is_empty() {
            parts.push(Part::Place(Origin::path(path)));
            continue;
        }
        let mut snippet = Snippet::source(source.text.as_str()).path(path).fold(true);
        if let Some(span) = diagnostic.span.filter(|span| span.file == file) {
            let mut mark = AnnotationKind::Primary.span(range(span, &source.text));
            if !diagnostic.label.is_empty() {
                mark = mark.label(diagnostic.label.as_str());
            }
            snippet = snippet.annotation(mark);
        }
        for label in diagnostic.related.iter().filter(|label| label.span.file == file) {
            let mark = AnnotationKind::Context.span(range(label.span, &source.text)).label(label.text.as_str());
            snippet = snippet.annotation(mark);
        }
        parts.push(Part::Text(snippet));
    }
    parts
}

/// Returns the span as a range that lies in `text`, between characters, and on one line: a caret under a whole
/// block says less than one at its start.
pub(crate) fn range(span: Span, text: &str) -> std::ops::Range<usize> {
    let mut start = (span.start as usize).min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let mut end = (span.end as usize).clamp(start, text.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    start..end.min(line_end).max(start)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    const FILE: &str = "services:\n  web:\n    image: nginx\n    comand: sleep 100\n";

    fn check(build: impl FnOnce(&mut SourceMap, FileId) -> Diagnostic, expected: Expect) {
        let mut sources = SourceMap::default();
        let file = sources.add("/home/me/shop/compose.yaml".into(), FILE.into());
        let diagnostic = build(&mut sources, file);
        let look = Look { colour: false, width: None, folder: "/home/me/shop".into() };
        expected.assert_eq(&render(&diagnostic, &sources, &look));
    }

    fn span(file: FileId, part: &str) -> Span {
        let start = FILE.find(part).unwrap();
        Span { file, start: start as u32, end: (start + part.len()) as u32 }
    }

    #[test]
    fn a_mistake_is_shown_with_its_line_a_caret_and_help() {
        check(
            |_, file| {
                Diagnostic::error(107, "unknown key `comand` in service `web`")
                    .at(span(file, "comand"))
                    .related(span(file, "web"), "in this service")
                    .help("a key with a similar name exists: `command`")
            },
            expect![[r#"
                error[E0107]: unknown key `comand` in service `web`
                 --> compose.yaml:4:5
                  |
                2 |   web:
                  |   --- in this service
                3 |     image: nginx
                4 |     comand: sleep 100
                  |     ^^^^^^
                  |
                  = help: a key with a similar name exists: `command`
            "#]],
        );
    }

    #[test]
    fn a_second_file_has_its_own_place() {
        check(
            |sources, file| {
                let other = sources.add("/etc/base.yaml".into(), "services: {}\n".into());
                Diagnostic::warning(12, "set twice")
                    .at(span(file, "nginx"))
                    .label("here")
                    .related(Span { file: other, start: 0, end: 8 }, "and here")
            },
            expect![[r#"
                warning[W0012]: set twice
                 --> compose.yaml:3:12
                  |
                3 |     image: nginx
                  |            ^^^^^ here
                  |
                 ::: /etc/base.yaml:1:1
                  |
                1 | services: {}
                  | -------- and here
            "#]],
        );
    }

    #[test]
    fn a_mistake_without_a_place_is_a_line() {
        check(
            |_, _| Diagnostic::error(1, "no Compose file").help("looked for `compose.yaml`"),
            expect![[r#"
                error[E0001]: no Compose file
                 |
                 = help: looked for `compose.yaml`
            "#]],
        );
    }

    #[test]
    fn a_span_outside_of_the_text_is_no_panic() {
        let text = "a: ü\n";
        let file = FileId(0);
        assert_eq!(range(Span { file, start: 4, end: 900 }, text), 3..5);
        assert_eq!(range(Span { file, start: 900, end: 2 }, text), 6..6);
        check(
            |_, file| Diagnostic::error(1, "past the end").at(Span { file, start: 9000, end: 9001 }),
            expect![[r#"
                error[E0001]: past the end
                 --> compose.yaml:4:23
                  |
                4 |     comand: sleep 100
                  |                      ^
            "#]],
        );
    }
}
