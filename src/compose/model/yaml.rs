//! Writes YAML as Go's encoder does, so that `config` prints the same text as Docker Compose.

use std::cmp::Ordering;

use serde_json::Value as Json;

use crate::document::node::Value;
use crate::document::scalar;

/// Returns `value` as a YAML document.
pub fn document(value: &Json) -> String {
    document_by(2, value)
}

/// Returns `value` as a YAML document whose levels stand `step` columns apart.
pub fn document_by(step: usize, value: &Json) -> String {
    let mut text = String::new();
    match value {
        Json::Object(map) if !map.is_empty() => block(value, Place { indent: 0, step }, false, &mut text),
        _ => {
            text.push_str(&inline(value, 0));
            text.push('\n');
        }
    }
    text
}

/// Compares keys as go-yaml sorts them: numbers by their value, letters behind everything else.
pub fn natural(left: &str, right: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let Some(at) = a.iter().zip(&b).position(|(a, b)| a != b) else { return a.len().cmp(&b.len()) };
    let (x, y) = (a[at], b[at]);
    let behind_digit = at > 0 && a[at - 1].is_numeric();
    match (x.is_alphabetic(), y.is_alphabetic()) {
        (true, true) => return x.cmp(&y),
        (true, false) => return if behind_digit { Ordering::Less } else { Ordering::Greater },
        (false, true) => return if behind_digit { Ordering::Greater } else { Ordering::Less },
        (false, false) => {}
    }
    // A zero counts only behind another digit than zero.
    let before = a[..at].iter().rev().take_while(|character| character.is_ascii_digit());
    let seed = u128::from((x == '0' || y == '0') && before.clone().any(|digit| *digit != '0'));
    let number = |text: &[char]| {
        let digits = text[at..].iter().map_while(|character| character.to_digit(10));
        digits.take(30).fold((seed, 0_usize), |(value, length), digit| (value * 10 + u128::from(digit), length + 1))
    };
    number(&a).cmp(&number(&b)).then(x.cmp(&y))
}

/// Where a block stands, and how much further its children do.
#[derive(Debug, Clone, Copy)]
struct Place {
    indent: usize,
    step: usize,
}

impl Place {
    fn below(self) -> Self {
        Self { indent: self.indent + self.step, ..self }
    }
}

