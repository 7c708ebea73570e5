//! What looks at single containers, and takes files in and out of them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use orchestrator::engine::Engine;
use orchestrator::engine::archive::ChangeKind;
use orchestrator::engine::container::ContainerState;
use orchestrator::engine::error::EngineError;
use orchestrator::engine::log::LogQuery;
use orchestrator::event::Attachment;
use serde_json::Value;
use tokio::sync::mpsc::unbounded_channel;

use crate::app::{App, Interrupts};
use crate::args::lines::Lines;
use crate::commands::acts::copy::CopyFlags;
use crate::commands::acts::output::Output;
use crate::commands::acts::several::describe_each;
use crate::commands::acts::usage::{self, Usage};
use crate::commands::commit::Making;
use crate::commands::cp::{Direction, warn_of};
use crate::commands::image::inspect::pretty;
use crate::commands::listen::{Heard, listen};
use crate::error::{CommandError, Kind};
use crate::print::logs::{LogDress, LogPrinter};
use crate::print::printer::Stream;
use crate::print::table::Table;
use crate::print::template::Format;

/// Show what a container wrote
#[derive(Debug, clap::Args)]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    lines: Lines,

    // Of drivers that add something to a line; ours adds nothing.
    #[arg(long, hide = true)]
    details: bool,

    /// Name or id
    #[arg(value_name = "CONTAINER")]
    name: String,
}

pub(crate) async fn logs(args: LogsArgs, app: &App) -> Result<(), CommandError> {
    let engine = app.engine()?;
    let container = engine.inspect_container(&args.name).await?;
    let query = args.lines.query(SystemTime::now()).map_err(|why| CommandError::new(Kind::Usage, why))?;
    let dress = LogDress { no_prefix: true, timestamps: args.lines.timestamps, no_colour: true, json: false };
    let mut logs = LogPrinter::new(&app.printer, dress, []);
    let mut interrupts = Interrupts::listen()?;
    let goes_on = args.lines.follow && container.state.is_up();
    let (say, mut heard) = unbounded_channel();
    let attachment = Attachment {
        id: container.id.clone(),
        name: container.name,
        service: String::new(),
        number: 0,
        since: None,
        before: None,
    };
    if goes_on {
        tokio::spawn(listen(engine.clone(), attachment, Some(query), say));
        loop {
            tokio::select! {
                Some((_, what)) = heard.recv() => match what {
                    Heard::Line(line) => logs.line("", &line),
                    Heard::State(ContainerState::Exited { .. } | ContainerState::Removed) => return Ok(()),
                    Heard::State(_) => {}
                    Heard::Deaf(why) => return Err(CommandError::new(Kind::Failed, why)),
                },
                () = interrupts.next() => return Err(CommandError::silent(Kind::Interrupted)),
            }
            if app.printer.is_closed() {
                return Ok(());
            }
        }
    }
    let mut lines = engine.container_logs(&container.id, LogQuery { follow: false, ..query }).await?;
    while let Some(line) = lines.recv().await {
        logs.line("", &line);
        if app.printer.is_closed() {
            break;
        }
    }
    Ok(())
}

/// Print all that is known of containers
#[derive(Debug, clap::Args)]
pub(crate) struct InspectArgs {
    /// A template instead: `{{.State.Status}}`
    #[arg(short, long, value_name = "FORMAT", value_parser = Format::parse)]
    format: Option<Format>,

    /// Count what its files take, too
    #[arg(short, long)]
    size: bool,

    /// Names or ids
    #[arg(value_name = "CONTAINER", required = true)]
    names: Vec<String>,
}

pub(crate) async fn inspect(args: InspectArgs, app: &App) -> Result<(), CommandError> {
    let engine = app.engine()?;
    describe_each(app, args.format.as_ref(), &args.names, async |name| described(&engine, name, args.size).await).await
}

/// Returns all that is known of a container, with what its files take where that is asked for.
pub(crate) async fn described(engine: &Arc<dyn Engine>, name: &str, size: bool) -> Result<Value, EngineError> {
    let mut found = engine.describe_container(name).await?;
    if size {
        let counted = engine.measure_container(name).await?;
        found["SizeRw"] = counted.written.into();
        found["SizeRootFs"] = counted.whole.into();
    }
    Ok(found)
}

/// Prints descriptions as `inspect` does: one array, or a line each of a template.
pub(crate) fn describe(app: &App, format: Option<&Format>, found: &[Value]) -> Result<(), CommandError> {
    let text = match format {
        None | Some(Format::Table) => {
            format!("{}\n", pretty(&Value::Array(found.to_vec())))
        }
        Some(Format::Json) => format!("{}\n", Value::Array(found.to_vec())),
        Some(template @ Format::Template { .. }) => template
            .apply(found, None)
            .unwrap_or_else(|| Ok(String::new()))
            .map_err(|why| CommandError::new(Kind::Failed, why))?,
    };
    app.printer.write(Stream::Out, text.as_bytes());
    Ok(())
}

/// Show the processes of a container
#[derive(Debug, clap::Args)]
pub(crate) struct TopArgs {
    /// Name or id
    #[arg(value_name = "CONTAINER")]
    name: String,

