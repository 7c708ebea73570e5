//! All that is known of an image, in the Docker API's words; and what it was made by.

use orchestrator::engine::error::EngineError;
use orchestrator::engine::image::HistoryEntry;
use runtime::Runtime;
use runtime::image::layers;
use serde_json::{Map, Value, json};

use crate::embedded::images;
use crate::moment;

/// `GET /images/NAME/json`
pub(crate) fn describe(rt: &Runtime, reference: &str) -> Result<Value, EngineError> {
    let image = images::existing(rt, reference)?;
    let config = &image.config;
    let tags: Vec<&String> = image.references.iter().filter(|it| !it.contains('@')).collect();
    let layers: Vec<String> = image.diff_ids.iter().map(ToString::to_string).collect();
    let other = |name: &str| config.other.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let comment = config.history.last().and_then(|entry| entry.comment.clone());
    let mut described = json!({
        "Id": image.id.to_string(),
        "RepoTags": tags,
        "RepoDigests": image.digests,
        "Parent": "",
        "Comment": comment.unwrap_or_default(),
        "Created": config.created,
        "DockerVersion": other("docker_version"),
        "Author": config.author.clone().unwrap_or_default(),
        "Config": container(serde_json::to_value(&config.config).unwrap_or_default()),
        "Architecture": config.architecture,
        "Os": config.os,
        "Size": image.size,
        "VirtualSize": image.size,
        "GraphDriver": { "Name": "overlay2", "Data": drivers(rt, &image) },
        "RootFS": { "Type": "layers", "Layers": layers },
        "Metadata": { "LastTagTime": "0001-01-01T00:00:00Z" },
    });
    if let Some(variant) = &config.variant {
        described["Variant"] = json!(variant);
    }
    Ok(described)
}

/// Where the layers lie, the highest first, under the names that Docker's driver has for them.
fn drivers(rt: &Runtime, image: &runtime::image::store::Image) -> Value {
    let paths = image.diff_ids.iter().rev().map(|id| layers::directory(rt, id).display().to_string());
    let paths: Vec<String> = paths.collect();
    match paths.split_first() {
        None => Value::Null,
        Some((top, [])) => json!({ "UpperDir": top }),
        Some((top, below)) => json!({ "LowerDir": below.join(":"), "UpperDir": top }),
    }
}

/// Docker writes every member, with what is empty in its place.
fn container(given: Value) -> Value {
    let mut whole = json!({
        "Hostname": "", "Domainname": "", "User": "", "AttachStdin": false, "AttachStdout": false, "AttachStderr": false,
        "Tty": false, "OpenStdin": false, "StdinOnce": false, "Env": [], "Cmd": null, "Image": "", "Volumes": null,
        "WorkingDir": "", "Entrypoint": null, "OnBuild": null, "Labels": null,
    });
    if let (Some(whole), Value::Object(given)) = (whole.as_object_mut(), given) {
        whole.extend(given.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>());
    }
    whole
}

/// What it was made by, the newest first.
pub(crate) fn history(rt: &Runtime, reference: &str) -> Result<Vec<HistoryEntry>, EngineError> {
    let image = images::existing(rt, reference)?;
    let mut sizes = image.diff_ids.iter().map(|id| layers::find(rt, id).map_or(0, |layer| layer.size));
    let mut entries: Vec<HistoryEntry> = image
        .config
        .history
        .iter()
        .map(|entry| HistoryEntry {
            id: None,
            created: entry.created.as_deref().and_then(moment::parse),
            created_by: entry.created_by.clone().unwrap_or_default(),
            size: if entry.empty_layer { 0 } else { sizes.next().unwrap_or(0) },
            comment: entry.comment.clone().unwrap_or_default(),
            references: Vec::new(),
        })
        .collect();
    // Layers that no entry tells of.
    entries.extend(sizes.map(|size| HistoryEntry {
        id: None,
        created: image.created.as_deref().and_then(moment::parse),
        created_by: String::new(),
        size,
        comment: String::new(),
        references: Vec::new(),
    }));
    entries.reverse();
    if let Some(newest) = entries.first_mut() {
        newest.id = Some(image.id.to_string());
        newest.references.clone_from(&image.references);
    }
    Ok(entries)
}
