//! `load`: images from a docker archive or an OCI layout into the store.

use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;

use orchestrator::event::{Act, Event, Failure, ProgressSink, ResourceKind};
use orchestrator::operations::OperationError;

use crate::app::App;
use crate::args::global::ProgressStyle;
use crate::error::{CommandError, Kind};

/// Load images from an archive
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The archive: `docker save` or an OCI layout, also compressed; else the standard input
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,

    /// No progress
    #[arg(short, long)]
    quiet: bool,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let (name, archive) = open(&args)?;
    if app.settings.dry_run {
        app.printer.data(&format!("load images from {name}"));
        return Ok(());
    }
    let engine = app.engine()?;
    let style = if args.quiet { ProgressStyle::Quiet } else { app.settings.progress };
    let images = app
        .run_in(style, None, async |events| {
            let sink = ProgressSink::to(&events, name.as_str());
            engine.load_images(archive, &sink).await.map_err(|error| {
                let (kind, act) = (ResourceKind::Image, Act::Pull);
                let _ = events.send(Event::Failed { kind, name: name.clone(), act, error: error.clone() });
                OperationError::of(vec![Failure::new(error, None)])
            })
        })
        .await?;
    for image in &images {
        // The words that scripts read from `docker load`.
        if image.references.is_empty() {
            app.printer.data(&format!("Loaded image ID: {}", image.id));
        }
        image.references.iter().for_each(|reference| app.printer.data(&format!("Loaded image: {reference}")));
    }
    Ok(())
}

/// Opens what is to be read, with its name for people.
fn open(args: &Args) -> Result<(String, OwnedFd), CommandError> {
    let failed =
        |name: &str, error: std::io::Error| CommandError::new(Kind::Failed, format!("cannot read {name}: {error}"));
    match &args.input {
        Some(path) => {
            let name = format!("`{}`", path.display());
            let file = File::open(path).map_err(|error| failed(&name, error))?;
            Ok((name, file.into()))
        }
        None => {
            let name = "the standard input".to_owned();
            let stdin = std::io::stdin().as_fd().try_clone_to_owned().map_err(|error| failed(&name, error))?;
            Ok((name, stdin))
        }
    }
}
