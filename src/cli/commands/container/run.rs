//! `container run` and `container create`: a container made of flags alone.

use std::sync::Arc;

use orchestrator::engine::Engine;
use orchestrator::engine::container::{ContainerId, ContainerSpec, NetworkMode, RestartPolicy};
use orchestrator::engine::error::{EngineError, ErrorKind};
use orchestrator::engine::image::PullSpec;
use orchestrator::engine::network::NetworkSpec;
use orchestrator::event::{Act, Event, ProgressSink, ResourceKind};

use crate::app::App;
use crate::app::foreground::{DETACH_KEYS, Ended, Foreground, stay};
use crate::args::global::ProgressStyle;
use crate::args::keys::parse_keys;
use crate::commands::container::make::MakeArgs;
use crate::commands::container::spec::{DEFAULT_NETWORK, publish_all, spec};
use crate::commands::run::slug;
use crate::commands::up::choice::When;
use crate::error::{CommandError, Kind};

/// Create and start a container
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  motet container run --rm -it alpine sh         a shell, gone when it ends
  motet container run -d --name web -p 8080:80 nginx")]
pub(crate) struct Args {
    /// Leave it running and print its id
    #[arg(short, long)]
    detach: bool,

    /// Join these streams only; may be given more than once
    #[arg(short, long, value_name = "STREAM", value_parser = ["stdin", "stdout", "stderr", "STDIN", "STDOUT", "STDERR"])]
    attach: Vec<String>,

    /// Keys that detach when typed in a row
    #[arg(long, value_name = "KEYS", value_parser = parse_keys)]
    detach_keys: Option<Arc<[u8]>>,

    /// Pass signals on to the program; on unless `--sig-proxy=false`
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    sig_proxy: Option<bool>,

    #[command(flatten)]
    container: CreateArgs,
}

/// Create a container without starting it
#[derive(Debug, clap::Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    make: MakeArgs,

    // `-h` is the host name here, as with docker.
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,

    /// What it is made from
    #[arg(value_name = "IMAGE")]
    image: String,

    /// The program with its arguments, instead of the image's
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// A failure of ours, so that it is told from the program's own codes.
const OURS: u8 = 125;

pub(crate) async fn create(args: CreateArgs, app: &App) -> Result<(), CommandError> {
    let id = make(&args, true, app).await?;
    app.printer.data(&id.0);
    Ok(())
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let ours = |error: CommandError| CommandError { kind: Kind::Program(OURS), ..error };
    let make_args = &args.container.make;
    if make_args.tty && !args.detach && !std::io::IsTerminal::is_terminal(&std::io::stdin()) && make_args.interactive {
        return Err(CommandError::new(Kind::Program(1), "the input device is not a TTY").hint("leave `-t` away"));
    }
    let id = make(&args.container, !args.detach, app).await.map_err(ours)?;
    if app.settings.dry_run {
        return Ok(());
    }
    let engine = app.engine()?;
    if args.detach {
        if let Err(error) = engine.start_container(&id).await {
            return Err(not_started(&engine, &id, make_args.rm, error).await);
        }
        app.printer.data(&id.0);
        return Ok(());
    }
    // As in Docker: named streams are the only ones that are joined.
    let joins = |stream: &str| args.attach.is_empty() || args.attach.iter().any(|one| one.eq_ignore_ascii_case(stream));
    let how = Foreground {
        tty: make_args.tty,
        stdin: make_args.interactive && joins("stdin"),
        hides_stdout: !joins("stdout"),
        hides_stderr: !joins("stderr"),
        start: true,
        forward_signals: args.sig_proxy.unwrap_or(true),
        detach_keys: args.detach_keys.as_deref().unwrap_or(DETACH_KEYS).to_vec(),
    };
    let ended = stay(&engine, &id, &how).await;
    if make_args.rm && !matches!(ended, Ok(Ended::Detached)) {
        // The engine does it too, where it can: then there is nothing left to remove.
        let _ = engine.remove_container(&id, true).await;
    }
    match ended {
        Ok(ended) => ended.into_result(),
        Err(error) => Err(CommandError { kind: Kind::Program(start_code(&error)), ..error }),
    }
}

/// As a shell has it: 127 for a program that is not there, 126 for one that can't be run.
fn start_code(error: &CommandError) -> u8 {
    match &error.source {
        crate::error::Source::Operation(operation, _) => match operation.kind() {
            ErrorKind::NotFound => 127,
            ErrorKind::Denied => 126,
            ErrorKind::Gone
            | ErrorKind::Conflict
            | ErrorKind::Unsupported
            | ErrorKind::Unavailable
            | ErrorKind::Failed => OURS,
        },
        _ => OURS,
    }
}

async fn not_started(engine: &Arc<dyn Engine>, id: &ContainerId, remove: bool, error: EngineError) -> CommandError {
    if remove {
        let _ = engine.remove_container(id, true).await;
    }
    let error = CommandError::from(error);
    CommandError { kind: Kind::Program(start_code(&error)), ..error }
}

