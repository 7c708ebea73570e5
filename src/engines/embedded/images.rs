//! Images: found, acquired, built, removed.

use std::fs::File;
use std::os::fd::OwnedFd;

use orchestrator::engine::error::EngineError;
use orchestrator::engine::image::{ImageSummary, PullSpec};
use orchestrator::engine::progress::{Progress, ProgressSink};
use runtime::Runtime;
use runtime::acquire::{self, AcquireOptions};
use runtime::image::collect;
use runtime::image::store::{self, StoreError};
use runtime::progress::{Report, Reporter};

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

pub(crate) fn remove(rt: &Runtime, reference: &str) -> Result<(), EngineError> {
    match collect::remove(rt, reference, false) {
        Ok(_) | Err(StoreError::NoImage(_)) => Ok(()),
        Err(error) => Err(errors::store(reference, "remove", &error)),
    }
}
