//! `volumes`: what the project keeps.

use std::collections::BTreeSet;

use orchestrator::engine::volume::VolumeSummary;
use orchestrator::identity;
use serde_json::{Value, json};

use crate::app::App;
use crate::commands::acts::rows::{JsonShape, print};
use crate::commands::services;
use crate::error::CommandError;
use crate::print::template::Format;

/// List the volumes
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// `table`, `json`, or a template such as `{{.Name}}`
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = Format::parse, hide_default_value = true)]
    format: Format,

    /// Only the names
    #[arg(short, long)]
    quiet: bool,

    /// Only those of these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let target = app.target()?;
    services::check_target(&args.services, &target)?;
    let mut volumes = app.engine()?.list_volumes(&identity::project_filter(&target.name)).await?;
    if let Some(loaded) = target.loaded.as_ref().filter(|_| !args.services.is_empty()) {
        let project = &loaded.project;
        let of = |name: &String| project.services.get(name).into_iter().flat_map(|service| &service.mounts);
        let keys: BTreeSet<&str> = args.services.iter().flat_map(of).filter_map(|it| it.source.as_deref()).collect();
        volumes.retain(|volume| volume.labels.get(identity::VOLUME).is_some_and(|key| keys.contains(key.as_str())));
    }
    volumes.sort_by(|a, b| a.name.cmp(&b.name));
    if args.quiet {
        volumes.iter().for_each(|volume| app.printer.data(&volume.name));
        return Ok(());
    }
    let rows: Vec<Value> = volumes.iter().map(row).collect();
    print(app, &args.format, &rows, &[("DRIVER", "Driver"), ("VOLUME NAME", "Name")], JsonShape::Lines)
}

/// Returns the row with the fields that Docker has, in its order.
pub(crate) fn row(volume: &VolumeSummary) -> Value {
    let labels: Vec<String> = volume.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    json!({
        "Availability": "N/A",
        "Driver": volume.driver,
        "Group": "N/A",
        "Labels": labels.join(","),
        "Links": "N/A",
        "Mountpoint": "N/A",
        "Name": volume.name,
        "Scope": "local",
        "Size": "N/A",
        "Status": "N/A",
    })
}
