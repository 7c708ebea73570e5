//! `network`: networks by name, outside of any project.

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::Subcommand;
use orchestrator::engine::Engine;
use orchestrator::engine::container::Endpoint;
use orchestrator::engine::error::{EngineError, ErrorKind};
use orchestrator::engine::network::{AddressPool, NetworkSpec, NetworkSummary};
use serde_json::{Value, json};

use crate::app::App;
use crate::args::variables::labels;
use crate::commands::acts::pruning::{Filter, is_confirmed, report};
use crate::commands::acts::rows::{JsonShape, print};
use crate::commands::acts::several::{describe_each, remove_each};
use crate::error::{CommandError, Kind};
use crate::print::template::Format;

/// Networks by name, outside of any project.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to do
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List networks
    #[command(alias = "list")]
    Ls(ListArgs),
    /// Create a network
    Create(CreateArgs),
    /// Remove networks
    #[command(alias = "remove")]
    Rm(RemoveArgs),
    /// Print all that is known of networks
    Inspect(InspectArgs),
    /// Put a container on a network
    Connect(ConnectArgs),
    /// Take a container off a network
    Disconnect(DisconnectArgs),
    /// Remove every network that no running container is on
    Prune(PruneArgs),
}

/// How they are listed
#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Only those: `name=TEXT`, `label=KEY[=VALUE]`, `driver=DRIVER`
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<String>,

    /// `table`, `json`, or a template such as `{{.Name}}`
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = Format::parse, hide_default_value = true)]
    format: Format,

    /// Print whole ids
    #[arg(long)]
    no_trunc: bool,

    /// Only the ids
    #[arg(short, long)]
    quiet: bool,
}

/// What it is like
#[derive(Debug, clap::Args)]
struct CreateArgs {
    /// What makes it
    #[arg(short, long, value_name = "DRIVER")]
    driver: Option<String>,

    /// Its addresses: `10.5.0.0/16`
    #[arg(long, value_name = "SUBNET")]
    subnet: Vec<String>,

    /// The part of the subnet that containers get addresses of
    #[arg(long, value_name = "RANGE")]
    ip_range: Vec<String>,

    /// The host's address on it
    #[arg(long, value_name = "ADDRESS")]
    gateway: Vec<String>,

    /// Addresses that are taken: `NAME=ADDRESS`
    #[arg(long, value_name = "NAME=ADDRESS")]
    aux_address: Vec<String>,

    /// No way out
    #[arg(long)]
    internal: bool,

    /// Containers may join by hand
    #[arg(long)]
    attachable: bool,

    /// IPv6 too
    #[arg(long)]
    ipv6: bool,

    /// An option of the driver
    #[arg(short, long, value_name = "KEY=VALUE")]
    opt: Vec<String>,

    /// What gives out addresses
    #[arg(long, value_name = "DRIVER")]
    ipam_driver: Option<String>,

    /// An option of it
    #[arg(long, value_name = "KEY=VALUE")]
    ipam_opt: Vec<String>,

    /// Add a label
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<String>,

    /// Its name
    #[arg(value_name = "NETWORK")]
    name: String,
}

/// Which go
#[derive(Debug, clap::Args)]
struct RemoveArgs {
    /// Those that are not there are no failure
    #[arg(short, long)]
    force: bool,

    /// Names
    #[arg(value_name = "NETWORK", required = true)]
    names: Vec<String>,
}

/// Which are told of
#[derive(Debug, clap::Args)]
struct InspectArgs {
    /// A template instead: `{{.Driver}}`
    #[arg(short, long, value_name = "FORMAT", value_parser = Format::parse)]
    format: Option<Format>,

    /// More of each
    #[arg(short, long, hide = true)]
    verbose: bool,

    /// Names
    #[arg(value_name = "NETWORK", required = true)]
    names: Vec<String>,
}

/// Who joins, and as what
#[derive(Debug, clap::Args)]
struct ConnectArgs {
    /// One more name of it there
    #[arg(long, value_name = "NAME")]
    alias: Vec<String>,

    /// A fixed address
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<String>,

