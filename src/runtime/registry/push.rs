//! Pushes an image: blobs that the registry lacks, several at once, then the manifest.

use std::collections::VecDeque;

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;

use crate::Runtime;
use crate::image::digest::Digest;
use crate::image::manifest::{Descriptor, Document, Platform};
use crate::image::reference::Reference;
use crate::image::store::{self, StoreError};
use crate::progress::{Report, Reporter};
use crate::registry::blob::short;
use crate::registry::client::Client;
use crate::registry::collection::{self, Blob, Listed};
use crate::registry::error::PullError;
use crate::registry::outgoing::{self, Form, Outgoing};
use crate::registry::pull;
use crate::registry::upload::{self, Content, Upload};
use crate::snapshot::pack::PackError;

/// Why an image can't be pushed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum PushError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("no image `{0}` is here")]
    NoImage(String),
    #[error("an image is pushed under a tag, not under a digest as `{0}`")]
    Digest(String),
    #[error("cannot pack the image")]
    Pack(#[from] PackError),
    #[error(transparent)]
    Registry(#[from] PullError),
    #[error("the registry has `{found}` now, not `{sent}` as sent")]
    Changed { sent: Digest, found: Digest },
}

impl PushError {
    /// Returns what a person could do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoImage(_) => Some("build or tag it under this name first".into()),
            Self::Digest(_) => Some("name the tag alone".into()),
            Self::Registry(PullError::Permission { registry, login: false, .. }) => {
                Some(format!("`motet login {registry}` first"))
            }
            Self::Registry(error) => error.hint(),
            Self::Store(_) | Self::Pack(_) | Self::Changed { .. } => None,
        }
    }
}

/// Sends the image that `reference` names to its registry and returns the digest that it has there. Blocks.
pub fn push(rt: &Runtime, reference: &Reference, reporter: &dyn Reporter) -> Result<Digest, PushError> {
    let text = reference.to_string();
    if reference.digest.is_some() {
        return Err(PushError::Digest(text));
    }
    let tag = reference.tag.clone().unwrap_or_else(|| "latest".to_owned());
    let _lease = store::lease(rt)?;
    let image = store::find(rt, &text)?.ok_or_else(|| PushError::NoImage(text.clone()))?;
    let references = store::references(rt)?;
    let served = references.iter().find(|it| it.reference == text).and_then(|it| it.manifest.as_ref()?.parse().ok());
    reporter.report(Report::Note("preparing".to_owned()));
    if let Some(served) = served
        && let Some(digest) = whole(rt, reference, &served, &tag, reporter)?
    {
        return Ok(digest);
    }
    let outgoing = outgoing::outgoing(rt, &image, served.as_ref(), Form::Any)?;
    let client = Client::origin(reference, &rt.registry)?;
    let siblings = siblings(rt, reference)?;
    pull::runtime()?.block_on(send(rt, &client, &outgoing, &tag, &siblings, reporter))?;
    store::tag_pulled(rt, &image.id, reference, Some(&outgoing.digest))?;
    Ok(outgoing.digest)
}

/// Sends the image for one platform out of an index, and nothing else. Blocks.
pub fn push_one(
    rt: &Runtime,
    reference: &Reference,
    platform: &Platform,
    reporter: &dyn Reporter,
) -> Result<Digest, PushError> {
    let text = reference.to_string();
    let _lease = store::lease(rt)?;
    let image = store::find_for(rt, &text, platform)?;
    let image = image.ok_or_else(|| PushError::NoImage(format!("{text} for {platform}")))?;
    let outgoing = outgoing::outgoing(rt, &image, None, Form::Any)?;
    let blobs = blobs(rt, &outgoing);
    let (media_type, bytes) = (outgoing.media_type.clone(), outgoing.manifest.clone());
    let listed = Listed { name: reference.manifest(), media_type, bytes };
    collection::send(rt, reference, &blobs, &[listed], reporter)?;
    Ok(outgoing.digest)
}

fn blobs(rt: &Runtime, outgoing: &Outgoing) -> Vec<Blob> {
    let blob = |it: &Descriptor| Blob { digest: it.digest, size: it.size, path: outgoing.file(rt, it) };
    outgoing.blobs().into_iter().map(blob).collect()
}

