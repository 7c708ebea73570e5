//! Images built by the runtime: what the engine is asked for, in the runtime's words.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use orchestrator::engine::error::{EngineError, ErrorKind};
use orchestrator::engine::image::{BuildSecret, BuildSpec, ImageSummary, PushSpec};
use orchestrator::engine::progress::ProgressSink;
use runtime::Runtime;
use runtime::build::remote::Remote;
use runtime::build::{self, BuildRequest, DockerfileSource, Secret, Source, SshAgent};
use runtime::image::manifest::Platform;
use runtime::keeper::ready::sentence;

use crate::embedded::images::{self, Sink};
use crate::embedded::{EmbeddedOptions, cache, errors, summary, surroundings};

pub(crate) fn build(
    rt: &Runtime,
    options: &EmbeddedOptions,
    spec: &BuildSpec,
    progress: ProgressSink,
) -> Result<ImageSummary, EngineError> {
    let name = spec.tags.first().map_or("image", String::as_str);
    let refused = |text: String| {
        let resource = format!("image `{name}`");
        let message = format!("cannot build {resource}: {text}");
        EngineError::new(ErrorKind::Unsupported, resource, message)
    };
    let request = request(options, spec).map_err(refused)?;
    let platforms = platforms(&spec.platforms).map_err(refused)?;
    if spec.check {
        let checked = build::check(rt, &request, &Sink(progress));
        return checked.map(|()| ImageSummary::default()).map_err(|error| errors::build(name, &error));
    }
    let sink = Sink(progress.clone());
    let image = match platforms.as_slice() {
        [] => build::build(rt, &request, &sink),
        [platform] => {
            let one = BuildRequest { platform: Some(platform.clone()), ..request };
            build::build(rt, &one, &sink)
        }
        several => build::build_all(rt, &request, several, &sink),
    };
    let image = image.map_err(|error| errors::build(name, &error))?;
    if spec.push {
        for tag in &spec.tags {
            let push = PushSpec { reference: tag.clone(), platform: None };
            images::push(rt, &push, progress.clone())?;
        }
    }
    Ok(summary::image(&image))
}

/// Puts a build into the runtime's words; fails on what it has no word for.
fn request(options: &EmbeddedOptions, spec: &BuildSpec) -> Result<BuildRequest, String> {
    let mut lacking: Vec<&str> = lacking(spec).collect();
    lacking.extend(spec.unsupported.iter().map(String::as_str));
    if !lacking.is_empty() {
        return Err(format!("the embedded builder can't do `{}`", lacking.join("`, `")));
    }
    let dockerfile = match &spec.dockerfile_inline {
        Some(text) => DockerfileSource::Inline(text.clone()),
        None => DockerfileSource::Path(spec.dockerfile.clone().unwrap_or_else(|| PathBuf::from("Dockerfile"))),
    };
    let mut args = spec.args.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect();
    surroundings::of_build(options, &mut args);
    let contexts = spec.additional_contexts.iter().map(|(name, text)| Ok((name.clone(), source(text)?)));
    Ok(BuildRequest {
        dockerfile,
        contexts: contexts.collect::<Result<_, String>>()?,
        tags: spec.tags.clone(),
        args,
        labels: spec.labels.clone(),
        target: spec.target.clone(),
        no_cache: spec.no_cache,
        no_cache_filter: spec.no_cache_filter.clone(),
        pull: spec.pull,
        cache_from: spec.cache_from.iter().map(|text| cache::source(text)).collect::<Result<_, _>>()?,
        cache_to: spec.cache_to.iter().map(|text| cache::target(text)).collect::<Result<_, _>>()?,
        memory: spec.memory,
        keep_last_good: spec.keep_last_good,
        network: spec.network.clone(),
        extra_hosts: spec.extra_hosts.clone(),
        shm_size: spec.shm_size,
        ulimits: spec.ulimits.clone(),
        entitlements: spec.entitlements.clone(),
        privileged: spec.privileged,
        secrets: spec.secrets.iter().map(|(id, secret)| (id.clone(), self::secret(secret))).collect(),
        ssh: agents(options.ssh_agent.as_deref(), &spec.ssh)?,
        no_bootstrap: spec.no_bootstrap || options.no_bootstrap,
        host_ca: options.host_ca,
        ..BuildRequest::of(source(&spec.context)?)
    })
}

