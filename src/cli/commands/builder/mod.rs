//! `builder`: the build cache, and builds, under the name that Docker has for them.

pub(crate) mod debug;
pub(crate) mod prune;
pub(crate) mod usage;

use clap::Subcommand;

use crate::app::App;
use crate::commands::image;
use crate::error::CommandError;

/// Look at the build cache and free its space
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Build an image from a Dockerfile
    Build(Box<image::build::Args>),
    /// List what is in the build cache
    Du(usage::Args),
    /// Remove what is in the build cache
    Prune(prune::Args),
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    match args.verb {
        Verb::Build(args) => image::build::run(*args, app).await,
        Verb::Du(args) => usage::run(&args, app).await,
        Verb::Prune(args) => prune::run(&args, app).await,
    }
}
