//! `stats`: what the containers use, redrawn while it changes.

use orchestrator::operations::ps::list;
use orchestrator::operations::scope::Scope;

use crate::app::App;
use crate::commands::acts::usage::{self, Usage};
use crate::commands::services;
use crate::error::CommandError;

/// Show what the containers use
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    usage: Usage,

    /// Only this service
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let target = app.target()?;
    services::check_target(&args.services, &target)?;
    let scope = Scope { services: args.services, index: None, one_offs: true };
    let containers = list(app.engine()?, &target.name, &scope).await?;
    let containers = containers.into_iter().map(|replica| replica.container).collect();
    usage::show(app, containers, &args.usage).await
}
