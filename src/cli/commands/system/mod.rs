//! `system`: what takes space, and how to have it back.

pub(crate) mod df;
pub(crate) mod prune;

use clap::Subcommand;

use crate::app::App;
use crate::error::CommandError;

/// Show and free disk space
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show what takes disk space
    Df(df::Args),
    /// Remove what nothing uses
    Prune(prune::Args),
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    match args.verb {
        Verb::Df(args) => df::run(args, app).await,
        Verb::Prune(args) => prune::run(args, app).await,
    }
}
