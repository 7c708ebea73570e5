//! The flags of `exec`, and how its streams are joined with ours.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::IsTerminal as _;
use std::os::fd::{AsFd, OwnedFd};

use orchestrator::engine::exec::{ExecIo, ExecSpec};
use orchestrator::operations::exec::exec;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::App;
use crate::args::Environment;
use crate::commands::exec::terminal::{RawTerminal, follow_size};
use crate::commands::services;
use crate::error::{CommandError, Kind};

/// Run a program in a running container
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Return at once and let it run
    #[arg(short, long)]
    detach: bool,

    /// Set a variable; without a value, from the environment
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    env: Vec<String>,

    /// In the replica of this number
    #[arg(long, value_name = "N")]
    index: Option<u32>,

    /// No terminal for the program
    #[arg(short = 'T', long = "no-tty", alias = "no-TTY")]
    no_tty: bool,

    /// With every privilege
    #[arg(long)]
    privileged: bool,

    /// As this user
    #[arg(short, long, value_name = "USER")]
    user: Option<String>,

    /// In this folder of the container
    #[arg(short, long, value_name = "PATH")]
    workdir: Option<String>,

    // Docker Compose has these two, and both are what happens anyway.
    #[arg(short = 't', long = "tty", hide = true)]
    tty: bool,
    #[arg(short = 'i', long = "interactive", hide = true)]
    interactive: bool,

    /// The service
    #[arg(value_name = "SERVICE")]
    service: String,

    /// The program with its arguments
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let target = app.target()?;
    if let Some(loaded) = &target.loaded {
        services::check(std::slice::from_ref(&args.service), &loaded.project)?;
    }
    let engine = app.engine()?;
    let on_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let tty = on_terminal && !args.no_tty && !args.detach;
    let spec = ExecSpec {
        command: args.command,
        environment: variables(&args.env, &app.environment),
        user: args.user,
        working_dir: args.workdir,
        privileged: args.privileged,
        tty,
        detach: args.detach,
    };
    let (io, _raw) = streams(tty, args.detach)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| unable("take signals", &error))?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(|error| unable("take signals", &error))?;
    let code = tokio::select! {
        result = exec(engine, &target.name, &args.service, args.index, &spec, io) => result?,
        _ = terminate.recv() => 143,
        _ = hang_up.recv() => 129,
    };
    match u8::try_from(code) {
        Ok(0) => Ok(()),
        Ok(code) => Err(CommandError::silent(Kind::Program(code))),
        Err(_) => Err(CommandError::silent(Kind::Program(255))),
    }
}

/// Returns the program's streams. The terminal is raw while the second value lives.
fn streams(tty: bool, detach: bool) -> Result<(ExecIo, Option<RawTerminal>), CommandError> {
    let copy = |fd: &dyn AsFd| fd.as_fd().try_clone_to_owned().map_err(|error| unable("copy a stream", &error));
    if detach {
        let null = || {
            let null = File::options().read(true).write(true).open("/dev/null");
            null.map(OwnedFd::from).map_err(|error| unable("open `/dev/null`", &error))
        };
        return Ok((ExecIo { stdin: None, stdout: null()?, stderr: null()?, size: None }, None));
    }
    let (stdin, stdout) = (copy(&std::io::stdin())?, copy(&std::io::stdout())?);
    let stderr = copy(&std::io::stderr())?;
    let raw = tty.then(RawTerminal::enter).transpose().map_err(|error| unable("set up the terminal", &error))?;
    let size = tty.then(follow_size).transpose().map_err(|error| unable("follow the terminal's size", &error))?;
    Ok((ExecIo { stdin: Some(stdin), stdout, stderr, size }, raw))
}

fn unable(what: &str, error: &dyn std::error::Error) -> CommandError {
    CommandError::new(Kind::Environment, format!("cannot {what}: {error}"))
}

/// Reads `KEY=VALUE` and `KEY`; a `KEY` that the environment lacks is dropped.
fn variables(given: &[String], environment: &Environment) -> BTreeMap<String, String> {
    let value = |text: &String| match text.split_once('=') {
        Some((key, value)) => Some((key.to_owned(), value.to_owned())),
        None => environment.0.get(text).map(|value| (text.clone(), value.clone())),
    };
    given.iter().filter_map(value).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn what_follows_the_service_belongs_to_the_program() {
        let line = ["exec", "-T", "-e", "A=b", "web", "sh", "-c", "exit 42", "--index", "2"];
        let args = Line::parse_from(line).args;
        assert_eq!((args.service.as_str(), args.no_tty, args.index), ("web", true, None));
        assert_eq!(args.command, ["sh", "-c", "exit 42", "--index", "2"]);
    }

    #[test]
    fn a_variable_without_value_comes_from_the_environment() {
        let environment = Environment::from([("B", "outside")]);
        let variables = variables(&["A=1".into(), "B".into(), "C".into()], &environment);
        assert_eq!(variables, BTreeMap::from([("A".into(), "1".into()), ("B".into(), "outside".into())]));
    }
}
