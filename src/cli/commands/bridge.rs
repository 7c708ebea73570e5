//! `bridge`: other models of the project, made by transformations: images that read `/in/compose.yaml` and write files
//! into `/out`. They are Docker Compose's, such as `docker/compose-bridge-kubernetes`, or a person's own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Subcommand;
use compose::Passes;
use compose::model::encode::to_yaml;
use orchestrator::engine::Engine;
use orchestrator::engine::container::{ContainerId, ContainerSpec, ContainerState, Mount, MountSource, NetworkMode};
use orchestrator::engine::error::{EngineError, ErrorKind};
use orchestrator::engine::image::PullSpec;
use orchestrator::engine::log::LogQuery;
use orchestrator::event::{Act, Event, ProgressSink, ResourceKind};
use orchestrator::execute::describe_exit;
use orchestrator::operations::OperationError;
use serde_json::json;
use tokio::sync::mpsc::UnboundedSender;

use crate::app::{App, Warnings};
use crate::commands::acts::copy::{CopyFlags, copy_out};
use crate::commands::image::short;
use crate::error::{CommandError, Kind};
use crate::print::printer::Stream;
use crate::print::table::Table;

/// Convert the project into another model
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to do
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Write Kubernetes manifests, a Helm chart, or whatever a transformation makes
    Convert(ConvertArgs),
    /// The transformations
    Transformations(TransformationsArgs),
}

/// Write Kubernetes manifests, a Helm chart, or whatever a transformation makes
#[derive(Debug, clap::Args)]
struct ConvertArgs {
    /// Folder for what is made; what was in it goes
    #[arg(short, long, value_name = "FOLDER", default_value = "out")]
    output: PathBuf,

    /// Folder of templates that take the place of the transformation's own
    #[arg(long, value_name = "FOLDER")]
    templates: Option<PathBuf>,

    /// Image that does it; may be given more than once
    #[arg(short, long, value_name = "IMAGE", default_value = "docker/compose-bridge-kubernetes")]
    transformation: Vec<String>,
}

/// The transformations
#[derive(Debug, clap::Args)]
struct TransformationsArgs {
    /// What to do
    #[command(subcommand)]
    verb: TransformationsVerb,
}

#[derive(Debug, Subcommand)]
enum TransformationsVerb {
    /// List the transformations that are here
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Begin a transformation of one's own from the templates of another
    Create(CreateArgs),
}

/// List the transformations that are here
#[derive(Debug, clap::Args)]
struct ListArgs {
    /// `table` or `json`
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = ["table", "json"])]
    format: String,

    /// Only the names
    #[arg(short, long)]
    quiet: bool,
}

/// Begin a transformation of one's own from the templates of another
#[derive(Debug, clap::Args)]
struct CreateArgs {
    /// Transformation whose templates are taken
    #[arg(short, long, value_name = "IMAGE", default_value = "docker/compose-bridge-kubernetes")]
    from: String,

    /// Folder to make
    #[arg(value_name = "FOLDER")]
    path: PathBuf,
}

/// Label of the images that are transformations.
const LABEL: &str = "com.docker.compose.bridge";

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    match args.verb {
        Verb::Convert(args) => convert(args, app).await,
        Verb::Transformations(TransformationsArgs { verb: TransformationsVerb::List(args) }) => list(&args, app).await,
        Verb::Transformations(TransformationsArgs { verb: TransformationsVerb::Create(args) }) => {
            create(&args, app).await
        }
    }
}

async fn convert(args: ConvertArgs, app: &App) -> Result<(), CommandError> {
    let passes = Passes { keep_unused: true, ..Passes::default() };
    let loaded = app.load_with(&[], passes, Warnings::Shown)?;
    let output = app.absolute(&args.output);
    if app.settings.dry_run {
        args.transformation
            .iter()
            .for_each(|image| app.printer.data(&format!("run `{image}` into `{}`", output.display())));
        return Ok(());
    }
    let failed = |what: &str, path: &Path, error: &std::io::Error| {
        CommandError::new(Kind::Failed, format!("cannot {what} `{}`: {error}", path.display()))
    };
    let engine = app.engine()?;
    let model = tempfile::tempdir().map_err(|error| failed("make a folder in", &std::env::temp_dir(), &error))?;
    let file = model.path().join("compose.yaml");
    std::fs::write(&file, to_yaml(&loaded.project)).map_err(|error| failed("write", &file, &error))?;
    let templates = args.templates.as_deref().map(|templates| app.absolute(templates));
    app.run(Some(&loaded), async |events| {
        for image in &args.transformation {
            bring(&engine, image, &events).await?;
        }
        // Not before all is there: what an earlier run has made is not lost to a mistyped name.
        let emptied = std::fs::remove_dir_all(&output).or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        });
        emptied.and_then(|()| std::fs::create_dir_all(&output)).map_err(|error| {
            EngineError::new(ErrorKind::Failed, "output", format!("cannot empty `{}`: {error}", output.display()))
        })?;
        for image in &args.transformation {
            let mut mounts = vec![bind(model.path(), "/in", true), bind(&output, "/out", false)];
            mounts.extend(templates.iter().map(|folder| bind(folder, "/templates", true)));
            transform(&engine, image, mounts).await?;
        }
        Ok(())
    })
    .await
}

fn bind(source: &Path, target: &str, read_only: bool) -> Mount {
    let path = source.display().to_string();
    let source = MountSource::Bind { path, create: false, propagation: None, recursive: None, selinux: None };
    Mount { source, target: target.to_owned(), read_only }
}

