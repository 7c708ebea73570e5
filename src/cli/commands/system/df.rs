//! `system df`: what takes how much of the disk.

use std::time::SystemTime;

use orchestrator::engine::container::ContainerState;
use orchestrator::engine::usage::DiskUsage;
use serde_json::{Value, json};

use crate::app::App;
use crate::commands::image::{list, short};
use crate::error::{CommandError, Kind};
use crate::print::age;
use crate::print::printer::Stream;
use crate::print::progress::size;
use crate::print::table::Table;
use crate::print::template::Format;

/// Show what takes disk space
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Everything one by one
    #[arg(short, long, conflicts_with = "format")]
    verbose: bool,

    /// `table`, `json`, or a template such as `{{.Type}}`
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = Format::parse, hide_default_value = true)]
    format: Format,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let usage = app.engine()?.disk_usage().await?;
    let width = app.printer.width(Stream::Out);
    if args.verbose {
        app.printer.write(Stream::Out, verbose(&usage, width).as_bytes());
        return Ok(());
    }
    let rows = rows(&usage);
    match &args.format {
        Format::Json => rows.iter().for_each(|row| app.printer.data(&row.to_string())),
        Format::Table => {
            let mut table = Table::new(&["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]);
            let cell = |row: &Value, name: &str| row[name].as_str().unwrap_or("").to_owned();
            for row in &rows {
                table.row(["Type", "TotalCount", "Active", "Size", "Reclaimable"].map(|name| cell(row, name)));
            }
            app.printer.write(Stream::Out, table.render(width).as_bytes());
        }
        template @ Format::Template { .. } => {
            let text = template.apply(&rows, width).unwrap_or_else(|| Ok(String::new()));
            app.printer.write(Stream::Out, text.map_err(|why| CommandError::new(Kind::Usage, why))?.as_bytes());
        }
    }
    Ok(())
}

/// Says whether it runs, or may again by itself.
fn is_active(state: &ContainerState) -> bool {
    matches!(state, ContainerState::Running { .. } | ContainerState::Paused { .. } | ContainerState::Restarting { .. })
}

fn rows(usage: &DiskUsage) -> Vec<Value> {
    let row = |kind: &str, total: usize, active: usize, bytes: u64, free: u64| {
        let percent = (free * 100).checked_div(bytes).unwrap_or(0);
        json!({
            "Active": active.to_string(),
            "Reclaimable": if kind == "Build Cache" { size(free) } else { format!("{} ({percent}%)", size(free)) },
            "Size": size(bytes),
            "TotalCount": total.to_string(),
            "Type": kind,
        })
    };
    let used = usage.images.iter().filter(|it| it.containers > 0).count();
    // What is only of images that no container has: a shared layer may still be needed by one of them.
    let own = |it: &orchestrator::engine::usage::ImageUsage| it.image.size.saturating_sub(it.shared);
    let images_free: u64 = match used {
        0 => usage.layers,
        _ => usage.images.iter().filter(|it| it.containers == 0).map(own).sum(),
    };
    let containers: u64 = usage.containers.iter().map(|it| it.size).sum();
    let stopped: u64 = usage.containers.iter().filter(|it| !is_active(&it.container.state)).map(|it| it.size).sum();
    let running = usage.containers.iter().filter(|it| is_active(&it.container.state)).count();
    let volumes: u64 = usage.volumes.iter().map(|it| it.size).sum();
    let loose: u64 = usage.volumes.iter().filter(|it| it.links == 0).map(|it| it.size).sum();
    let linked = usage.volumes.iter().filter(|it| it.links > 0).count();
    vec![
        row("Images", usage.images.len(), used, usage.layers, images_free),
        row("Containers", usage.containers.len(), running, containers, stopped),
        row("Local Volumes", usage.volumes.len(), linked, volumes, loose),
        row("Build Cache", usage.cache.entries, 0, usage.cache.size, usage.cache.size),
    ]
}

fn verbose(usage: &DiskUsage, width: Option<usize>) -> String {
    let now = SystemTime::now();
    let mut images =
        Table::new(&["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "CONTAINERS"]);
    for it in &usage.images {
        for named in list::named(&it.image) {
            let created = it.image.created.map_or_else(|| "N/A".to_owned(), |created| age::ago(created, now));
            let unique = it.image.size.saturating_sub(it.shared);
            images.row([
                named.repository,
                named.tag,
                short(&it.image.id, false),
                created,
                size(it.image.size),
                size(it.shared),
                size(unique),
                it.containers.to_string(),
            ]);
        }
    }
    let mut containers = Table::new(&["CONTAINER ID", "IMAGE", "SIZE", "CREATED", "STATUS", "NAMES"]);
    for it in &usage.containers {
        let container = &it.container;
        containers.row([
            short(&container.id.0, false),
            container.image.clone(),
            size(it.size),
            age::ago(container.created, now),
            age::status(&container.state, now),
            container.name.clone(),
        ]);
    }
    let mut volumes = Table::new(&["VOLUME NAME", "LINKS", "SIZE"]);
    usage.volumes.iter().for_each(|it| volumes.row([it.name.clone(), it.links.to_string(), size(it.size)]));
    format!(
        "Images space usage:\n\n{}\nContainers space usage:\n\n{}\nLocal Volumes space usage:\n\n{}\nBuild cache usage: {}\n",
        images.render(width),
        containers.render(width),
        volumes.render(width),
        size(usage.cache.size)
    )
}
