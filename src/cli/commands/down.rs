//! `down`: stops and removes what the project has; volumes and images when asked.

use std::time::Duration;

use clap::ValueEnum;
use orchestrator::operations::down::{DownOptions, RemoveImages, down};

use crate::app::App;
use crate::args::moment::parse_grace;
use crate::commands::services;
use crate::error::CommandError;

/// Stop and remove the containers and networks
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Remove the named volumes of the file and anonymous volumes too
    #[arg(short, long, alias = "volume")]
    volumes: bool,

    /// Remove images too: those without a name of their own, or all
    #[arg(long, value_enum, value_name = "WHICH")]
    rmi: Option<Which>,

    /// Remove containers of services that the file no longer has
    #[arg(long)]
    remove_orphans: bool,

    /// Seconds before a container is killed
    #[arg(short, long, value_name = "SECONDS", value_parser = parse_grace, allow_negative_numbers = true)]
    timeout: Option<Duration>,

    /// Only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Which {
    Local,
    All,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let target = app.target()?;
    if let Some(loaded) = &target.loaded {
        services::check(&args.services, &loaded.project)?;
    }
    let engine = app.engine()?;
    let options = DownOptions {
        services: args.services,
        volumes: args.volumes,
        remove_orphans: args.remove_orphans || app.settings.remove_orphans,
        rmi: args.rmi.map(|which| match which {
            Which::Local => RemoveImages::Local,
            Which::All => RemoveImages::All,
        }),
        timeout: args.timeout,
    };
    let project = target.loaded.as_ref().map(|loaded| &loaded.project);
    app.run(target.loaded.as_ref(), |events| down(engine, &target.name, project, &options, events)).await
}
