//! `push`: sends the images of services that are built here to their registries.

use orchestrator::engine::image::PushSpec;
use orchestrator::event::{Act, Event, Failure, ProgressSink, ResourceKind};
use orchestrator::operations::OperationError;

use crate::app::{App, Warnings};
use crate::args::global::ProgressStyle;
use crate::commands::services;
use crate::error::CommandError;

/// Push the images
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Go on past images that can't be pushed
    #[arg(long)]
    ignore_push_failures: bool,

    /// The services that these depend on too
    #[arg(long)]
    include_deps: bool,

    /// No progress
    #[arg(short, long)]
    quiet: bool,

    /// Only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let mut everything = app.load(&[], Warnings::Shown)?;
    services::check_and_enable(&args.services, &mut everything.project)?;
    let loaded = if args.include_deps { app.load(&args.services, Warnings::Hidden)? } else { everything };
    // As Docker Compose has it: what is only pulled is not ours to push.
    let named = |name: &String| args.services.is_empty() || args.include_deps || args.services.contains(name);
    let mut wanted: Vec<(String, String)> = Vec::new();
    for (name, service) in loaded.project.services.iter().filter(|(name, _)| named(name)) {
        let (Some(build), Some(image)) = (&service.build, &service.image) else { continue };
        for reference in std::iter::once(image).chain(&build.tags) {
            if !wanted.iter().any(|(_, other)| other == reference) {
                wanted.push((name.clone(), reference.clone()));
            }
        }
    }
    if app.settings.dry_run {
        wanted.iter().for_each(|(_, reference)| app.printer.data(&format!("push image `{reference}`")));
        return Ok(());
    }
    let engine = app.engine()?;
    let style = if args.quiet { ProgressStyle::Quiet } else { app.settings.progress };
    let ignore = args.ignore_push_failures;
    app.run_in(style, Some(&loaded), async move |events| {
        let mut failures = Vec::new();
        for (service, name) in wanted {
            let (kind, act) = (ResourceKind::Image, Act::Push);
            let _ = events.send(Event::Started { kind, name: name.clone(), act });
            let spec = PushSpec { reference: name.clone(), platform: None };
            match engine.push_image(&spec, &ProgressSink::to(&events, name.as_str())).await {
                Ok(_) => drop(events.send(Event::Done { kind, name, act })),
                Err(error) => {
                    let _ = events.send(Event::Failed { kind, name, act, error: error.clone() });
                    if ignore {
                        let _ = events.send(Event::Warning(error.message));
                    } else {
                        failures.push(Failure::new(error, Some(format!("services.{service}.image"))));
                    }
                }
            }
        }
        if failures.is_empty() { Ok(()) } else { Err(OperationError::of(failures)) }
    })
    .await
}
