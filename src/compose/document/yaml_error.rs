//! What a YAML error means for the person who wrote the file.

use serde_yaml::granit_parser::{ErrorKind, ScanError};

use crate::diagnostic::Diagnostic;
use crate::source::{FileId, Span};

/// Returns the diagnostic for a file that is not YAML.
pub fn describe(error: &ScanError, text: &str, file: FileId) -> Diagnostic {
    let offset = text.floor_char_boundary(error.marker().byte_offset().unwrap_or(text.len()));
    let line_start = text[..offset].rfind('\n').map_or(0, |position| position + 1);
    let line_end = text[line_start..].find('\n').map_or(text.len(), |length| line_start + length);
    let line = &text[line_start..line_end];
    let indent = line.len() - line.trim_start().len();
    let at = |start: usize, end: usize| Span {
        file,
        start: u32::try_from(start).unwrap_or(u32::MAX),
        end: u32::try_from(end.max(start)).unwrap_or(u32::MAX),
    };
    if let Some(tab) = line.find('\t').filter(|tab| *tab < indent) {
        return Diagnostic::error(101, "a tab indents this line, and YAML allows only spaces")
            .at(at(line_start + tab, line_start + tab + 1))
            .label("a tab")
            .help("indent with two spaces");
    }
    let here = at(offset, text.ceil_char_boundary(offset + 1).min(line_end.max(offset)));
    match error.kind() {
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => colon(line, line_start, &at, here),
        ErrorKind::ExpectedBlockMappingKey | ErrorKind::InvalidIndentation | ErrorKind::SimpleKeyExpected => {
            indentation(text, line_start, line, indent, &at)
        }
        ErrorKind::UnclosedQuotedScalar => Diagnostic::error(104, "a quote is opened and never closed")
            .at(here)
            .label("by the end of this, the quote is still open")
            .help("close it with the same quote that opened it"),
        ErrorKind::UnclosedFlowCollection { open } => {
            Diagnostic::error(105, format!("a `{open}` is opened and never closed")).at(here).label("opened here")
        }
        ErrorKind::UnknownAnchor => Diagnostic::error(106, "there is no anchor of this name above")
            .at(here)
            .label("used here")
            .help("an anchor is set with `&name` before `*name` uses it, in the same document"),
        ErrorKind::UnexpectedCharacter { character } if character.is_control() => {
            let number = u32::from(*character);
            Diagnostic::error(109, format!("the character U+{number:04X} cannot stand in YAML"))
                .at(here)
                .label("invisible, and not text")
                .help(format!("remove it; in double quotes it is written \"\\x{number:02X}\""))
        }
        ErrorKind::UnexpectedCharacter { character } if matches!(character, '@' | '`' | '%') => {
            let value = line[offset - line_start..].split(" #").next().unwrap_or_default().trim_end();
            Diagnostic::error(100, format!("a value cannot begin with `{character}`"))
                .at(here)
                .label("means nothing to YAML")
                .help(format!("put the value in quotes: '{}'", value.replace('\'', "''")))
        }
        ErrorKind::RecursionLimitExceeded => Diagnostic::error(108, "the file is nested too deeply").at(here),
        _ => Diagnostic::error(100, format!("not YAML: {}", error.info())).at(here).label("here"),
    }
}

fn colon(line: &str, line_start: usize, at: &dyn Fn(usize, usize) -> Span, here: Span) -> Diagnostic {
    let mut diagnostic = Diagnostic::error(103, "a second `: ` on one line");
    // The value begins behind the line's first `: `; quoting all of it is what was meant nearly always.
    let Some((key, value)) = line.split_once(": ") else { return diagnostic.at(here) };
    let value = value.trim_end();
    let start = line_start + key.len() + 2;
    diagnostic = diagnostic.at(at(start, start + value.len())).label("this value holds a `: `");
    diagnostic.help(format!("put the value in quotes: {}: '{}'", key.trim_start(), value.replace('\'', "''")))
}

fn indentation(
    text: &str,
    line_start: usize,
    line: &str,
    indent: usize,
    at: &dyn Fn(usize, usize) -> Span,
) -> Diagnostic {
    let word = line.trim_start().split([' ', ':']).next().unwrap_or("").len();
    let mut diagnostic = Diagnostic::error(102, "the indentation of this line fits no line above it")
        .at(at(line_start + indent, line_start + indent + word.max(1)))
        .label(format!("indented {indent}"));
    let mut levels: Vec<(usize, usize)> = Vec::new();
    let mut offset = 0;
    for above in text[..line_start].split_inclusive('\n') {
        let content = above.trim();
        let depth = above.len() - above.trim_start().len();
        if !content.is_empty() && !content.starts_with('#') {
            levels.retain(|(level, _)| *level < depth);
            levels.push((depth, offset));
        }
        offset += above.len();
    }
    if let Some((depth, start)) = levels.last() {
        let end = text[*start..].find('\n').map_or(text.len(), |length| start + length);
        diagnostic = diagnostic.related(at(start + depth, end), format!("indented {depth}"));
    }
    let fitting: Vec<String> = levels.iter().map(|(level, _)| level.to_string()).collect();
    diagnostic.help(format!("the lines above are indented {}", fitting.join(", ")))
}
