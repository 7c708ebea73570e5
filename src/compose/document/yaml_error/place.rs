//! The place where YAML could not go on, in the lines of the file.

use crate::source::{FileId, Span};

/// An offset in a text, with the line that it is in.
#[derive(Debug, Clone, Copy)]
pub struct Place<'t> {
    /// The whole file.
    pub text: &'t str,
    /// Byte of the text.
    pub offset: usize,
    /// First byte of its line.
    pub line_start: usize,
    /// Its line, without the end of line.
    pub line: &'t str,
    file: FileId,
}

/// A line that says something: neither empty nor a comment alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'t> {
    /// First byte of what it says.
    pub start: usize,
    /// Spaces before that.
    pub indent: usize,
    /// What it says, without spaces around.
    pub content: &'t str,
}

impl<'t> Place<'t> {
    /// Finds the line of an offset.
    pub fn new(text: &'t str, file: FileId, offset: usize) -> Self {
        let offset = text.floor_char_boundary(offset);
        let line_start = text[..offset].rfind('\n').map_or(0, |position| position + 1);
        let line = text[line_start..].split('\n').next().unwrap_or_default();
        Self { text, offset, line_start, line: line.strip_suffix('\r').unwrap_or(line), file }
    }

    /// Spaces before what the line says.
    pub fn indent(&self) -> usize {
        self.line.len() - self.line.trim_start().len()
    }

    /// The first tab before what the line says.
    pub fn tab(&self) -> Option<usize> {
        self.line.find('\t').filter(|tab| *tab < self.indent()).map(|tab| self.line_start + tab)
    }

    /// The line, if it says something.
    pub fn own(&self) -> Line<'t> {
        Line { start: self.line_start + self.indent(), indent: self.indent(), content: self.line.trim() }
    }

    /// The bytes of a part of the file.
    pub fn span(&self, start: usize, end: usize) -> Span {
        let number = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Span { file: self.file, start: number(start), end: number(end.max(start)) }
    }

    /// All that a line says.
    pub fn covering(&self, line: Line<'_>) -> Span {
        self.span(line.start, line.start + line.content.len())
    }

    /// The character at the offset.
    pub fn here(&self) -> Span {
        let line_end = self.line_start + self.line.len();
        self.span(self.offset, self.text.ceil_char_boundary(self.offset + 1).min(line_end.max(self.offset)))
    }

    /// From the offset to the end of what the line says.
    pub fn rest(&self) -> &'t str {
        let rest = self.line.get(self.offset - self.line_start..).unwrap_or_default();
        rest.split(" #").next().unwrap_or_default().trim_end()
    }

    /// The lines above that say something, the nearest first.
    pub fn above(&self) -> impl Iterator<Item = Line<'t>> {
        let mut end = self.line_start;
        let text = self.text;
        std::iter::from_fn(move || {
            while end > 0 {
                let start = text[..end - 1].rfind('\n').map_or(0, |position| position + 1);
                let line = &text[start..end];
                end = start;
                let content = line.trim();
                if !content.is_empty() && !content.starts_with('#') {
                    let indent = line.len() - line.trim_start().len();
                    return Some(Line { start: start + indent, indent, content });
                }
            }
            None
        })
    }

    /// The lines that hold this one, the nearest first: each indented less than the one before.
    pub fn holders(&self) -> impl Iterator<Item = Line<'t>> {
        let mut least = usize::MAX;
        self.above().filter(move |line| {
            let is_less = line.indent < least;
            least = least.min(line.indent);
            is_less
        })
    }
}

impl<'t> Line<'t> {
    /// The key and what stands behind its `:`, when the line has one.
    pub fn key(&self) -> Option<(&'t str, &'t str)> {
        if let Some((key, value)) = self.content.split_once(": ") {
            return Some((key, value.trim()));
        }
        self.content.strip_suffix(':').map(|key| (key, ""))
    }

    /// Says whether it is an item of a list.
    pub fn is_item(&self) -> bool {
        self.content == "-" || self.content.starts_with("- ")
    }
}

/// Puts a text in single quotes, as YAML reads them.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
