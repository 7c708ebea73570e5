//! Writes the steps of a build where another machine finds them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::Runtime;
use crate::build::cache::Outcome;
use crate::build::carried::document::{
    CacheConfig, CacheLayer, CacheRecord, CacheResult, MANIFEST_TYPE, describe, manifest,
};
use crate::build::error::Reason;
use crate::build::request::{CacheMode, CachePlace, CacheTarget};
use crate::image::digest::Digest;
use crate::image::packed;
use crate::image::reference::Reference;
use crate::image::staging;
use crate::progress::{Report, Reporter};
use crate::registry::auth::to_base64;
use crate::registry::collection::{self, Blob, Listed};
use crate::snapshot::pack;

/// A step that was carried out or found.
#[derive(Debug, Clone)]
pub struct Done {
    /// Its stage, by position.
    pub stage: usize,
    pub key: Digest,
    pub outcome: Outcome,
}

/// Returns what an image's config says of the steps whose layers the image has: base64 of JSON.
pub fn inline(steps: &[Done], diff_ids: &[Digest]) -> String {
    let record = |done: &Done| {
        let created = done.outcome.created.clone();
        let (results, created) = match &done.outcome.layer {
            None => (Vec::new(), Some(created)),
            Some(layer) => {
                let place = diff_ids.iter().position(|it| it == layer)?;
                (vec![CacheResult { layer: place, created }], None)
            }
        };
        Some(CacheRecord { digest: done.key, results, created })
    };
    let records: Vec<CacheRecord> = steps.iter().filter_map(record).collect();
    to_base64(&serde_json::to_vec(&records).expect("digests and times have a text"))
}

/// Writes one cache; `chain` are the stages that the image stands on.
pub fn export(
    rt: &Runtime,
    reporter: &dyn Reporter,
    target: &CacheTarget,
    steps: &[Done],
    chain: &[usize],
) -> Result<(), Reason> {
    let steps: Vec<&Done> = match target.mode {
        CacheMode::Min => steps.iter().filter(|done| chain.contains(&done.stage)).collect(),
        CacheMode::Max => steps.iter().collect(),
    };
    let failed =
        |source: Box<dyn std::error::Error + Send + Sync>| Reason::CacheTo { place: target.to_string(), source };
    reporter.report(Report::Note(format!("writing the cache to {target}")));
    let (config, layers, blobs) = gather(rt, &steps).map_err(failed)?;
    match &target.place {
        CachePlace::Inline => Ok(()),
        CachePlace::Registry { reference, as_image } => {
            let manifest = manifest(&config, layers, *as_image);
            send(rt, reporter, reference, &config, &manifest, blobs).map_err(failed)
        }
        CachePlace::Folder { path, tag } => {
            let manifest = manifest(&config, layers, true);
            keep(path, tag, &config, &manifest, &blobs).map_err(|error| failed(error.into()))
        }
    }
}

/// Packs the layers; returns the document, the descriptions of the layers, and where the archives are.
#[expect(clippy::type_complexity, reason = "three things that belong to one manifest")]
fn gather(
    rt: &Runtime,
    steps: &[&Done],
) -> Result<(Vec<u8>, Vec<Value>, Vec<Blob>), Box<dyn std::error::Error + Send + Sync>> {
    let (mut config, mut descriptions, mut blobs) = (CacheConfig::default(), Vec::new(), Vec::<Blob>::new());
    let mut places: BTreeMap<Digest, usize> = BTreeMap::new();
    let mut below: BTreeMap<usize, i64> = BTreeMap::new();
    for done in steps {
        let created = done.outcome.created.clone();
        let Some(diff_id) = done.outcome.layer else {
            config.records.push(CacheRecord { digest: done.key, results: Vec::new(), created: Some(created) });
            continue;
        };
        let place = match places.get(&diff_id) {
            Some(place) => *place,
            None => {
                let packed = pack::pack(rt, &diff_id)?;
                let place = config.layers.len();
                let parent = below.get(&done.stage).copied().unwrap_or(-1);
                config.layers.push(CacheLayer { blob: packed.digest, parent });
                descriptions.push(describe(&packed.media_type, &packed.digest, packed.size, &diff_id));
                let path = packed::path(rt, &packed.digest);
                blobs.push(Blob { digest: packed.digest, size: packed.size, path });
                places.insert(diff_id, place);
                place
            }
        };
        below.insert(done.stage, i64::try_from(place).unwrap_or(-1));
        let results = vec![CacheResult { layer: place, created }];
        config.records.push(CacheRecord { digest: done.key, results, created: None });
    }
    let text = serde_json::to_vec(&config)?;
    Ok((text, descriptions, blobs))
}

fn send(
    rt: &Runtime,
    reporter: &dyn Reporter,
    reference: &str,
    config: &[u8],
    manifest: &[u8],
    mut blobs: Vec<Blob>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let reference = Reference::parse(reference)?;
    let staged = staging::create(rt)?;
    let path = staged.path.join("config");
    std::fs::write(&path, config)?;
    blobs.push(Blob { digest: Digest::of(config), size: config.len() as u64, path });
    let value: Value = serde_json::from_slice(manifest)?;
    let media_type = value["mediaType"].as_str().unwrap_or(MANIFEST_TYPE).to_owned();
    let listed = Listed { name: reference.manifest(), media_type, bytes: manifest.to_vec() };
    Ok(collection::send(rt, &reference, &blobs, &[listed], reporter)?)
}

/// Writes an OCI image layout; what others have put there stays.
fn keep(folder: &Path, tag: &str, config: &[u8], manifest: &[u8], blobs: &[Blob]) -> io::Result<()> {
    let place = folder.join("blobs/sha256");
    std::fs::create_dir_all(&place)?;
    // Whoever reads meanwhile sees the old or the new one.
    let write = |path: PathBuf, bytes: &[u8]| {
        let aside = folder.join(format!(".{}.new", std::process::id()));
        std::fs::write(&aside, bytes)?;
        std::fs::rename(&aside, &path)
    };
    for blob in blobs {
        let target = place.join(blob.digest.hex());
        if !target.metadata().is_ok_and(|there| there.len() == blob.size) {
            let aside = place.join(format!(".{}-{}", std::process::id(), blob.digest.hex()));
            std::fs::copy(&blob.path, &aside)?;
            std::fs::rename(&aside, &target)?;
        }
    }
    for bytes in [config, manifest] {
        write(place.join(Digest::of(bytes).hex()), bytes)?;
    }
    write(folder.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    let path = folder.join("index.json");
    let known: Value =
        std::fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let name = "org.opencontainers.image.ref.name";
    let mut entries: Vec<Value> = known["manifests"].as_array().cloned().unwrap_or_default();
    entries.retain(|entry| entry["annotations"][name] != tag);
    entries.push(json!({
        "mediaType": MANIFEST_TYPE, "digest": Digest::of(manifest).to_string(), "size": manifest.len(),
        "annotations": {name: tag},
    }));
    let index = json!({"schemaVersion": 2, "mediaType": super::document::INDEX_TYPE, "manifests": entries});
    write(path, index.to_string().as_bytes())
}
