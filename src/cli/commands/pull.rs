//! `pull`: brings the images of the services into the store, once each.

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::ValueEnum;
use compose::Project;
use orchestrator::engine::image::PullSpec;
use orchestrator::event::{Act, Event, Failure, ProgressSink, ResourceKind};
use orchestrator::operations::OperationError;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::app::{App, Warnings};
use crate::args::global::ProgressStyle;
use crate::commands::services;
use crate::error::CommandError;

/// Pull the images
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Leave out services that can be built
    #[arg(long)]
    ignore_buildable: bool,

    /// Go on past images that can't be pulled
    #[arg(long)]
    ignore_pull_failures: bool,

    /// The services that these depend on too
    #[arg(long)]
    include_deps: bool,

    /// Whether to pull what is there already
    #[arg(long, value_enum, value_name = "WHEN")]
    policy: Option<Policy>,

    /// No progress
    #[arg(short, long)]
    quiet: bool,

    /// Only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Policy {
    Missing,
    Always,
}

/// One image to pull, and who wants it.
struct Wanted {
    service: String,
    spec: PullSpec,
    /// A failure is no loss: it will be built.
    buildable: bool,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    let mut everything = app.load(&[], Warnings::Shown)?;
    services::check_and_enable(&args.services, &mut everything.project)?;
    let loaded = if args.include_deps { app.load(&args.services, Warnings::Hidden)? } else { everything };
    let wanted = wanted(&args, &loaded.project, app.settings.no_bootstrap);
    if app.settings.dry_run {
        wanted.iter().for_each(|image| app.printer.data(&format!("pull image `{}`", image.spec.reference)));
        return Ok(());
    }
    let engine = app.engine()?;
    let style = if args.quiet { ProgressStyle::Quiet } else { app.settings.progress };
    let limit = Arc::new(Semaphore::new(app.settings.parallel.unwrap_or(Semaphore::MAX_PERMITS)));
    app.run_in(style, Some(&loaded), async move |events| {
        let mut pulls = JoinSet::new();
        for image in wanted {
            let (engine, events, limit) = (engine.clone(), events.clone(), limit.clone());
            pulls.spawn(async move {
                let _permit = limit.acquire_owned().await;
                let (kind, name) = (ResourceKind::Image, image.spec.reference.clone());
                let path = format!("services.{}.image", image.service);
                let failure = |error| Failure::new(error, Some(path.clone()));
                if args.policy == Some(Policy::Missing) && engine.inspect_image(&name).await.map_err(failure)?.is_some()
                {
                    let _ =
                        events.send(Event::UpToDate { kind, name, state: "Skipped Image is already present".into() });
                    return Ok(());
                }
                let _ = events.send(Event::Started { kind, name: name.clone(), act: Act::Pull });
                let sink = ProgressSink::to(&events, name.as_str());
                match engine.pull_image(&image.spec, &sink).await {
                    Ok(_) => {
                        let _ = events.send(Event::Done { kind, name, act: Act::Pull });
                        Ok(())
                    }
                    Err(error) => {
                        let _ = events.send(Event::Failed { kind, name, act: Act::Pull, error: error.clone() });
                        if image.buildable || args.ignore_pull_failures {
                            let _ = events.send(Event::Warning(error.message));
                            return Ok(());
                        }
                        Err(failure(error))
                    }
                }
            });
        }
        let mut failures = Vec::new();
        while let Some(pull) = pulls.join_next().await {
            if let Ok(Err(failure)) = pull {
                failures.push(failure);
            }
        }
        if failures.is_empty() { Ok(()) } else { Err(OperationError::of(failures)) }
    })
    .await
}

fn wanted(args: &Args, project: &Project, no_bootstrap: bool) -> Vec<Wanted> {
    let mut by_reference = BTreeMap::new();
    for (name, service) in &project.services {
        let named = args.services.is_empty() || args.include_deps || args.services.contains(name);
        let buildable = service.build.is_some();
        let Some(reference) = &service.image else { continue };
        if !named || (buildable && args.ignore_buildable) {
            continue;
        }
        let spec = PullSpec { reference: reference.clone(), platform: service.platform.clone(), no_bootstrap };
        let image = Wanted { service: name.clone(), spec, buildable };
        by_reference.entry(reference.clone()).or_insert(image);
    }
    by_reference.into_values().collect()
}
