//! Mistakes that are none of the language's: BuildKit's rules, each warning with its line. (moby/buildkit, frontend/dockerfile/linter)

use std::collections::BTreeMap;
use std::fmt;

use patterns::Ignore;

use crate::build::dockerfile::decode;
use crate::build::dockerfile::instruction::{Act, Dockerfile, Instruction, Stage};
use crate::build::dockerfile::lexer::SyntaxError;
use crate::build::dockerfile::parser;
use crate::build::lint_variables;
use crate::build::scope::Scope;
use crate::image::manifest::Platform;
use crate::image::reference::Reference;

/// The build argument that replaces the Dockerfile's own `# check=`.
pub const CHECK: &str = "BUILDKIT_DOCKERFILE_CHECK";

/// One breach of a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning {
    /// From 1.
    pub line: u32,
    /// Its name, as BuildKit has it.
    pub rule: &'static str,
    /// What is wrong.
    pub message: String,
}

/// What `# check=` of a Dockerfile asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Settings {
    skip: Vec<String>,
    skip_all: bool,
    /// A warning is an error.
    error: bool,
    experimental: Vec<String>,
}

impl Settings {
    /// Reads `skip=A,B;error=true`.
    fn parse(text: &str) -> Self {
        let mut settings = Self::default();
        for option in text.split(';') {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            let names = || value.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>();
            match key.trim() {
                "skip" if value.trim() == "all" => settings.skip_all = true,
                "skip" => settings.skip = names(),
                "error" => settings.error = matches!(value.trim(), "true" | "1"),
                "experimental" => settings.experimental = names(),
                _ => {}
            }
        }
        settings
    }
}

/// What was found, and whether the Dockerfile asks that it be an error.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// In the order of their lines.
    pub warnings: Vec<Warning>,
    /// `# check=error=true`
    pub fatal: bool,
}

impl Findings {
    /// Names the rules that are broken, each once, in the order of the file.
    pub fn rules(&self) -> String {
        let mut rules: Vec<&str> = Vec::new();
        for warning in &self.warnings {
            if !rules.contains(&warning.rule) {
                rules.push(warning.rule);
            }
        }
        rules.join(", ")
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lint violation found for rules: {}", self.rules())?;
        self.warnings.iter().try_for_each(|it| write!(f, "\n  {}: {} (line {})", it.rule, it.message, it.line))
    }
}

/// Looks a Dockerfile through; `directive` is what is asked for in place of its own `# check=`.
pub fn lint(text: &str, directive: Option<&str>, ignore: &Ignore) -> Result<Findings, SyntaxError> {
    let document = parser::parse(text)?;
    let dockerfile = decode::dockerfile(text)?;
    let own = dockerfile.directives.get("check").map(String::as_str);
    let settings = Settings::parse(directive.or(own).unwrap_or_default());
    let mut warnings = Vec::new();
    let mut warn = |line: u32, rule, message: String| warnings.push(Warning { line, rule, message });
    for line in &document.empty_continuations {
        warn(*line, "NoEmptyContinuation", "Empty continuation line".to_owned());
    }
    casing(&dockerfile, &mut warn);
    let mut names: Vec<&str> = Vec::new();
    for stage in &dockerfile.stages {
        from(stage, &mut warn);
        if let Some(name) = stage.name.as_deref() {
            if ["context", "scratch"].contains(&name) {
                let message = format!("Stage name should not use the same name as reserved stage \"{name}\"");
                warn(stage.span.line, "ReservedStageName", message);
            }
            if names.contains(&name) {
                let message = format!("Duplicate stage name \"{name}\", stage names should be unique");
                warn(stage.span.line, "DuplicateStageName", message);
            }
            names.push(name);
        }
        repeated(stage, &mut warn);
        let shell = stage.instructions.iter().position(|it| matches!(it.act, Act::Shell(_)));
        for (at, instruction) in stage.instructions.iter().enumerate() {
            one(instruction, shell.is_some_and(|shell| shell < at), &mut warn);
            copied(instruction, ignore, &mut warn);
        }
    }
    relative_folders(&dockerfile, &mut warn);
    descriptions(text, &dockerfile, &settings, &mut warn);
    lint_variables::look(&dockerfile, &mut warn);
    warnings.retain(|warning| {
        !settings.skip_all && !settings.skip.iter().any(|name| name.eq_ignore_ascii_case(warning.rule))
    });
    let lines: Vec<&str> = text.lines().collect();
    warnings.retain(|warning| !skipped_at(&lines, warning.line, warning.rule));
    warnings.sort();
    Ok(Findings { fatal: settings.error && !warnings.is_empty(), warnings })
}