    /// Options of `ps`
    #[arg(value_name = "OPTIONS", trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

pub(crate) async fn top(args: TopArgs, app: &App) -> Result<(), CommandError> {
    let engine = app.engine()?;
    let container = engine.inspect_container(&args.name).await?;
    let processes = engine.container_processes(&container.id, &args.options).await?;
    let mut table = Table::new(&processes.titles.iter().map(String::as_str).collect::<Vec<_>>());
    processes.rows.into_iter().for_each(|row| table.row(row));
    app.printer.write(Stream::Out, table.render(app.printer.width(Stream::Out)).as_bytes());
    Ok(())
}

/// Show what containers use
#[derive(Debug, clap::Args)]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    usage: Usage,

    /// Names or ids; all that run when none is given
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
}

pub(crate) async fn stats(args: StatsArgs, app: &App) -> Result<(), CommandError> {
    let engine = app.engine()?;
    let mut containers = Vec::new();
    for name in &args.names {
        containers.push(engine.inspect_container(name).await?);
    }
    if args.names.is_empty() {
        containers = engine.list_containers(&[]).await?;
    }
    usage::show(app, containers, &args.usage).await
}

/// Show what a container changed against its image
#[derive(Debug, clap::Args)]
pub(crate) struct DiffArgs {
    /// Name or id
    #[arg(value_name = "CONTAINER")]
    name: String,
}

pub(crate) async fn diff(args: DiffArgs, app: &App) -> Result<(), CommandError> {
    let engine = app.engine()?;
    let container = engine.inspect_container(&args.name).await?;
    for change in engine.container_changes(&container.id).await? {
        let letter = match change.kind {
            ChangeKind::Modified => 'C',
            ChangeKind::Added => 'A',
            ChangeKind::Deleted => 'D',
        };
        app.printer.data(&format!("{letter} {}", change.path));
    }
    Ok(())
}

/// Print where a container's ports are published
#[derive(Debug, clap::Args)]
pub(crate) struct PortArgs {
    /// Name or id
    #[arg(value_name = "CONTAINER")]
    name: String,

    /// Only this port: `80`, `53/udp`
    #[arg(value_name = "PORT[/PROTOCOL]")]
    port: Option<String>,
}

pub(crate) async fn port(args: PortArgs, app: &App) -> Result<(), CommandError> {
    let container = app.engine()?.inspect_container(&args.name).await?;
    let mut any = false;
    for port in &container.ports {
        let Some((address, host)) = port.host else { continue };
        let host = std::net::SocketAddr::new(address, host);
        let inside = format!("{}/{}", port.container_port, port.protocol);
        match &args.port {
            None => app.printer.data(&format!("{inside} -> {host}")),
            Some(wanted) if *wanted == inside || format!("{wanted}/tcp") == inside => {
                app.printer.data(&host.to_string());
            }
            Some(_) => continue,
        }
        any = true;
    }
    match args.port {
        Some(port) if !any => {
            Err(CommandError::new(Kind::Failed, format!("port {port} of `{}` is not published", args.name)))
        }
        Some(_) | None => Ok(()),
    }
}

/// Copy files between the host and a container
#[derive(Debug, clap::Args)]
pub(crate) struct CopyArgs {
    #[command(flatten)]
    flags: CopyFlags,

    /// No word when it is done
    #[arg(short, long)]
    quiet: bool,

    /// From where: `PATH`, `CONTAINER:PATH`, or `-` for an archive
    #[arg(value_name = "SOURCE", allow_hyphen_values = true)]
    source: String,

    /// To where: `PATH`, `CONTAINER:PATH`, or `-` for an archive
    #[arg(value_name = "TARGET", allow_hyphen_values = true)]
    target: String,
}

pub(crate) async fn cp(args: CopyArgs, app: &App) -> Result<(), CommandError> {
    let direction = Direction::of(&args.source, &args.target)?;
    let engine = app.engine()?;
    let container = engine.inspect_container(direction.place()).await?;
    let left_out = direction.copy(app, &engine, &container.id, args.flags).await?;
    warn_of(app, &left_out);
    if !args.quiet && args.target != "-" {
        app.printer.note(&format!("copied to {}", args.target));
    }
    Ok(())
}

/// Write a container's file system as a tar archive
#[derive(Debug, clap::Args)]
pub(crate) struct ExportArgs {
    /// Into this file instead of the standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Name or id
    #[arg(value_name = "CONTAINER")]
    name: String,
}

pub(crate) async fn export(args: ExportArgs, app: &App) -> Result<(), CommandError> {
    let engine = app.engine()?;
    let container = engine.inspect_container(&args.name).await?;
    let (output, archive) = Output::open(app, args.output.as_deref())?;
    let exported = engine.export_container(&container.id, archive).await;
    output.close(exported.map_err(CommandError::from))
}

/// Make an image of a container
#[derive(Debug, clap::Args)]
pub(crate) struct CommitArgs {
    #[command(flatten)]
    making: Making,

    /// Name or id
    #[arg(value_name = "CONTAINER")]
    name: String,

    /// Name of the image
    #[arg(value_name = "REPOSITORY[:TAG]")]
    reference: Option<String>,
}

pub(crate) async fn commit(args: CommitArgs, app: &App) -> Result<(), CommandError> {
    let engine = app.engine()?;
    let container = engine.inspect_container(&args.name).await?;
    let id = engine.commit_container(&container.id, &args.making.spec(args.reference)).await?;
    app.printer.data(&id);
    Ok(())
}
