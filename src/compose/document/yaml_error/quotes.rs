//! Mistakes in quoted values: escapes that are none, text behind the closing quote, a quote that stays open.

use crate::diagnostic::Diagnostic;
use crate::document::yaml_error::open::scan;
use crate::document::yaml_error::place::{Place, quoted};

/// A `\` in double quotes begins nothing that YAML knows (section 5.7 of YAML 1.2.2).
pub fn escape(place: &Place<'_>) -> Diagnostic {
    let value = &place.text[place.offset..];
    let (start, length) = bad_escape(value).unwrap_or((0, 1));
    let sign = value.get(start..start + length).unwrap_or_default();
    let inside = value.get(1..).and_then(|rest| rest.split(['"', '\n']).next()).unwrap_or_default();
    let diagnostic = Diagnostic::error(126, format!("`{sign}` is no escape in double quotes"))
        .at(place.span(place.offset + start, place.offset + start + length))
        .label("a `\\` begins an escape here");
    let diagnostic = match inside.is_empty() {
        true => diagnostic,
        false => diagnostic.help(format!("in single quotes a backslash is a backslash: {}", quoted(inside))),
    };
    diagnostic.help("in double quotes it is written twice: \\\\")
}

fn bad_escape(value: &str) -> Option<(usize, usize)> {
    let mut characters = value.char_indices().skip(1);
    while let Some((start, character)) = characters.next() {
        if character == '"' {
            return None;
        }
        if character != '\\' {
            continue;
        }
        let (_, kind) = characters.next()?;
        let digits = match kind {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            '0' | 'a' | 'b' | 't' | '\t' | 'n' | 'v' | 'f' | 'r' | 'e' | ' ' | '"' | '/' | '\\' | 'N' | '_' | 'L'
            | 'P' | '\n' | '\r' => 0,
            _ => return Some((start, 1 + kind.len_utf8())),
        };
        let are_digits = |text: &str| text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !value.get(start + 2..start + 2 + digits).is_some_and(are_digits) {
            return Some((start, 2));
        }
    }
    None
}

/// Text stands behind the quote that closes a value.
pub fn trailing(place: &Place<'_>) -> Diagnostic {
    let quote = scan(&place.text[..place.offset]).quote;
    let rest = place.rest();
    let diagnostic = Diagnostic::error(127, "something stands behind a value that a quote has closed")
        .at(place.span(place.offset, place.offset + rest.len().max(1)))
        .label("behind the closing quote");
    let Some(start) = quote else { return diagnostic };
    if start < place.line_start {
        return diagnostic
            .related(place.span(start, start + 1), "this quote was opened, and closed only there")
            .help("close it where its value ends");
    }
    let whole = &place.text[start..place.offset + rest.len()];
    let plain = whole.trim_matches('\'');
    let is_apostrophe = whole.starts_with('\'') && whole.ends_with('\'') && plain.contains('\'');
    let diagnostic = diagnostic.related(place.span(start, start + 1), "opened here");
    match is_apostrophe && !plain.contains(['"', '\\']) {
        true => diagnostic.help(format!("a value with a single quote in it goes in double quotes: \"{plain}\"")),
        false => diagnostic.help(format!("put all of it in quotes: {}", quoted(whole))),
    }
}

/// A quote opens and the file ends before it closes.
pub fn unclosed(place: &Place<'_>) -> Diagnostic {
    let diagnostic = Diagnostic::error(104, "a quote is opened and never closed");
    let diagnostic = match scan(place.text).unclosed_quote {
        Some(start) => diagnostic.at(place.span(start, start + 1)).label("opened here"),
        None => diagnostic.at(place.here()).label("by the end of this, the quote is still open"),
    };
    diagnostic.help("close it with the same quote that opened it")
}
