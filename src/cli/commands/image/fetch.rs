//! `image pull`: one image, by name.

use orchestrator::engine::image::PullSpec;
use orchestrator::event::{Act, Event, Failure, ProgressSink, ResourceKind};
use orchestrator::operations::OperationError;
use runtime::image::reference::Reference;

use crate::app::App;
use crate::args::global::ProgressStyle;
use crate::error::{CommandError, Kind};

/// Pull an image from its registry
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// `linux/arm64`; else this machine's
    #[arg(long, value_name = "PLATFORM", env = "DOCKER_DEFAULT_PLATFORM", hide_env = true)]
    platform: Option<String>,

    /// Print only the image's whole name
    #[arg(short, long)]
    quiet: bool,

    /// Name, with a tag or a digest
    #[arg(value_name = "NAME[:TAG|@DIGEST]")]
    name: String,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let name = args.name.clone();
    if app.settings.dry_run {
        app.printer.data(&format!("pull image `{name}`"));
        return Ok(());
    }
    let reference = Reference::parse(&name).map_err(|error| CommandError::new(Kind::Usage, error.to_string()))?;
    let engine = app.engine()?;
    let before = engine.inspect_image(&name).await.ok().flatten().map(|image| image.id);
    let style = if args.quiet { ProgressStyle::Quiet } else { app.settings.progress };
    let no_bootstrap = app.settings.no_bootstrap;
    let image = app
        .run_in(style, None, async |events| {
            let (kind, act) = (ResourceKind::Image, Act::Pull);
            let _ = events.send(Event::Started { kind, name: name.clone(), act });
            let spec = PullSpec { reference: name.clone(), platform: args.platform, no_bootstrap };
            match engine.pull_image(&spec, &ProgressSink::to(&events, name.as_str())).await {
                Ok(image) => {
                    let _ = events.send(Event::Done { kind, name: name.clone(), act });
                    Ok(image)
                }
                Err(error) => {
                    let _ = events.send(Event::Failed { kind, name: name.clone(), act, error: error.clone() });
                    Err(OperationError::of(vec![Failure::new(error, None)]))
                }
            }
        })
        .await?;
    let named = reference.name();
    if !args.quiet {
        let own = image.digests.iter().filter_map(|digest| digest.split_once('@')).find(|(name, _)| *name == named);
        if let Some((_, digest)) = own {
            app.printer.data(&format!("Digest: {digest}"));
        }
        let status =
            if before.as_deref() == Some(&image.id) { "Image is up to date" } else { "Downloaded newer image" };
        app.printer.data(&format!("Status: {status} for {reference}"));
    }
    app.printer.data(&whole(&reference));
    Ok(())
}

/// With registry and tag: `docker.io/library/redis:7`.
fn whole(reference: &Reference) -> String {
    let name = format!("{}/{}", reference.registry, reference.repository);
    match (&reference.digest, &reference.tag) {
        (Some(digest), _) => format!("{name}@{digest}"),
        (None, Some(tag)) => format!("{name}:{tag}"),
        (None, None) => name,
    }
}