/// Brings the image in if it must, and creates the container.
async fn make(args: &CreateArgs, attached: bool, app: &App) -> Result<ContainerId, CommandError> {
    let usage = |why: String| CommandError::new(Kind::Usage, why);
    let make = &args.make;
    let mut spec = spec(make, &args.image, &args.command, app).map_err(usage)?;
    if spec.auto_remove && spec.restart != RestartPolicy::No {
        return Err(usage("conflicting options: cannot specify both --restart and --rm".to_owned()));
    }
    if let Some(file) = make.cidfile.as_ref().filter(|file| app.absolute(file).exists()) {
        let message = format!("there is a file `{}` already: another container's id may be in it", file.display());
        return Err(CommandError::new(Kind::Conflict, message));
    }
    // Who is attached to from its start on is told when there is no more to read.
    spec.stdin_once = spec.stdin_open && attached;
    if spec.name.is_empty() {
        spec.name = name_of(&slug());
    }
    let engine = app.engine()?;
    bring_image(args, app, &engine).await?;
    if make.publish_all {
        let described = engine.describe_image(&args.image).await?;
        let exposed = described.pointer("/Config/ExposedPorts").and_then(serde_json::Value::as_object);
        let exposed = exposed.into_iter().flat_map(|ports| ports.keys().map(String::as_str));
        spec.ports.extend(publish_all(exposed.chain(make.expose.iter().map(String::as_str))));
    }
    if let NetworkMode::Networks(endpoints) = &spec.network
        && endpoints.iter().any(|endpoint| endpoint.network == DEFAULT_NETWORK)
        && engine.inspect_network(DEFAULT_NETWORK).await?.is_none()
    {
        let network = NetworkSpec { name: DEFAULT_NETWORK.to_owned(), ipv4: true, ..NetworkSpec::default() };
        engine.create_network(&network).await?;
    }
    if let Some(error) = engine.check_ports(std::slice::from_ref(&spec)).await.into_iter().next() {
        return Err(error.into());
    }
    let id = create_container(&engine, &spec).await?;
    if let Some(file) = &make.cidfile {
        let path = app.absolute(file);
        if let Err(error) = std::fs::write(&path, &id.0) {
            let _ = engine.remove_container(&id, true).await;
            let message = format!("cannot write `{}`: {error}", path.display());
            return Err(CommandError::new(Kind::Failed, message));
        }
    }
    Ok(id)
}

/// Creates it unless its name is taken.
async fn create_container(engine: &Arc<dyn Engine>, spec: &ContainerSpec) -> Result<ContainerId, CommandError> {
    if let Ok(other) = engine.inspect_container(&spec.name).await
        && other.name == spec.name
    {
        let message =
            format!("the name `{}` is taken by container {}", spec.name, &other.id.0[..12.min(other.id.0.len())]);
        return Err(CommandError::new(Kind::Conflict, message).hint("remove or rename that container"));
    }
    Ok(engine.create_container(spec).await?)
}

async fn bring_image(args: &CreateArgs, app: &App, engine: &Arc<dyn Engine>) -> Result<(), CommandError> {
    let when = args.make.pull.unwrap_or(When::Missing);
    let is_there = engine.inspect_image(&args.image).await?.is_some();
    match when {
        When::Never if !is_there => {
            return Err(CommandError::new(Kind::Pull, format!("there is no image `{}` here", args.image)));
        }
        When::Always => {}
        _ if is_there => return Ok(()),
        _ => {}
    }
    let style = if args.make.quiet { ProgressStyle::Quiet } else { app.settings.progress };
    let spec = PullSpec {
        reference: args.image.clone(),
        platform: args.make.platform.clone(),
        no_bootstrap: app.settings.no_bootstrap,
    };
    app.run_in(style, None, async |events| {
        let (kind, name) = (ResourceKind::Image, spec.reference.clone());
        let _ = events.send(Event::Started { kind, name: name.clone(), act: Act::Pull });
        engine.pull_image(&spec, &ProgressSink::to(&events, &name)).await?;
        let _ = events.send(Event::Done { kind, name, act: Act::Pull });
        Ok(())
    })
    .await
}

/// Makes a name that people can say.
fn name_of(slug: &str) -> String {
    const HOW: [&str; 16] = [
        "brave", "bright", "calm", "clear", "eager", "fair", "gentle", "grand", "lively", "merry", "noble", "proud",
        "quick", "quiet", "swift", "warm",
    ];
    const WHO: [&str; 16] = [
        "bach",
        "byrd",
        "dufay",
        "gibbons",
        "handel",
        "josquin",
        "lassus",
        "machaut",
        "monteverdi",
        "palestrina",
        "perotin",
        "purcell",
        "schutz",
        "tallis",
        "victoria",
        "vitry",
    ];
    let number = u64::from_str_radix(slug, 16).unwrap_or(0);
    let pick = |list: [&'static str; 16], shift: u32| list[usize::try_from(number >> shift & 15).unwrap_or(0)];
    format!("{}_{}_{}", pick(HOW, 0), pick(WHO, 4), &slug[..4.min(slug.len())])
}
