//! The rules about variables: which are used and not defined, and what a FROM comes to by the defaults alone.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::build::dockerfile::expand::{self, Mode};
use crate::build::dockerfile::flags::nearest;
use crate::build::dockerfile::instruction::{Act, Dockerfile, Instruction, Stage};
use crate::build::lint::{Warn, is_reference};
use crate::build::scope::Scope;
use crate::image::manifest::Platform;

/// Looks at the variables of FROM and of the instructions that expand some.
pub(super) fn look(dockerfile: &Dockerfile, warn: &mut Warn<'_>) {
    let Ok(scope) = Scope::global(dockerfile, &BTreeMap::new(), "default", &Platform::host()) else { return };
    for stage in &dockerfile.stages {
        from(dockerfile, stage, &scope, warn);
    }
    let mut known: Vec<Vec<String>> = Vec::new();
    for (at, stage) in dockerfile.stages.iter().enumerate() {
        let base = scope.global_word(&stage.base).unwrap_or_default().to_lowercase();
        let below = dockerfile.stages[..at].iter().rposition(|earlier| earlier.name.as_deref() == Some(base.as_str()));
        let mut names = below.map_or_else(|| vec!["PATH".to_owned()], |below| known[below].clone());
        for instruction in &stage.instructions {
            undefined(dockerfile, instruction, &names, warn);
            match &instruction.act {
                Act::Arg(arguments) => names.extend(arguments.iter().map(|argument| argument.name.clone())),
                Act::Env(pairs) => names.extend(pairs.iter().map(|pair| pair.key.clone())),
                _ => {}
            }
        }
        known.push(names);
    }
}

fn from(dockerfile: &Dockerfile, stage: &Stage, scope: &Scope, warn: &mut Warn<'_>) {
    let line = stage.span.line;
    let declared = scope.global_names();
    for text in [Some(stage.base.as_str()), stage.platform.as_deref()].into_iter().flatten() {
        let misses = RefCell::new(Vec::new());
        let find = |name: &str| {
            let value = scope.global_value(name);
            // One that is declared without a value is not undeclared.
            let written = dockerfile.globals.iter().flat_map(|(_, arguments)| arguments).any(|it| it.name == name);
            if value.is_none() && !written {
                misses.borrow_mut().push(name.to_owned());
            }
            value
        };
        let _ = expand::word(text, Mode::new(dockerfile.escape), &find);
        for name in misses.into_inner() {
            let hint = nearest(&name, &declared).map(|near| format!(" (did you mean {near}?)")).unwrap_or_default();
            warn(line, "UndefinedArgInFrom", format!("FROM argument '{name}' is not declared{hint}"));
        }
    }
    let base = scope.global_word(&stage.base).unwrap_or_default();
    if !is_reference(&base)
        && !dockerfile.stages.iter().any(|it| it.name.as_deref() == Some(base.to_lowercase().as_str()))
    {
        let message = format!("Default value for ARG {} results in empty or invalid base image name", stage.base);
        warn(line, "InvalidDefaultArgInFrom", message);
    }
}

/// Words of an instruction that are expanded, each by itself.
fn words(act: &Act) -> Vec<&str> {
    match act {
        Act::Add(it) | Act::Copy(it) => {
            let flags = [&it.chown, &it.chmod, &it.checksum].into_iter().filter_map(Option::as_deref);
            it.sources.iter().map(String::as_str).chain([it.destination.as_str()]).chain(flags).collect()
        }
        Act::Arg(arguments) => arguments.iter().filter_map(|argument| argument.default.as_deref()).collect(),
        Act::Env(pairs) | Act::Label(pairs) => {
            pairs.iter().flat_map(|pair| [pair.key.as_str(), pair.value.as_str()]).collect()
        }
        Act::Volume(list) => list.iter().map(String::as_str).collect(),
        Act::StopSignal(word) | Act::User(word) | Act::Workdir(word) => vec![word],
        Act::Cmd(_)
        | Act::Entrypoint(_)
        | Act::Expose(_)
        | Act::Healthcheck(_)
        | Act::Maintainer(_)
        | Act::OnBuild(_)
        | Act::Run(_)
        | Act::Shell(_) => Vec::new(),
    }
}

fn undefined(dockerfile: &Dockerfile, instruction: &Instruction, known: &[String], warn: &mut Warn<'_>) {
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    for word in words(&instruction.act) {
        let misses = RefCell::new(Vec::new());
        let find = |name: &str| {
            if names.contains(&name) {
                return Some(String::new());
            }
            let mut misses = misses.borrow_mut();
            if !misses.iter().any(|it| it == name) {
                misses.push(name.to_owned());
            }
            None
        };
        let _ = expand::word(word, Mode::new(dockerfile.escape), &find);
        for name in misses.into_inner() {
            let hint = nearest(&name, &names).map(|near| format!(" (did you mean ${near}?)")).unwrap_or_default();
            warn(instruction.span.line, "UndefinedVar", format!("Usage of undefined variable '${name}'{hint}"));
        }
    }
}
