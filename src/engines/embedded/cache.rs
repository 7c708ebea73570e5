//! The build cache: looked at and pruned; and where `--cache-from` and `--cache-to` say that it is carried.

use std::path::PathBuf;

use orchestrator::engine::error::{EngineError, ErrorKind};
use orchestrator::engine::usage::{CacheEntry, CachePrune};
use runtime::Runtime;
use runtime::build::prune::{self, Entry, EntryKind, PruneError, PruneOptions};
use runtime::build::{CacheMode, CachePlace, CacheSource, CacheTarget};

use crate::embedded::errors;

fn failed(act: &str, error: &PruneError) -> EngineError {
    let message = format!("cannot {act} the build cache: {}", errors::text(error));
    EngineError::new(ErrorKind::Failed, "build cache", message)
}

fn entry(entry: &Entry) -> CacheEntry {
    let kind = match entry.kind {
        EntryKind::Step { .. } => "regular",
        EntryKind::Mount(_) => "exec.cachemount",
        EntryKind::Packages => "internal",
    };
    CacheEntry {
        id: entry.id.clone(),
        kind: kind.to_owned(),
        size: entry.size,
        used: Some(entry.used),
        shared: entry.shared,
    }
}

pub(crate) fn list(rt: &Runtime) -> Result<Vec<CacheEntry>, EngineError> {
    let found = prune::list(rt).map_err(|error| failed("look at", &error))?;
    Ok(found.iter().map(entry).collect())
}

pub(crate) fn prune(rt: &Runtime, wanted: &CachePrune) -> Result<(Vec<CacheEntry>, u64), EngineError> {
    let options =
        PruneOptions { all: wanted.all, unused_for: wanted.unused_for, keep: wanted.keep, rehearse: wanted.rehearse };
    let (removed, freed) = prune::prune(rt, &options).map_err(|error| failed("prune", &error))?;
    Ok((removed.iter().map(entry).collect(), freed))
}

/// The fields of `type=registry,ref=..`; a text without any is a reference.
fn fields(text: &str) -> Result<Vec<(&str, &str)>, String> {
    if !text.contains('=') {
        return Ok(vec![("type", "registry"), ("ref", text)]);
    }
    let pair = |field: &'_ str| field.split_once('=').map(|(key, value)| (key.trim().to_owned(), value.to_owned()));
    for field in text.split(',') {
        if pair(field).is_none() {
            return Err(format!("`{field}` of the cache `{text}` is no `KEY=VALUE`"));
        }
    }
    Ok(text.split(',').filter_map(|field| field.split_once('=')).map(|(key, value)| (key.trim(), value)).collect())
}

fn absolute(text: &str) -> Result<PathBuf, String> {
    std::path::absolute(text).map_err(|error| format!("`{text}` is no path of a cache: {error}"))
}

fn is_on(value: &str) -> bool {
    value.is_empty() || value == "true" || value == "1"
}

/// What BuildKit can do besides, and this builder can't.
fn unknown(kind: &str) -> String {
    match kind {
        "gha" | "s3" | "azblob" => {
            format!("a cache of type `{kind}` is not supported: `registry`, `local` and `inline` are")
        }
        "inline" => "a cache of type `inline` is looked for in an image: `type=registry,ref=IMAGE`".to_owned(),
        "" => "a cache wants `type=registry,ref=NAME` or `type=local,..`".to_owned(),
        kind => format!("`{kind}` is no type of cache: `registry`, `local` and `inline` are"),
    }
}

/// Reads a `--cache-from`.
pub(super) fn source(text: &str) -> Result<CacheSource, String> {
    let (mut kind, mut reference, mut path, mut name) = ("", None, None, None);
    for (key, value) in fields(text)? {
        match key {
            "type" => kind = value,
            "ref" => reference = Some(value.to_owned()),
            "src" => path = Some(absolute(value)?),
            "tag" | "digest" => name = Some(value.to_owned()),
            other => return Err(format!("unknown `{other}` of the cache `{text}`")),
        }
    }
    match (kind, reference, path) {
        ("registry", Some(reference), None) => Ok(CacheSource::Registry(reference)),
        ("local", None, Some(path)) => Ok(CacheSource::Folder { path, name }),
        ("registry", _, _) => Err(format!("the cache `{text}` needs a `ref=NAME`, and nothing else")),
        ("local", _, _) => Err(format!("the cache `{text}` needs a `src=FOLDER`")),
        (other, _, _) => Err(unknown(other)),
    }
}

/// Reads a `--cache-to`.
pub(super) fn target(text: &str) -> Result<CacheTarget, String> {
    let (mut kind, mut reference, mut path, mut tag) = ("", None, None, "latest".to_owned());
    let (mut mode, mut ignore_error, mut as_image) = (CacheMode::Min, false, true);
    for (key, value) in fields(text)? {
        match (key, value) {
            ("type", value) => kind = value,
            ("ref", value) => reference = Some(value.to_owned()),
            ("dest", value) => path = Some(absolute(value)?),
            ("tag", value) => value.clone_into(&mut tag),
            ("mode", "min") => mode = CacheMode::Min,
            ("mode", "max") => mode = CacheMode::Max,
            ("ignore-error", value) => ignore_error = is_on(value),
            ("image-manifest", value) => as_image = is_on(value),
            ("oci-mediatypes", value) if is_on(value) => {}
            ("compression", "gzip") | ("force-compression", _) => {}
            (key, value) => return Err(format!("`{key}={value}` of the cache `{text}` is not supported")),
        }
    }
    let place = match (kind, reference, path) {
        ("inline", None, None) => CachePlace::Inline,
        ("registry", Some(reference), None) => CachePlace::Registry { reference, as_image },
        ("local", None, Some(path)) => CachePlace::Folder { path, tag },
        ("inline", _, _) => return Err(format!("the cache `{text}` is in the image: it has no place of its own")),
        ("registry", _, _) => return Err(format!("the cache `{text}` needs a `ref=NAME`, and nothing else")),
        ("local", _, _) => return Err(format!("the cache `{text}` needs a `dest=FOLDER`")),
        (other, _, _) => return Err(unknown(other)),
    };
    Ok(CacheTarget { place, mode, ignore_error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_alone_is_a_registry() {
        let registry = CacheSource::Registry("r.example/app:cache".to_owned());
        assert_eq!(source("r.example/app:cache"), Ok(registry.clone()));
        assert_eq!(source("type=registry,ref=r.example/app:cache"), Ok(registry));
        let folder = CacheSource::Folder { path: "/c".into(), name: Some("v1".to_owned()) };
        assert_eq!(source("type=local,src=/c,tag=v1"), Ok(folder));
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        for (text, part) in [
            ("type=gha", "`gha`"),
            ("type=inline", "type=registry"),
            ("type=local", "src=FOLDER"),
            ("type=registry,reff=x", "`reff`"),
            ("type=local,nonsense", "`nonsense`"),
        ] {
            assert!(source(text).unwrap_err().contains(part), "{text}");
        }
        assert!(target("type=local,dest=/c,compression=zstd").unwrap_err().contains("compression=zstd"));
    }

    #[test]
    fn a_target_says_which_steps() {
        let place = CachePlace::Registry { reference: "r.example/c".to_owned(), as_image: false };
        let wanted = CacheTarget { place, mode: CacheMode::Max, ignore_error: true };
        assert_eq!(target("type=registry,ref=r.example/c,mode=max,image-manifest=false,ignore-error=true"), Ok(wanted));
        assert_eq!(target("type=inline").unwrap().place, CachePlace::Inline);
    }
}
