//! `system prune`: stopped containers, unused networks and images go, and volumes when asked for.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use orchestrator::engine::container::ContainerState;
use orchestrator::engine::usage::CachePrune;
use orchestrator::engine::volume::VolumeSummary;

use crate::app::App;
use crate::commands::acts::pruning::{Filter, is_confirmed, report, report_space};
use crate::commands::image::{list, prune};
use crate::commands::network::prune_networks;
use crate::commands::volume::is_anonymous;
use crate::error::CommandError;

/// Remove what nothing uses
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also images with a name that no container was made of
    #[arg(short, long)]
    all: bool,

    /// Also anonymous volumes that no container has
    #[arg(long)]
    volumes: bool,

    /// For images: `until=24h`, `label=KEY[=VALUE]`
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,

    /// Don't ask
    #[arg(short, long)]
    force: bool,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let images =
        if args.all { "all images without at least one container associated to them" } else { "all dangling images" };
    let volumes = if args.volumes { "\n  - all anonymous volumes not used by at least one container" } else { "" };
    let cache = if args.all { "all build cache" } else { "unused build cache" };
    let filter = Filter::parse(&args.filter)?;
    let filtered = match args.filter.as_slice() {
        [] => String::new(),
        given => format!("\n  Items to be pruned will be filtered with:\n  - {}\n", given.join("\n  - ")),
    };
    let warning = format!(
        "WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at least one container{volumes}\n  - {images}\n  - {cache}\n{filtered}"
    );
    if !app.settings.dry_run && !args.force && !is_confirmed(app, &warning) {
        return Ok(());
    }
    let engine = app.engine()?;
    let before = engine.disk_usage().await?;
    let taken = |usage: &orchestrator::engine::usage::DiskUsage| {
        let containers: u64 = usage.containers.iter().map(|it| it.size).sum();
        let volumes: u64 = usage.volumes.iter().map(|it| it.size).sum();
        usage.layers + usage.cache.size + containers + volumes
    };
    let mut gone = Vec::new();
    for it in &before.containers {
        let ended = matches!(
            it.container.state,
            ContainerState::Created | ContainerState::Exited { .. } | ContainerState::Dead { .. }
        );
        if ended && filter.takes(&it.container.labels, Some(it.container.created)) {
            engine.remove_container(&it.container.id, false).await?;
            gone.push(it.container.id.0.clone());
        }
    }
    report(app, "Containers", &gone);
    let gone = prune_networks(&engine, app, &filter).await?;
    report(app, "Networks", &gone);
    if args.volumes {
        let mut gone = Vec::new();
        let labels: BTreeMap<String, VolumeSummary> =
            engine.list_volumes(&[]).await?.into_iter().map(|volume| (volume.name.clone(), volume)).collect();
        for volume in engine.disk_usage().await?.volumes {
            let Some(summary) = labels.get(&volume.name) else { continue };
            if volume.links == 0 && is_anonymous(summary) && filter.takes(&summary.labels, Some(SystemTime::UNIX_EPOCH))
            {
                engine.remove_volume(&volume.name).await?;
                gone.push(volume.name);
            }
        }
        report(app, "Volumes", &gone);
    }
    let (removed, _) = prune::prune(&engine, app, args.all, &args.filter).await?;
    report(app, "Images", &removed);
    match engine
        .prune_build_cache(&CachePrune { all: args.all, unused_for: unused_for(&args.filter), ..CachePrune::default() })
        .await
    {
        Ok((removed, _)) => {
            let removed: Vec<String> = removed.into_iter().map(|entry| entry.id).collect();
            report(app, "build cache objects", &removed);
        }
        Err(error) => app.printer.warn(&error.message),
    }
    let freed = taken(&before).saturating_sub(taken(&engine.disk_usage().await?));
    report_space(app, freed);
    Ok(())
}

/// The age that `until=24h` names; labels are of no thing in the cache.
fn unused_for(filter: &[String]) -> Option<Duration> {
    let then = filter.iter().filter_map(|text| text.strip_prefix("until=")).find_map(list::moment)?;
    Some(SystemTime::now().duration_since(then).unwrap_or_default())
}
