//! Flags of an instruction: which are known, which are repeated, what was meant by an unknown one.

use std::collections::BTreeMap;

/// A flag that an instruction knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `--name=value`, once.
    Value,
    /// `--name=value`, as often as wanted.
    Values,
    /// `--name` or `--name=true`.
    Switch,
}

/// Flags given to one instruction.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flags {
    values: BTreeMap<&'static str, Vec<String>>,
}

impl Flags {
    /// Checks `given` against the flags that the instruction knows.
    pub fn parse(given: &[String], known: &[(&'static str, Kind)]) -> Result<Self, String> {
        let mut flags = Self::default();
        for flag in given {
            let body = flag.trim_start_matches("--");
            let (name, value) = match body.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (body, None),
            };
            let Some((key, kind)) = known.iter().find(|(key, _)| *key == name) else {
                let names: Vec<&str> = known.iter().map(|(key, _)| *key).collect();
                return Err(format!("unknown flag: --{name}{}", did_you_mean(name, &names)));
            };
            let values = flags.values.entry(key).or_default();
            if *kind != Kind::Values && !values.is_empty() {
                return Err(format!("duplicate flag specified: --{name}"));
            }
            let value = match (kind, value) {
                (Kind::Switch, None) => "true",
                (Kind::Switch, Some(value)) if value.eq_ignore_ascii_case("true") => "true",
                (Kind::Switch, Some(value)) if value.eq_ignore_ascii_case("false") => "false",
                (Kind::Switch, Some(value)) => {
                    return Err(format!("expecting boolean value for flag --{name}, not: {value}"));
                }
                (Kind::Value | Kind::Values, Some(value)) => value,
                (Kind::Value | Kind::Values, None) => return Err(format!("missing a value on flag: --{name}")),
            };
            values.push(value.to_owned());
        }
        Ok(flags)
    }

    /// Returns a flag's value.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.first().map(String::as_str)
    }

    /// Returns a flag's value, owned; an empty one counts as absent.
    pub fn owned(&self, name: &str) -> Option<String> {
        self.value(name).filter(|value| !value.is_empty()).map(str::to_owned)
    }

    /// Returns every value of a repeatable flag.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.values.get(name).cloned().unwrap_or_default()
    }

    /// Returns a switch, or `None` when it was not given.
    pub fn switch(&self, name: &str) -> Option<bool> {
        self.value(name).map(|value| value == "true")
    }
}

/// Returns ` (did you mean x?)` for a near name, else nothing.
pub fn did_you_mean(word: &str, known: &[&str]) -> String {
    nearest(word, known).map(|name| format!(" (did you mean {name}?)")).unwrap_or_default()
}

/// Returns the name that is at most two letters away.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let lower = word.to_lowercase();
    known
        .iter()
        .map(|name| (strsim::levenshtein(&lower, &name.to_lowercase()), *name))
        .filter(|(distance, _)| *distance < 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}