/// Takes a warning: line, rule, message.
pub(super) type Warn<'a> = dyn FnMut(u32, &'static str, String) + 'a;

fn casing(dockerfile: &Dockerfile, warn: &mut Warn<'_>) {
    let keyword = |stage: &Stage| stage.text.split_whitespace().next().unwrap_or_default().to_owned();
    let mut commands: Vec<(u32, String)> = Vec::new();
    for stage in &dockerfile.stages {
        commands.push((stage.span.line, keyword(stage)));
        commands.extend(stage.instructions.iter().map(|it| (it.span.line, it.keyword.clone())));
    }
    let lower = commands.iter().filter(|(_, name)| *name == name.to_lowercase()).count();
    let upper = commands.iter().filter(|(_, name)| *name == name.to_uppercase()).count();
    let (wanted, word) = if lower > upper {
        (str::to_lowercase as fn(&str) -> String, "lowercase")
    } else {
        (str::to_uppercase as fn(&str) -> String, "uppercase")
    };
    for (line, name) in commands {
        if wanted(&name) != name {
            let message = format!("Command '{name}' should match the case of the command majority ({word})");
            warn(line, "ConsistentInstructionCasing", message);
        }
    }
}

fn from(stage: &Stage, warn: &mut Warn<'_>) {
    let line = stage.span.line;
    let words: Vec<&str> = stage.text.split_whitespace().filter(|word| !word.starts_with("--")).collect();
    if let [from, _, word, name, ..] = words.as_slice() {
        let (from_lower, from_upper) = (*from == from.to_lowercase(), *from == from.to_uppercase());
        let (word_lower, word_upper) = (*word == word.to_lowercase(), *word == word.to_uppercase());
        if (from_lower && !word_lower) || (from_upper && !word_upper) {
            warn(line, "FromAsCasing", format!("'{word}' and '{from}' keywords' casing do not match"));
        }
        if *name != name.to_lowercase() {
            warn(line, "StageNameCasing", format!("Stage name '{name}' should be lowercase"));
        }
    }
    let Some(platform) = stage.platform.as_deref() else { return };
    let variable = platform.trim_start_matches('$').trim_start_matches('{');
    let name: String = variable.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    if platform.starts_with('$') && name == "TARGETPLATFORM" {
        let message =
            format!("Setting platform to predefined {platform} in FROM is redundant as this is the default behavior");
        warn(line, "RedundantTargetPlatform", message);
    }
    let named_so = |part: &str| stage.name.as_deref().is_some_and(|name| name.contains(part));
    if !platform.contains('$') && !platform.split('/').any(named_so) {
        let message = format!("FROM --platform flag should not use constant value \"{platform}\"");
        warn(line, "FromPlatformFlagConstDisallowed", message);
    }
}

/// Of several only the last one counts: the ones before it are for nothing.
fn repeated(stage: &Stage, warn: &mut Warn<'_>) {
    for name in ["CMD", "ENTRYPOINT", "HEALTHCHECK"] {
        let mut lines: Vec<u32> = Vec::new();
        for instruction in &stage.instructions {
            let is = match instruction.act {
                Act::Cmd(_) => "CMD",
                Act::Entrypoint(_) => "ENTRYPOINT",
                Act::Healthcheck(_) => "HEALTHCHECK",
                _ => "",
            };
            if is == name {
                lines.push(instruction.span.line);
            }
        }
        lines.pop();
        for line in lines {
            let message = format!(
                "Multiple {name} instructions should not be used in the same stage because only the last one will be used"
            );
            warn(line, "MultipleInstructionsDisallowed", message);
        }
    }
}