/// Sends an index with all that it names, where all of it is here; `None` where not.
fn whole(
    rt: &Runtime,
    reference: &Reference,
    served: &Digest,
    tag: &str,
    reporter: &dyn Reporter,
) -> Result<Option<Digest>, PushError> {
    let Some(index) = store::index_of(rt, reference)? else { return Ok(None) };
    let Some(bytes) = store::manifest(rt, served) else { return Ok(None) };
    let (mut sent, mut documents) = (Vec::new(), Vec::new());
    for entry in &index.manifests {
        let manifest = store::manifest(rt, &entry.digest).and_then(|bytes| Document::parse(&bytes).ok());
        let Some(Document::Manifest(manifest)) = manifest else { return Ok(None) };
        let Some(image) = store::find(rt, &manifest.config.digest.to_string())? else { return Ok(None) };
        let outgoing = outgoing::outgoing(rt, &image, Some(&entry.digest), Form::Any)?;
        if outgoing.digest != entry.digest {
            return Ok(None);
        }
        sent.extend(blobs(rt, &outgoing));
        let name = outgoing.digest.to_string();
        documents.push(Listed { name, media_type: outgoing.media_type, bytes: outgoing.manifest });
    }
    let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let media_type = value["mediaType"].as_str().unwrap_or("application/vnd.oci.image.index.v1+json").to_owned();
    documents.push(Listed { name: tag.to_owned(), media_type, bytes });
    collection::send(rt, reference, &sent, &documents, reporter)?;
    Ok(Some(*served))
}

/// Repositories of the same registry that have a blob, as far as we know.
struct Sibling {
    repository: String,
    blobs: Vec<Digest>,
}

fn siblings(rt: &Runtime, reference: &Reference) -> Result<Vec<Sibling>, StoreError> {
    let mut found = Vec::new();
    for record in store::references(rt)? {
        let Ok(other) = Reference::parse(&record.reference) else { continue };
        if other.registry != reference.registry || other.repository == reference.repository {
            continue;
        }
        // Only what the registry itself has named or taken.
        let (Some(_), Ok(image)) = (&record.manifest, record.image.parse()) else { continue };
        for (bytes, manifest) in store::manifests_of(rt, &image)? {
            if matches!(Document::parse(&bytes), Ok(Document::Manifest(_))) {
                let blobs = manifest.layers.iter().map(|layer| layer.digest).collect();
                found.push(Sibling { repository: other.repository.clone(), blobs });
            }
        }
    }
    Ok(found)
}

async fn send(
    rt: &Runtime,
    client: &Client,
    outgoing: &Outgoing,
    tag: &str,
    siblings: &[Sibling],
    reporter: &dyn Reporter,
) -> Result<(), PushError> {
    let mut blobs = outgoing.blobs();
    // The largest first, so that none is left to run alone.
    blobs.sort_by_key(|blob| std::cmp::Reverse(blob.size));
    let queue: VecDeque<_> = blobs.into();
    let next = std::cell::RefCell::new(queue);
    let lane = || async {
        loop {
            let Some(blob) = next.borrow_mut().pop_front() else { return Ok::<(), PullError>(()) };
            let has = |sibling: &&Sibling| sibling.blobs.contains(&blob.digest);
            let from: Vec<&str> = siblings.iter().filter(has).map(|sibling| &*sibling.repository).take(2).collect();
            let content = Content::File(outgoing.file(rt, blob));
            let upload = Upload { digest: blob.digest, size: blob.size, content, from };
            let item = short(&blob.digest.to_string());
            upload::upload(client, &upload, &|done| {
                reporter.report(Report::Bytes { item: item.clone(), done, total: Some(blob.size) });
            })
            .await?;
        }
    };
    tokio::try_join!(lane(), lane(), lane(), lane())?;
    let mut request = client.request(Method::PUT, &format!("manifests/{tag}"));
    request = request.header(CONTENT_TYPE, &outgoing.media_type);
    request.body = Some(outgoing.manifest.clone());
    let response = client.send(&request).await?;
    let told = response.headers().get("docker-content-digest").and_then(|it| it.to_str().ok()?.parse().ok());
    match told {
        Some(found) if found != outgoing.digest => Err(PushError::Changed { sent: outgoing.digest, found }),
        Some(_) | None => Ok(()),
    }
}
