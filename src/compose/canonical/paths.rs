//! Relative paths to absolute ones.

use std::path::Path;

use crate::document::node::{Mapping, Node, Value};
use crate::environment::discovery::join;
use crate::source::Reader;

/// Where relative paths start from.
#[derive(Debug, Clone, Copy)]
pub struct Base<'a> {
    /// Absolute folder.
    pub directory: &'a Path,
    /// What `~` stands for.
    pub home: Option<&'a str>,
}

/// Makes every path of the tree absolute.
pub fn resolve(root: &mut Node, base: Base<'_>) {
    let Some(root) = root.as_mapping_mut() else { return };
    for service in resources(root, "services") {
        if let Some(service) = service.as_mapping_mut() {
            self::service(service, base);
        }
    }
    for section in ["configs", "secrets"] {
        for resource in resources(root, section) {
            change(resource, "file", |path| unix(base, path));
        }
    }
    for volume in resources(root, "volumes") {
        let local = volume.get_str("driver") == Some("local");
        let Some(options) = volume.as_mapping_mut().and_then(|volume| volume.get_mut("driver_opts")) else { continue };
        if local && options.get_str("o") == Some("bind") {
            change(options, "device", |path| unix(base, path));
        }
    }
}

/// Follows symbolic links in what is watched: events name files by where they are.
pub fn follow(root: &mut Node, reader: &dyn Reader) {
    let Some(root) = root.as_mapping_mut() else { return };
    for service in resources(root, "services") {
        let develop = service.as_mapping_mut().and_then(|service| service.get_mut("develop"));
        let watch = develop.and_then(Node::as_mapping_mut).and_then(|develop| develop.get_mut("watch"));
        if let Some(watch) = watch {
            each(watch, |rule| change(rule, "path", |path| reader.follow(Path::new(path)).display().to_string()));
        }
    }
}

fn resources<'a>(root: &'a mut Mapping, section: &str) -> impl Iterator<Item = &'a mut Node> {
    let section = root.get_mut(section).and_then(Node::as_mapping_mut);
    section.into_iter().flat_map(Mapping::iter_mut).map(|entry| &mut entry.value)
}

fn service(service: &mut Mapping, base: Base<'_>) {
    for entry in service.iter_mut() {
        let node = &mut entry.value;
        match entry.key.as_str() {
            "build" => build(node, base),
            "env_file" => each(node, |item| change(item, "path", |path| absolute(base, path))),
            "label_file" => each(node, |item| text(item, |path| absolute(base, path))),
            "extends" => change(node, "file", |path| absolute(base, path)),
            "develop" => {
                if let Some(watch) = node.as_mapping_mut().and_then(|develop| develop.get_mut("watch")) {
                    each(watch, |rule| change(rule, "path", |path| absolute(base, path)));
                }
            }
            "volumes" => each(node, |mount| {
                if mount.get_str("type") == Some("bind") {
                    change(mount, "source", |path| unix(base, path));
                }
            }),
            _ => {}
        }
    }
}

fn build(node: &mut Node, base: Base<'_>) {
    change(node, "context", |path| context(base, path));
    let Some(build) = node.as_mapping_mut() else { return };
    if let Some(contexts) = build.get_mut("additional_contexts").and_then(Node::as_mapping_mut) {
        for entry in contexts.iter_mut() {
            text(&mut entry.value, |path| context(base, path));
        }
    }
    if let Some(keys) = build.get_mut("ssh").and_then(Node::as_mapping_mut) {
        for entry in keys.iter_mut() {
            text(&mut entry.value, |path| unix(base, path));
        }
    }
}

fn each(node: &mut Node, mut act: impl FnMut(&mut Node)) {
    if let Value::Sequence(items) = &mut node.value {
        items.iter_mut().for_each(&mut act);
    }
}

fn change(node: &mut Node, key: &str, act: impl FnOnce(&str) -> String) {
    if let Some(value) = node.as_mapping_mut().and_then(|mapping| mapping.get_mut(key)) {
        text(value, act);
    }
}

fn text(node: &mut Node, act: impl FnOnce(&str) -> String) {
    if let Value::String(text) = &mut node.value {
        *text = act(text);
    }
}

fn context(base: Base<'_>, path: &str) -> String {
    if is_remote(path) || path.starts_with("service:") { path.to_owned() } else { absolute(base, path) }
}

/// Says whether a build context is fetched and not a folder.
pub fn is_remote(context: &str) -> bool {
    const PREFIXES: [&str; 6] = ["https://", "http://", "git://", "ssh://", "github.com/", "git@"];
    context.contains("://") || PREFIXES.iter().any(|prefix| context.starts_with(prefix))
}

/// Returns `path` below the base, `~` expanded.
pub fn absolute(base: Base<'_>, path: &str) -> String {
    if path.is_empty() {
        return String::new();
    }
    let expanded = home(base, path);
    if expanded.starts_with('/') { expanded } else { join(base.directory, &expanded).display().to_string() }
}

/// As [`absolute`], but a Windows path stays and an empty one is the folder itself.
fn unix(base: Base<'_>, path: &str) -> String {
    let expanded = home(base, path);
    if expanded.starts_with('/') || is_windows(&expanded) {
        return expanded;
    }
    join(base.directory, &expanded).display().to_string()
}

fn home(base: Base<'_>, path: &str) -> String {
    match (path.strip_prefix('~'), base.home) {
        (Some(rest), Some(home)) => join(Path::new(home), rest.trim_start_matches('/')).display().to_string(),
        _ => path.to_owned(),
    }
}

/// Says whether `path` is absolute on Windows: a drive and a slash, or two backslashes.
fn is_windows(path: &str) -> bool {
    let bytes = path.as_bytes();
    let slash = |byte: Option<&u8>| matches!(byte, Some(b'\\' | b'/'));
    match bytes {
        [_, b':', rest @ ..] => slash(rest.first()),
        [first, second, ..] => slash(Some(first)) && slash(Some(second)),
        _ => false,
    }
}
