//! `image history`: what an image was made by.

use std::time::SystemTime;

use orchestrator::engine::image::HistoryEntry;
use serde_json::{Value, json};

use crate::app::App;
use crate::commands::image::short;
use crate::error::{CommandError, Kind};
use crate::print::age;
use crate::print::printer::Stream;
use crate::print::progress::size;
use crate::print::table::{Table, fit};
use crate::print::template::Format;

/// Characters of the CREATED BY column.
const CREATED_BY_WIDTH: usize = 45;

/// Show what an image was made by
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// `table`, `json`, or a template such as `{{.CreatedBy}}`
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = Format::parse, hide_default_value = true)]
    format: Format,

    /// Sizes and times for people
    #[arg(short = 'H', long, default_value = "true", default_missing_value = "true", num_args = 0..=1, require_equals = true, hide_default_value = true)]
    human: bool,

    /// Print whole ids and commands
    #[arg(long)]
    no_trunc: bool,

    /// Only the ids
    #[arg(short, long)]
    quiet: bool,

    /// Name or id
    #[arg(value_name = "IMAGE")]
    image: String,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let entries = app.engine()?.image_history(&args.image).await?;
    let now = SystemTime::now();
    let rows: Vec<Value> = entries.iter().map(|entry| row(entry, &args, now)).collect();
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or("").to_owned();
    if args.quiet {
        rows.iter().for_each(|row| app.printer.data(&text(row, "ID")));
        return Ok(());
    }
    let width = app.printer.width(Stream::Out);
    match &args.format {
        Format::Json => rows.iter().for_each(|row| app.printer.data(&row.to_string())),
        Format::Table => {
            let mut table = Table::new(&["IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"]);
            for row in &rows {
                let created = if args.human { "CreatedSince" } else { "CreatedAt" };
                table.row(["ID", created, "CreatedBy", "Size", "Comment"].map(|name| text(row, name)));
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

fn row(entry: &HistoryEntry, args: &Args, now: SystemTime) -> Value {
    let by = entry.created_by.replace('\t', " ");
    json!({
        "Comment": entry.comment,
        "CreatedAt": entry.created.map(age::rfc3339).unwrap_or_default(),
        "CreatedBy": if args.no_trunc { by } else { fit(&by, CREATED_BY_WIDTH) },
        "CreatedSince": entry.created.map_or_else(|| "N/A".to_owned(), |created| age::ago(created, now)),
        "ID": entry.id.as_deref().map_or_else(|| "<missing>".to_owned(), |id| short(id, args.no_trunc)),
        "Size": if args.human { size(entry.size) } else { entry.size.to_string() },
    })
}