    /// A fixed IPv6 address
    #[arg(long, value_name = "ADDRESS")]
    ip6: Option<String>,

    /// An address of use on the link only
    #[arg(long, value_name = "ADDRESS")]
    link_local_ip: Vec<String>,

    /// Of several networks the one of the highest priority carries what leaves
    #[arg(long, value_name = "NUMBER", default_value_t = 0, allow_negative_numbers = true, hide_default_value = true)]
    gw_priority: i64,

    /// An option of the driver
    #[arg(long, value_name = "KEY=VALUE")]
    driver_opt: Vec<String>,

    /// The network
    #[arg(value_name = "NETWORK")]
    network: String,

    /// Name or id
    #[arg(value_name = "CONTAINER")]
    container: String,
}

/// Who leaves
#[derive(Debug, clap::Args)]
struct DisconnectArgs {
    /// Even if it runs
    #[arg(short, long)]
    force: bool,

    /// The network
    #[arg(value_name = "NETWORK")]
    network: String,

    /// Name or id
    #[arg(value_name = "CONTAINER")]
    container: String,
}

/// Which go
#[derive(Debug, clap::Args)]
struct PruneArgs {
    /// Don't ask
    #[arg(short, long)]
    force: bool,

    /// Only those: `until=24h`, `label=KEY[=VALUE]`, `label!=KEY[=VALUE]`
    #[arg(long, value_name = "FILTER")]
    filter: Vec<String>,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    match args.verb {
        Verb::Ls(args) => list(&args, app).await,
        Verb::Create(args) => create(args, app).await,
        Verb::Rm(args) => remove(&args, app).await,
        Verb::Inspect(args) => inspect(&args, app).await,
        Verb::Connect(args) => connect(args, app).await,
        Verb::Disconnect(args) => {
            let engine = app.engine()?;
            let container = engine.inspect_container(&args.container).await?;
            Ok(engine.disconnect_network(&container.id, &args.network).await?)
        }
        Verb::Prune(args) => prune(&args, app).await,
    }
}

async fn list(args: &ListArgs, app: &App) -> Result<(), CommandError> {
    let mut networks = app.engine()?.list_networks(&[]).await?;
    for filter in &args.filter {
        match filter.split_once('=') {
            Some(("name", text)) => networks.retain(|network| network.name.contains(text)),
            Some(("driver", text)) => networks.retain(|network| network.driver == text),
            Some(("id", text)) => networks.retain(|network| network.id.starts_with(text)),
            Some(("label", text)) => networks.retain(|network| has_label(&network.labels, text)),
            _ => return Err(unknown_filter(filter, "`name=`, `driver=`, `id=`, `label=`")),
        }
    }
    networks.sort_by(|a, b| a.name.cmp(&b.name));
    let id = |id: &str| if args.no_trunc { id.to_owned() } else { id.chars().take(12).collect() };
    if args.quiet {
        networks.iter().for_each(|network| app.printer.data(&id(&network.id)));
        return Ok(());
    }
    let row = |network: &NetworkSummary| {
        let labels: Vec<String> = network.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        json!({
            "Driver": network.driver, "ID": id(&network.id), "Labels": labels.join(","),
            "Name": network.name, "Scope": "local",
        })
    };
    let rows: Vec<Value> = networks.iter().map(row).collect();
    let columns = [("NETWORK ID", "ID"), ("NAME", "Name"), ("DRIVER", "Driver"), ("SCOPE", "Scope")];
    print(app, &args.format, &rows, &columns, JsonShape::Lines)
}

