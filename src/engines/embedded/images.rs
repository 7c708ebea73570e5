//! Images: found, acquired, built, removed.

use std::fs::File;
use std::os::fd::OwnedFd;

use orchestrator::engine::error::{EngineError, ErrorKind};
use orchestrator::engine::image::{ImageSummary, PullSpec, PushSpec, RemovedImage};
use orchestrator::engine::progress::{Progress, ProgressSink};
use runtime::Runtime;
use runtime::acquire::{self, AcquireOptions};
use runtime::build;
use runtime::image::collect;
use runtime::image::config::ImageConfig;
use runtime::image::manifest::Platform;
use runtime::image::reference::Reference;
use runtime::image::store::{self, Image, StoreError};
use runtime::progress::{Report, Reporter};
use runtime::registry::push;

use crate::embedded::{EmbeddedOptions, errors, summary};

/// Passes the runtime's reports on as the engine's progress.
pub(super) struct Sink(pub ProgressSink);

impl Reporter for Sink {
    fn report(&self, report: Report) {
        self.0.report(match report {
            Report::Note(text) => Progress::Note(text),
            Report::Bytes { item, done, total } => Progress::Bytes { item, done, total },
            Report::Step { number, total, text } => Progress::Step { number, total, text },
            Report::StepDone { number, cached } => Progress::StepDone { number, cached },
            Report::StepOutput { number, line } => Progress::StepOutput { number, line },
        });
    }
}

pub(crate) fn inspect(rt: &Runtime, reference: &str) -> Result<Option<ImageSummary>, EngineError> {
    match store::find(rt, reference) {
        Ok(image) => Ok(image.as_ref().map(summary::image)),
        Err(error) => Err(errors::store(reference, "look for", &error)),
    }
}

pub(crate) fn pull(
    rt: &Runtime,
    options: &EmbeddedOptions,
    spec: &PullSpec,
    progress: ProgressSink,
) -> Result<ImageSummary, EngineError> {
    let how = AcquireOptions {
        platform: spec.platform.clone(),
        no_bootstrap: spec.no_bootstrap || options.no_bootstrap,
        always_pull: true,
        keep_name: false,
    };
    acquire::acquire(rt, &spec.reference, &how, &Sink(progress))
        .map(|image| summary::image(&image))
        .map_err(|error| errors::acquire(&spec.reference, &error))
}

pub(crate) fn load(rt: &Runtime, archive: OwnedFd, progress: ProgressSink) -> Result<Vec<ImageSummary>, EngineError> {
    let images = acquire::load::load_from(rt, File::from(archive), &Sink(progress));
    let images = images.map_err(|error| errors::archive(&error))?;
    Ok(images.iter().map(summary::image).collect())
}

pub(crate) fn list(rt: &Runtime) -> Result<Vec<ImageSummary>, EngineError> {
    let failed = |error| errors::store("*", "list", &error);
    let images = store::list(rt).map_err(failed)?;
    let named = store::named_by_indexes(rt).map_err(failed)?;
    let of_platform = |image: &Image| image.references.is_empty() && named.contains(&image.id);
    Ok(images.iter().map(|image| ImageSummary { of_platform: of_platform(image), ..summary::image(image) }).collect())
}

/// Reads a reference that the caller gave.
fn reference(text: &str) -> Result<Reference, EngineError> {
    Reference::parse(text).map_err(|error| errors::reference(text, &error))
}

/// Returns the image that is there, or says that there is none.
pub(crate) fn existing(rt: &Runtime, text: &str) -> Result<Image, EngineError> {
    let found = store::find(rt, text).map_err(|error| errors::store(text, "look for", &error))?;
    found.ok_or_else(|| errors::store(text, "", &StoreError::NoImage(text.to_owned())))
}

pub(crate) fn tag(rt: &Runtime, text: &str, new: &str) -> Result<(), EngineError> {
    let image = existing(rt, text)?;
    let new = reference(new)?;
    if new.digest.is_some() {
        let message = format!("cannot tag image `{text}`: `{new}` has a digest, which only the content can give");
        return Err(EngineError::new(ErrorKind::Failed, format!("image `{new}`"), message));
    }
    store::tag(rt, &image.id, &new).map_err(|error| errors::store(text, "tag", &error))
}

