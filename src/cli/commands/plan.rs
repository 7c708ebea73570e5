//! `plan`: what `up` would do, each step with its cause and where the file asks for it. Changes nothing.

use std::path::Path;

use orchestrator::operations::up::{UpOptions, planned};
use orchestrator::plan::{Change, Step};

use crate::app::{App, Warnings};
use crate::commands::up::choice::Making;
use crate::commands::{host_files, services};
use crate::error::{CommandError, Kind, LoadedProject};

/// Show what `up` would do, and why
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  motet plan                     every step with its cause
  motet plan --exit-code web     for scripts: 9 when something would change")]
pub(crate) struct Args {
    #[command(flatten)]
    making: Making,

    /// Without the services that these depend on
    #[arg(long)]
    no_deps: bool,

    /// End with code 9 when something would change
    #[arg(long)]
    exit_code: bool,

    /// Only these services and what they depend on
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

/// The exit code of `--exit-code` when something would change.
const WOULD_CHANGE: u8 = 9;

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let loaded = app.load(&args.services, Warnings::Shown)?;
    services::check(&args.services, &loaded.project)?;
    let options = UpOptions { services: args.services.clone(), no_deps: args.no_deps, ..args.making.options(app)? };
    let would_change = show(app, &loaded, &options).await?;
    if args.exit_code && would_change { Err(CommandError::silent(Kind::Program(WOULD_CHANGE))) } else { Ok(()) }
}

/// Prints the plan of `up` and says whether there is anything to do.
pub(crate) async fn show(app: &App, loaded: &LoadedProject, options: &UpOptions) -> Result<bool, CommandError> {
    let plan = planned(&app.engine()?, &loaded.project, options)
        .await
        .map_err(|error| CommandError::operation(error, Some(loaded)))?;
    let steps = plan.ids().map(|id| plan.step(id));
    let building = steps.filter(|planned| matches!(planned.step, Step::BuildImage(_)));
    host_files::check_builds(loaded, building.filter_map(|planned| planned.path.as_deref()?.split('.').nth(1)))?;
    for warning in &plan.warnings {
        app.printer.warn(warning);
    }
    if plan.is_empty() {
        app.printer.data("nothing to do");
        return Ok(false);
    }
    let text = plan.describe(&|service, change| place(app, loaded, service, change));
    app.printer.data(text.trim_end());
    Ok(true)
}

/// Tells where the new value of an attribute was written: in a `.env` file if its line takes a variable from there.
fn place(app: &App, loaded: &LoadedProject, service: &str, change: &Change) -> Option<String> {
    let span = loaded.project.span(&format!("{service}.{}", change.path))?;
    let source = loaded.sources.get(span.file)?;
    let look = app.look();
    let (start, end) = (usize::try_from(span.start).ok()?, usize::try_from(span.end).ok()?);
    let line = source.text.bytes().take(start).filter(|byte| *byte == b'\n').count() + 1;
    let written = source.text.get(start..end).unwrap_or_default();
    let from_variable = variables(written).find_map(|variable| {
        let files = loaded.project.environment_files.iter().rev();
        files.into_iter().find_map(|path| Some(format!("{}:{}", look.path(path), variable_line(path, variable)?)))
    });
    from_variable.or_else(|| Some(format!("{}:{line}", look.path(&source.path))))
}

/// Returns the names of the variables that a text takes in.
fn variables(text: &str) -> impl Iterator<Item = &str> {
    text.split('$').skip(1).filter_map(|rest| {
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(rest.len());
        Some(&rest[..end]).filter(|name| !name.is_empty())
    })
}

/// Returns the line of a `.env` file that sets a variable, from 1.
fn variable_line(path: &Path, variable: &str) -> Option<usize> {
    let text = std::fs::read_to_string(path).ok()?;
    let sets = |line: &str| {
        let line = line.trim_start();
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        line.strip_prefix(variable).is_some_and(|rest| rest.trim_start().starts_with(['=', ':']))
    };
    text.lines().collect::<Vec<_>>().iter().rposition(|line| sets(line)).map(|index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found_in_a_value() {
        let names: Vec<&str> = variables("${A:-x}-$B/${C}$$").collect();
        assert_eq!(names, ["A", "B", "C"]);
    }
}
