//! `wait`: returns when the containers of services have ended, with the code of the last one.

use orchestrator::operations::down::{DownOptions, down};
use orchestrator::operations::ps::list;
use orchestrator::operations::scope::Scope;
use tokio::task::JoinSet;

use crate::app::foreground::wait_for_end;
use crate::app::{App, Interrupts};
use crate::commands::services;
use crate::error::{CommandError, Kind};

/// Return when the containers of services have ended, with their code
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Take the project down when the first of them has ended
    #[arg(long)]
    down_project: bool,

    /// The services
    #[arg(value_name = "SERVICE", required = true)]
    services: Vec<String>,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let target = app.target()?;
    services::check_target(&args.services, &target)?;
    let engine = app.engine()?;
    let scope = Scope { services: args.services, index: None, one_offs: false };
    let containers = list(engine.clone(), &target.name, &scope).await?;
    if containers.is_empty() {
        let message = format!("{} has no container to wait for", scope.services.join(", "));
        return Err(CommandError::new(Kind::Failed, message).hint("`up` creates them"));
    }
    let mut ends = JoinSet::new();
    for replica in containers {
        let (engine, id) = (engine.clone(), replica.container.id);
        ends.spawn(async move { (wait_for_end(&engine, &id).await, id) });
    }
    let mut interrupts = Interrupts::listen()?;
    let mut last = 0;
    loop {
        let ended = tokio::select! {
            ended = ends.join_next() => ended,
            () = interrupts.next() => return Err(CommandError::silent(Kind::Interrupted)),
        };
        let (code, id) = match ended {
            None => break,
            Some(Ok(ended)) => ended,
            Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Some(Err(_)) => continue,
        };
        last = code?;
        app.printer.data(&format!("container \"{}\" exited with status code {last}", id.0));
        if args.down_project {
            let project = target.loaded.as_ref().map(|loaded| &loaded.project);
            let options = DownOptions { remove_orphans: true, ..DownOptions::default() };
            app.run(target.loaded.as_ref(), |events| down(engine, &target.name, project, &options, events)).await?;
            break;
        }
    }
    if last == 0 { Ok(()) } else { Err(CommandError::program(last)) }
}
