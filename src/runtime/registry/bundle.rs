//! Artifacts that are files: a manifest whose layers are small, each with a kind and annotations. Read whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::image::digest::Digest;
use crate::image::manifest::ACCEPT;
use crate::image::reference::Reference;
use crate::registry::client::{self, Client};
use crate::registry::error::PullError;
use crate::registry::settings::Settings;

/// More files than this are no bundle of files that people write.
const MOST_FILES: usize = 1000;

/// What a bundle is, and the files in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bundle {
    /// `artifactType` of its manifest; empty in one of OCI 1.0.
    pub kind: String,
    /// The media type of its config, by which bundles of OCI 1.0 are told apart.
    pub config_kind: String,
    /// In the order of the manifest.
    pub files: Vec<File>,
}

/// One file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct File {
    /// Its media type.
    pub kind: String,
    /// What the manifest says of it: its name, for one.
    pub annotations: BTreeMap<String, String>,
    /// Its bytes, of which the digest is right.
    pub content: Vec<u8>,
}

/// A bundle that is known by its manifest and not fetched yet.
#[derive(Debug)]
pub struct Found {
    client: Client,
    manifest: Manifest,
    /// The digest of its manifest: what it is, whatever its tag.
    pub digest: Digest,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Manifest {
    artifact_type: String,
    config: Option<Entry>,
    layers: Vec<Entry>,
    manifests: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    artifact_type: String,
    digest: Digest,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// Asks for the manifest that `reference` names; of an index the first entry of this `kind` counts. Blocks.
pub fn find(reference: &Reference, kind: &str, settings: &Arc<Settings>) -> Result<Found, PullError> {
    let client = Client::new(reference, settings)?;
    let (manifest, digest) = client::runtime()?.block_on(async {
        let (manifest, digest) = manifest(&client, &reference.manifest(), reference.digest).await?;
        if manifest.manifests.is_empty() {
            return Ok((manifest, digest));
        }
        let entry = manifest.manifests.iter().find(|entry| entry.artifact_type == kind);
        let entry = entry.ok_or(PullError::Document("it is an index of images"))?;
        self::manifest(&client, &entry.digest.to_string(), Some(entry.digest)).await
    })?;
    if manifest.layers.len() > MOST_FILES {
        return Err(PullError::Document("it has more than 1000 files"));
    }
    Ok(Found { client, manifest, digest })
}

async fn manifest(client: &Client, name: &str, expected: Option<Digest>) -> Result<(Manifest, Digest), PullError> {
    let bytes = client.manifest(name, ACCEPT).await?;
    let found = Digest::of(&bytes);
    if let Some(expected) = expected.filter(|expected| *expected != found) {
        return Err(PullError::Digest { expected, found });
    }
    let manifest = serde_json::from_slice(&bytes).map_err(|_| PullError::Document("its manifest is damaged"))?;
    Ok((manifest, found))
}

impl Found {
    /// Returns what the bundle is: `artifactType`, and the media type of its config.
    pub fn kinds(&self) -> (&str, &str) {
        let config = self.manifest.config.as_ref().map_or("", |config| config.media_type.as_str());
        (&self.manifest.artifact_type, config)
    }

    /// Fetches its files. Blocks.
    pub fn fetch(self) -> Result<Bundle, PullError> {
        let (kind, config_kind) = (self.kinds().0.to_owned(), self.kinds().1.to_owned());
        let files = client::runtime()?.block_on(async {
            let mut files = Vec::with_capacity(self.manifest.layers.len());
            for layer in self.manifest.layers {
                let content = self.client.small_blob(&layer.digest.to_string()).await?;
                let found = Digest::of(&content);
                if found != layer.digest {
                    return Err(PullError::Digest { expected: layer.digest, found });
                }
                files.push(File { kind: layer.media_type, annotations: layer.annotations, content });
            }
            Ok(files)
        })?;
        Ok(Bundle { kind, config_kind, files })
    }
}