fn one(instruction: &Instruction, has_shell: bool, warn: &mut Warn<'_>) {
    use crate::build::dockerfile::instruction::Command;
    let line = instruction.span.line;
    let keyword = instruction.keyword.to_uppercase();
    match &instruction.act {
        Act::Cmd(Command::Shell(_)) | Act::Entrypoint(Command::Shell(_)) if !has_shell => {
            let message = format!(
                "JSON arguments recommended for {keyword} to prevent unintended behavior related to OS signals"
            );
            warn(line, "JSONArgsRecommended", message);
        }
        Act::Maintainer(_) => {
            let message = "Maintainer instruction is deprecated in favor of using label";
            warn(line, "MaintainerDeprecated", message.to_owned());
        }
        Act::Env(pairs) | Act::Label(pairs) => {
            if pairs.iter().any(|pair| pair.legacy) {
                let message =
                    format!("\"{keyword} key=value\" should be used instead of legacy \"{keyword} key value\" format");
                warn(line, "LegacyKeyValueFormat", message);
            }
            if keyword == "ENV" {
                pairs.iter().for_each(|pair| secret(line, "ENV", &pair.key, warn));
            }
        }
        Act::Arg(arguments) => arguments.iter().for_each(|argument| secret(line, "ARG", &argument.name, warn)),
        Act::Expose(ports) => ports.iter().for_each(|port| exposed(line, port, warn)),
        _ => {}
    }
}

fn secret(line: u32, keyword: &str, name: &str, warn: &mut Warn<'_>) {
    const WORDS: [&str; 10] =
        ["apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token"];
    let lower = name.to_lowercase();
    let words: Vec<&str> = lower.split('_').collect();
    if words.iter().any(|word| WORDS.contains(word))
        && !words.iter().any(|word| ["public", "file", "version"].contains(word))
    {
        let message = format!("Do not use ARG or ENV instructions for sensitive data ({keyword} \"{name}\")");
        warn(line, "SecretsUsedInArgOrEnv", message);
    }
}

fn exposed(line: u32, port: &str, warn: &mut Warn<'_>) {
    let (range, protocol) = port.split_once('/').unwrap_or((port, ""));
    if protocol != protocol.to_lowercase() {
        let message = format!("Defined protocol '{port}' in EXPOSE instruction should be lowercase");
        warn(line, "ExposeProtoCasing", message);
    }
    if !range.contains('$') && range.contains(':') {
        let message =
            format!("EXPOSE instruction should not define an IP address or host-port mapping, found '{port}'");
        warn(line, "ExposeInvalidFormat", message);
    }
}

/// A file that the ignore file hides can't be copied.
fn copied(instruction: &Instruction, ignore: &Ignore, warn: &mut Warn<'_>) {
    let (Act::Copy(transfer) | Act::Add(transfer)) = &instruction.act else { return };
    let keyword = if matches!(instruction.act, Act::Add(_)) { "Add" } else { "Copy" };
    if transfer.from.is_some() {
        return;
    }
    for source in &transfer.sources {
        let path = patterns::clean(source.trim_start_matches('/'));
        if source.contains(['$', '*', '?', '[', '{']) || source.contains("://") || path == "." {
            continue;
        }
        if ignore.is_ignored(&path) {
            let message = format!("Attempting to {keyword} file \"{source}\" that is excluded by .dockerignore");
            warn(instruction.span.line, "CopyIgnoredFile", message);
        }
    }
}

/// A relative WORKDIR is relative to something only after an absolute one, in the stage or in one below it.
fn relative_folders(dockerfile: &Dockerfile, warn: &mut Warn<'_>) {
    let Ok(global) = Scope::global(dockerfile, &BTreeMap::new(), "default", &Platform::host()) else { return };
    let mut done: Vec<(bool, Scope)> = Vec::new();
    for (at, stage) in dockerfile.stages.iter().enumerate() {
        let named = |earlier: &Stage| earlier.name.as_deref() == Some(stage.base.to_lowercase().as_str());
        let below = dockerfile.stages[..at].iter().rposition(named);
        let (mut is_set, mut scope) = below.map_or_else(|| (false, global.clone()), |below| done[below].clone());
        for instruction in &stage.instructions {
            match &instruction.act {
                Act::Arg(arguments) => arguments.iter().for_each(|argument| drop(scope.declare(argument))),
                Act::Env(pairs) => {
                    for pair in pairs {
                        let value = scope.word(&pair.value).unwrap_or_default();
                        scope.set(&pair.key, value);
                    }
                }
                Act::Workdir(path) => {
                    let path = scope.word(path).unwrap_or_default();
                    if !is_set && !path.is_empty() && !path.starts_with('/') {
                        let message =
                            format!("Relative workdir {path:?} can have unexpected results if the base image changes");
                        warn(instruction.span.line, "WorkdirRelativePath", message);
                    }
                    is_set = true;
                }
                _ => {}
            }
        }
        done.push((is_set, scope));
    }
}

