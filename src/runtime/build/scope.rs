//! Variables of a build: arguments of the file and of each stage, ENV over ARG, and what expands where.

use std::collections::BTreeMap;

use crate::build::dockerfile::expand::{self, Mode};
use crate::build::dockerfile::flags::did_you_mean;
use crate::build::dockerfile::instruction::{Argument, Dockerfile};
use crate::image::manifest::Platform;

/// The search path of an image that sets none.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const PROXIES: [&str; 5] = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];

/// Variables that can be seen at one place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    /// Joins lines and escapes characters.
    pub escape: Option<char>,
    /// Values given with the build.
    given: BTreeMap<String, String>,
    /// Arguments before the first FROM, and those of the platform: seen in a stage once declared there.
    globals: BTreeMap<String, String>,
    /// Declared arguments, in order.
    pub arguments: Vec<(String, Option<String>)>,
    /// ENV, in order.
    pub environment: Vec<(String, String)>,
}

impl Scope {
    /// Reads the arguments before the first FROM.
    pub fn global(
        dockerfile: &Dockerfile,
        given: &BTreeMap<String, String>,
        target: &str,
        platform: &Platform,
    ) -> Result<Self, (u32, String)> {
        let mut globals = BTreeMap::new();
        for (side, platform) in [("TARGET", platform), ("BUILD", &Platform::host())] {
            let text = platform.to_string();
            for (name, value) in [
                ("PLATFORM", text.as_str()),
                ("OS", &platform.os),
                ("ARCH", &platform.architecture),
                ("VARIANT", platform.variant.as_deref().unwrap_or_default()),
                ("OSVERSION", ""),
            ] {
                globals.insert(format!("{side}{name}"), value.to_owned());
            }
        }
        globals.insert("TARGETSTAGE".to_owned(), target.to_owned());
        for (name, value) in given {
            if let Some(known) = globals.get_mut(name) {
                value.clone_into(known);
            }
        }
        let mut scope = Self { escape: Some(dockerfile.escape), given: given.clone(), globals, ..Self::default() };
        for (span, arguments) in &dockerfile.globals {
            for argument in arguments {
                let value = match (given.get(&argument.name), &argument.default) {
                    (Some(value), _) => Some(value.clone()),
                    (None, Some(default)) => Some(scope.global_word(default).map_err(|message| (span.line, message))?),
                    (None, None) => scope.globals.get(&argument.name).cloned(),
                };
                if let Some(value) = value {
                    scope.globals.insert(argument.name.clone(), value);
                }
            }
        }
        Ok(scope)
    }

    /// Expands a word of FROM: only global arguments count.
    pub fn global_word(&self, text: &str) -> Result<String, String> {
        expand::word(text, self.mode(), &|name| self.globals.get(name).cloned()).map_err(|error| error.to_string())
    }

    /// Names what was meant by the variable of an expression that came out empty.
    pub fn hint(&self, expression: &str) -> String {
        let name = expression.trim_start_matches(['$', '{']).trim_end_matches('}');
        let known: Vec<&str> = self.globals.keys().map(String::as_str).collect();
        if known.contains(&name) { String::new() } else { did_you_mean(name, &known) }
    }

    /// Names the arguments before the first FROM, and those of the platform.
    pub fn global_names(&self) -> Vec<&str> {
        self.globals.keys().map(String::as_str).collect()
    }

    /// Returns the value of one of those.
    pub fn global_value(&self, name: &str) -> Option<String> {
        self.globals.get(name).cloned()
    }

    /// Returns a value that was given with the build.
    pub fn given(&self, name: &str) -> Option<&str> {
        self.given.get(name).map(String::as_str)
    }

    /// Declares an argument; returns its value.
    pub fn declare(&mut self, argument: &Argument) -> Result<Option<String>, String> {
        let value = match (self.given.get(&argument.name), &argument.default) {
            (Some(value), _) => Some(value.clone()),
            (None, Some(default)) => Some(self.word(default)?),
            (None, None) => self.globals.get(&argument.name).cloned(),
        };
        // Declared again, it keeps its place.
        match self.arguments.iter_mut().find(|(name, _)| *name == argument.name) {
            Some((_, known)) => known.clone_from(&value),
            None => self.arguments.push((argument.name.clone(), value.clone())),
        }
        Ok(value)
    }

