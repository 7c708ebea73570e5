//! `create`: as `up`, but nothing is started.

use orchestrator::operations::up::{UpOptions, up};

use crate::app::{App, Warnings};
use crate::commands::up::Making;
use crate::commands::{host_files, plan};
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
    let mut options = UpOptions { services: args.services, no_start: true, ..args.making.options(app)? };
    if app.settings.dry_run {
        return plan::show(app, &loaded, &options).await.map(drop);
    }
    Making::ask_of_volumes(app, &loaded, &mut options).await?;
    app.run(Some(&loaded), |events| up(engine, &loaded.project, &options, events)).await?;
    Ok(())
}
