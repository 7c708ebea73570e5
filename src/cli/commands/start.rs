//! `start`: starts the containers that are there, in the order of dependencies.

use std::time::Duration;

use orchestrator::operations::start::{StartOptions, start};

use crate::app::App;
use crate::commands::services;
use crate::error::CommandError;

/// Start the containers that are there
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Return only when every service is running or healthy
    #[arg(long)]
    wait: bool,

    /// Seconds that waiting may take
    #[arg(long, value_name = "SECONDS")]
    wait_timeout: Option<u64>,

    /// Only these services and what they depend on
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let target = app.target()?;
    if let Some(loaded) = &target.loaded {
        services::check(&args.services, &loaded.project)?;
    }
    let engine = app.engine()?;
    let options = StartOptions {
        services: args.services,
        wait: args.wait,
        wait_timeout: args.wait_timeout.map(Duration::from_secs),
    };
    let project = target.loaded.as_ref().map(|loaded| &loaded.project);
    app.run(target.loaded.as_ref(), |events| start(engine, &target.name, project, &options, events)).await
}
