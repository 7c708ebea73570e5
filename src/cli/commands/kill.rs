//! `kill`: sends a signal to what runs.

use orchestrator::operations::stop::kill;

use crate::app::App;
use crate::commands::services;
use crate::error::CommandError;

/// Send a signal to the containers
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The signal, by name or number
    #[arg(short, long, value_name = "SIGNAL", default_value = "SIGKILL")]
    signal: String,

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
    app.run(target.loaded.as_ref(), |events| kill(engine, &target.name, &args.services, &args.signal, events)).await
}
