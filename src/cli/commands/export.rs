//! `export`: a service's whole file system as an archive.

use std::path::PathBuf;

use orchestrator::event::Act;

use crate::app::App;
use crate::commands::acts::output::Output;
use crate::commands::one;
use crate::error::CommandError;

/// Write a service's file system as a tar archive
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Of the replica of this number
    #[arg(long, value_name = "N")]
    index: Option<u32>,

    /// Into this file instead of the standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// The service
    #[arg(value_name = "SERVICE")]
    service: String,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let target = app.target()?;
    let container = one::of_service(app, &target, &args.service, args.index).await?;
    let engine = app.engine()?;
    if app.settings.dry_run {
        return app
            .run(None, async |events| one::told(Act::Export, &container.name, &events, async { Ok(()) }).await)
            .await;
    }
    let (output, archive) = Output::open(app, args.output.as_deref())?;
    let exporting = async |events| {
        one::told(Act::Export, &container.name, &events, engine.export_container(&container.id, archive)).await
    };
    output.close(app.run(target.loaded.as_ref(), exporting).await)
}
