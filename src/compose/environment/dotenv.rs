//! The syntax of `.env` files.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::interpolate::template::{self, TemplateError};

/// What is wrong with a file, and the byte where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DotenvError {
    /// Byte offset in the file.
    pub offset: usize,
    /// Length of what is wrong, in bytes.
    pub length: usize,
    /// What is wrong.
    pub message: String,
}

/// Parses `text` into `variables`. References in values see `lookup` first, then what was set above.
pub fn parse(
    text: &str,
    variables: &mut BTreeMap<String, String>,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<(), DotenvError> {
    parse_noting(text, variables, lookup, &mut |_, _| {})
}

/// As [`parse`], and tells of each name that is given a value which bytes of `text` do it.
pub fn parse_noting(
    text: &str,
    variables: &mut BTreeMap<String, String>,
    lookup: &dyn Fn(&str) -> Option<String>,
    note: &mut dyn FnMut(&str, Range<usize>),
) -> Result<(), DotenvError> {
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parser = Parser { text, rest: body };
    while parser.skip_to_statement() {
        parser.statement(variables, lookup, note)?;
    }
    Ok(())
}

/// Parses the `raw` format: a line a variable, nothing quoted, nothing replaced.
pub fn parse_raw(
    text: &str,
    variables: &mut BTreeMap<String, String>,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<(), DotenvError> {
    parse_raw_noting(text, variables, lookup, &mut |_, _| {})
}

/// As [`parse_raw`], and tells of each name that is given a value which bytes of `text` do it.
pub fn parse_raw_noting(
    text: &str,
    variables: &mut BTreeMap<String, String>,
    lookup: &dyn Fn(&str) -> Option<String>,
    note: &mut dyn FnMut(&str, Range<usize>),
) -> Result<(), DotenvError> {
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let start = offset;
        offset += line.len();
        let whole = line.trim_end_matches(['\n', '\r']);
        let line = whole.trim_start();
        let line = line.strip_prefix('\u{feff}').unwrap_or(line);
        let start = start + (whole.len() - line.len());
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (line, None),
        };
        let error = |message: String| DotenvError { offset: start, length: name.len(), message };
        if name.is_empty() {
            return Err(error("a line without a variable's name".into()));
        }
        if name.contains(char::is_whitespace) {
            return Err(error(format!("the name `{name}` contains a space")));
        }
        match value {
            Some(value) => {
                note(name, start..start + line.len());
                variables.insert(name.to_owned(), value.to_owned());
            }
            None => {
                if let Some(value) = lookup(name) {
                    variables.insert(name.to_owned(), value);
                }
            }
        }
    }
    Ok(())
}

struct Parser<'t> {
    text: &'t str,
    rest: &'t str,
}

impl<'t> Parser<'t> {
    fn error(&self, at: &str, length: usize, message: impl Into<String>) -> DotenvError {
        DotenvError { offset: self.text.len() - at.len(), length, message: message.into() }
    }

    fn skip_to_statement(&mut self) -> bool {
        loop {
            self.rest = self.rest.trim_start();
            if !self.rest.starts_with('#') {
                return !self.rest.is_empty();
            }
            self.rest = self.rest.find('\n').map_or("", |end| &self.rest[end..]);
        }
    }

    fn statement(
        &mut self,
        variables: &mut BTreeMap<String, String>,
        lookup: &dyn Fn(&str) -> Option<String>,
        note: &mut dyn FnMut(&str, Range<usize>),
    ) -> Result<(), DotenvError> {
        self.skip_export();
        let start = self.rest;
        let (name, assigned) = self.name()?;
        if name.contains(' ') {
            return Err(self.error(start, name.len(), format!("the name `{name}` contains a space")));
        }
        if !assigned {
            if let Some(value) = lookup(name) {
                variables.insert(name.to_owned(), value);
            }
            return Ok(());
        }
        let value = self.value(variables, lookup)?;
        let written = start[..start.len() - self.rest.len()].trim_end();
        let offset = self.text.len() - start.len();
        note(name, offset..offset + written.len());
        variables.insert(name.to_owned(), value);
        Ok(())
    }

