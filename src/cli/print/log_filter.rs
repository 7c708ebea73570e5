//! Which log lines are shown: those that a pattern matches, and those of a level or a more severe one, in text and in
//! JSON. A line without a level of its own (of a stack trace, say) belongs to the one before it.

use std::collections::BTreeMap;

use regex::bytes::Regex;
use serde_json::Value;

/// How severe a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Level {
    /// `trace`
    Trace,
    /// `debug`
    Debug,
    /// `info`, `notice`
    Info,
    /// `warn`
    Warn,
    /// `error`
    Error,
    /// `fatal`, `critical`, `panic`
    Fatal,
}

/// What is shown.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogFilter {
    /// Only lines that it matches.
    pub(crate) pattern: Option<Regex>,
    /// Only lines of this level or above.
    pub(crate) level: Option<Level>,
    /// Level of the last line of each container.
    last: BTreeMap<String, Level>,
}

impl LogFilter {
    /// Makes a filter that shows all where nothing is asked for.
    pub(crate) fn new(pattern: Option<Regex>, level: Option<Level>) -> Self {
        Self { pattern, level, last: BTreeMap::new() }
    }

    /// Says whether a line of the container called `name` is shown.
    pub(crate) fn wants(&mut self, name: &str, line: &[u8]) -> bool {
        if let Some(least) = self.level {
            let level = match level_of(line) {
                Some(level) => {
                    match self.last.get_mut(name) {
                        Some(last) => *last = level,
                        None => drop(self.last.insert(name.to_owned(), level)),
                    }
                    level
                }
                // What never says a level is not silenced by asking for one less than `info`.
                None => self.last.get(name).copied().unwrap_or(Level::Info),
            };
            if level < least {
                return false;
            }
        }
        self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(line))
    }
}

/// Returns the level that a line says it has.
fn level_of(line: &[u8]) -> Option<Level> {
    let start = line.trim_ascii_start();
    if start.first() == Some(&b'{')
        && let Ok(Value::Object(fields)) = serde_json::from_slice(start)
    {
        let named = ["level", "severity", "lvl", "loglevel", "log.level", "levelname"];
        let value = named.iter().find_map(|name| fields.get(*name)).or_else(|| fields.get("log")?.get("level"));
        return match value? {
            Value::String(text) => word(text.as_bytes()),
            // Of pino and bunyan: 10 is trace, 60 is fatal.
            Value::Number(number) => match number.as_u64()? {
                0..=19 => Some(Level::Trace),
                20..=29 => Some(Level::Debug),
                30..=39 => Some(Level::Info),
                40..=49 => Some(Level::Warn),
                50..=59 => Some(Level::Error),
                _ => Some(Level::Fatal),
            },
            _ => None,
        };
    }
    in_text(start)
}

/// The level stands near the beginning, as a word of its own: `[ERROR]`, `level=warn`, `INFO:`. In lower case it may
/// be a word of the text, and counts only where it is marked.
fn in_text(line: &[u8]) -> Option<Level> {
    let head = &line[..line.len().min(120)];
    let is_letter = |byte: u8| byte.is_ascii_alphabetic();
    let mut at = 0;
    while at < head.len() {
        if !is_letter(head[at]) {
            at += 1;
            continue;
        }
        let end = head[at..].iter().position(|byte| !is_letter(*byte)).map_or(head.len(), |length| at + length);
        let found = &head[at..end];
        let before = at.checked_sub(1).map(|index| head[index]);
        let is_upper = found.iter().all(u8::is_ascii_uppercase);
        let is_marked = matches!(before, Some(b'=' | b'[' | b'<' | b'"')) || (at == 0 && head.get(end) == Some(&b':'));
        if (is_upper || is_marked)
            && let Some(level) = word(found)
        {
            return Some(level);
        }
        at = end;
    }
    None
}

fn word(word: &[u8]) -> Option<Level> {
    const WORDS: [(&str, Level); 17] = [
        ("trace", Level::Trace),
        ("debug", Level::Debug),
        ("dbg", Level::Debug),
        ("info", Level::Info),
        ("information", Level::Info),
        ("notice", Level::Info),
        ("warn", Level::Warn),
        ("warning", Level::Warn),
        ("wrn", Level::Warn),
        ("error", Level::Error),
        ("err", Level::Error),
        ("fatal", Level::Fatal),
        ("critical", Level::Fatal),
        ("crit", Level::Fatal),
        ("panic", Level::Fatal),
        ("emerg", Level::Fatal),
        ("alert", Level::Fatal),
    ];
    WORDS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes())).map(|(_, level)| *level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_found_in_text_and_in_json() {
        let check = |line: &str, expected: Option<Level>| assert_eq!(level_of(line.as_bytes()), expected, "{line}");
        check("2026-01-01 12:00:00 ERROR no way", Some(Level::Error));
        check("[warn] careful", Some(Level::Warn));
        check("time=x level=debug msg=hi", Some(Level::Debug));
        check("info: an error is a word here", Some(Level::Info));
        check("there is no error here", None);
        check("{\"level\":\"WARNING\",\"msg\":\"ERROR\"}", Some(Level::Warn));
        check("{\"severity\":\"critical\"}", Some(Level::Fatal));
        check("{\"level\":50,\"msg\":\"x\"}", Some(Level::Error));
        check("{\"msg\":\"ERROR\"}", None);
    }

    #[test]
    fn a_stack_trace_goes_with_its_error() {
        let mut filter = LogFilter::new(None, Some(Level::Error));
        let lines = ["INFO up", "  at no", "ERROR down", "  at here", "DEBUG x"];
        let shown: Vec<bool> = lines.iter().map(|line| filter.wants("web-1", line.as_bytes())).collect();
        assert_eq!(shown, [false, false, true, true, false]);
        assert!(!filter.wants("db-1", b"plain"));
        let mut filter = LogFilter::new(Some(Regex::new("a.c").unwrap()), None);
        assert!(filter.wants("x", b"xabcx") && !filter.wants("x", b"ac"));
    }
}
