//! `system`: the engine as a whole: what it is, what happens on it, what takes space and how to have it back.

pub(crate) mod df;
pub(crate) mod events;
pub(crate) mod info;
pub(crate) mod prune;

use clap::Subcommand;

use crate::app::App;
use crate::error::CommandError;

/// Look at the engine as a whole, and free disk space
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Say what the engine is and has
    Info(info::Args),
    /// Say which version the program and the engine are
    Version(info::Args),
    /// Show what happens on the engine, as it happens
    Events(events::Args),
    /// Show what takes disk space
    Df(df::Args),
    /// Remove what nothing uses
    Prune(prune::Args),
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    match args.verb {
        Verb::Info(args) => info::info(&args, app).await,
        Verb::Version(args) => info::version(&args, app),
        Verb::Events(args) => events::run(args, app).await,
        Verb::Df(args) => df::run(args, app).await,
        Verb::Prune(args) => prune::run(args, app).await,
    }
}
