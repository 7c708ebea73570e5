//! `container update`: other limits, and another restart policy, for containers that are there.

use std::sync::Arc;

use orchestrator::engine::Engine;
use orchestrator::engine::container::{ContainerSummary, RestartPolicy};
use orchestrator::engine::update::ContainerUpdate;

use crate::app::App;
use crate::commands::container::acts::each;
use crate::commands::container::limits::ChangeableArgs;
use crate::commands::container::spec::restart;
use crate::error::{CommandError, Kind};

/// Change limits of containers
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    limits: ChangeableArgs,

    /// When it is started again: `no`, `always`, `unless-stopped`, `on-failure[:N]`
    #[arg(long, value_name = "POLICY", value_parser = restart)]
    restart: Option<RestartPolicy>,

    /// Names or ids
    #[arg(value_name = "CONTAINER", required = true)]
    names: Vec<String>,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let update = ContainerUpdate { limits: args.limits.limits(), restart: args.restart };
    if update == ContainerUpdate::default() {
        return Err(CommandError::new(Kind::Usage, "you must provide one or more flags when using this command"));
    }
    let change = async |engine: Arc<dyn Engine>, it: ContainerSummary| engine.update_container(&it.id, &update).await;
    each(app, &args.names, change).await
}
