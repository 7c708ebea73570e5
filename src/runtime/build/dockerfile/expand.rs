//! Expands variables and quotes in the words of an instruction, as BuildKit's shell lexer does.

use crate::build::dockerfile::pattern;

/// Returns a variable's value, or `None` when it is unset.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Why a word can't be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to process {word:?}: {message}")]
pub struct ExpandError {
    /// The word as written.
    pub word: String,
    /// What is wrong with it.
    pub message: String,
}

/// How a word is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    /// Takes the next character as it is.
    pub escape: char,
    /// Quotes stay in the result.
    pub raw_quotes: bool,
    /// Escape marks stay in the result.
    pub raw_escapes: bool,
    /// A reference to an unset variable stays as written.
    pub skip_unset: bool,
    /// Quotes are ordinary characters (heredoc bodies).
    pub ignore_quotes: bool,
}

impl Mode {
    /// The mode of instruction arguments.
    pub fn new(escape: char) -> Self {
        Self { escape, raw_quotes: false, raw_escapes: false, skip_unset: false, ignore_quotes: false }
    }
}

/// Expands `word` to one string.
pub fn word(text: &str, mode: Mode, lookup: Lookup<'_>) -> Result<String, ExpandError> {
    run(text, mode, lookup).map(|(result, _)| result)
}

/// Expands `text` and splits it at the blanks that stand outside quotes.
pub fn words(text: &str, mode: Mode, lookup: Lookup<'_>) -> Result<Vec<String>, ExpandError> {
    run(text, mode, lookup).map(|(_, words)| words)
}

fn run(text: &str, mode: Mode, lookup: Lookup<'_>) -> Result<(String, Vec<String>), ExpandError> {
    let mut scanner = Scanner { text: text.chars().collect(), at: 0, mode, lookup };
    scanner.until(None, mode.raw_escapes).map_err(|message| ExpandError { word: text.to_owned(), message })
}

/// Words gathered so far.
#[derive(Default)]
struct Words {
    word: String,
    inside: bool,
    done: Vec<String>,
}

impl Words {
    fn character(&mut self, c: char) {
        if !c.is_whitespace() {
            self.raw_character(c);
        } else if self.inside && !self.word.is_empty() {
            self.done.push(std::mem::take(&mut self.word));
            self.inside = false;
        }
    }

    fn raw_character(&mut self, c: char) {
        self.word.push(c);
        self.inside = true;
    }

    fn raw(&mut self, text: &str) {
        self.word.push_str(text);
        self.inside = true;
    }

    fn finish(mut self) -> Vec<String> {
        if !self.word.is_empty() {
            self.done.push(self.word);
        }
        self.done
    }
}

