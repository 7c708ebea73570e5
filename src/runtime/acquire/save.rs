//! Writes images as one archive that is both what `docker save` writes and an OCI layout.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write};

use serde_json::{Value, json};

use crate::Runtime;
use crate::image::digest::Digest;
use crate::image::reference::{DEFAULT_REGISTRY, Reference};
use crate::image::store::{self, Image, StoreError};
use crate::registry::outgoing::{Form, Outgoing, outgoing};
use crate::snapshot::diff::DiffError;
use crate::snapshot::pack::PackError;

/// Why images can't be saved.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum SaveError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot pack image `{image}`")]
    Pack {
        image: String,
        #[source]
        source: PackError,
    },
    #[error("cannot write the archive")]
    Write(#[source] io::Error),
    #[error(transparent)]
    Files(#[from] DiffError),
}

/// Writes the images that `references` name; a name without a tag means all its tags.
pub fn save(rt: &Runtime, references: &[String], out: impl Write) -> Result<(), SaveError> {
    let _lease = store::lease(rt)?;
    let mut chosen: Vec<(Image, BTreeSet<String>)> = Vec::new();
    for text in references {
        for (image, tag) in find(rt, text)? {
            match chosen.iter_mut().find(|(other, _)| other.id == image.id) {
                Some((_, tags)) => tags.extend(tag),
                None => chosen.push((image, tag.into_iter().collect())),
            }
        }
    }
    let records = store::references(rt)?;
    let mut archive = Archive { tar: tar::Builder::new(out), written: BTreeSet::new() };
    archive.folder("blobs/")?;
    archive.folder("blobs/sha256/")?;
    let (mut index, mut list) = (Vec::new(), Vec::new());
    let mut repositories: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for (image, tags) in &chosen {
        let known =
            records.iter().filter(|it| tags.contains(&it.reference)).find_map(|it| it.manifest.as_ref()?.parse().ok());
        let name = tags.first().cloned().unwrap_or_else(|| image.id.to_string());
        let leaving =
            outgoing(rt, image, known.as_ref(), Form::Oci).map_err(|source| SaveError::Pack { image: name, source })?;
        for blob in leaving.blobs() {
            let path = leaving.file(rt, blob);
            let file = File::open(&path).map_err(|source| StoreError::Io { act: "read", path, source })?;
            archive.blob(&blob.digest, blob.size, file)?;
        }
        archive.blob(&leaving.digest, leaving.manifest.len() as u64, &leaving.manifest[..])?;
        index.extend(descriptors(image, &leaving, tags));
        let member = |digest: &Digest| format!("blobs/sha256/{}", digest.hex());
        list.push(json!({
            "Config": member(&image.id),
            "RepoTags": if tags.is_empty() { Value::Null } else { json!(tags) },
            "Layers": leaving.document.layers.iter().map(|layer| member(&layer.digest)).collect::<Vec<_>>(),
        }));
        let top = leaving.document.layers.last().map(|layer| layer.digest.hex()).unwrap_or_default();
        for tag in tags {
            if let Some((name, tag)) = tag.rsplit_once(':') {
                repositories.entry(name.to_owned()).or_default().insert(tag.to_owned(), top.clone());
            }
        }
    }
    let layout =
        json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": index});
    archive.file("index.json", layout.to_string().as_bytes())?;
    archive.file("manifest.json", Value::Array(list).to_string().as_bytes())?;
    archive.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    if !repositories.is_empty() {
        archive.file("repositories", json!(repositories).to_string().as_bytes())?;
    }
    let mut out = archive.tar.into_inner().map_err(SaveError::Write)?;
    out.flush().map_err(SaveError::Write)
}

/// Returns the images that a text names, each with the tag to save it under.
fn find(rt: &Runtime, text: &str) -> Result<Vec<(Image, Option<String>)>, SaveError> {
    let missing = || StoreError::NoImage(text.into());
    let reference = Reference::parse(text).ok();
    let name = reference
        .as_ref()
        .map(Reference::name)
        .filter(|name| !text.contains('@') && !text.ends_with(':') && text_is_name(text, name));
    if let Some(name) = name {
        let mut found = Vec::new();
        for record in store::references(rt)? {
            let Ok(other) = Reference::parse(&record.reference) else { continue };
            if other.name() == name && other.digest.is_none() {
                let image = store::find(rt, &record.reference)?.ok_or_else(missing)?;
                found.push((image, Some(record.reference)));
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
    }
    let image = store::find(rt, text)?.ok_or_else(missing)?;
    let tag =
        reference.filter(|it| it.digest.is_none()).map(|it| it.to_string()).filter(|it| image.references.contains(it));
    Ok(vec![(image, tag)])
}

/// Says whether the text has no tag: what follows a colon of the registry's port has a slash in it.
fn text_is_name(text: &str, name: &str) -> bool {
    !name.is_empty() && text.rsplit_once(':').is_none_or(|(_, tag)| tag.contains('/'))
}

/// An entry a tag; one without name where there is none.
fn descriptors(image: &Image, leaving: &Outgoing, tags: &BTreeSet<String>) -> Vec<Value> {
    let describe = |annotations: Value| {
        let mut entry = json!({
            "mediaType": leaving.media_type,
            "digest": leaving.digest.to_string(),
            "size": leaving.manifest.len(),
            "platform": {"os": image.config.os, "architecture": image.config.architecture},
        });
        if !annotations.is_null() {
            entry["annotations"] = annotations;
        }
        entry
    };
    if tags.is_empty() {
        return vec![describe(Value::Null)];
    }
    let entry = |text: &String| {
        let whole = match Reference::parse(text) {
            Ok(it) if it.registry == DEFAULT_REGISTRY => {
                format!("{}/{}:{}", it.registry, it.repository, it.tag.unwrap_or_default())
            }
            Ok(_) | Err(_) => text.clone(),
        };
        let tag = text.rsplit_once(':').map_or("latest", |(_, tag)| tag);
        describe(json!({"io.containerd.image.name": whole, "org.opencontainers.image.ref.name": tag}))
    };
    tags.iter().map(entry).collect()
}

/// The archive as it grows; a blob goes in once.
struct Archive<W: Write> {
    tar: tar::Builder<W>,
    written: BTreeSet<Digest>,
}

impl<W: Write> Archive<W> {
    fn append(&mut self, name: &str, kind: tar::EntryType, size: u64, content: impl io::Read) -> Result<(), SaveError> {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(if kind == tar::EntryType::Directory { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(size);
        self.tar.append_data(&mut header, name, content).map_err(SaveError::Write)
    }

    fn folder(&mut self, name: &str) -> Result<(), SaveError> {
        self.append(name, tar::EntryType::Directory, 0, io::empty())
    }

    fn file(&mut self, name: &str, content: &[u8]) -> Result<(), SaveError> {
        self.append(name, tar::EntryType::Regular, content.len() as u64, content)
    }

    fn blob(&mut self, digest: &Digest, size: u64, content: impl io::Read) -> Result<(), SaveError> {
        if !self.written.insert(*digest) {
            return Ok(());
        }
        self.append(&format!("blobs/sha256/{}", digest.hex()), tar::EntryType::Regular, size, content)
    }
}
