//! `image inspect`: all that is known, as Docker tells it.

use orchestrator::event::Failure;
use orchestrator::operations::OperationError;
use serde_json::Value;

use crate::app::App;
use crate::error::{CommandError, Kind};
use crate::print::printer::Stream;
use crate::print::template::Format;

/// Print all that is known of images
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// `json`, or a template such as `{{.Id}}`
    #[arg(short, long, value_name = "FORMAT", value_parser = Format::parse)]
    format: Option<Format>,

    /// Names or ids
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let engine = app.engine()?;
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for image in &args.images {
        match engine.describe_image(image).await {
            Ok(described) => found.push(described),
            Err(error) => failures.push(Failure::new(error, None)),
        }
    }
    let text = match &args.format {
        None | Some(Format::Table) => format!("{}\n", pretty(&Value::Array(found))),
        Some(Format::Json) => format!("{}\n", Value::Array(found)),
        Some(template @ Format::Template { .. }) => template
            .apply(&found, None)
            .unwrap_or_else(|| Ok(String::new()))
            .map_err(|why| CommandError::new(Kind::Usage, why))?,
    };
    app.printer.write(Stream::Out, text.as_bytes());
    if failures.is_empty() { Ok(()) } else { Err(OperationError::of(failures).into()) }
}

/// Four columns a level, as Docker has it.
pub(crate) fn pretty(value: &Value) -> String {
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    match serde::Serialize::serialize(value, &mut serializer) {
        Ok(()) => String::from_utf8_lossy(&text).into_owned(),
        Err(_) => value.to_string(),
    }
}