struct Scanner<'a> {
    text: Vec<char>,
    at: usize,
    mode: Mode,
    lookup: Lookup<'a>,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    fn until(&mut self, stop: Option<char>, raw_escapes: bool) -> Result<(String, Vec<String>), String> {
        let outer = std::mem::replace(&mut self.mode.raw_escapes, raw_escapes);
        let result = self.until_inner(stop);
        self.mode.raw_escapes = outer;
        result
    }

    fn until_inner(&mut self, stop: Option<char>) -> Result<(String, Vec<String>), String> {
        let mut result = String::new();
        let mut words = Words::default();
        while let Some(c) = self.peek() {
            if stop == Some(c) {
                self.at += 1;
                return Ok((result, words.finish()));
            }
            if c == '$' {
                let value = self.dollar()?;
                result.push_str(&value);
                value.chars().for_each(|c| words.character(c));
            } else if (c == '\'' || c == '"') && !self.mode.ignore_quotes {
                let value = if c == '"' { self.double_quote()? } else { self.single_quote()? };
                result.push_str(&value);
                words.raw(&value);
            } else {
                self.at += 1;
                if c == self.mode.escape {
                    if self.mode.raw_escapes {
                        result.push(c);
                        words.raw_character(c);
                    }
                    // An escape mark at the very end is dropped.
                    let Some(next) = self.next() else { break };
                    result.push(next);
                    words.raw_character(next);
                } else {
                    result.push(c);
                    words.character(c);
                }
            }
        }
        match stop {
            Some(c) => Err(format!("unexpected end of statement while looking for matching {c}")),
            None => Ok((result, words.finish())),
        }
    }

    fn single_quote(&mut self) -> Result<String, String> {
        let mut result = String::new();
        self.at += 1;
        if self.mode.raw_quotes {
            result.push('\'');
        }
        loop {
            match self.next() {
                None => return Err("unexpected end of statement while looking for matching single-quote".to_owned()),
                Some('\'') => {
                    if self.mode.raw_quotes {
                        result.push('\'');
                    }
                    return Ok(result);
                }
                Some(c) => result.push(c),
            }
        }
    }

    fn double_quote(&mut self) -> Result<String, String> {
        let mut result = String::new();
        self.at += 1;
        if self.mode.raw_quotes {
            result.push('"');
        }
        loop {
            match self.peek() {
                None => return Err("unexpected end of statement while looking for matching double-quote".to_owned()),
                Some('"') => {
                    self.at += 1;
                    if self.mode.raw_quotes {
                        result.push('"');
                    }
                    return Ok(result);
                }
                Some('$') => result.push_str(&self.dollar()?),
                Some(c) => {
                    self.at += 1;
                    let mut c = c;
                    if c == self.mode.escape {
                        if self.mode.raw_escapes {
                            result.push(c);
                        }
                        match self.peek() {
                            None => continue,
                            // Only these can be escaped within double quotes; any other mark stays.
                            Some(next) if next == '"' || next == '$' || next == self.mode.escape => {
                                c = next;
                                self.at += 1;
                            }
                            Some(_) => {}
                        }
                    }
                    result.push(c);
                }
            }
        }
    }

    fn dollar(&mut self) -> Result<String, String> {
        self.at += 1;
        match self.peek() {
            None => return Ok("$".to_owned()),
            Some('{') => self.at += 1,
            Some(_) => {
                let name = self.name();
                if name.is_empty() {
                    return Ok("$".to_owned());
                }
                return Ok(match (self.lookup)(&name) {
                    Some(value) => value,
                    None if self.mode.skip_unset => format!("${name}"),
                    None => String::new(),
                });
            }
        }
        match self.peek() {
            None => return Err("syntax error: missing '}'".to_owned()),
            Some('{' | '}' | ':') => return Err("syntax error: bad substitution".to_owned()),
            Some(_) => {}
        }
        let name = self.name();
        match self.next() {
            None => Err("syntax error: missing '}'".to_owned()),
            Some('}') => Ok(match (self.lookup)(&name) {
                Some(value) => value,
                None if self.mode.skip_unset => format!("${{{name}}}"),
                None => String::new(),
            }),
            Some(':') => {
                let modifier = self.next();
                self.modified(&name, modifier, true)
            }
            Some('/') => self.replaced(&name),
            modifier => self.modified(&name, modifier, false),
        }
    }

    fn modified(&mut self, name: &str, modifier: Option<char>, null_is_unset: bool) -> Result<String, String> {
        let shown: String = null_is_unset.then_some(':').into_iter().chain(modifier).collect();
        let unsupported = || Err(format!("unsupported modifier ({shown}) in substitution"));
        let Some(modifier) = modifier else { return unsupported() };
        let pattern = matches!(modifier, '#' | '%');
        if !matches!(modifier, '+' | '-' | '?' | '#' | '%') || (pattern && null_is_unset) {
            return unsupported();
        }
        let word = self.braced('}', pattern, "}")?;
        let value = (self.lookup)(name);
        if value.is_none() && self.mode.skip_unset {
            return Ok(format!("${{{name}{shown}{word}}}"));
        }
        let present = value.as_ref().is_some_and(|value| !(null_is_unset && value.is_empty()));
        match modifier {
            '-' if present => Ok(value.unwrap_or_default()),
            '-' => Ok(word),
            '+' if present => Ok(word),
            '+' => Ok(String::new()),
            '?' => match value {
                Some(value) if present => Ok(value),
                _ if !word.is_empty() => Err(format!("{name}: {word}")),
                None => Err(format!("{name}: is not allowed to be unset")),
                Some(_) => Err(format!("{name}: is not allowed to be empty")),
            },
            _ => {
                let value = value.unwrap_or_default();
                let (longest, word) = match word.strip_prefix(modifier) {
                    Some(rest) => (true, rest),
                    None => (false, word.as_str()),
                };
                let trim = if modifier == '#' { pattern::trim_prefix } else { pattern::trim_suffix };
                Ok(trim(word, &value, longest))
            }
        }
    }

    fn replaced(&mut self, name: &str) -> Result<String, String> {
        let all = self.peek() == Some('/');
        if all {
            self.at += 1;
        }
        let pattern = self.braced('/', true, "/")?;
        let replacement = self.braced('}', true, "}")?;
        match (self.lookup)(name) {
            None if self.mode.skip_unset => Ok(format!("${{{name}/{pattern}/{replacement}}}")),
            value => Ok(pattern::replace(&pattern, &value.unwrap_or_default(), &replacement, all)),
        }
    }

    fn braced(&mut self, stop: char, raw_escapes: bool, missing: &str) -> Result<String, String> {
        match self.until(Some(stop), raw_escapes) {
            Ok((word, _)) => Ok(word),
            Err(_) if self.peek().is_none() => Err(format!("syntax error: missing '{missing}'")),
            Err(message) => Err(message),
        }
    }

    fn name(&mut self) -> String {
        let first = self.peek();
        let start = self.at;
        match first {
            Some(c) if c.is_numeric() => self.take_while(char::is_numeric),
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => self.at += 1,
            Some(_) | None => self.take_while(|c| c.is_alphanumeric() || c == '_'),
        }
        self.text[start..self.at].iter().collect()
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&accept) {
            self.at += 1;
        }
    }
}
