//! What can be known before anything runs: the images that are needed are got side by side, and every instruction is gone through
//! without its effect. So a mistake in the last line is told before the first step has run.

use std::collections::BTreeSet;
use std::path::Path;

use patterns::clean;

use crate::build::dockerfile::instruction::{Act, Instruction, Transfer};
use crate::build::dockerfile::{decode, mount};
use crate::build::error::{BuildError, Reason};
use crate::build::execute::{Board, Runner, State};
use crate::build::job::Job;
use crate::build::scope::Scope;
use crate::build::stages::{self, Origin};
use crate::build::{instruct, owner, remote, transfer};
use crate::image::reference::Reference;

/// Gets images and goes through the stages `needed`, whose FROMs are `bases`, in the order of the file.
pub(super) fn rehearse(job: &Job<'_>, global: &Scope, needed: &[usize], bases: &[String]) -> Result<(), BuildError> {
    fetch(job, global, needed, bases)?;
    let board = Board::new(job.dockerfile.stages.len(), 0);
    for at in needed {
        let runner = Runner { job, board: &board, at: *at, stage: &job.dockerfile.stages[*at], rehearsal: true };
        let state = runner.run(global, &bases[*at])?;
        board.announce(*at, Ok(state));
    }
    Ok(())
}

/// An image that a line names, and the platform that it is wanted for.
type Wanted = (String, Option<String>);

/// Gets every image that a FROM or a `--from` names, side by side.
fn fetch(job: &Job<'_>, global: &Scope, needed: &[usize], bases: &[String]) -> Result<(), BuildError> {
    let stages = &job.dockerfile.stages;
    let mut wanted: Vec<(Wanted, u32)> = Vec::new();
    for at in needed {
        let stage = &stages[*at];
        if let Origin::Image(reference) = stages::base(&job.names(), stages, *at, &bases[*at]) {
            let platform = stage.platform.as_deref().map(|text| global.global_word(text)).transpose();
            let platform = platform.map_err(|message| job.error(stage.span.line, Reason::Syntax(message)))?;
            Reference::parse(&reference).map_err(|error| {
                let message = format!("failed to parse stage name {reference:?}: invalid reference format: {error}");
                job.error(stage.span.line, Reason::Syntax(message))
            })?;
            wanted.push(((reference, platform.filter(|text| !text.is_empty())), stage.span.line));
        }
        for instruction in &stage.instructions {
            for name in sources(instruction) {
                if let Ok(Origin::Image(reference)) = stages::from(&job.names(), stages, *at, &name) {
                    wanted.push(((reference, None), instruction.span.line));
                }
            }
        }
    }
    let mut seen = BTreeSet::new();
    wanted.retain(|(image, _)| seen.insert(image.clone()));
    let results = std::thread::scope(|threads| {
        let get = |(image, line): &(Wanted, u32)| {
            let (reference, platform) = image.clone();
            let line = *line;
            threads.spawn(move || job.image(&reference, platform.as_deref()).map_err(|reason| job.error(line, reason)))
        };
        let handles: Vec<_> = wanted.iter().map(get).collect();
        handles
            .into_iter()
            .map(|handle| handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect::<Vec<_>>()
    });
    results.into_iter().try_for_each(|result| result.map(drop))
}

/// What an instruction reads from besides its own stage.
pub(super) fn sources(instruction: &Instruction) -> Vec<String> {
    match &instruction.act {
        Act::Copy(copy) => copy.from.iter().filter(|name| !name.contains('$')).cloned().collect(),
        Act::Run(run) => {
            let parse = |text: &String| mount::parse(text, &|value| Ok(value.to_owned())).ok()?.from;
            run.mounts.iter().filter_map(parse).collect()
        }
        _ => Vec::new(),
    }
}

/// Goes through an instruction that would make a layer.
pub(super) fn layer(runner: &Runner<'_>, state: &mut State, act: &Act) -> Result<(), Reason> {
    match act {
        Act::Run(run) => {
            instruct::check_run(runner, run)?;
            for text in &run.mounts {
                let mount = mount::parse(text, &|value| state.scope.word(value)).map_err(Reason::Syntax)?;
                check_from(runner, mount.from.as_deref())?;
            }
            Ok(())
        }
        Act::Copy(written) => {
            check_transfer(runner, &transfer::expand(written, &state.scope).map_err(Reason::Syntax)?, false)
        }
        Act::Add(written) => {
            check_transfer(runner, &transfer::expand(written, &state.scope).map_err(Reason::Syntax)?, true)
        }
        Act::Workdir(written) => {
            let path = state.scope.word(written).map_err(Reason::Syntax)?;
            state.image.config.working_dir = working_directory(&state.image.config.working_dir, &path);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Returns what WORKDIR makes of the one before.
pub(super) fn working_directory(before: &str, path: &str) -> String {
    match path.starts_with('/') {
        true => clean(path),
        false => clean(&format!("/{before}/{path}")),
    }
}

fn check_from(runner: &Runner<'_>, from: Option<&str>) -> Result<(), Reason> {
    let Some(name) = from else { return Ok(()) };
    if name.contains('$') {
        let message = "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround";
        return Err(Reason::Syntax(message.to_owned()));
    }
    stages::from(&runner.job.names(), &runner.job.dockerfile.stages, runner.at, name).map_err(Reason::Syntax).map(drop)
}

fn check_transfer(runner: &Runner<'_>, expanded: &Transfer, add: bool) -> Result<(), Reason> {
    check_from(runner, expanded.from.as_deref())?;
    let keyword = if add { "ADD" } else { "COPY" };
    let many = expanded.sources.len() + expanded.contents.len() > 1;
    if many && !expanded.destination.ends_with('/') && !is_dot(&expanded.destination) {
        return Err(Reason::Syntax(format!(
            "when using {keyword} with more than one source file, the destination must be a directory and end with a /"
        )));
    }
    if let Some(mode) = &expanded.chmod {
        owner::chmod(mode).map_err(Reason::Syntax)?;
    }
    let remotes = expanded.sources.iter().map(|source| remote::Remote::parse(source)).collect::<Result<Vec<_>, _>>();
    let remotes: Vec<_> = remotes.map_err(Reason::Syntax)?.into_iter().flatten().filter(|_| add).collect();
    if expanded.checksum.is_some() {
        if expanded.sources.len() + expanded.contents.len() != 1 {
            return Err(Reason::Syntax("checksum can't be specified for multiple sources".to_owned()));
        }
        let Some(only) = remotes.first() else {
            return Err(Reason::Syntax("checksum requires HTTP(S) or Git sources".to_owned()));
        };
        only.check_sum(expanded.checksum.as_deref().unwrap_or_default()).map_err(Reason::Syntax)?;
    }
    Ok(())
}

fn is_dot(path: &str) -> bool {
    let last = Path::new(path).as_os_str().to_string_lossy();
    last == "." || last.ends_with("/.") || last == ".." || last.ends_with("/..")
}

/// Reads what an image's ONBUILD holds.
pub(super) fn trigger(text: &str) -> Result<Instruction, Reason> {
    decode::trigger(text).map_err(|syntax| Reason::Syntax(syntax.message))
}
