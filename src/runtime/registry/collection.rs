//! What is no image, or more than one, at a registry: a build cache, an index of several platforms.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;

use crate::Runtime;
use crate::image::digest::Digest;
use crate::image::layers::{self, Layer};
use crate::image::manifest::{ACCEPT, Descriptor, Document, Platform};
use crate::image::reference::Reference;
use crate::progress::{Report, Reporter};
use crate::registry::blob::{self, short};
use crate::registry::client::{Client, Settings};
use crate::registry::error::PullError;
use crate::registry::pull;
use crate::registry::upload::{self, Content, Upload};

/// A file that is to be at the registry under its digest.
#[derive(Debug, Clone)]
pub struct Blob {
    /// Of the file.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    /// Where it is.
    pub path: PathBuf,
}

/// A manifest or index that is to be at the registry.
#[derive(Debug, Clone)]
pub struct Listed {
    /// A tag, or its digest.
    pub name: String,
    /// Its kind.
    pub media_type: String,
    /// Byte for byte.
    pub bytes: Vec<u8>,
}

/// Gets the manifest that `reference` names, and the document that it is about. An index whose entries are an artifact's, one of
/// them of the kind `config_type`, is taken as it is; of any other the platform's manifest is taken. Blocks.
pub fn document(
    reference: &Reference,
    platform: &Platform,
    config_type: &str,
    settings: &Arc<Settings>,
) -> Result<(Document, Vec<u8>), PullError> {
    let client = Client::new(reference, settings)?;
    pull::runtime()?.block_on(async {
        let mut bytes = client.manifest(&reference.manifest(), ACCEPT).await?;
        let mut document = Document::parse(&bytes)?;
        if let Document::Index(index) = &document
            && !index.manifests.iter().any(|entry| entry.media_type == config_type)
        {
            let entry = index.choose(platform)?;
            bytes = client.manifest(&entry.digest.to_string(), ACCEPT).await?;
            checked(entry, &bytes)?;
            document = Document::parse(&bytes)?;
        }
        let config = match &document {
            Document::Manifest(manifest) => Some(manifest.config.clone()),
            Document::Index(index) => index.manifests.iter().find(|it| it.media_type == config_type).cloned(),
        };
        let config = config.ok_or(PullError::Document("its index names no config"))?;
        let text = client.small_blob(&config.digest.to_string()).await?;
        checked(&config, &text)?;
        Ok((document, text))
    })
}

fn checked(descriptor: &Descriptor, bytes: &[u8]) -> Result<(), PullError> {
    let found = Digest::of(bytes);
    if found == descriptor.digest { Ok(()) } else { Err(PullError::Digest { expected: descriptor.digest, found }) }
}

/// Brings one layer into the store. Blocks.
pub fn layer(
    rt: &Runtime,
    reference: &Reference,
    descriptor: &Descriptor,
    diff_id: Digest,
    reporter: &dyn Reporter,
) -> Result<Layer, PullError> {
    if let Some(layer) = layers::find(rt, &diff_id) {
        return Ok(layer);
    }
    let client = Client::new(reference, &rt.registry)?;
    pull::runtime()?.block_on(blob::fetch(rt, &client, descriptor, diff_id, reporter))
}

/// Sends blobs, several at once, and then the documents in their order. Blocks.
pub fn send(
    rt: &Runtime,
    reference: &Reference,
    blobs: &[Blob],
    documents: &[Listed],
    reporter: &dyn Reporter,
) -> Result<(), PullError> {
    let client = Client::origin(reference, &rt.registry)?;
    pull::runtime()?.block_on(async {
        let mut wanted: Vec<&Blob> = Vec::new();
        for blob in blobs {
            if !wanted.iter().any(|other| other.digest == blob.digest) {
                wanted.push(blob);
            }
        }
        // The largest first, so that none is left to run alone.
        wanted.sort_by_key(|blob| std::cmp::Reverse(blob.size));
        let next = std::cell::RefCell::new(VecDeque::from(wanted));
        let lane = || async {
            loop {
                let Some(blob) = next.borrow_mut().pop_front() else { return Ok::<(), PullError>(()) };
                let (digest, size) = (blob.digest, blob.size);
                let upload = Upload { digest, size, content: Content::File(blob.path.clone()), from: Vec::new() };
                let item = short(&digest.to_string());
                let told = |done| reporter.report(Report::Bytes { item: item.clone(), done, total: Some(size) });
                upload::upload(&client, &upload, &told).await?;
            }
        };
        tokio::try_join!(lane(), lane(), lane(), lane())?;
        for document in documents {
            let mut request = client.request(Method::PUT, &format!("manifests/{}", document.name));
            request = request.header(CONTENT_TYPE, &document.media_type);
            request.body = Some(document.bytes.clone());
            client.send(&request).await?;
        }
        Ok(())
    })
}
