//! What is done to containers by name: each name is printed when it is done, and one that fails keeps no other from
//! its turn.

use std::sync::Arc;
use std::time::Duration;

use orchestrator::engine::Engine;
use orchestrator::engine::container::{ContainerState, ContainerSummary, StopOptions};
use orchestrator::engine::error::{EngineError, ErrorKind};
use orchestrator::engine::usage::ContainerUsage;
use orchestrator::event::Failure;
use orchestrator::operations::OperationError;

use crate::app::App;
use crate::app::foreground::wait_for_end;
use crate::args::moment::parse_grace;
use crate::commands::acts::pruning::{Filter, is_confirmed, report, report_space};
use crate::error::CommandError;

/// Which containers.
#[derive(Debug, clap::Args)]
pub(crate) struct Names {
    /// Names or ids
    #[arg(value_name = "CONTAINER", required = true)]
    names: Vec<String>,
}

/// How containers end.
#[derive(Debug, clap::Args)]
pub(crate) struct StopArgs {
    /// Seconds before a container is killed
    #[arg(short, long, visible_alias = "time", value_name = "SECONDS", value_parser = parse_grace, allow_negative_numbers = true)]
    timeout: Option<Duration>,

    /// Signal instead of its own
    #[arg(short, long, value_name = "SIGNAL")]
    signal: Option<String>,

    #[command(flatten)]
    which: Names,
}

/// Which signal.
#[derive(Debug, clap::Args)]
pub(crate) struct KillArgs {
    /// The signal, by name or number
    #[arg(short, long, value_name = "SIGNAL", default_value = "SIGKILL")]
    signal: String,

    #[command(flatten)]
    which: Names,
}

/// How containers are removed.
#[derive(Debug, clap::Args)]
pub(crate) struct RemoveArgs {
    /// Running ones too, and those that are not there are no failure
    #[arg(short, long)]
    force: bool,

    /// Their anonymous volumes too
    #[arg(short, long)]
    volumes: bool,

    #[command(flatten)]
    which: Names,
}

/// Which name.
#[derive(Debug, clap::Args)]
pub(crate) struct RenameArgs {
    /// Name or id
    #[arg(value_name = "CONTAINER")]
    name: String,

    /// What it is called from now on
    #[arg(value_name = "NEW_NAME")]
    new: String,
}

/// Which go.
#[derive(Debug, clap::Args)]
pub(crate) struct PruneArgs {
    /// Don't ask
    #[arg(short, long)]
    force: bool,

    /// Only those: `until=24h`, `label=KEY[=VALUE]`, `label!=KEY[=VALUE]`
    #[arg(long, value_name = "FILTER")]
    filter: Vec<String>,
}

