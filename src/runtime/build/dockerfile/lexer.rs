//! Lines of a Dockerfile to statements: parser directives, comments, continuations, heredoc bodies. First step.

use std::collections::BTreeMap;

/// Where a statement stands in its file; lines and columns from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// First line.
    pub line: u32,
    /// Column of the first character that is not blank.
    pub column: u32,
    /// Last line, heredoc bodies included.
    pub end_line: u32,
}

/// Why a Dockerfile could not be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    /// Line from 1.
    pub line: u32,
    /// What is wrong, and where known what was meant.
    pub message: String,
}

impl SyntaxError {
    /// Makes the error of one line.
    pub fn new(line: u32, message: impl Into<String>) -> Self {
        Self { line, message: message.into() }
    }
}

/// A logical line: continuations joined, comments dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Text without leading blanks.
    pub text: String,
    /// Where it stands, without its heredocs yet.
    pub span: Span,
}

/// Reads statements; between two of them, the heredoc bodies that the first one opened.
#[derive(Debug)]
pub struct Lexer<'a> {
    lines: Vec<&'a str>,
    next: usize,
    /// Joins lines: `\`, or what the `escape` directive says.
    pub escape: char,
    /// Values of `syntax`, `escape` and `check`.
    pub directives: BTreeMap<String, String>,
    directives_done: bool,
    /// Last lines of statements that have an empty line in a continuation.
    pub empty_continuations: Vec<u32>,
}

impl<'a> Lexer<'a> {
    /// Starts at the first line of `text`.
    pub fn new(text: &'a str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = text.split_inclusive('\n').collect();
        Self {
            lines,
            next: 0,
            escape: '\\',
            directives: BTreeMap::new(),
            directives_done: false,
            empty_continuations: Vec::new(),
        }
    }

    /// Returns the number of lines read so far.
    pub fn line(&self) -> u32 {
        u32::try_from(self.next).unwrap_or(u32::MAX)
    }

    fn advance(&mut self) -> Option<&'a str> {
        let line = self.lines.get(self.next)?;
        self.next += 1;
        Some(line)
    }

    /// Returns the next statement, or `None` at the end of the file.
    pub fn statement(&mut self) -> Result<Option<Statement>, SyntaxError> {
        while let Some(raw) = self.advance() {
            let line = self.line();
            let trimmed = trim_newline(raw).trim_start_matches(is_blank);
            let column = u32::try_from(raw.chars().take_while(|c| is_blank(*c)).count()).unwrap_or(u32::MAX) + 1;
            self.directive(trimmed, line)?;
            if trimmed.starts_with('#') {
                continue;
            }
            let (first, mut ended) = self.continuation(trimmed);
            if ended && first.is_empty() {
                continue;
            }
            let mut text = first.to_owned();
            let mut empty = false;
            while !ended {
                let Some(raw) = self.advance() else { break };
                let body = trim_newline(raw);
                let bare = body.trim_start_matches(is_blank);
                if bare.starts_with('#') || bare.is_empty() {
                    empty |= bare.is_empty();
                    continue;
                }
                let (part, end) = self.continuation(body);
                text.push_str(part);
                ended = end;
            }
            if empty {
                let line = self.line();
                self.empty_continuations.push(line);
            }
            return Ok(Some(Statement { text, span: Span { line, column, end_line: self.line() } }));
        }
        Ok(None)
    }

    /// Reads a heredoc body up to its terminator; `None` when the file ends first.
    pub fn heredoc(&mut self, name: &str, chomp: bool) -> Option<String> {
        let mut content = String::new();
        while let Some(raw) = self.advance() {
            let bare = trim_newline(raw);
            let candidate = if chomp { bare.trim_start_matches('\t') } else { bare };
            if candidate == name {
                return Some(content);
            }
            content.push_str(raw);
        }
        None
    }

    /// Cuts a continuation mark off; says whether the statement ends here. A mark that is itself escaped is none.
    fn continuation<'l>(&self, line: &'l str) -> (&'l str, bool) {
        let bare = line.trim_end_matches([' ', '\t']);
        match bare.strip_suffix(self.escape) {
            Some(rest) if !rest.ends_with(self.escape) => (rest, false),
            _ => (line, true),
        }
    }

    /// Directives stand at the very top: the first line that has another form ends them.
    fn directive(&mut self, line: &str, number: u32) -> Result<(), SyntaxError> {
        if self.directives_done {
            return Ok(());
        }
        let Some((key, value)) = split_directive(line) else {
            self.directives_done = true;
            return Ok(());
        };
        if !["syntax", "escape", "check"].contains(&key.as_str()) {
            return Ok(());
        }
        if self.directives.contains_key(&key) {
            return Err(SyntaxError::new(number, format!("only one {key} parser directive can be used")));
        }
        if key == "escape" {
            self.escape = match value {
                "\\" => '\\',
                "`" => '`',
                _ => {
                    return Err(SyntaxError::new(
                        number,
                        format!("invalid escape token '{value}' does not match ` or \\"),
                    ));
                }
            };
        }
        self.directives.insert(key, value.to_owned());
        Ok(())
    }
}

fn split_directive(line: &str) -> Option<(String, &str)> {
    let rest = line.strip_prefix('#')?.trim_start_matches(is_blank);
    let (key, value) = rest.split_once('=')?;
    let key = key.trim_end_matches(is_blank);
    let value = value.trim_matches(is_blank);
    let named = key.starts_with(|c: char| c.is_ascii_alphabetic()) && key.chars().all(|c| c.is_ascii_alphanumeric());
    (named && !value.is_empty()).then(|| (key.to_ascii_lowercase(), value))
}

fn trim_newline(line: &str) -> &str {
    line.trim_end_matches(['\r', '\n'])
}

/// Blank in the sense of Go's `unicode.IsSpace`, which the reference parser uses.
pub(super) fn is_blank(c: char) -> bool {
    c.is_whitespace()
}

#[cfg(test)]
mod tests {
    use super::Lexer;

    fn statements(text: &str) -> Vec<String> {
        let mut lexer = Lexer::new(text);
        std::iter::from_fn(|| lexer.statement().unwrap()).map(|s| s.text).collect()
    }

    #[test]
    fn a_comment_inside_a_continued_line_is_dropped() {
        assert_eq!(statements("RUN a \\\n# b\n\n  c\n"), ["RUN a   c"]);
    }

    #[test]
    fn an_escaped_mark_does_not_continue() {
        assert_eq!(statements("RUN a \\\\\nRUN b"), ["RUN a \\\\", "RUN b"]);
    }

    #[test]
    fn the_escape_directive_changes_the_mark() {
        assert_eq!(statements("# escape=`\nRUN a `\nb\\\n"), ["RUN a b\\"]);
    }

    #[test]
    fn a_directive_counts_only_before_anything_else() {
        assert_eq!(statements("# hello\n# escape=`\nRUN a `\nRUN b"), ["RUN a `", "RUN b"]);
    }
}
