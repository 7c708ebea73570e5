//! `stop`: ends what runs, dependants first, and keeps the containers.

use std::time::Duration;

use orchestrator::operations::stop::{StopOptions, stop};

use crate::app::App;
use crate::args::moment::parse_grace;
use crate::commands::services;
use crate::error::CommandError;

/// Stop the containers and keep them
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Seconds before a container is killed
    #[arg(short, long, value_name = "SECONDS", value_parser = parse_grace, allow_negative_numbers = true)]
    timeout: Option<Duration>,

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
    let options = StopOptions { services: args.services, timeout: args.timeout };
    let project = target.loaded.as_ref().map(|loaded| &loaded.project);
    app.run(target.loaded.as_ref(), |events| stop(engine, &target.name, project, &options, events)).await
}
