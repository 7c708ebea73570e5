//! `restart`: stops and starts what is there, exited containers too.

use std::time::Duration;

use orchestrator::operations::restart::{RestartOptions, restart};

use crate::app::App;
use crate::args::moment::parse_grace;
use crate::commands::services;
use crate::error::CommandError;

/// Stop and start the containers
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Seconds before a container is killed
    #[arg(short, long, value_name = "SECONDS", value_parser = parse_grace, allow_negative_numbers = true)]
    timeout: Option<Duration>,

    /// Leave services alone that depend on these
    #[arg(long)]
    no_deps: bool,

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
    let options = RestartOptions { services: args.services, timeout: args.timeout, no_deps: args.no_deps };
    let project = target.loaded.as_ref().map(|loaded| &loaded.project);
    app.run(target.loaded.as_ref(), |events| restart(engine, &target.name, project, &options, events)).await
}
