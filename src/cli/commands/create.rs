//! `create`: as `up`, but nothing is started.

use orchestrator::operations::up::{UpOptions, dry_run, up};

use crate::app::{App, Warnings};
use crate::commands::host_files;
use crate::commands::up::Making;
use crate::error::CommandError;

/// Create the containers without starting them
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    making: Making,

    /// Only these services and what they depend on
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let loaded = app.load(&args.services, Warnings::Shown)?;
    host_files::check(app, &loaded)?;
    let engine = app.engine()?;
    let options = UpOptions { services: args.services, no_start: true, ..args.making.options(app)? };
    if app.settings.dry_run {
        app.printer.data(dry_run(engine, &loaded.project, &options).await?.trim_end());
        return Ok(());
    }
    app.run(Some(&loaded), |events| up(engine, &loaded.project, &options, events)).await?;
    Ok(())
}
