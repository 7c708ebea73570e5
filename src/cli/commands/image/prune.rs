//! `image prune`: images that nothing uses go.

use std::collections::HashSet;
use std::sync::Arc;

use orchestrator::engine::Engine;
use orchestrator::engine::image::RemovedImage;

use crate::app::App;
use crate::commands::acts::pruning::{is_confirmed, report, report_space};
use crate::commands::image::list;
use crate::error::CommandError;

/// Remove images that nothing uses
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also images with a name that no container was made of
    #[arg(short, long)]
    all: bool,

    /// `until=24h`, `label=KEY[=VALUE]`
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,

    /// Don't ask
    #[arg(short, long)]
    force: bool,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let what =
        if args.all { "all images without at least one container associated to them" } else { "all dangling images" };
    let warning = format!("WARNING! This will remove {what}.");
    if !app.settings.dry_run && !args.force && !is_confirmed(app, &warning) {
        return Ok(());
    }
    let engine = app.engine()?;
    let (removed, freed) = prune(&engine, app, args.all, &args.filter).await?;
    report(app, "Images", &removed);
    report_space(app, freed);
    Ok(())
}

/// Removes images and returns what went, and the bytes that are free now.
pub(crate) async fn prune(
    engine: &Arc<dyn Engine>,
    app: &App,
    all: bool,
    filter: &[String],
) -> Result<(Vec<String>, u64), CommandError> {
    let used: HashSet<String> = engine.list_containers(&[]).await?.into_iter().map(|it| it.image_id).collect();
    let images = engine.list_images().await?;
    let filter = list::Filter::parse(filter, &images)?;
    let before = engine.disk_usage().await?.layers;
    let mut lines = Vec::new();
    for image in &images {
        let goes = !used.contains(&image.id) && (all || (image.references.is_empty() && !image.of_platform));
        if !goes || !list::named(image).iter().any(|named| filter.takes(named)) {
            continue;
        }
        if app.settings.dry_run {
            lines.push(format!("would delete: {}", image.id));
            continue;
        }
        // With several names by force; one that a container took meanwhile stays.
        let names = if image.references.is_empty() { vec![image.id.clone()] } else { image.references.clone() };
        for name in names {
            match engine.untag_image(&name, false).await {
                Ok(removed) => lines.extend(removed.iter().map(|removed| match removed {
                    RemovedImage::Untagged(name) => format!("untagged: {name}"),
                    RemovedImage::Deleted(id) => format!("deleted: {id}"),
                })),
                Err(error) => app.printer.warn(&error.message),
            }
        }
    }
    Ok((lines, before.saturating_sub(engine.disk_usage().await?.layers)))
}
