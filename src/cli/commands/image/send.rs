//! `image push`: one image, by name, or all tags of it.

use orchestrator::engine::image::PushSpec;
use orchestrator::event::{Act, Event, Failure, ProgressSink, ResourceKind};
use orchestrator::operations::OperationError;

use crate::app::App;
use crate::args::global::ProgressStyle;
use crate::commands::image::split;
use crate::error::{CommandError, Kind};

/// Push an image to its registry
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// All tags of the name
    #[arg(short, long)]
    all_tags: bool,

    /// Only if it is for this platform
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,

    /// No progress
    #[arg(short, long)]
    quiet: bool,

    /// Name, `latest` when it has no tag
    #[arg(value_name = "NAME[:TAG]")]
    name: String,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let engine = app.engine()?;
    let mut names = vec![args.name.clone()];
    if args.all_tags {
        names = engine.list_images().await?.into_iter().flat_map(|image| image.references).collect();
        names.retain(|name| split(name).0 == args.name && !name.contains('@'));
        if names.is_empty() {
            return Err(CommandError::new(Kind::Failed, format!("no image has the name `{}`", args.name)));
        }
    }
    let style = if args.quiet { ProgressStyle::Quiet } else { app.settings.progress };
    for name in names {
        if app.settings.dry_run {
            app.printer.data(&format!("push image `{name}`"));
            continue;
        }
        let spec = PushSpec { reference: name.clone(), platform: args.platform.clone() };
        let digest = app
            .run_in(style, None, async |events| {
                let (kind, act) = (ResourceKind::Image, Act::Push);
                let _ = events.send(Event::Started { kind, name: name.clone(), act });
                match engine.push_image(&spec, &ProgressSink::to(&events, name.as_str())).await {
                    Ok(digest) => {
                        let _ = events.send(Event::Done { kind, name: name.clone(), act });
                        Ok(digest)
                    }
                    Err(error) => {
                        let _ = events.send(Event::Failed { kind, name: name.clone(), act, error: error.clone() });
                        Err(OperationError::of(vec![Failure::new(error, None)]))
                    }
                }
            })
            .await?;
        let text = if args.quiet { digest } else { format!("{}: digest: {digest}", split(&name).1) };
        app.printer.data(&text);
    }
    Ok(())
}