    /// Sets ENV: replaces in place.
    pub fn set(&mut self, name: &str, value: String) {
        match self.environment.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value,
            None => self.environment.push((name.to_owned(), value)),
        }
    }

    /// Returns a variable's value: ENV wins over ARG.
    pub fn lookup(&self, name: &str) -> Option<String> {
        let set = self.environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        set.or_else(|| self.arguments.iter().find(|(known, _)| known == name)?.1.clone())
    }

    fn mode(&self) -> Mode {
        Mode::new(self.escape.unwrap_or('\\'))
    }

    /// Expands one word.
    pub fn word(&self, text: &str) -> Result<String, String> {
        expand::word(text, self.mode(), &|name| self.lookup(name)).map_err(|error| error.to_string())
    }

    /// Expands a word to any number of words.
    pub fn words(&self, text: &str) -> Result<Vec<String>, String> {
        expand::words(text, self.mode(), &|name| self.lookup(name)).map_err(|error| error.to_string())
    }

    /// Expands the body of a heredoc: quotes are ordinary characters in it.
    pub fn body(&self, text: &str) -> Result<String, String> {
        let mode = Mode { ignore_quotes: true, ..self.mode() };
        expand::word(text, mode, &|name| self.lookup(name)).map_err(|error| error.to_string())
    }

    /// Returns the environment of RUN, as `KEY=value`: what counts for its key.
    pub fn run_environment(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        for (name, value) in &self.arguments {
            if let Some(value) = value
                && !self.environment.iter().any(|(known, _)| known == name)
            {
                lines.push(format!("{name}={value}"));
            }
        }
        if self.lookup("PATH").is_none() {
            lines.insert(0, format!("PATH={DEFAULT_PATH}"));
        }
        lines
    }

    /// Returns proxies that were given but not declared: RUN sees them, nothing remembers them.
    pub fn proxies(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for name in PROXIES {
            // Programs differ in which spelling they read: whichever was given stands for both.
            let lower = name.to_ascii_lowercase();
            let given = |name: &str| self.given.get(name).filter(|value| !value.is_empty());
            let Some(value) = given(name).or_else(|| given(&lower)) else { continue };
            let unset = [name, &lower].into_iter().filter(|name| self.lookup(name).is_none());
            lines.extend(unset.map(|name| format!("{name}={value}")));
        }
        lines
    }

    /// Returns the beginning of a RUN's history entry: `|2 A=1 B=2 `.
    pub fn history_prefix(&self) -> String {
        if self.arguments.is_empty() {
            return String::new();
        }
        let value = |name: &str| self.lookup(name).unwrap_or_default();
        let pairs: Vec<String> = self.arguments.iter().map(|(name, _)| format!("{name}={}", value(name))).collect();
        format!("|{} {} ", pairs.len(), pairs.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::dockerfile::decode;

    fn scope(text: &str, given: &[(&str, &str)]) -> Scope {
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Scope::global(&decode::dockerfile(text).unwrap(), &given, "", &Platform::host()).unwrap()
    }

    fn declare(scope: &mut Scope, name: &str, default: Option<&str>) -> Option<String> {
        scope.declare(&Argument { name: name.to_owned(), default: default.map(str::to_owned) }).unwrap()
    }

    #[test]
    fn a_global_argument_is_seen_in_a_stage_only_once_declared() {
        let mut scope = scope("ARG v=1\nARG w=${v}2\nFROM x", &[]);
        assert_eq!(scope.global_word("a:$w").unwrap(), "a:12");
        assert_eq!(scope.word("$v").unwrap(), "");
        assert_eq!(declare(&mut scope, "v", None).as_deref(), Some("1"));
        assert_eq!(scope.word("$v").unwrap(), "1");
    }

    #[test]
    fn a_given_value_wins_over_the_default_and_env_over_both() {
        let mut scope = scope("FROM x", &[("v", "given")]);
        assert_eq!(declare(&mut scope, "v", Some("default")).as_deref(), Some("given"));
        scope.set("v", "env".to_owned());
        assert_eq!(scope.word("${v}").unwrap(), "env");
        assert_eq!(scope.run_environment(), [&format!("PATH={DEFAULT_PATH}"), "v=env"]);
    }

    #[test]
    fn a_proxy_is_seen_but_not_remembered() {
        let scope = scope("FROM x", &[("http_proxy", "p"), ("other", "o")]);
        assert_eq!(scope.proxies(), ["HTTP_PROXY=p", "http_proxy=p"]);
        assert_eq!(scope.run_environment().len(), 1);
    }
}
