//! `kill`: sends a signal to what runs.

use orchestrator::operations::ps::list;
use orchestrator::operations::scope::Scope;
use orchestrator::operations::stop::kill;

use crate::app::App;
use crate::commands::services;
use crate::error::CommandError;

/// Send a signal to the containers
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The signal, by name or number
    #[arg(short, long, value_name = "SIGNAL", default_value = "SIGKILL")]
    signal: String,

    /// Containers too of services that the file no longer has
    #[arg(long)]
    remove_orphans: bool,

    /// Only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let target = app.target()?;
    if let Some(loaded) = &target.loaded {
        services::check(&args.services, &loaded.project)?;
    }
    let engine = app.engine()?;
    let mut services = args.services;
    if let Some(loaded) = target.loaded.as_ref().filter(|_| services.is_empty() && !args.remove_orphans) {
        let replicas = list(engine.clone(), &target.name, &Scope::default()).await?;
        let known = replicas.into_iter().map(|replica| replica.service);
        services = known.filter(|service| loaded.project.services.contains_key(service)).collect();
        if services.is_empty() {
            app.printer.note("no container to kill");
            return Ok(());
        }
    }
    app.run(target.loaded.as_ref(), |events| kill(engine, &target.name, &services, &args.signal, events)).await
}