/// Writes a collection, an item a line. The first line goes on behind a dash if `open`.
fn block(value: &Json, place: Place, open: bool, text: &mut String) {
    let indent = place.indent;
    let pad = " ".repeat(indent);
    let mut open = open;
    let mut start = |text: &mut String| {
        if !std::mem::take(&mut open) {
            text.push_str(&pad);
        }
    };
    match value {
        Json::Object(map) => {
            for (key, value) in map {
                start(text);
                text.push_str(&scalar_text(key, indent, true));
                text.push(':');
                if is_block(value) {
                    text.push('\n');
                    block(value, place.below(), false, text);
                } else {
                    text.push(' ');
                    text.push_str(&inline(value, place.below().indent));
                    text.push('\n');
                }
            }
        }
        Json::Array(items) => {
            for item in items {
                start(text);
                text.push_str("- ");
                if is_block(item) {
                    block(item, Place { indent: indent + 2, ..place }, true, text);
                } else {
                    text.push_str(&inline(item, indent + 2));
                    text.push('\n');
                }
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

fn is_block(value: &Json) -> bool {
    match value {
        Json::Object(map) => !map.is_empty(),
        Json::Array(items) => !items.is_empty(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => false,
    }
}

fn inline(value: &Json, indent: usize) -> String {
    match value {
        Json::Null => "null".into(),
        Json::Bool(value) => value.to_string(),
        Json::Number(number) => number.to_string(),
        Json::String(text) => scalar_text(text, indent, false),
        Json::Array(_) => "[]".into(),
        Json::Object(_) => "{}".into(),
    }
}

fn scalar_text(text: &str, indent: usize, key: bool) -> String {
    if text.contains('\n') {
        return if key || !can_be_literal(text) { double(text) } else { literal(text, indent) };
    }
    if is_ambiguous(text) || text.chars().any(is_special) {
        return double(text);
    }
    if can_be_plain(text) { text.to_owned() } else { format!("'{}'", text.replace('\'', "''")) }
}

/// Says whether a reader would take the plain text for something else than a string.
fn is_ambiguous(text: &str) -> bool {
    const OLD_BOOLEANS: [&str; 22] = [
        "y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "n", "N", "no", "No", "NO", "off", "Off", "OFF", "true",
        "false", "True", "False", "TRUE", "FALSE",
    ];
    !matches!(scalar::resolve(text), Value::String(_))
        || OLD_BOOLEANS.contains(&text)
        || is_base_60(text)
        || text == "<<"
}

/// Says whether YAML 1.1 reads `text` as a number of base 60, `22:22`.
fn is_base_60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let whole = unsigned.split('.').next().unwrap_or(unsigned);
    let mut parts = whole.split(':');
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let first = parts.next().is_some_and(|part| digits(part) && part.as_bytes()[0].is_ascii_digit());
    let mut more = false;
    first
        && parts.all(|part| {
            more = true;
            part.len() <= 2 && digits(part) && (part.len() < 2 || part.as_bytes()[0] <= b'5')
        })
        && more
}

fn is_special(character: char) -> bool {
    (character.is_control() && character != '\n')
        || character == '\u{feff}'
        || matches!(character, '\u{2028}' | '\u{2029}')
}

fn can_be_plain(text: &str) -> bool {
    let characters: Vec<char> = text.chars().collect();
    let (Some(first), Some(last)) = (characters.first(), characters.last()) else { return false };
    if *first == ' ' || *last == ' ' || text.starts_with("---") || text.starts_with("...") {
        return false;
    }
    let blank = |position: usize| characters.get(position).is_none_or(|next| *next == ' ');
    characters.iter().enumerate().all(|(position, character)| match character {
        '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`'
            if position == 0 =>
        {
            false
        }
        '-' | '?' if position == 0 => !blank(1),
        ':' => !blank(position + 1),
        '#' => characters[position - 1] != ' ',
        _ => true,
    })
}

fn can_be_literal(text: &str) -> bool {
    !text.chars().any(|character| is_special(character) && character != '\t')
        && !text.contains(" \n")
        && !text.ends_with(' ')
}

fn literal(text: &str, indent: usize) -> String {
    let body = text.trim_end_matches('\n');
    let newlines = text.len() - body.len();
    let chomping = match newlines {
        0 => "-",
        1 if !body.is_empty() => "",
        _ => "+",
    };
    let hint = if text.starts_with([' ', '\n']) { "2" } else { "" };
    let pad = " ".repeat(indent);
    let mut lines: Vec<String> =
        body.split('\n').map(|line| if line.is_empty() { String::new() } else { format!("{pad}{line}") }).collect();
    lines.extend((1..newlines).map(|_| String::new()));
    format!("|{hint}{chomping}\n{}", lines.join("\n"))
}

fn double(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{c}' => quoted.push_str("\\f"),
            '\u{1b}' => quoted.push_str("\\e"),
            '\0' => quoted.push_str("\\0"),
            '\u{feff}' => quoted.push_str("\\uFEFF"),
            '\u{2028}' => quoted.push_str("\\L"),
            '\u{2029}' => quoted.push_str("\\P"),
            '\u{85}' => quoted.push_str("\\N"),
            character if character.is_control() => quoted.push_str(&format!("\\x{:02X}", u32::from(character))),
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_sort_naturally() {
        let mut keys = ["ETCDCTL", "ETCD_X", "a10", "a2", "a"];
        keys.sort_by(|a, b| natural(a, b));
        assert_eq!(keys, ["ETCD_X", "ETCDCTL", "a", "a2", "a10"]);
    }

    #[test]
    fn text_is_quoted_only_where_a_reader_would_err() {
        let value =
            json!({"a": ["x", "100", "yes", "a: b", "uxr/bb:", "", "22:22", "- x", "a#b"], "b": {}, "c": "l1\nl2\n"});
        let expected = "a:\n  - x\n  - \"100\"\n  - \"yes\"\n  - 'a: b'\n  - 'uxr/bb:'\n  - \"\"\n  - \"22:22\"\n  - '- x'\n  - a#b\nb: {}\nc: |\n  l1\n  l2\n";
        assert_eq!(document(&value), expected);
        let back: Json = serde_yaml::from_str(expected).unwrap();
        assert_eq!(back, value);
    }
}
