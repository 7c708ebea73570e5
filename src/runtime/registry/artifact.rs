//! Pushes what is no image: a manifest of small blobs that are in memory.

use std::sync::Arc;

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;

use crate::image::digest::Digest;
use crate::image::reference::Reference;
use crate::registry::client::{self, Client};
use crate::registry::error::PullError;
use crate::registry::settings::Settings;
use crate::registry::upload::{self, Content, Upload};

/// What is sent.
#[derive(Debug, Clone, Default)]
pub struct Artifact {
    /// All that the manifest names.
    pub blobs: Vec<Vec<u8>>,
    /// The manifest itself.
    pub manifest: Vec<u8>,
    /// Its media type.
    pub media_type: String,
}

/// Sends it under the tag of `reference` (`latest` where it has none) and returns the manifest's digest. Blocks.
pub fn push(reference: &Reference, settings: &Arc<Settings>, artifact: &Artifact) -> Result<Digest, PullError> {
    let client = Client::origin(reference, settings)?;
    client::runtime()?.block_on(send(&client, reference, artifact))
}

async fn send(client: &Client, reference: &Reference, artifact: &Artifact) -> Result<Digest, PullError> {
    for blob in &artifact.blobs {
        let upload = Upload {
            digest: Digest::of(blob),
            size: blob.len() as u64,
            content: Content::Bytes(blob.clone()),
            from: Vec::new(),
        };
        upload::upload(client, &upload, &|_| {}).await?;
    }
    let tag = reference.tag.as_deref().unwrap_or("latest");
    let mut request = client.request(Method::PUT, &format!("manifests/{tag}"));
    request = request.header(CONTENT_TYPE, &artifact.media_type);
    request.body = Some(artifact.manifest.clone());
    client.send(&request).await?;
    Ok(Digest::of(&artifact.manifest))
}
