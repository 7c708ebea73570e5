//! `volume`: volumes by name, outside of any project.

use std::collections::{BTreeMap, BTreeSet};

use clap::Subcommand;
use orchestrator::engine::error::{EngineError, ErrorKind};
use orchestrator::engine::volume::{VolumeSpec, VolumeSummary};
use serde_json::Value;

use crate::app::App;
use crate::args::variables::labels;
use crate::commands::acts::pruning::{Filter, is_confirmed, report, report_space};
use crate::commands::acts::rows::{JsonShape, print};
use crate::commands::acts::several::{describe_each, remove_each};
use crate::commands::network::{has_label, unknown_filter};
use crate::commands::run::slug;
use crate::commands::volumes::row;
use crate::error::CommandError;
use crate::print::template::Format;

/// Docker's label on volumes that nobody named.
const ANONYMOUS: &str = "com.docker.volume.anonymous";

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

    /// Only those: `label=KEY[=VALUE]`, `label!=KEY[=VALUE]`
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

/// Returns a name for a volume that is given none: 64 hexadecimal digits.
fn unnamed() -> String {
    let mut name = String::new();
    while name.len() < 64 {
        name.push_str(&slug());
    }
    name.truncate(64);
    name
}

async fn create(args: CreateArgs, app: &App) -> Result<(), CommandError> {
    let mut labels_of = labels(&args.label);
    let name = args.name.unwrap_or_else(|| {
        labels_of.insert(ANONYMOUS.to_owned(), String::new());
        unnamed()
    });
    let spec =
        VolumeSpec { name: name.clone(), driver: args.driver, driver_opts: labels(&args.opt), labels: labels_of };
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
    // `all` is a filter of Docker's too.
    let (all, others): (Vec<String>, _) = args.filter.iter().cloned().partition(|filter| filter.starts_with("all="));
    let all = args.all || all.iter().any(|filter| matches!(filter.as_str(), "all=1" | "all=true"));
    let filter = Filter::parse(&others)?;
    let which = if all { "all" } else { "anonymous" };
    let warning = format!("WARNING! This will remove {which} local volumes not used by at least one container.");
    if !app.settings.dry_run && !args.force && !is_confirmed(app, &warning) {
        return Ok(());
    }
    let engine = app.engine()?;
    let used = used(app).await?;
    let sizes: BTreeMap<String, u64> =
        engine.disk_usage().await?.volumes.into_iter().map(|volume| (volume.name, volume.size)).collect();
    let (mut gone, mut freed) = (Vec::new(), 0);
    for volume in engine.list_volumes(&[]).await? {
        let is_meant = all || is_anonymous(&volume);
        if !is_meant || used.contains(&volume.name) || !filter.takes(&volume.labels, None) {
            continue;
        }
        match engine.remove_volume(&volume.name).await {
            Ok(()) => {
                freed += sizes.get(&volume.name).copied().unwrap_or(0);
                gone.push(volume.name);
            }
            Err(error) => app.printer.warn(&error.message),
        }
    }
    report(app, "Volumes", &gone);
    report_space(app, freed);
    Ok(())
}

/// Says whether nobody gave it its name: Docker has a label for that, and before that it had the name's form alone.
pub(crate) fn is_anonymous(volume: &VolumeSummary) -> bool {
    let name = &volume.name;
    volume.labels.contains_key(ANONYMOUS) || (name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_that_nobody_named_is_known_by_its_label_or_its_name() {
        let volume = |name: &str, label: &str| VolumeSummary {
            name: name.to_owned(),
            driver: "local".to_owned(),
            labels: [(label.to_owned(), String::new())].into(),
        };
        assert!(is_anonymous(&volume("data", ANONYMOUS)));
        assert!(is_anonymous(&volume(&"0f".repeat(32), "a")));
        assert!(!is_anonymous(&volume(&"0f".repeat(16), "a")) && !is_anonymous(&volume("data", "a")));
        assert!(is_anonymous(&volume(&unnamed(), "a")));
    }
}