async fn create(args: CreateArgs, app: &App) -> Result<(), CommandError> {
    let engine = app.engine()?;
    if !matches!(args.name.as_str(), "bridge" | "host" | "none") && engine.inspect_network(&args.name).await?.is_some()
    {
        let message = format!("there is a network `{}` already", args.name);
        return Err(CommandError::new(Kind::Conflict, message));
    }
    let of_subnet = |list: &[String], index: usize| list.get(index).cloned();
    let pool = |(index, subnet): (usize, &String)| AddressPool {
        subnet: Some(subnet.clone()),
        ip_range: of_subnet(&args.ip_range, index),
        gateway: of_subnet(&args.gateway, index),
        aux_addresses: if index == 0 { labels(&args.aux_address) } else { BTreeMap::new() },
    };
    let spec = NetworkSpec {
        name: args.name.clone(),
        driver: args.driver.clone(),
        driver_opts: labels(&args.opt),
        pools: args.subnet.iter().enumerate().map(pool).collect(),
        internal: args.internal,
        attachable: args.attachable,
        ipam_driver: args.ipam_driver.clone(),
        ipam_options: labels(&args.ipam_opt),
        ipv4: true,
        ipv6: args.ipv6,
        labels: labels(&args.label),
    };
    engine.create_network(&spec).await?;
    let made = engine.inspect_network(&args.name).await?;
    app.printer.data(made.as_ref().map_or(args.name.as_str(), |network| network.id.as_str()));
    Ok(())
}

async fn remove(args: &RemoveArgs, app: &App) -> Result<(), CommandError> {
    let engine = app.engine()?;
    let remove = async |name: &str| match engine.inspect_network(name).await? {
        None if args.force => Ok(false),
        None => Err(no_network(name)),
        Some(network) => engine.remove_network(&network.name).await.map(|()| true),
    };
    remove_each(app, &args.names, remove).await
}

async fn inspect(args: &InspectArgs, app: &App) -> Result<(), CommandError> {
    let engine = app.engine()?;
    describe_each(app, args.format.as_ref(), &args.names, async |name| engine.describe_network(name).await).await
}

async fn connect(args: ConnectArgs, app: &App) -> Result<(), CommandError> {
    let engine = app.engine()?;
    let container = engine.inspect_container(&args.container).await?;
    if engine.inspect_network(&args.network).await?.is_none() {
        return Err(no_network(&args.network).into());
    }
    let endpoint = Endpoint {
        network: args.network,
        aliases: args.alias,
        ipv4_address: args.ip,
        ipv6_address: args.ip6,
        driver_opts: labels(&args.driver_opt),
        link_local_ips: args.link_local_ip,
        gw_priority: args.gw_priority,
        ..Endpoint::default()
    };
    Ok(engine.connect_network(&container.id, &endpoint).await?)
}

async fn prune(args: &PruneArgs, app: &App) -> Result<(), CommandError> {
    let filter = Filter::parse(&args.filter)?;
    let warning = "WARNING! This will remove all custom networks not used by at least one container.";
    if !app.settings.dry_run && !args.force && !is_confirmed(app, warning) {
        return Ok(());
    }
    let gone = prune_networks(&app.engine()?, app, &filter).await?;
    report(app, "Networks", &gone);
    Ok(())
}

/// Removes the networks that no running container is on, and returns their names.
pub(crate) async fn prune_networks(
    engine: &Arc<dyn Engine>,
    app: &App,
    filter: &Filter,
) -> Result<Vec<String>, CommandError> {
    let mut gone = Vec::new();
    for network in engine.list_networks(&[]).await? {
        let is_predefined = matches!(network.name.as_str(), "bridge" | "host" | "none");
        if is_predefined || network.endpoints > 0 || !filter.takes(&network.labels, network.created) {
            continue;
        }
        match engine.remove_network(&network.name).await {
            Ok(()) => gone.push(network.name),
            Err(error) => app.printer.warn(&error.message),
        }
    }
    engine.let_go_of_networks().await?;
    Ok(gone)
}

/// Says whether `KEY` or `KEY=VALUE` is among labels.
pub(crate) fn has_label(labels: &BTreeMap<String, String>, wanted: &str) -> bool {
    match wanted.split_once('=') {
        Some((key, value)) => labels.get(key).is_some_and(|it| it == value),
        None => labels.contains_key(wanted),
    }
}

/// Makes the error of a filter that there is not.
pub(crate) fn unknown_filter(filter: &str, known: &str) -> CommandError {
    CommandError::new(Kind::Usage, format!("`{filter}` is no filter; there are {known}"))
}

fn no_network(name: &str) -> EngineError {
    EngineError::new(ErrorKind::NotFound, format!("network `{name}`"), format!("there is no network `{name}`"))
}