/// Refuses an image of the store that is for another platform than the one asked for.
pub(crate) fn must_be_for(rt: &Runtime, text: &str, platform: Option<&str>) -> Result<(), EngineError> {
    let Some(platform) = platform.filter(|platform| !platform.is_empty()) else { return Ok(()) };
    // One that is not there is told of by whoever needs it.
    let Ok(image) = existing(rt, text) else { return Ok(()) };
    let has = format!("{}/{}", image.config.os, image.config.architecture);
    if format!("{platform}/").starts_with(&format!("{has}/")) || has == format!("linux/{platform}") {
        return Ok(());
    }
    let message = format!("image `{text}` is there for `{has}`, not for `{platform}`");
    let error = EngineError::new(ErrorKind::NotFound, format!("image `{text}`"), message);
    Err(error.hint(format!("`pull` fetches it for `{platform}` where its registry has that")))
}

pub(crate) fn push(rt: &Runtime, spec: &PushSpec, progress: ProgressSink) -> Result<String, EngineError> {
    let reference = reference(&spec.reference)?;
    if let Some(platform) = &spec.platform {
        let image = existing(rt, &spec.reference)?;
        let has = format!("{}/{}", image.config.os, image.config.architecture);
        if !has.is_empty() && !format!("{platform}/").starts_with(&format!("{has}/")) {
            if let Ok(wanted) = Platform::parse(platform)
                && store::find_for(rt, &spec.reference, &wanted).is_ok_and(|image| image.is_some())
            {
                let pushed = push::push_one(rt, &reference, &wanted, &Sink(progress));
                return pushed.map(|it| it.to_string()).map_err(|error| errors::push(&spec.reference, &error));
            }
            let message = format!("cannot push image `{reference}` for `{platform}`: it is for `{has}`");
            return Err(EngineError::new(ErrorKind::NotFound, format!("image `{reference}`"), message));
        }
    }
    let pushed = push::push(rt, &reference, &Sink(progress));
    pushed.map(|digest| digest.to_string()).map_err(|error| errors::push(&spec.reference, &error))
}

pub(crate) fn digest(rt: &Runtime, text: &str) -> Result<String, EngineError> {
    let found = runtime::registry::pull::digest(&reference(text)?, &rt.registry);
    found.map(|digest| digest.to_string()).map_err(|error| errors::digest(text, &error))
}

pub(crate) fn save(rt: &Runtime, references: &[String], archive: OwnedFd) -> Result<(), EngineError> {
    let out = std::io::BufWriter::with_capacity(1 << 20, File::from(archive));
    acquire::save::save(rt, references, out).map_err(|error| errors::save(references, &error))
}

pub(crate) fn export(rt: &Runtime, reference: &str, archive: OwnedFd) -> Result<(), EngineError> {
    let out = std::io::BufWriter::with_capacity(1 << 20, File::from(archive));
    acquire::flatten::flatten(rt, reference, out).map_err(|error| errors::save(&[reference.to_owned()], &error))
}

pub(crate) fn import(
    rt: &Runtime,
    archive: OwnedFd,
    name: Option<&str>,
    changes: &[String],
) -> Result<String, EngineError> {
    let tags: Vec<Reference> = name.map(reference).into_iter().collect::<Result<_, _>>()?;
    let mut config = ImageConfig { created: Some(build::now()), ..ImageConfig::empty() };
    build::change::change(&mut config, changes).map_err(|why| errors::change(&why))?;
    let image = acquire::import::import(rt, File::from(archive), config, "imported", &tags);
    image.map(|image| image.id.to_string()).map_err(|error| errors::import(&error))
}

pub(crate) fn untag(rt: &Runtime, text: &str, force: bool) -> Result<Vec<RemovedImage>, EngineError> {
    let removed = collect::remove(rt, text, force).map_err(|error| errors::store(text, "remove", &error))?;
    let untagged = removed.untagged.into_iter().map(RemovedImage::Untagged);
    Ok(untagged.chain(removed.deleted.map(|id| RemovedImage::Deleted(id.to_string()))).collect())
}

pub(crate) fn remove(rt: &Runtime, reference: &str) -> Result<(), EngineError> {
    match collect::remove(rt, reference, false) {
        Ok(_) | Err(StoreError::NoImage(_)) => Ok(()),
        Err(error) => Err(errors::store(reference, "remove", &error)),
    }
}
