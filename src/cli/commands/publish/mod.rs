//! `publish`: the project's files as an OCI artifact, in Docker Compose's form.

mod artifact;
mod checks;
mod layers;
mod sensitive;

use std::sync::Arc;
use std::time::SystemTime;

use clap::ValueEnum;
use compose::Passes;
use orchestrator::engine::Engine;
use orchestrator::engine::error::{EngineError, ErrorKind};
use orchestrator::engine::image::PushSpec;
use orchestrator::event::{Act, Event, ProgressSink, ResourceKind};
use orchestrator::operations::OperationError;
use runtime::image::reference::Reference;
use runtime::registry::error::PullError;
use tokio::sync::mpsc::UnboundedSender;

use crate::app::{App, Warnings, registries};
use crate::commands::config::digests;
use crate::error::{CommandError, Kind, LoadedProject};
use crate::print::age::rfc3339;

/// Publish the project's files to a registry
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Pin the images to the digests that their registries have now
    #[arg(long)]
    resolve_image_digests: bool,

    /// Send files of variables too, and let variables be in what is sent
    #[arg(long)]
    with_env: bool,

    /// Form of the artifact; else the newer one, and the older where the registry refuses it
    #[arg(long, value_enum, value_name = "VERSION")]
    oci_version: Option<OciVersion>,

    // The images of the services beside the files.
    #[arg(long, hide = true)]
    app: bool,

    /// Don't ask
    #[arg(short = 'y', long = "yes")]
    yes: bool,

    /// Where to: `registry.example/shop:1`
    #[arg(value_name = "REPOSITORY[:TAG]")]
    repository: String,
}

/// Version of the OCI image specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OciVersion {
    /// The kind of artifact stands in the type of its config
    #[value(name = "1.0")]
    V1_0,
    /// The kind of artifact has an attribute of its own
    #[value(name = "1.1")]
    V1_1,
}

pub(crate) async fn run(args: Args, app: &App) -> Result<(), CommandError> {
    if args.app {
        let message = "`--app` is not there: images of services are not copied beside the files";
        return Err(CommandError::new(Kind::Environment, message).hint("`push` sends the images that are built here"));
    }
    let wrong = |error: &dyn std::fmt::Display| {
        CommandError::new(Kind::Usage, format!("`{}` is no place to publish to: {error}", args.repository))
    };
    let reference = Reference::parse(&args.repository).map_err(|error| wrong(&error))?;
    if reference.digest.is_some() {
        return Err(wrong(&"it has a digest"));
    }
    // Variables of files stay in their files: that they are named is what counts.
    let passes = Passes { keep_unused: true, resolve_env: false, ..Passes::default() };
    let mut loaded = app.load_with(&[], passes, Warnings::Shown)?;
    // What a profile leaves out is in the files too.
    let disabled = std::mem::take(&mut loaded.project.disabled_services);
    loaded.project.services.extend(disabled);
    let files = layers::read(&loaded)?;
    if !checks::pass(app, &loaded, &files, args.with_env, args.yes)? {
        return Ok(());
    }
    let mut blobs = layers::layers(&loaded, &files, args.with_env)?;
    if args.resolve_image_digests {
        let mut project = loaded.project.clone();
        digests::resolve(app, &mut project).await?;
        digests::keep_images(&mut project);
        blobs.push(layers::Layer::compose("image-digests.yaml", compose::model::encode::to_yaml(&project)));
    }
    let engine = app.engine()?;
    let (settings, dry) = (Arc::new(registries(&app.environment)), app.settings.dry_run);
    app.run(Some(&loaded), async |events| {
        if !dry {
            push_images(&engine, &loaded, &events).await;
        }
        let (kind, name, act) = (ResourceKind::Image, args.repository.clone(), Act::Publish);
        let _ = events.send(Event::Started { kind, name: name.clone(), act });
        if !dry && let Err(error) = send(reference, settings, blobs, args.oci_version).await {
            let mut failed = EngineError::new(
                ErrorKind::Failed,
                format!("artifact `{name}`"),
                format!("cannot publish `{name}`: {error}"),
            );
            if let Some(hint) = error.hint() {
                failed = failed.hint(hint);
            }
            let _ = events.send(Event::Failed { kind, name, act, error: failed.clone() });
            return Err(OperationError::from(failed));
        }
        let _ = events.send(Event::Done { kind, name, act });
        Ok(())
    })
    .await
}

/// Sends the images that are built here; one that can't be sent is told of, and the files go all the same.
async fn push_images(engine: &Arc<dyn Engine>, loaded: &LoadedProject, events: &UnboundedSender<Event>) {
    for service in loaded.project.services.values() {
        let (Some(_), Some(image)) = (&service.build, &service.image) else { continue };
        let (kind, name, act) = (ResourceKind::Image, image.clone(), Act::Push);
        let _ = events.send(Event::Started { kind, name: name.clone(), act });
        let spec = PushSpec { reference: name.clone(), platform: None };
        match engine.push_image(&spec, &ProgressSink::to(events, name.as_str())).await {
            Ok(_) => drop(events.send(Event::Done { kind, name, act })),
            Err(error) => {
                let _ = events.send(Event::Failed { kind, name, act, error: error.clone() });
                let _ = events.send(Event::Warning(error.message));
            }
        }
    }
}

async fn send(
    reference: Reference,
    settings: Arc<runtime::registry::settings::Settings>,
    layers: Vec<layers::Layer>,
    version: Option<OciVersion>,
) -> Result<(), PullError> {
    let created = rfc3339(SystemTime::now());
    let sent = tokio::task::spawn_blocking(move || {
        let push = |version| {
            let artifact = artifact::of(&layers, version, &created);
            runtime::registry::artifact::push(&reference, &settings, &artifact)
        };
        match (version, push(version.unwrap_or(OciVersion::V1_1))) {
            // Most likely the registry does not know the newer form.
            (None, Err(PullError::Status { status: 400..=499, .. } | PullError::NotFound { .. })) => {
                push(OciVersion::V1_0)
            }
            (_, sent) => sent,
        }
    });
    match sent.await {
        Ok(sent) => sent.map(drop),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => Err(PullError::Client(error.to_string())),
    }
}