/// Reads the platforms, each once.
fn platforms(texts: &[String]) -> Result<Vec<Platform>, String> {
    let mut platforms: Vec<Platform> = Vec::new();
    for text in texts {
        let platform = Platform::parse(text).map_err(|error| error.to_string())?.normal();
        if platform.os != "linux" {
            return Err(format!("images for `{platform}` are not built here: only Linux is"));
        }
        if !platforms.contains(&platform) {
            platforms.push(platform);
        }
    }
    Ok(platforms)
}

/// Reads what a context is: a folder, a URL, `docker-image://REF` or `oci-layout://FOLDER`.
fn source(text: &str) -> Result<Source, String> {
    if let Some(reference) = text.strip_prefix("docker-image://") {
        return Ok(Source::Image(reference.to_owned()));
    }
    if let Some(reference) = text.strip_prefix("built-image://") {
        return Ok(Source::Stored(reference.to_owned()));
    }
    if let Some(path) = text.strip_prefix("oci-layout://") {
        let (path, wanted) = match path.split_once('@') {
            Some((path, digest)) => (path, Some(digest.to_owned())),
            // A colon behind the last `/` parts the tag.
            None => match path.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) {
                Some((path, tag)) => (path, Some(tag.to_owned())),
                None => (path, None),
            },
        };
        return Ok(Source::Layout(PathBuf::from(path), wanted));
    }
    let remote = Remote::parse(text).map_err(|message| format!("the context is no URL: {message}"))?;
    match (remote, Path::new(text)) {
        (Some(_), _) => Ok(Source::Url(text.to_owned())),
        (None, path) if path.is_absolute() && path.is_file() => Ok(Source::Archive(path.to_owned())),
        (None, path) if path.is_absolute() => Ok(Source::Folder(path.to_owned())),
        (None, _) => Err(format!("the context must be a folder or a URL, not `{text}`")),
    }
}

fn secret(secret: &BuildSecret) -> Secret {
    match secret {
        BuildSecret::File(path) => Secret::File(path.clone()),
        BuildSecret::Value(content) => Secret::Value(content.clone()),
    }
}

/// Reads `default`, `id=socket` and `id=key`.
fn agents(usual: Option<&Path>, entries: &[String]) -> Result<BTreeMap<String, SshAgent>, String> {
    entries.iter().map(|entry| SshAgent::parse(entry, usual).map_err(|error| sentence(&error))).collect()
}

/// Names what is asked for and the embedded builder has not.
fn lacking(spec: &BuildSpec) -> impl Iterator<Item = &'static str> + use<> {
    // `false`, `mode=max`, `disabled=true`: as buildx reads them.
    let on = |value: &Option<String>| {
        let mut fields = value.iter().flat_map(|text| text.split(',')).map(str::trim).peekable();
        fields.peek().is_some() && !fields.any(|field| ["", "0", "f", "false", "disabled=true"].contains(&field))
    };
    let asked = [
        ("sbom` (a list of what is in the image takes a scanner, which is an image of its own", on(&spec.sbom)),
        ("provenance` (it would vouch for a build that nobody but its owner has seen", on(&spec.provenance)),
    ];
    asked.into_iter().filter(|(_, asked)| *asked).map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_told_by_its_scheme() {
        assert_eq!(source("/srv/app"), Ok(Source::Folder("/srv/app".into())));
        assert_eq!(source("docker-image://alpine:3"), Ok(Source::Image("alpine:3".to_owned())));
        let layout = Source::Layout("/srv/layout".into(), Some("v1".to_owned()));
        assert_eq!(source("oci-layout:///srv/layout:v1"), Ok(layout));
        assert!(matches!(source("https://host/app.git#main"), Ok(Source::Url(_))));
        assert!(source("app").unwrap_err().contains("`app`"));
    }
}
