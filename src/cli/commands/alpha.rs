//! `alpha`: verbs that Docker Compose calls experimental.

use clap::Subcommand;

use crate::app::App;
use crate::commands::{generate, publish, viz};
use crate::error::CommandError;

/// Verbs that Docker Compose calls experimental
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to do
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print the services and their dependencies as a graph
    Viz(viz::Args),
    /// Publish the project's files to a registry
    Publish(publish::Args),
    /// Write a Compose file for containers that are there
    Generate(generate::Args),
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    match args.verb {
        Verb::Viz(args) => viz::run(&args, app),
        Verb::Publish(args) => publish::run(args, app).await,
        Verb::Generate(args) => generate::run(args, app).await,
    }
}
