//! `load`: images from a docker archive or an OCI layout into the store.

use std::path::PathBuf;

use crate::app::App;
use crate::error::{CommandError, Kind};

/// Load images from an archive
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The archive: `docker save` or an OCI layout, also compressed; else the standard input
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,

    /// Print nothing but errors
    #[arg(short, long)]
    quiet: bool,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let _ = (args, app);
    Err(CommandError::new(Kind::Environment, "this build has no engine"))
}