    fn skip_export(&mut self) {
        if let Some(rest) = self.rest.strip_prefix("export")
            && rest.starts_with(char::is_whitespace)
        {
            self.rest = rest.trim_start_matches(is_space);
        }
    }

    /// Reads a name, and says whether a value follows.
    fn name(&mut self) -> Result<(&'t str, bool), DotenvError> {
        let source = self.rest;
        for (position, character) in source.char_indices() {
            match character {
                '=' | ':' | '\n' => {
                    let name = source[..position].trim_end();
                    self.rest = source[position + 1..].trim_start_matches(is_space);
                    return Ok((name, character != '\n'));
                }
                '_' | '.' | '-' | '[' | ']' => {}
                _ if is_space(character) || character.is_alphanumeric() => {}
                _ => {
                    let line = source.lines().next().unwrap_or("");
                    let message = format!("the character `{character}` cannot stand in a variable's name");
                    return Err(self.error(&source[position..], character.len_utf8().min(line.len()), message));
                }
            }
        }
        // A name that the file ends behind is not set and not looked up: Compose reads an empty name and an empty value.
        self.rest = "";
        Ok((source.trim_end(), false))
    }

    fn value(
        &mut self,
        variables: &BTreeMap<String, String>,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<String, DotenvError> {
        let source = self.rest;
        let Some(quote) = source.bytes().next().filter(|byte| matches!(byte, b'"' | b'\'')) else {
            let (line, rest) = source.split_once('\n').unwrap_or((source, ""));
            self.rest = rest;
            let value = line.split_once(" #").map_or(line, |(value, _)| value).trim_end();
            return self.expand(source, value, variables, lookup);
        };
        let mut value: Vec<u8> = Vec::new();
        let mut escaped = false;
        for (position, byte) in source.bytes().enumerate().skip(1) {
            if byte == quote && !escaped {
                self.rest = &source[position + 1..];
                let value = String::from_utf8_lossy(&value).into_owned();
                return if quote == b'"' {
                    self.expand(source, &unescape(&value), variables, lookup)
                } else {
                    Ok(value)
                };
            }
            if byte == b'\\' && !escaped {
                escaped = true;
                continue;
            }
            if escaped && byte != quote {
                value.push(b'\\');
            }
            escaped = false;
            value.push(byte);
        }
        let line = source.lines().next().unwrap_or("");
        Err(self.error(source, line.len(), "a quote is opened here and never closed"))
    }

    fn expand(
        &self,
        at: &str,
        value: &str,
        variables: &BTreeMap<String, String>,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<String, DotenvError> {
        let find = |name: &str| lookup(name).or_else(|| variables.get(name).cloned());
        template::substitute(value, &find, &mut Vec::new()).map_err(|error| {
            let length = at.lines().next().unwrap_or("").len();
            match error {
                TemplateError::Invalid { reference } => {
                    self.error(at, length, format!("`{reference}` is no reference to a variable"))
                }
                TemplateError::TooDeep => self.error(at, length, "references stand in each other too deeply"),
                TemplateError::Required { variable, reason } => {
                    let message = format!("the variable `{variable}` is required and not set: {reason}");
                    self.error(at, length, message.trim_end_matches(": "))
                }
            }
        })
    }
}

/// White space that does not end a line.
fn is_space(character: char) -> bool {
    matches!(character, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{85}' | '\u{a0}')
}

/// Replaces the escapes of a double-quoted value; a `\$` becomes `$$`, which stands for a dollar sign later.
fn unescape(value: &str) -> String {
    let mut result = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(position) = rest.find('\\') {
        result.push_str(&rest[..position]);
        let after = &rest[position + 1..];
        let (text, length) = match after.as_bytes().first() {
            Some(b'a') => ("\u{7}".to_owned(), 1),
            Some(b'b') => ("\u{8}".to_owned(), 1),
            Some(b'f') => ("\u{c}".to_owned(), 1),
            Some(b'n') => ("\n".to_owned(), 1),
            Some(b'r') => ("\r".to_owned(), 1),
            Some(b't') => ("\t".to_owned(), 1),
            Some(b'v') => ("\u{b}".to_owned(), 1),
            Some(b'"') => ("\"".to_owned(), 1),
            Some(b'\\') => ("\\".to_owned(), 1),
            Some(b'$') => ("$$".to_owned(), 1),
            Some(b'0') => octal(after),
            _ => ("\\".to_owned(), 0),
        };
        result.push_str(&text);
        rest = &after[length..];
    }
    result.push_str(rest);
    result
}

/// Reads `0` and three octal digits; anything shorter stays as it is.
fn octal(after: &str) -> (String, usize) {
    let digits: String = after[1..].chars().take(3).take_while(char::is_ascii_digit).collect();
    match u32::from_str_radix(&digits, 8).ok().filter(|value| digits.len() == 3 && *value < 256) {
        Some(value) => (char::from_u32(value).map(String::from).unwrap_or_default(), 4),
        None => (format!("\\0{digits}"), 1 + digits.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &str)]) {
        let mut variables = BTreeMap::new();
        let lookup = |name: &str| (name == "SHELL_SET").then(|| "shell".to_owned());
        parse(text, &mut variables, &lookup).unwrap();
        let expected: BTreeMap<_, _> = expected.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        assert_eq!(variables, expected, "{text}");
    }

    #[test]
    fn every_form_of_a_line_is_read() {
        check(
            "A=1\nB: 2\nexport C=3\n# no\nSHELL_SET\nUNSET\n",
            &[("A", "1"), ("B", "2"), ("C", "3"), ("SHELL_SET", "shell")],
        );
        check("A=a # comment\nB=a#b\nC= spaced  \n", &[("A", "a"), ("B", "a#b"), ("C", "spaced")]);
        check(
            "A='$X \\n'\nB=\"x\\ny\"\nC=$A\nD=\"\\$A $$A\"\r\n",
            &[("A", "$X \\n"), ("B", "x\ny"), ("C", "$X \\n"), ("D", "$A $A")],
        );
        check("A=\"two\nlines\"\nB=${NONE:-d}", &[("A", "two\nlines"), ("B", "d")]);
    }

    #[test]
    fn an_open_quote_is_found_where_it_opens() {
        let error = parse("A=1\nB=\"open\n", &mut BTreeMap::new(), &|_| None).unwrap_err();
        assert_eq!((error.offset, error.length), (6, 5));
    }

    #[test]
    fn what_is_wrong_is_found_behind_export_indentation_and_a_byte_order_mark() {
        for text in ["A=1\nexport  B C=2\n", "  B C=2", "\u{feff}B C=2\n"] {
            for parse in [parse, parse_raw] {
                if let Err(error) = parse(text, &mut BTreeMap::new(), &|_| None) {
                    let part = &text[error.offset..error.offset + error.length];
                    assert!(part == "B C" || part == "export  B C", "{text:?}: {part:?}");
                }
            }
        }
        assert!(parse("export  B C=2", &mut BTreeMap::new(), &|_| None).is_err());
        assert!(parse_raw("  B C=2", &mut BTreeMap::new(), &|_| None).is_err());
    }

    #[test]
    fn it_is_told_where_each_variable_is_set() {
        let text = "\u{feff}# x\nexport A = 1 # one\nB='two\nlines'\nC\n";
        let mut places = Vec::new();
        let mut note = |name: &str, range: Range<usize>| places.push((name.to_owned(), text[range].to_owned()));
        parse_noting(text, &mut BTreeMap::new(), &|_| None, &mut note).unwrap();
        let expected = [("A", "A = 1 # one"), ("B", "B='two\nlines'")];
        assert_eq!(places, expected.map(|(name, written)| (name.to_owned(), written.to_owned())));
    }

    #[test]
    fn raw_values_keep_their_quotes() {
        let mut variables = BTreeMap::new();
        let text = "A='x' # y\n#n\n B=$A\n";
        let mut places = Vec::new();
        let mut note = |name: &str, range: Range<usize>| places.push(format!("{name}: {}", &text[range]));
        parse_raw_noting(text, &mut variables, &|_| None, &mut note).unwrap();
        assert_eq!(places, ["A: A='x' # y", "B: B=$A"]);
        assert_eq!(variables["A"], "'x' # y");
        assert_eq!(variables["B"], "$A");
    }
}
