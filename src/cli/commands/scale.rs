//! `scale`: as many replicas of a service as are asked for.

use std::collections::BTreeMap;

use orchestrator::operations::up::{UpOptions, dry_run, up};

use crate::app::{App, Warnings};
use crate::commands::services;
use crate::commands::up::choice::parse_scale;
use crate::error::{CommandError, Kind};

/// Run N replicas of a service
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Without the services that these depend on
    #[arg(long)]
    no_deps: bool,

    /// How many of which
    #[arg(value_name = "SERVICE=N", required = true, value_parser = parse_scale)]
    scale: Vec<(String, u32)>,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let names: Vec<String> = args.scale.iter().map(|(name, _)| name.clone()).collect();
    let loaded = app.load(&names, Warnings::Shown)?;
    services::check(&names, &loaded.project)?;
    let mut scale = BTreeMap::new();
    for (name, number) in args.scale {
        if scale.insert(name.clone(), number).is_some() {
            return Err(CommandError::new(Kind::Usage, format!("`{name}` is given more than once")));
        }
    }
    let options = UpOptions {
        services: names,
        no_deps: args.no_deps,
        scale,
        ignore_orphans: app.settings.ignore_orphans,
        remove_orphans: app.settings.remove_orphans,
        no_bootstrap: app.settings.no_bootstrap,
        ..UpOptions::default()
    };
    let engine = app.engine()?;
    if app.settings.dry_run {
        app.printer.data(dry_run(engine, &loaded.project, &options).await?.trim_end());
        return Ok(());
    }
    app.run(Some(&loaded), |events| up(engine, &loaded.project, &options, events)).await?;
    Ok(())
}
