//! `container start`, `exec` and `attach`: what joins our streams to a container's.

use std::path::PathBuf;
use std::sync::Arc;

use orchestrator::engine::Engine;
use orchestrator::engine::container::{ContainerState, ContainerSummary};
use orchestrator::engine::exec::ExecSpec;

use crate::app::App;
use crate::app::foreground::{DETACH_KEYS, Foreground, stay};
use crate::app::streams::{Streams, nowhere};
use crate::args::keys::parse_keys;
use crate::args::variables::{of_file, variables};
use crate::commands::attach::has_terminal;
use crate::commands::container::acts::each;
use crate::error::{CommandError, Kind};

/// Start containers that are there
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Join its output
    #[arg(short, long)]
    attach: bool,

    /// Join its input too
    #[arg(short, long)]
    interactive: bool,

    /// Keys that detach when typed in a row
    #[arg(long, value_name = "KEYS", value_parser = parse_keys)]
    detach_keys: Option<Arc<[u8]>>,

    /// Names or ids
    #[arg(value_name = "CONTAINER", required = true)]
    names: Vec<String>,
}

pub(crate) async fn start(args: Args, app: &App) -> Result<(), CommandError> {
    let engine = app.engine()?;
    if !args.attach && !args.interactive {
        let start = async |engine: Arc<dyn Engine>, it: ContainerSummary| engine.start_container(&it.id).await;
        return each(app, &args.names, start).await;
    }
    let [name] = args.names.as_slice() else {
        return Err(CommandError::new(Kind::Usage, "only one container can be attached to at a time"));
    };
    let container = engine.inspect_container(name).await?;
    let how = Foreground {
        tty: has_terminal(&engine, &container.id.0).await,
        stdin: args.interactive,
        // One that is frozen is refused, as Docker does.
        start: !container.state.is_up() || matches!(container.state, ContainerState::Paused { .. }),
        forward_signals: true,
        detach_keys: args.detach_keys.as_deref().unwrap_or(DETACH_KEYS).to_vec(),
        ..Foreground::default()
    };
    stay(&engine, &container.id, &how).await?.into_result()
}

/// Join the streams of a container's own program
#[derive(Debug, clap::Args)]
pub(crate) struct AttachArgs {
    /// Keys that detach when typed in a row
    #[arg(long, value_name = "KEYS", value_parser = parse_keys)]
    detach_keys: Option<Arc<[u8]>>,

    /// Send it no input
    #[arg(long)]
    no_stdin: bool,

    /// Pass signals on to the program; on unless `--sig-proxy=false`
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    sig_proxy: Option<bool>,

    /// Name or id
    #[arg(value_name = "CONTAINER")]
    name: String,
}

pub(crate) async fn attach(args: AttachArgs, app: &App) -> Result<(), CommandError> {
    let engine = app.engine()?;
    let container = engine.inspect_container(&args.name).await?;
    if !matches!(container.state, ContainerState::Running { .. } | ContainerState::Paused { .. }) {
        return Err(CommandError::new(Kind::Failed, format!("container `{}` does not run", args.name))
            .hint(format!("`container start -a {}` starts it", args.name)));
    }
    let how = Foreground {
        tty: has_terminal(&engine, &container.id.0).await,
        stdin: !args.no_stdin,
        start: false,
        forward_signals: args.sig_proxy.unwrap_or(true),
        detach_keys: args.detach_keys.as_deref().unwrap_or(DETACH_KEYS).to_vec(),
        ..Foreground::default()
    };
    stay(&engine, &container.id, &how).await?.into_result()
}

/// Run a program in a running container
#[derive(Debug, clap::Args)]
pub(crate) struct ExecArgs {
    /// Return at once and let it run
    #[arg(short, long)]
    detach: bool,

    /// Set a variable; without a value, from the environment
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    env: Vec<String>,

    /// Set the variables of a file
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,

    /// Let it read what is typed or piped in
    #[arg(short, long)]
    interactive: bool,

    /// Give it a terminal
    #[arg(short, long)]
    tty: bool,

    /// With every privilege
    #[arg(long)]
    privileged: bool,

    /// As this user
    #[arg(short, long, value_name = "USER")]
    user: Option<String>,

    /// In this folder of the container
    #[arg(short, long, value_name = "PATH")]
    workdir: Option<String>,

    /// Name or id
    #[arg(value_name = "CONTAINER")]
    name: String,

    /// The program with its arguments
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

pub(crate) async fn exec(args: ExecArgs, app: &App) -> Result<(), CommandError> {
    let engine = app.engine()?;
    let container = engine.inspect_container(&args.name).await?;
    if !matches!(container.state, ContainerState::Running { .. }) {
        return Err(CommandError::new(Kind::Failed, format!("container `{}` does not run", args.name)));
    }
    let mut given = Vec::new();
    for file in &args.env_file {
        given.extend(of_file(&app.absolute(file)).map_err(|why| CommandError::new(Kind::Usage, why))?);
    }
    given.extend(args.env);
    let spec = ExecSpec {
        command: args.command,
        environment: variables(&given, &app.environment),
        user: args.user,
        working_dir: args.workdir,
        privileged: args.privileged,
        tty: args.tty,
        detach: args.detach,
    };
    let (mut io, _raw) = if args.detach { (nowhere()?, None) } else { Streams::of_process(args.tty)?.into_exec() };
    if !args.interactive {
        io.stdin = None;
    }
    match engine.exec(&container.id, &spec, io).await? {
        0 => Ok(()),
        code => Err(CommandError::program(code)),
    }
}
