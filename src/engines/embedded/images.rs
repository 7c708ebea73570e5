//! Images: found, acquired, built, removed.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use orchestrator::engine::error::{EngineError, ErrorKind};
use orchestrator::engine::image::{BuildSpec, ImageSummary, PullSpec};
use orchestrator::engine::progress::{Progress, ProgressSink};
use runtime::Runtime;
use runtime::acquire::{self, AcquireOptions};
use runtime::build::{self, BuildRequest, DockerfileSource};
use runtime::image::collect;
use runtime::image::store::{self, StoreError};
use runtime::progress::{Report, Reporter};

use crate::embedded::{EmbeddedOptions, errors, summary};

/// Passes the runtime's reports on as the engine's progress.
struct Sink(ProgressSink);

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

pub(crate) fn build(
    rt: &Runtime,
    options: &EmbeddedOptions,
    spec: &BuildSpec,
    progress: ProgressSink,
) -> Result<ImageSummary, EngineError> {
    let name = spec.tags.first().map_or("image", String::as_str);
    let refuse = |text: String| {
        let resource = format!("image `{name}`");
        let message = format!("cannot build {resource}: {text}");
        EngineError::new(ErrorKind::Unsupported, resource, message)
    };
    let lacking: Vec<String> = spec.unsupported.iter().cloned().chain(lacking(spec).map(str::to_owned)).collect();
    if !lacking.is_empty() {
        return Err(refuse(format!("the embedded builder can't do `{}`", lacking.join("`, `"))));
    }
    if !Path::new(&spec.context).is_absolute() {
        return Err(refuse(format!("the context must be a folder, not `{}`", spec.context)));
    }
    let host = format!("linux/{}", runtime::image::config::host_architecture());
    if let Some(platform) = spec.platforms.iter().find(|platform| **platform != host) {
        return Err(refuse(format!("this machine builds for `{host}`, not for `{platform}`")));
    }
    let dockerfile = match &spec.dockerfile_inline {
        Some(text) => DockerfileSource::Inline(text.clone()),
        None => DockerfileSource::Path(spec.dockerfile.clone().unwrap_or_else(|| PathBuf::from("Dockerfile"))),
    };
    let request = BuildRequest {
        dockerfile,
        tags: spec.tags.clone(),
        args: spec.args.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect(),
        labels: spec.labels.clone(),
        target: spec.target.clone(),
        no_cache: spec.no_cache,
        pull: spec.pull,
        network: spec.network.clone(),
        extra_hosts: spec.extra_hosts.clone(),
        shm_size: spec.shm_size,
        no_bootstrap: spec.no_bootstrap || options.no_bootstrap,
        host_ca: options.host_ca,
        ..BuildRequest::new(&spec.context)
    };
    build::build(rt, &request, &Sink(progress))
        .map(|image| summary::image(&image))
        .map_err(|error| errors::build(name, &error))
}

/// Names what is asked for and the embedded builder has not.
fn lacking(spec: &BuildSpec) -> impl Iterator<Item = &'static str> + use<> {
    let asked = [
        ("additional_contexts", !spec.additional_contexts.is_empty()),
        ("cache_to", !spec.cache_to.is_empty()),
        ("check", spec.check),
        ("entitlements", !spec.entitlements.is_empty()),
        ("no_cache_filter", !spec.no_cache_filter.is_empty()),
        ("privileged", spec.privileged),
        ("push", spec.push),
        ("secrets", !spec.secrets.is_empty()),
        ("ssh", !spec.ssh.is_empty()),
        ("ulimits", !spec.ulimits.is_empty()),
    ];
    asked.into_iter().filter(|(_, asked)| *asked).map(|(name, _)| name)
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
