//! `rm`: removes containers that do not run.

use orchestrator::engine::container::ContainerState;
use orchestrator::event::{Act, Event, ResourceKind};
use orchestrator::operations::ps::{Replica, list};
use orchestrator::operations::scope::Scope;
use orchestrator::operations::stop::{StopOptions, stop};

use crate::app::{App, ask};
use crate::commands::services;
use crate::error::{CommandError, Kind};
use crate::print::printer::Stream;

/// Remove stopped containers
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Don't ask
    #[arg(short, long)]
    force: bool,

    /// Stop them first
    #[arg(short, long)]
    stop: bool,

    /// Remove their anonymous volumes too
    #[arg(short, long)]
    volumes: bool,

    // Deprecated in Docker Compose: it does nothing there either.
    #[arg(short, long, hide = true)]
    all: bool,

    /// Only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let target = app.target()?;
    if let Some(loaded) = &target.loaded {
        services::check(&args.services, &loaded.project)?;
    }
    let engine = app.engine()?;
    if args.stop {
        let options = StopOptions { services: args.services.clone(), timeout: None };
        let project = target.loaded.as_ref().map(|loaded| &loaded.project);
        app.run(target.loaded.as_ref(), |events| stop(engine.clone(), &target.name, project, &options, events)).await?;
    }
    let scope = Scope { services: args.services.clone(), index: None, one_offs: false };
    let mut stopped = list(engine.clone(), &target.name, &scope).await?;
    stopped.retain(|replica| has_ended(&replica.container.state));
    if stopped.is_empty() {
        app.printer.note("No stopped containers");
        return Ok(());
    }
    if !args.force && !is_confirmed(app, &stopped)? {
        return Ok(());
    }
    app.run(target.loaded.as_ref(), async |events| {
        for replica in &stopped {
            let (kind, name) = (ResourceKind::Container, replica.container.name.clone());
            let _ = events.send(Event::Started { kind, name: name.clone(), act: Act::Remove });
            engine.remove_container(&replica.container.id, args.volumes).await?;
            let _ = events.send(Event::Done { kind, name, act: Act::Remove });
        }
        Ok(())
    })
    .await
}

fn has_ended(state: &ContainerState) -> bool {
    match state {
        ContainerState::Created | ContainerState::Exited { .. } | ContainerState::Dead { .. } => true,
        ContainerState::Running { .. }
        | ContainerState::Paused { .. }
        | ContainerState::Restarting { .. }
        | ContainerState::Removed => false,
    }
}

fn is_confirmed(app: &App, stopped: &[Replica]) -> Result<bool, CommandError> {
    if !ask::can_answer() {
        return Err(CommandError::new(Kind::Usage, "`rm` asks before it removes, and nobody can answer here")
            .hint("`rm --force` does not ask"));
    }
    let names: Vec<&str> = stopped.iter().map(|replica| replica.container.name.as_str()).collect();
    app.printer.note(&format!("Going to remove {}", names.join(", ")));
    Ok(ask::agrees(app, Stream::Err, "Are you sure? [yN]"))
}
