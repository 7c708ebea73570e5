//! Rows printed as `--format` asks: a table of some of their fields, JSON, or a template.

use serde_json::Value;

use crate::app::App;
use crate::error::{CommandError, Kind};
use crate::print::printer::Stream;
use crate::print::table::Table;
use crate::print::template::Format;

/// How rows become JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JsonShape {
    /// An object a line.
    Lines,
    /// One array.
    Array,
}

/// Prints `rows`; a table has a column for each pair of heading and field.
pub(crate) fn print(
    app: &App,
    format: &Format,
    rows: &[Value],
    columns: &[(&str, &str)],
    shape: JsonShape,
) -> Result<(), CommandError> {
    let width = app.printer.width(Stream::Out);
    let text = match format {
        Format::Json if shape == JsonShape::Array => format!("{}\n", Value::Array(rows.to_vec())),
        Format::Json => rows.iter().map(|row| format!("{row}\n")).collect(),
        Format::Table => table(rows, columns).render(width),
        template @ Format::Template { .. } => template
            .apply(rows, width)
            .unwrap_or_else(|| Ok(String::new()))
            .map_err(|why| CommandError::new(Kind::Usage, why))?,
    };
    app.printer.write(Stream::Out, text.as_bytes());
    Ok(())
}

/// Makes the table.
pub(crate) fn table(rows: &[Value], columns: &[(&str, &str)]) -> Table {
    let headings: Vec<&str> = columns.iter().map(|(heading, _)| *heading).collect();
    let mut table = Table::new(&headings);
    for row in rows {
        table.row(columns.iter().map(|(_, field)| match &row[*field] {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        }));
    }
    table
}
