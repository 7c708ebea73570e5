//! `inspect`: all that is known of anything, found by its name: a container, image, volume or network.

use std::sync::Arc;

use clap::ValueEnum;
use orchestrator::engine::Engine;
use orchestrator::engine::error::{EngineError, ErrorKind};
use serde_json::Value;

use crate::app::App;
use crate::commands::container::look::{describe, described};
use crate::error::CommandError;
use crate::print::template::Format;

/// Print all that is known of containers, images, volumes or networks
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A template instead: `{{.State.Status}}`
    #[arg(short, long, value_name = "FORMAT", value_parser = Format::parse)]
    format: Option<Format>,

    /// Only things of this kind
    #[arg(long = "type", value_enum, value_name = "KIND")]
    kind: Option<Thing>,

    /// Count what the files of containers take, too
    #[arg(short, long)]
    size: bool,

    /// Names or ids
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Thing {
    Container,
    Image,
    Volume,
    Network,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let engine = app.engine()?;
    let kinds = args.kind.map_or_else(|| Thing::value_variants().to_vec(), |kind| vec![kind]);
    let (mut found, mut failure) = (Vec::new(), None);
    for name in &args.names {
        match find(&engine, &kinds, name, args.size).await {
            Ok(described) => found.push(described),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    describe(app, args.format.as_ref(), &found)?;
    failure.map_or(Ok(()), |error| Err(error.into()))
}

async fn find(engine: &Arc<dyn Engine>, kinds: &[Thing], name: &str, size: bool) -> Result<Value, EngineError> {
    for kind in kinds {
        let described = match kind {
            Thing::Container => described(engine, name, size).await,
            Thing::Image => engine.describe_image(name).await,
            Thing::Volume => engine.describe_volume(name).await,
            Thing::Network => engine.describe_network(name).await,
        };
        match described {
            Err(error) if error.kind == ErrorKind::NotFound => {}
            other => return other,
        }
    }
    Err(EngineError::new(ErrorKind::NotFound, format!("`{name}`"), format!("there is nothing called `{name}`")))
}