/// Does `act` to each container and prints its name.
pub(crate) async fn each<F>(
    app: &App,
    names: &[String],
    act: impl Fn(Arc<dyn Engine>, ContainerSummary) -> F,
) -> Result<(), CommandError>
where
    F: Future<Output = Result<(), EngineError>>,
{
    let engine = app.engine()?;
    let mut failures = Vec::new();
    for name in names {
        let done = match engine.inspect_container(name).await {
            Ok(container) => act(engine.clone(), container).await,
            Err(error) => Err(error),
        };
        match done {
            Ok(()) => app.printer.data(name),
            Err(error) => failures.push(Failure::new(error, None)),
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(OperationError::of(failures).into()) }
}

pub(crate) async fn stop(args: StopArgs, app: &App) -> Result<(), CommandError> {
    let options = StopOptions { signal: args.signal, grace: args.timeout };
    let stop =
        async |engine: Arc<dyn Engine>, it: ContainerSummary| engine.stop_container(&it.id, options.clone()).await;
    each(app, &args.which.names, stop).await
}

pub(crate) async fn restart(args: StopArgs, app: &App) -> Result<(), CommandError> {
    let options = StopOptions { signal: args.signal, grace: args.timeout };
    let again =
        async |engine: Arc<dyn Engine>, it: ContainerSummary| engine.restart_container(&it.id, options.clone()).await;
    each(app, &args.which.names, again).await
}

pub(crate) async fn kill(args: KillArgs, app: &App) -> Result<(), CommandError> {
    let kill = async |engine: Arc<dyn Engine>, it: ContainerSummary| {
        if !it.state.is_up() {
            return Err(refused(&it.name, "kill", "it does not run"));
        }
        engine.kill_container(&it.id, &args.signal).await
    };
    each(app, &args.which.names, kill).await
}

pub(crate) async fn pause(args: Names, app: &App) -> Result<(), CommandError> {
    let pause = async |engine: Arc<dyn Engine>, it: ContainerSummary| match it.state {
        ContainerState::Paused { .. } => Err(refused(&it.name, "pause", "it is already paused")),
        _ => engine.pause_container(&it.id).await,
    };
    each(app, &args.names, pause).await
}

pub(crate) async fn unpause(args: Names, app: &App) -> Result<(), CommandError> {
    let unpause = async |engine: Arc<dyn Engine>, it: ContainerSummary| match it.state {
        ContainerState::Paused { .. } => engine.unpause_container(&it.id).await,
        _ => Err(refused(&it.name, "unpause", "it is not paused")),
    };
    each(app, &args.names, unpause).await
}

pub(crate) async fn remove(args: RemoveArgs, app: &App) -> Result<(), CommandError> {
    let engine = app.engine()?;
    let mut names = args.which.names;
    if args.force {
        let mut there = Vec::new();
        for name in names {
            match engine.inspect_container(&name).await {
                Err(error) if error.kind == ErrorKind::NotFound => app.printer.warn(&error.message),
                _ => there.push(name),
            }
        }
        names = there;
    }
    let remove = async |engine: Arc<dyn Engine>, it: ContainerSummary| {
        if it.state.is_up() && !args.force {
            return Err(refused(&it.name, "remove", "it runs").hint("stop it first, or say `--force`"));
        }
        engine.remove_container(&it.id, args.volumes).await
    };
    each(app, &names, remove).await
}

pub(crate) async fn rename(args: RenameArgs, app: &App) -> Result<(), CommandError> {
    let engine = app.engine()?;
    let container = engine.inspect_container(&args.name).await?;
    if container.name == args.new {
        return Err(refused(&args.name, "rename", "that is its name already").into());
    }
    Ok(engine.rename_container(&container.id, &args.new).await?)
}

pub(crate) async fn wait(args: Names, app: &App) -> Result<(), CommandError> {
    let engine = app.engine()?;
    for name in &args.names {
        let container = engine.inspect_container(name).await?;
        let code = wait_for_end(&engine, &container.id).await?;
        app.printer.data(&code.to_string());
    }
    Ok(())
}

pub(crate) async fn prune(args: PruneArgs, app: &App) -> Result<(), CommandError> {
    let filter = Filter::parse(&args.filter)?;
    let warning = "WARNING! This will remove all stopped containers.";
    if !app.settings.dry_run && !args.force && !is_confirmed(app, warning) {
        return Ok(());
    }
    let engine = app.engine()?;
    let (mut gone, mut freed, mut failures) = (Vec::new(), 0, Vec::new());
    for ContainerUsage { container, size } in engine.disk_usage().await?.containers {
        if container.state.is_up() || !filter.takes(&container.labels, Some(container.created)) {
            continue;
        }
        match engine.remove_container(&container.id, false).await {
            Ok(()) => {
                gone.push(container.id.0);
                freed += size;
            }
            Err(error) => failures.push(Failure::new(error, None)),
        }
    }
    report(app, "Containers", &gone);
    report_space(app, freed);
    if failures.is_empty() { Ok(()) } else { Err(OperationError::of(failures).into()) }
}

fn refused(name: &str, act: &str, why: &str) -> EngineError {
    EngineError::new(
        ErrorKind::Conflict,
        format!("container `{name}`"),
        format!("cannot {act} container `{name}`: {why}"),
    )
}
