//! `image rm`: names go, and images with their last one.

use orchestrator::engine::error::ErrorKind;
use orchestrator::engine::image::RemovedImage;
use orchestrator::event::Failure;
use orchestrator::operations::OperationError;

use crate::app::App;
use crate::error::CommandError;

/// Remove images
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also what containers use, and images with several names by id; one that is not there is no failure
    #[arg(short, long)]
    force: bool,

    // There are no images in between here.
    #[arg(long, hide = true)]
    no_prune: bool,

    /// Names or ids
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let engine = app.engine()?;
    let mut failures = Vec::new();
    for image in &args.images {
        if app.settings.dry_run {
            app.printer.data(&format!("remove image `{image}`"));
            continue;
        }
        match engine.untag_image(image, args.force).await {
            Ok(removed) => removed.iter().for_each(|removed| app.printer.data(&line(removed))),
            // As with docker: what is not there is gone.
            Err(error) if args.force && error.kind == ErrorKind::NotFound => app.printer.warn(&error.message),
            Err(error) => failures.push(Failure::new(error, None)),
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(OperationError::of(failures).into()) }
}

/// The words that scripts read from `docker image rm`.
pub(crate) fn line(removed: &RemovedImage) -> String {
    match removed {
        RemovedImage::Untagged(name) => format!("Untagged: {name}"),
        RemovedImage::Deleted(id) => format!("Deleted: {id}"),
    }
}
