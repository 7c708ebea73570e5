//! `builder du`: what is in the build cache.

use std::time::SystemTime;

use orchestrator::engine::usage::CacheEntry;
use serde_json::{Value, json};

use crate::app::App;
use crate::error::{CommandError, Kind};
use crate::print::age;
use crate::print::printer::Stream;
use crate::print::progress::size;
use crate::print::table::Table;
use crate::print::template::Format;

/// List what is in the build cache
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// `table`, `json`, or a template such as `{{.ID}}`
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = Format::parse, hide_default_value = true)]
    format: Format,
}

pub(crate) async fn run(args: &Args, app: &App) -> Result<(), CommandError> {
    let engine = app.engine()?;
    let entries = engine.list_build_cache().await?;
    let row = |entry: &CacheEntry| {
        json!({
            "ID": entry.id,
            "Type": entry.kind,
            "Size": size(entry.size),
            "Shared": entry.shared,
            "LastUsedAt": used(entry),
            "Reclaimable": true,
        })
    };
    let rows: Vec<Value> = entries.iter().map(row).collect();
    match &args.format {
        Format::Json => rows.iter().for_each(|row| app.printer.data(&row.to_string())),
        template @ Format::Template { .. } => {
            let text = template.apply(&rows, app.printer.width(Stream::Out)).unwrap_or_else(|| Ok(String::new()));
            app.printer.write(Stream::Out, text.map_err(|why| CommandError::new(Kind::Usage, why))?.as_bytes());
        }
        Format::Table => {
            app.printer.data(table(app, &entries).trim_end());
            app.printer.data(&format!("Total:\t{}", size(engine.disk_usage().await?.cache.size)));
        }
    }
    Ok(())
}

fn used(entry: &CacheEntry) -> String {
    entry.used.map_or_else(|| "never".to_owned(), |used| age::ago(used, SystemTime::now()))
}

/// The entries as a table.
pub(crate) fn table(app: &App, entries: &[CacheEntry]) -> String {
    let mut table = Table::new(&["ID", "TYPE", "SIZE", "SHARED", "LAST ACCESSED"]);
    for entry in entries {
        let id = entry.id.chars().take(12).collect();
        table.row([id, entry.kind.clone(), size(entry.size), entry.shared.to_string(), used(entry)]);
    }
    table.render(app.printer.width(Stream::Out))
}
