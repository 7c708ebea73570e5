//! The flags of `exec`, and how its streams are joined with ours.

use orchestrator::engine::exec::ExecSpec;
use orchestrator::operations::exec::exec;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::App;
use crate::app::streams::{Streams, nowhere, on_terminal, unable};
use crate::args::variables::variables;
use crate::commands::services;
use crate::error::CommandError;

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
    let tty = on_terminal() && !args.no_tty && !args.detach;
    let spec = ExecSpec {
        command: args.command,
        environment: variables(&args.env, &app.environment),
        user: args.user,
        working_dir: args.workdir,
        privileged: args.privileged,
        tty,
        detach: args.detach,
    };
    let (io, _raw) = if args.detach { (nowhere()?, None) } else { Streams::of_process(tty)?.into_exec() };
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| unable("take signals", &error))?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(|error| unable("take signals", &error))?;
    let code = tokio::select! {
        result = exec(engine, &target.name, &args.service, args.index, &spec, io) => result?,
        _ = terminate.recv() => 143,
        _ = hang_up.recv() => 129,
    };
    if code == 0 { Ok(()) } else { Err(CommandError::program(code)) }
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
}
