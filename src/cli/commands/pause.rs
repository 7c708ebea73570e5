//! `pause` and `unpause`: freezes what runs, and lets it go on.

use orchestrator::operations::pause::{pause, unpause};
use orchestrator::operations::scope::Scope;

use crate::app::App;
use crate::commands::services;
use crate::error::CommandError;

// Two verbs have these flags: what each does is said where it is named.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

/// Let frozen containers go on
#[derive(Debug, clap::Args)]
pub(crate) struct UnpauseArgs {
    /// Only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

/// Freezes.
pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let target = app.target()?;
    services::check_target(&args.services, &target)?;
    let (engine, scope) = (app.engine()?, scope(args.services));
    app.run(target.loaded.as_ref(), |events| pause(engine, &target.name, &scope, events)).await
}

/// Lets go on.
pub(crate) async fn run_unpause(args: UnpauseArgs, app: &App) -> Result<(), CommandError> {
    let target = app.target()?;
    services::check_target(&args.services, &target)?;
    let (engine, scope) = (app.engine()?, scope(args.services));
    app.run(target.loaded.as_ref(), |events| unpause(engine, &target.name, &scope, events)).await
}

fn scope(services: Vec<String>) -> Scope {
    Scope { services, index: None, one_offs: false }
}
