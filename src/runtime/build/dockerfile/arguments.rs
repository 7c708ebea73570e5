//! The argument grammars of instructions: flags, words, name-value pairs, JSON arrays.

use crate::build::dockerfile::lexer::is_blank;

/// A name with its value, and whether `=` stood between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Name.
    pub key: String,
    /// Value as written: quotes and variables are still in it.
    pub value: String,
    /// The old form `ENV key value`.
    pub legacy: bool,
}

/// What a JSON array turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json {
    /// An array of strings.
    Strings(Vec<String>),
    /// An array of something else, which is a mistake.
    Mixed,
    /// No JSON array at all.
    No,
}

/// Splits the first word from the rest.
pub fn split_first(line: &str) -> (&str, &str) {
    let line = line.trim();
    match line.find(['\t', '\u{b}', '\u{c}', '\r', ' ']) {
        Some(at) => (&line[..at], line[at..].trim_start_matches(['\t', '\u{b}', '\u{c}', '\r', ' '])),
        None => (line, ""),
    }
}

/// Takes the leading `--flag` words off; returns them and the rest.
pub fn split_flags(line: &str) -> (Vec<String>, &str) {
    let mut flags = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_start_matches(is_blank);
        if !rest.starts_with("--") {
            return (flags, rest);
        }
        let (word, quoted, length) = flag_word(rest);
        rest = &rest[length..];
        if word == "--" {
            return (flags, rest);
        }
        if quoted || !word.is_empty() {
            flags.push(word);
        }
    }
}

/// Reads one word with its quotes and escapes taken away: the word, whether it had quotes, its length in `text`.
fn flag_word(text: &str) -> (String, bool, usize) {
    let mut word = String::new();
    let mut quote = None;
    let mut quoted = false;
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match quote {
            None if is_blank(c) => return (word, quoted, at),
            None if c == '\'' || c == '"' => {
                quote = Some(c);
                quoted = true;
            }
            Some(q) if c == q => quote = None,
            _ if c == '\\' => {
                if let Some((_, next)) = characters.next() {
                    word.push(next);
                }
            }
            _ => word.push(c),
        }
    }
    (word, quoted, text.len())
}

/// Splits at blanks outside quotes; quotes and escapes stay in the words.
pub fn words(rest: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut inside = false;
    let mut quote: Option<char> = None;
    let mut characters = rest.chars().peekable();
    while let Some(c) = characters.next() {
        match quote {
            None if is_blank(c) => {
                if inside && !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                inside = false;
                continue;
            }
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(q) if c == q => quote = None,
            _ => {}
        }
        inside = true;
        // Within single quotes the escape mark is an ordinary character.
        if c == escape && quote != Some('\'') {
            let Some(next) = characters.next() else { continue };
            word.push(c);
            word.push(next);
            continue;
        }
        word.push(c);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Reads `key=value ..` or the old `key value`.
pub fn pairs(rest: &str, instruction: &str, escape: char) -> Result<Vec<Pair>, String> {
    let words = words(rest, escape);
    let Some(first) = words.first() else { return Ok(Vec::new()) };
    if !first.contains('=') {
        let (key, value) = split_first(rest);
        if value.is_empty() {
            return Err(format!("{instruction} must have two arguments"));
        }
        return Ok(vec![Pair { key: key.to_owned(), value: value.to_owned(), legacy: true }]);
    }
    words
        .iter()
        .map(|word| match word.split_once('=') {
            Some((key, value)) => Ok(Pair { key: key.to_owned(), value: value.to_owned(), legacy: false }),
            None => Err(format!("can't find = in {word:?}: it must be of the form name=value")),
        })
        .collect()
}

/// Splits at blanks, quotes being ordinary characters.
pub fn blank_separated(rest: &str) -> Vec<String> {
    rest.split(['\t', '\u{b}', '\u{c}', '\r', ' ']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Reads a JSON array, which must be all there is.
pub fn json(rest: &str) -> Json {
    let rest = rest.trim_start();
    if !rest.starts_with('[') {
        return Json::No;
    }
    match serde_json::from_str::<Vec<serde_json::Value>>(rest) {
        Ok(values) => values
            .into_iter()
            .map(|value| match value {
                serde_json::Value::String(text) => Some(text),
                _ => None,
            })
            .collect::<Option<Vec<_>>>()
            .map_or(Json::Mixed, Json::Strings),
        Err(_) => Json::No,
    }
}
