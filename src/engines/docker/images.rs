//! Images of the engine: pulled, pushed, tagged, saved, loaded, removed.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

use bytes::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request};
use orchestrator::engine::image::{HistoryEntry, ImageSummary, PullSpec, PushSpec, RemovedImage};
use orchestrator::engine::progress::{Progress, ProgressSink};
use serde_json::Value;

use crate::docker::client::{Client, escape, query};
use crate::docker::credentials::Logins;
use crate::docker::fault::{Fault, Version};
use crate::docker::lines::{self, Documents};
use crate::docker::summary;
use crate::docker::transport::Body;

fn nothing() -> Body {
    bollard::body_full(Bytes::new())
}

/// Splits a reference into what the API takes apart: `localhost:5000/a` and `1`, or `a` and `sha256:..`.
pub(crate) fn split(reference: &str) -> (&str, &str) {
    if let Some((name, digest)) = reference.split_once('@') {
        return (name, digest);
    }
    match reference.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        Some(_) | None => (reference, "latest"),
    }
}

/// A reference stands in a path with its slashes.
fn in_path(reference: &str) -> String {
    reference.split('/').map(|part| escape(part).replace("%3A", ":").replace("%40", "@")).collect::<Vec<_>>().join("/")
}

/// Returns an image; `None`: it is not there.
pub(crate) async fn find(client: &Client, reference: &str) -> Result<Option<Value>, Fault> {
    match client.get(&format!("/images/{}/json", in_path(reference))).await {
        Ok(found) => Ok(Some(found)),
        Err(Fault::Refused { status: 404, .. }) => Ok(None),
        // What can't be a reference is not there either: an image id cut short, say.
        Err(Fault::Refused { status: 400, message }) if message.contains("invalid reference format") => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// Follows the progress of a long act; returns the `aux` documents.
async fn follow(answer: hyper::Response<hyper::body::Incoming>, progress: &ProgressSink) -> Result<Vec<Value>, Fault> {
    let mut documents = Documents::of(answer.into_body());
    let mut notes = BTreeSet::new();
    let mut extra = Vec::new();
    while let Some(document) = documents.next().await? {
        if let Some(error) = document["errorDetail"]["message"].as_str().or_else(|| document["error"].as_str()) {
            // The engine tells such failures after the answer has begun; its words tell what they are.
            let status = if error.contains("not found") || error.contains("does not exist") { 404 } else { 500 };
            return Err(Fault::Refused { status, message: error.to_owned() });
        }
        if !document["aux"].is_null() {
            extra.push(document["aux"].clone());
        }
        let (id, status) =
            (document["id"].as_str().unwrap_or_default(), document["status"].as_str().unwrap_or_default());
        let detail = &document["progressDetail"];
        if let (false, Some(done)) = (id.is_empty(), detail["current"].as_u64()) {
            let item = match status {
                "Extracting" => format!("{id} unpack"),
                _ => id.to_owned(),
            };
            progress.report(Progress::Bytes { item, done, total: detail["total"].as_u64().filter(|total| *total > 0) });
        } else if id.is_empty() && !status.is_empty() && notes.insert(status.to_owned()) {
            progress.report(Progress::Note(status.to_owned()));
        }
        if let Some(line) = document["stream"].as_str().map(str::trim).filter(|line| !line.is_empty()) {
            extra.push(Value::String(line.to_owned()));
        }
    }
    Ok(extra)
}

/// Brings an image from its registry.
pub(crate) async fn pull(
    client: &Client,
    logins: &Logins,
    spec: &PullSpec,
    progress: &ProgressSink,
) -> Result<ImageSummary, Fault> {
    let (name, tag) = split(&spec.reference);
    let mut pairs = vec![("fromImage", name.to_owned()), ("tag", tag.to_owned())];
    pairs.extend(spec.platform.clone().map(|platform| ("platform", platform)));
    let request = Request::builder().header("X-Registry-Auth", logins.header(&spec.reference).await?);
    let path = format!("/images/create{}", query(&pairs));
    let answer = client.call_with(request, Method::POST, &path, nothing()).await?;
    follow(answer, progress).await?;
    match find(client, &spec.reference).await? {
        Some(found) => Ok(summary::image(&found)),
        None => Err(Fault::Refused { status: 404, message: "it was pulled and is gone again".to_owned() }),
    }
}

/// Sends an image to its registry and returns its digest there.
pub(crate) async fn push(
    client: &Client,
    logins: &Logins,
    spec: &PushSpec,
    progress: &ProgressSink,
) -> Result<String, Fault> {
    let (name, tag) = split(&spec.reference);
    let mut pairs = vec![("tag", tag.to_owned())];
    if let Some(platform) = &spec.platform {
        client.require("a push of one platform", Version(1, 46)).await?;
        let mut parts = platform.split('/');
        let part = |part: Option<&str>| part.unwrap_or_default().to_owned();
        let (os, architecture, variant) = (part(parts.next()), part(parts.next()), part(parts.next()));
        let platform = serde_json::json!({"os": os, "architecture": architecture, "variant": variant});
        pairs.push(("platform", platform.to_string()));
    }
    let request = Request::builder().header("X-Registry-Auth", logins.header(&spec.reference).await?);
    let path = format!("/images/{}/push{}", in_path(name), query(&pairs));
    let answer = client.call_with(request, Method::POST, &path, nothing()).await?;
    let extra = follow(answer, progress).await?;
    let digest = extra.iter().find_map(|aux| aux["Digest"].as_str());
    digest
        .map(str::to_owned)
        .ok_or_else(|| Fault::Broken { why: "the Docker Engine told no digest of what it sent".to_owned() })
}

/// Asks a registry for the digest of a reference.
pub(crate) async fn resolve(client: &Client, logins: &Logins, reference: &str) -> Result<String, Fault> {
    let request = Request::builder().header("X-Registry-Auth", logins.header(reference).await?);
    let path = format!("/distribution/{}/json", in_path(reference));
    let answer = client.call_with(request, Method::GET, &path, nothing()).await?;
    let found = Documents::of(answer.into_body()).next().await?.unwrap_or_default();
    match found["Descriptor"]["digest"].as_str() {
        Some(digest) => Ok(digest.to_owned()),
        None => Err(Fault::Broken { why: "the registry told no digest".to_owned() }),
    }
}

/// Brings the images of an archive into the store.
pub(crate) async fn load(
    client: &Client,
    archive: OwnedFd,
    progress: &ProgressSink,
) -> Result<Vec<ImageSummary>, Fault> {
    let request = Request::builder().header(CONTENT_TYPE, "application/x-tar");
    let answer = client.call_with(request, Method::POST, "/images/load?quiet=0", lines::of_file(archive)).await?;
    let said = follow(answer, progress).await?;
    let mut loaded = Vec::new();
    for line in said.iter().filter_map(Value::as_str) {
        let name = line.strip_prefix("Loaded image: ").or_else(|| line.strip_prefix("Loaded image ID: "));
        if let Some(name) = name
            && let Some(found) = find(client, name.trim()).await?
        {
            loaded.push(summary::image(&found));
        }
    }
    Ok(loaded)
}

/// Writes images as one archive.
pub(crate) async fn save(client: &Client, references: &[String], target: OwnedFd) -> Result<(), Fault> {
    let names: Vec<(&str, String)> = references.iter().map(|name| ("names", name.clone())).collect();
    let path = format!("/images/get{}", query(&names));
    let answer = client.call(Method::GET, &path, None, nothing()).await?;
    lines::write_all(answer.into_body(), target).await
}

/// Makes an image of a file system.
pub(crate) async fn import(
    client: &Client,
    archive: OwnedFd,
    reference: Option<&str>,
    changes: &[String],
) -> Result<String, Fault> {
    let mut pairs = vec![("fromSrc", "-".to_owned())];
    if let Some(reference) = reference {
        let (name, tag) = split(reference);
        pairs.extend([("repo", name.to_owned()), ("tag", tag.to_owned())]);
    }
    pairs.extend(changes.iter().map(|change| ("changes", change.clone())));
    let request = Request::builder().header(CONTENT_TYPE, "application/x-tar");
    let path = format!("/images/create{}", query(&pairs));
    // The engine does not say which change it means.
    let asked = changes.iter().map(|change| format!("`{change}`")).collect::<Vec<_>>().join(", ");
    let refused = |why: &str| {
        let asked = if asked.is_empty() { String::new() } else { format!(" (of {asked})") };
        Fault::Refused { status: 400, message: format!("{why}{asked}") }
    };
    let answer = match client.call_with(request, Method::POST, &path, lines::of_file(archive)).await {
        Err(Fault::Refused { message, .. }) => return Err(refused(&message)),
        other => other?,
    };
    let mut documents = Documents::of(answer.into_body());
    let mut id = None;
    while let Some(document) = documents.next().await? {
        if let Some(error) = document["error"].as_str() {
            return Err(refused(error));
        }
        id = document["status"].as_str().filter(|status| status.starts_with("sha256:")).map(str::to_owned).or(id);
    }
    id.ok_or_else(|| Fault::Broken { why: "the Docker Engine told no id of what it made".to_owned() })
}

/// Returns what an image was made by.
pub(crate) async fn history(client: &Client, reference: &str) -> Result<Vec<HistoryEntry>, Fault> {
    let found = client.get(&format!("/images/{}/history", in_path(reference))).await?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let entry = |step: &Value| HistoryEntry {
        id: step["Id"].as_str().filter(|id| !id.is_empty() && *id != "<missing>").map(str::to_owned),
        created: step["Created"].as_u64().map(|at| std::time::UNIX_EPOCH + std::time::Duration::from_secs(at)),
        created_by: text(&step["CreatedBy"]),
        size: step["Size"].as_u64().unwrap_or(0),
        comment: text(&step["Comment"]),
        references: step["Tags"].as_array().into_iter().flatten().map(text).collect(),
    };
    Ok(found.as_array().into_iter().flatten().map(entry).collect())
}

/// Gives an image one more reference.
pub(crate) async fn tag(client: &Client, reference: &str, new: &str) -> Result<(), Fault> {
    let (name, tag) = split(new);
    let pairs = query(&[("repo", name.to_owned()), ("tag", tag.to_owned())]);
    client.post(&format!("/images/{}/tag{pairs}", in_path(reference)), &Value::Null).await.map(|_| ())
}

/// Takes a reference away, and the image with its last one.
pub(crate) async fn untag(client: &Client, reference: &str, force: bool) -> Result<Vec<RemovedImage>, Fault> {
    let path = format!("/images/{}?force={}", in_path(reference), u8::from(force));
    let answer = match client.call(Method::DELETE, &path, None, nothing()).await {
        Err(Fault::Refused { status: 409, message }) => {
            // The engine says that there are other names, but not which.
            let found = find(client, reference).await.ok().flatten().unwrap_or_default();
            let names: Vec<&str> =
                found["RepoTags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let names = if names.len() > 1 { format!(": {}", names.join(", ")) } else { String::new() };
            return Err(Fault::Refused { status: 409, message: format!("{message}{names}") });
        }
        other => other?,
    };
    let found = Documents::of(answer.into_body()).next().await?.unwrap_or_default();
    let removed = |row: &Value| {
        let untagged = row["Untagged"].as_str().map(|name| RemovedImage::Untagged(name.to_owned()));
        untagged.or_else(|| row["Deleted"].as_str().map(|id| RemovedImage::Deleted(id.to_owned())))
    };
    Ok(found.as_array().into_iter().flatten().filter_map(removed).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart() {
        assert_eq!(split("busybox"), ("busybox", "latest"));
        assert_eq!(split("localhost:5000/a"), ("localhost:5000/a", "latest"));
        assert_eq!(split("localhost:5000/a:1"), ("localhost:5000/a", "1"));
        assert_eq!(split("a@sha256:00"), ("a", "sha256:00"));
        assert_eq!(in_path("localhost:5000/a b:1"), "localhost:5000/a%20b:1");
    }
}
