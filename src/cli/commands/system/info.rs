//! `system info` and `system version`: what the engine is and has.

use orchestrator::engine::container::ContainerState;
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::error::{CommandError, Kind};
use crate::print::printer::Stream;
use crate::print::template::Format;

/// How it is printed
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// `json`, or a template such as `{{.ServerVersion}}`
    #[arg(short, long, value_name = "FORMAT", value_parser = Format::parse)]
    format: Option<Format>,
}

pub(crate) async fn info(args: &Args, app: &App) -> Result<(), CommandError> {
    let engine = app.engine()?;
    let containers = engine.list_containers(&[]).await?;
    let count = |wanted: fn(&ContainerState) -> bool| containers.iter().filter(|it| wanted(&it.state)).count();
    let images = engine.list_images().await.map_or(0, |images| images.len());
    let uname = rustix::system::uname();
    let paused = count(|state| matches!(state, ContainerState::Paused { .. }));
    let facts = json!({
        "Name": uname.nodename().to_string_lossy(),
        "ServerVersion": env!("CARGO_PKG_VERSION"),
        "Engine": engine.name(),
        // That of the embedded runtime; a Docker Engine's own is not asked for.
        "Driver": if engine.name() == "embedded" { "overlay2" } else { engine.name() },
        "Containers": containers.len(),
        "ContainersRunning": count(ContainerState::is_up) - paused,
        "ContainersPaused": paused,
        "ContainersStopped": count(|state| !state.is_up()),
        "Images": images,
        "KernelVersion": uname.release().to_string_lossy(),
        "OSType": "linux",
        "Architecture": uname.machine().to_string_lossy(),
        "NCPU": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    });
    print_facts(app, args, &facts)
}

pub(crate) fn version(args: &Args, app: &App) -> Result<(), CommandError> {
    let uname = rustix::system::uname();
    let part = json!({
        "Version": env!("CARGO_PKG_VERSION"),
        "ApiVersion": "1.41",
        "Os": "linux",
        "Arch": if cfg!(target_arch = "x86_64") { "amd64" } else { std::env::consts::ARCH },
        "KernelVersion": uname.release().to_string_lossy(),
    });
    print_facts(app, args, &json!({ "Client": part, "Server": part }))
}

fn print_facts(app: &App, args: &Args, facts: &Value) -> Result<(), CommandError> {
    let text = match &args.format {
        None | Some(Format::Table) => lines(facts, 0),
        Some(Format::Json) => format!("{facts}\n"),
        Some(template @ Format::Template { .. }) => template
            .apply(std::slice::from_ref(facts), None)
            .unwrap_or_else(|| Ok(String::new()))
            .map_err(|why| CommandError::new(Kind::Usage, why))?,
    };
    app.printer.write(Stream::Out, text.as_bytes());
    Ok(())
}

fn lines(facts: &Value, depth: usize) -> String {
    let empty = Map::new();
    let indent = " ".repeat(depth);
    let line = |(name, value): (&String, &Value)| match value {
        Value::Object(_) => format!("{indent}{name}:\n{}", lines(value, depth + 1)),
        Value::String(text) => format!("{indent}{name}: {text}\n"),
        other => format!("{indent}{name}: {other}\n"),
    };
    facts.as_object().unwrap_or(&empty).iter().map(line).collect()
}