/// Pulls a transformation that is not here.
async fn bring(engine: &Arc<dyn Engine>, image: &str, events: &UnboundedSender<Event>) -> Result<(), OperationError> {
    if engine.inspect_image(image).await?.is_some() {
        return Ok(());
    }
    let (kind, name, act) = (ResourceKind::Image, image.to_owned(), Act::Pull);
    let _ = events.send(Event::Started { kind, name: name.clone(), act });
    let spec = PullSpec { reference: name.clone(), platform: None, no_bootstrap: true };
    match engine.pull_image(&spec, &ProgressSink::to(events, image)).await {
        Ok(_) => drop(events.send(Event::Done { kind, name, act })),
        Err(error) => {
            let _ = events.send(Event::Failed { kind, name, act, error: error.clone() });
            return Err(error.hint("`--transformation` names another image, such as one of your own").into());
        }
    }
    Ok(())
}

/// Runs the image to its end.
async fn transform(engine: &Arc<dyn Engine>, image: &str, mounts: Vec<Mount>) -> Result<(), EngineError> {
    let spec = ContainerSpec {
        name: format!("motet-bridge-{}", std::process::id()),
        image: image.to_owned(),
        environment: BTreeMap::from([("LICENSE_AGREEMENT".to_owned(), Some("true".to_owned()))]),
        user: Some(rustix::process::getuid().as_raw().to_string()),
        mounts,
        network: NetworkMode::None,
        ..ContainerSpec::default()
    };
    let id = engine.create_container(&spec).await?;
    let ended = run_to_end(engine, image, &id).await;
    let removed = engine.remove_container(&id, true).await;
    ended.and(removed)
}

async fn run_to_end(engine: &Arc<dyn Engine>, image: &str, id: &ContainerId) -> Result<(), EngineError> {
    let mut states = engine.watch_container(id).await?;
    engine.start_container(id).await?;
    let failed = |why: &str| {
        let message = format!("transformation `{image}` failed: {why}");
        EngineError::new(ErrorKind::Failed, format!("image `{image}`"), message)
    };
    let mut error = loop {
        match states.recv().await {
            Some(ContainerState::Exited { exit_code: 0, .. }) => return Ok(()),
            Some(ContainerState::Exited { exit_code, out_of_memory, .. }) => {
                break failed(&format!("it ended with {}", describe_exit(exit_code, out_of_memory)));
            }
            Some(ContainerState::Dead { reason }) => return Err(failed(&reason)),
            Some(ContainerState::Removed) | None => return Err(failed("its container is gone")),
            Some(
                ContainerState::Created
                | ContainerState::Running { .. }
                | ContainerState::Paused { .. }
                | ContainerState::Restarting { .. },
            ) => {}
        }
    };
    let mut lines = engine.container_logs(id, LogQuery { tail: Some(10), ..LogQuery::default() }).await?;
    while let Some(line) = lines.recv().await {
        error.output.push(String::from_utf8_lossy(&line.bytes).into_owned());
    }
    Err(error)
}

async fn list(args: &ListArgs, app: &App) -> Result<(), CommandError> {
    let images = app.engine()?.list_images().await?;
    let mut names: Vec<(String, String)> = images
        .iter()
        .filter(|image| image.labels.get(LABEL).is_some_and(|kind| kind == "transformation"))
        .flat_map(|image| image.references.iter().map(|reference| (reference.clone(), image.id.clone())))
        .collect();
    names.sort();
    if args.quiet {
        names.iter().for_each(|(name, _)| app.printer.data(name));
    } else if args.format == "json" {
        let rows: Vec<_> = names.iter().map(|(name, id)| json!({ "Id": id, "RepoTags": [name] })).collect();
        app.printer.data(&json!(rows).to_string());
    } else {
        let mut table = Table::new(&["IMAGE ID", "REPOSITORY"]);
        for (name, id) in &names {
            table.row([short(id, false), name.clone()]);
        }
        app.printer.write(Stream::Out, table.render(app.printer.width(Stream::Out)).as_bytes());
    }
    Ok(())
}

async fn create(args: &CreateArgs, app: &App) -> Result<(), CommandError> {
    let path = app.absolute(&args.path);
    let failed =
        |error: std::io::Error| CommandError::new(Kind::Failed, format!("cannot make `{}`: {error}", path.display()));
    if path.exists() {
        return Err(CommandError::new(Kind::Conflict, format!("`{}` is there already", path.display())));
    }
    if app.settings.dry_run {
        app.printer.data(&format!("make `{}` from `{}`", path.display(), args.from));
        return Ok(());
    }
    let engine = app.engine()?;
    app.run(None, async |events| bring(&engine, &args.from, &events).await).await?;
    std::fs::create_dir_all(&path).map_err(failed)?;
    let spec = ContainerSpec {
        name: format!("motet-bridge-{}", std::process::id()),
        image: args.from.clone(),
        network: NetworkMode::None,
        ..ContainerSpec::default()
    };
    let id = engine.create_container(&spec).await?;
    let templates = path.join("templates");
    let copied =
        copy_out(&engine, &id, ("/templates", &templates.display().to_string()), &templates, CopyFlags::default())
            .await;
    let removed = engine.remove_container(&id, true).await;
    copied?;
    removed?;
    let dockerfile = "FROM docker/compose-bridge-transformer\nLABEL com.docker.compose.bridge=transformation\n\
                      COPY templates /templates\n";
    std::fs::write(path.join("Dockerfile"), dockerfile).map_err(failed)
}
