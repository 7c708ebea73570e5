//! `volume`: volumes by name, outside of any project.

use std::collections::BTreeSet;

use clap::Subcommand;
use orchestrator::engine::error::{EngineError, ErrorKind};
use orchestrator::engine::volume::VolumeSpec;
use serde_json::Value;

use crate::app::App;
use crate::args::variables::labels;
use crate::commands::acts::rows::{JsonShape, print};
use crate::commands::acts::several::{describe_each, remove_each};
use crate::commands::container::acts::confirm;
use crate::commands::network::{has_label, unknown_filter};
use crate::commands::run::slug;
use crate::commands::volumes::row;
use crate::error::CommandError;
use crate::print::template::Format;

/// Volumes by name, outside of any project.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to do
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List volumes
    #[command(alias = "list")]
    Ls(ListArgs),
    /// Create a volume
    Create(CreateArgs),
    /// Remove volumes and what is in them
    #[command(alias = "remove")]
    Rm(RemoveArgs),
    /// Print all that is known of volumes
    Inspect(InspectArgs),
    /// Remove anonymous volumes that no container uses
    Prune(PruneArgs),
}

/// How they are listed
#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Only those: `name=TEXT`, `label=KEY[=VALUE]`, `driver=DRIVER`, `dangling=true`
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<String>,

    /// `table`, `json`, or a template such as `{{.Name}}`
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = Format::parse, hide_default_value = true)]
    format: Format,

    /// Only the names
    #[arg(short, long)]
    quiet: bool,
}

/// What it is like
#[derive(Debug, clap::Args)]
struct CreateArgs {
    /// What makes it
    #[arg(short, long, value_name = "DRIVER")]
    driver: Option<String>,

    /// An option of the driver
    #[arg(short, long, value_name = "KEY=VALUE")]
    opt: Vec<String>,

    /// Add a label
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<String>,

    /// Its name; random when none is given
    #[arg(value_name = "VOLUME")]
    name: Option<String>,
}

/// Which go
#[derive(Debug, clap::Args)]
struct RemoveArgs {
    /// Those that are not there are no failure
    #[arg(short, long)]
    force: bool,

    /// Names
    #[arg(value_name = "VOLUME", required = true)]
    names: Vec<String>,
}

/// Which are told of
#[derive(Debug, clap::Args)]
struct InspectArgs {
    /// A template instead: `{{.Mountpoint}}`
    #[arg(short, long, value_name = "FORMAT", value_parser = Format::parse)]
    format: Option<Format>,

    /// Names
    #[arg(value_name = "VOLUME", required = true)]
    names: Vec<String>,
}

/// Which go
#[derive(Debug, clap::Args)]
struct PruneArgs {
    /// Those with a name of their own too
    #[arg(short, long)]
    all: bool,

    /// Don't ask
    #[arg(short, long)]
    force: bool,

    /// Only those: `label=KEY[=VALUE]`
    #[arg(long, value_name = "FILTER")]
    filter: Vec<String>,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    match args.verb {
        Verb::Ls(args) => list(&args, app).await,
        Verb::Create(args) => create(args, app).await,
        Verb::Rm(args) => remove(&args, app).await,
        Verb::Inspect(args) => inspect(&args, app).await,
        Verb::Prune(args) => prune(&args, app).await,
    }
}

/// Returns the names of volumes that containers have.
async fn used(app: &App) -> Result<BTreeSet<String>, CommandError> {
    let containers = app.engine()?.list_containers(&[]).await?;
    Ok(containers.into_iter().flat_map(|container| container.volumes.into_values()).collect())
}

async fn list(args: &ListArgs, app: &App) -> Result<(), CommandError> {
    let mut volumes = app.engine()?.list_volumes(&[]).await?;
    for filter in &args.filter {
        match filter.split_once('=') {
            Some(("name", text)) => volumes.retain(|volume| volume.name.contains(text)),
            Some(("driver", text)) => volumes.retain(|volume| volume.driver == text),
            Some(("label", text)) => volumes.retain(|volume| has_label(&volume.labels, text)),
            Some(("dangling", text)) => {
                let used = used(app).await?;
                volumes.retain(|volume| used.contains(&volume.name) != matches!(text, "true" | "1"));
            }
            _ => return Err(unknown_filter(filter, "`name=`, `driver=`, `label=`, `dangling=`")),
        }
    }
    volumes.sort_by(|a, b| a.name.cmp(&b.name));
    if args.quiet {
        volumes.iter().for_each(|volume| app.printer.data(&volume.name));
        return Ok(());
    }
    let rows: Vec<Value> = volumes.iter().map(row).collect();
    print(app, &args.format, &rows, &[("DRIVER", "Driver"), ("VOLUME NAME", "Name")], JsonShape::Lines)
}

async fn create(args: CreateArgs, app: &App) -> Result<(), CommandError> {
    let name = args.name.unwrap_or_else(|| format!("{}{}", slug(), slug()));
    let spec = VolumeSpec {
        name: name.clone(),
        driver: args.driver,
        driver_opts: labels(&args.opt),
        labels: labels(&args.label),
    };
    app.engine()?.create_volume(&spec).await?;
    app.printer.data(&name);
    Ok(())
}

async fn remove(args: &RemoveArgs, app: &App) -> Result<(), CommandError> {
    let engine = app.engine()?;
    let used = used(app).await?;
    let remove = async |name: &str| {
        let refused = |kind, why: &str| {
            EngineError::new(kind, format!("volume `{name}`"), format!("cannot remove volume `{name}`: {why}"))
        };
        match engine.inspect_volume(name).await? {
            None if args.force => Ok(false),
            None => Err(refused(ErrorKind::NotFound, "there is no such volume")),
            Some(_) if used.contains(name) => Err(refused(ErrorKind::Conflict, "a container uses it")),
            Some(_) => engine.remove_volume(name).await.map(|()| true),
        }
    };
    remove_each(app, &args.names, remove).await
}

async fn inspect(args: &InspectArgs, app: &App) -> Result<(), CommandError> {
    let engine = app.engine()?;
    describe_each(app, args.format.as_ref(), &args.names, async |name| engine.describe_volume(name).await).await
}

async fn prune(args: &PruneArgs, app: &App) -> Result<(), CommandError> {
    confirm(app, args.force, "volumes that no container uses are removed with all that is in them")?;
    let engine = app.engine()?;
    let used = used(app).await?;
    let all = args.all || args.filter.iter().any(|filter| matches!(filter.as_str(), "all=1" | "all=true"));
    for volume in engine.list_volumes(&[]).await? {
        let is_anonymous = volume.name.len() >= 32 && volume.name.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mut labels = args.filter.iter().filter_map(|filter| filter.strip_prefix("label="));
        let wanted = labels.all(|label| has_label(&volume.labels, label));
        if (all || is_anonymous) && wanted && !used.contains(&volume.name) {
            engine.remove_volume(&volume.name).await?;
            app.printer.data(&volume.name);
        }
    }
    Ok(())
}