/// Reads the rules that the comment above a line switches off for it: `# check=skip=A,B`.
fn skipped_at(lines: &[&str], line: u32, rule: &str) -> bool {
    let mut at = usize::try_from(line).unwrap_or(0).saturating_sub(1);
    while let Some(comment) =
        at.checked_sub(1).and_then(|above| lines.get(above)).and_then(|it| it.trim().strip_prefix('#'))
    {
        let bare: String = comment.chars().filter(|c| !c.is_whitespace() || *c == ' ').collect();
        if let Some(names) = bare.trim().strip_prefix("check=skip=") {
            let names = names.split([' ', ';']).next().unwrap_or_default();
            if names.split(',').any(|name| name == "all" || name.eq_ignore_ascii_case(rule)) {
                return true;
            }
        }
        at -= 1;
    }
    false
}

/// Experimental: a comment above an ARG or a named FROM describes it, and begins with its name.
fn descriptions(text: &str, dockerfile: &Dockerfile, settings: &Settings, warn: &mut Warn<'_>) {
    const RULE: &str = "InvalidDefinitionDescription";
    if !settings.experimental.iter().any(|name| name == "all" || name.eq_ignore_ascii_case(RULE)) {
        return;
    }
    let lines: Vec<&str> = text.lines().collect();
    let mut look = |line: u32, keyword: &str, names: &[&str]| {
        let above = usize::try_from(line).unwrap_or(0).checked_sub(2).and_then(|at| lines.get(at));
        let Some(comment) = above.and_then(|above| above.trim_start().strip_prefix('#')) else { return };
        let first = comment.split_whitespace().next().unwrap_or_default();
        let shown = if names.len() == 1 { names[0] } else { "<arg_key>" };
        if !names.contains(&first) && !comment.contains('=') {
            warn(line, RULE, format!("Comment for {keyword} should follow the format: `# {shown} <description>`"));
        }
    };
    let argument_names = |act: &Act| match act {
        Act::Arg(arguments) => arguments.iter().map(|argument| argument.name.clone()).collect::<Vec<_>>(),
        _ => Vec::new(),
    };
    for (span, arguments) in &dockerfile.globals {
        look(span.line, "ARG", &arguments.iter().map(|it| it.name.as_str()).collect::<Vec<_>>());
    }
    for stage in &dockerfile.stages {
        if let Some(name) = stage.name.as_deref() {
            look(stage.span.line, "FROM", &[name]);
        }
        for instruction in &stage.instructions {
            let names = argument_names(&instruction.act);
            if !names.is_empty() {
                look(instruction.span.line, "ARG", &names.iter().map(String::as_str).collect::<Vec<_>>());
            }
        }
    }
}

/// Says whether an image may be called so.
pub(super) fn is_reference(text: &str) -> bool {
    text == "scratch" || Reference::parse(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<(u32, &'static str)> {
        let findings = lint(text, None, &Ignore::default()).unwrap();
        findings.warnings.into_iter().map(|warning| (warning.line, warning.rule)).collect()
    }

    #[test]
    fn each_warning_has_its_line() {
        let text = "FROM alpine as Base\nCMD a\nCMD b\nENV token 1\nWORKDIR x\n";
        let wanted = [
            (1, "FromAsCasing"),
            (1, "StageNameCasing"),
            (2, "JSONArgsRecommended"),
            (2, "MultipleInstructionsDisallowed"),
            (3, "JSONArgsRecommended"),
            (4, "LegacyKeyValueFormat"),
            (4, "SecretsUsedInArgOrEnv"),
            (5, "WorkdirRelativePath"),
        ];
        assert_eq!(rules(text), wanted);
    }

    #[test]
    fn a_rule_is_skipped_and_a_warning_made_an_error_by_the_file() {
        assert_eq!(rules("# check=skip=FromAsCasing\nFROM a as b\n"), []);
        assert!(lint("# check=error=true\nFROM a as b\n", None, &Ignore::default()).unwrap().fatal);
    }
}
