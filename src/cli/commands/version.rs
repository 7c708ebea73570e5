//! `version`: which motet this is.

use clap::ValueEnum;
use serde_json::json;

use crate::app::App;
use crate::error::CommandError;

/// The version of this program.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Print the version
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only the number
    #[arg(long)]
    short: bool,

    /// How to print it
    #[arg(short, long, value_enum, default_value = "pretty")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Pretty,
    Json,
}

#[expect(clippy::unnecessary_wraps, reason = "every command has this shape")]
pub(crate) fn run(args: &Args, app: &App) -> Result<(), CommandError> {
    let text = match args.format {
        _ if args.short => VERSION.to_owned(),
        Format::Pretty => format!("motet version {VERSION}"),
        Format::Json => json!({ "version": VERSION }).to_string(),
    };
    app.printer.data(&text);
    Ok(())
}
