//! `top`: the processes of the containers.

use orchestrator::engine::container::ContainerState;
use orchestrator::operations::ps::list;
use orchestrator::operations::scope::Scope;

use crate::app::App;
use crate::commands::services;
use crate::error::CommandError;
use crate::print::printer::Stream;
use crate::print::table::Table;

/// Show the processes of the containers
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let target = app.target()?;
    services::check_target(&args.services, &target)?;
    let engine = app.engine()?;
    let scope = Scope { services: args.services, index: None, one_offs: true };
    let mut titles: Vec<String> = Vec::new();
    let mut rows = Vec::new();
    for replica in list(engine.clone(), &target.name, &scope).await? {
        if !matches!(replica.container.state, ContainerState::Running { .. } | ContainerState::Paused { .. }) {
            continue;
        }
        let processes = engine.container_processes(&replica.container.id, &[]).await?;
        if titles.is_empty() {
            titles = ["SERVICE".to_owned(), "#".to_owned()].into_iter().chain(processes.titles).collect();
        }
        for row in processes.rows {
            let number = if replica.one_off { "-".to_owned() } else { replica.number.to_string() };
            rows.push([replica.service.clone(), number].into_iter().chain(row).collect::<Vec<_>>());
        }
    }
    if titles.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&titles.iter().map(String::as_str).collect::<Vec<_>>());
    rows.into_iter().for_each(|row| table.row(row));
    app.printer.write(Stream::Out, table.render(app.printer.width(Stream::Out)).as_bytes());
    Ok(())
}
