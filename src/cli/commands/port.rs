//! `port`: where a port of a service is published.

use std::net::SocketAddr;

use orchestrator::operations::ps::list;
use orchestrator::operations::scope::Scope;

use crate::app::App;
use crate::commands::services;
use crate::error::{CommandError, Kind};

/// Print where a port of a service is published
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// `tcp` or `udp`
    #[arg(long, value_name = "PROTOCOL", default_value = "tcp")]
    protocol: String,

    /// Of the replica of this number
    #[arg(long, value_name = "N")]
    index: Option<u32>,

    /// The service
    #[arg(value_name = "SERVICE")]
    service: String,

    /// The port in the container
    #[arg(value_name = "PORT")]
    port: u16,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let target = app.target()?;
    if let Some(loaded) = &target.loaded {
        services::check(std::slice::from_ref(&args.service), &loaded.project)?;
    }
    let scope = Scope { services: vec![args.service.clone()], index: args.index, one_offs: false };
    let replicas = list(app.engine()?, &target.name, &scope).await?;
    if replicas.is_empty() {
        return Err(CommandError::new(Kind::Failed, format!("service `{}` has no container", args.service)));
    }
    let ports = replicas.iter().flat_map(|replica| &replica.container.ports);
    let host = ports
        .filter(|port| port.container_port == args.port && port.protocol == args.protocol)
        .find_map(|port| port.host);
    match host {
        Some((address, port)) => {
            app.printer.data(&SocketAddr::new(address, port).to_string());
            Ok(())
        }
        None => Err(CommandError::new(
            Kind::Failed,
            format!("port {}/{} of `{}` is not published", args.port, args.protocol, args.service),
        )),
    }
}
