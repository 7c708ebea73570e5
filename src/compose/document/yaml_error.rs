//! What a YAML error means for the person who wrote the file.

use serde_yaml::granit_parser::{ErrorKind, ScanError};

use crate::diagnostic::{Diagnostic, similar};
use crate::document::yaml_error::open::scan;
use crate::document::yaml_error::place::{Place, quoted};
use crate::source::FileId;

mod layout;
mod open;
mod place;
mod quotes;

/// Returns the diagnostic for a file that is not YAML.
pub fn describe(error: &ScanError, text: &str, file: FileId) -> Diagnostic {
    let place = Place::new(text, file, error.marker().byte_offset().unwrap_or(text.len()).min(text.len()));
    if let Some(tab) = place.tab().or_else(|| {
        // The value before it was read on to the next line.
        let next = text[place.line_start..].find('\n').map(|end| place.line_start + end + 1);
        next.filter(|_| *error.kind() == ErrorKind::TabInPlainScalar)
            .and_then(|next| Place::new(text, file, next).tab())
    }) {
        return Diagnostic::error(101, "a tab indents this line, and YAML allows only spaces")
            .at(place.span(tab, tab + 1))
            .label("a tab")
            .help("indent with two spaces");
    }
    let here = place.here();
    match error.kind() {
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => {
            layout::unclosed_bracket(&place).unwrap_or_else(|| layout::colon(&place))
        }
        ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::InvalidIndentation
        | ErrorKind::SimpleKeyExpected
        | ErrorKind::InvalidSimpleKey
        | ErrorKind::InvalidFlowScalarIndent => {
            layout::unclosed_bracket(&place).unwrap_or_else(|| layout::indentation(&place))
        }
        ErrorKind::ExpectedBlockSequenceEntry => layout::key_among_items(&place),
        ErrorKind::BlockSequenceEntryNotAllowed => {
            layout::unclosed_bracket(&place).unwrap_or_else(|| layout::item_behind_key(&place))
        }
        ErrorKind::ExpectedFlowMappingSeparator | ErrorKind::ExpectedFlowSequenceSeparator => {
            layout::unclosed_bracket(&place).unwrap_or_else(|| {
                Diagnostic::error(100, "a `,` is missing between two values in brackets").at(here).label("before this")
            })
        }
        ErrorKind::BlockEntryInFlowCollection | ErrorKind::PlainScalarStartsWithDashFlowIndicator => {
            layout::unclosed_bracket(&place).unwrap_or_else(|| {
                Diagnostic::error(100, "items in brackets have no `-`")
                    .at(here)
                    .label("not in brackets")
                    .help("write `[a, b]`, or each item as `- a` on a line of its own")
            })
        }
        ErrorKind::UnclosedQuotedScalar => quotes::unclosed(&place),
        ErrorKind::UnknownQuotedScalarEscape | ErrorKind::InvalidQuotedScalarHexEscape => quotes::escape(&place),
        ErrorKind::InvalidTrailingSingleQuotedScalar | ErrorKind::InvalidTrailingDoubleQuotedScalar => {
            quotes::trailing(&place)
        }
        ErrorKind::UnclosedFlowCollection { open } => {
            Diagnostic::error(105, format!("a `{open}` is opened and never closed")).at(here).label("opened here")
        }
        ErrorKind::MismatchedFlowCollectionEnd { open, close } => mismatched(&place, *open, *close),
        ErrorKind::UnknownAnchor => anchor(&place),
        ErrorKind::MissingAnchorOrAliasName => {
            let sign = place.rest();
            Diagnostic::error(100, format!("`{}` begins with a sign of YAML's own", sign.trim()))
                .at(here)
                .label("`&` sets an anchor, `*` uses one: a name is missing")
                .help(format!("put the value in quotes: {}", quoted(sign.trim())))
        }
        ErrorKind::UnexpectedCharacter { character } if character.is_control() => {
            let number = u32::from(*character);
            Diagnostic::error(109, format!("the character U+{number:04X} cannot stand in YAML"))
                .at(here)
                .label("invisible, and not text")
                .help(format!("remove it; in double quotes it is written \"\\x{number:02X}\""))
        }
        ErrorKind::UnexpectedCharacter { character } if matches!(character, '@' | '`' | '%') => {
            Diagnostic::error(100, format!("a value cannot begin with `{character}`"))
                .at(here)
                .label("means nothing to YAML")
                .help(format!("put the value in quotes: {}", quoted(place.rest())))
        }
        ErrorKind::InvalidBlockScalarHeader => {
            Diagnostic::error(100, format!("a block of text cannot begin with `{}`", place.rest()))
                .at(here)
                .label("its lines begin below")
                .help("write `|` or `>` alone, or put the value in quotes")
        }
        ErrorKind::RecursionLimitExceeded => {
            Diagnostic::error(108, "the file is nested too deeply").at(here).label("deeper than 256")
        }
        _ => Diagnostic::error(100, format!("not YAML: {}", error.info())).at(here).label("here"),
    }
}

fn mismatched(place: &Place<'_>, open: char, close: char) -> Diagnostic {
    let diagnostic = Diagnostic::error(105, format!("a `{open}` is closed by `{close}`"));
    let end = place.text[place.offset..].find(close).map_or(place.offset, |length| place.offset + length);
    let brackets = scan(&place.text[..end]).brackets;
    let wanted = if open == '[' { ']' } else { '}' };
    let diagnostic = diagnostic.at(place.span(end, end + 1)).label(format!("`{wanted}` is needed first"));
    match brackets.last() {
        Some((start, _)) => diagnostic.related(place.span(*start, *start + 1), "opened here"),
        None => diagnostic,
    }
}

fn anchor(place: &Place<'_>) -> Diagnostic {
    let value = place.rest();
    let name = value.get(1..).unwrap_or_default().split([' ', ',', ']', '}', '\t']).next().unwrap_or_default();
    let diagnostic = Diagnostic::error(106, format!("there is no anchor `{name}` above"))
        .at(place.span(place.offset, place.offset + 1 + name.len()))
        .label("used here");
    let is_word = |character: char| character.is_alphanumeric() || matches!(character, '_' | '-');
    let words = place.text[..place.offset].match_indices('&').map(|(at, _)| &place.text[at + 1..]);
    let anchors = words.map(|word| &word[..word.find(|c| !is_word(c)).unwrap_or(word.len())]);
    let known: Vec<&str> = anchors.filter(|anchor| !anchor.is_empty()).collect();
    if let Some(near) = similar::closest(name, known) {
        return diagnostic.help(format!("did you mean `*{near}`?"));
    }
    if !name.chars().all(is_word) {
        let is_in_brackets = !scan(&place.text[..place.offset]).brackets.is_empty();
        let text = if is_in_brackets { value.get(..=name.len()).unwrap_or(value) } else { value };
        return diagnostic.help(format!("text that begins with `*` needs quotes: {}", quoted(text)));
    }
    diagnostic.help("an anchor is set with `&name` before `*name` uses it, in the same document")
}
