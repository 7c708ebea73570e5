//! What a carried cache looks like: BuildKit's `cacheconfig.v0`, with our own keys in it.
//!
//! BuildKit's keys are digests of its own build graph (LLB), which only BuildKit makes: a cache that it wrote is read, and nothing
//! in it is ever found. It reads ours in the same way.
//! <https://github.com/moby/buildkit/blob/master/cache/remotecache/v1/spec.go>

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::image::digest::Digest;
use crate::image::manifest::Descriptor;

/// The member of an image's config that holds the records of an inline cache, as JSON in base64.
pub const INLINE: &str = "moby.buildkit.cache.v0";
/// The kind of the document.
pub const CONFIG_TYPE: &str = "application/vnd.buildkit.cacheconfig.v0";
pub const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
/// Annotation of a layer: the digest of its uncompressed archive.
const UNCOMPRESSED: &str = "containerd.io/uncompressed";

/// The whole cache.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheConfig {
    /// Layers that records name by their place here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<CacheLayer>,
    /// What steps did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<CacheRecord>,
}

/// A layer's archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheLayer {
    /// Its own digest.
    pub blob: Digest,
    /// Place of the layer below; -1: none.
    #[serde(default)]
    pub parent: i64,
}

/// What one step did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheRecord {
    /// The step's key.
    pub digest: Digest,
    /// The layer that it made; none: it changed no file.
    #[serde(default, rename = "layers", skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<CacheResult>,
    /// When it ran, of a step without a layer (RFC 3339). Ours; BuildKit leaves it out.
    #[serde(default, rename = "createdAt", skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
}

/// A record's layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheResult {
    /// Its place among the layers.
    #[serde(default)]
    pub layer: usize,
    /// When it was made (RFC 3339).
    #[serde(rename = "createdAt", default)]
    pub created: String,
}

/// What a carried step gives: the layer's archive with the digest of its content, if it made one, and the time.
pub type Carried = (Option<(Descriptor, Digest)>, String);

impl CacheConfig {
    /// Returns what each key gives; `layers` are the archives in the order that records count by. What fits nothing is left out.
    pub fn steps(&self, layers: &[(Descriptor, Digest)]) -> BTreeMap<Digest, Carried> {
        let step = |record: &CacheRecord| match (record.results.first(), &record.created) {
            (Some(result), _) => {
                let layer = layers.get(result.layer)?.clone();
                Some((record.digest, (Some(layer), result.created.clone())))
            }
            // One of BuildKit's that stands for no result of its own.
            (None, None) => None,
            (None, Some(created)) => Some((record.digest, (None, created.clone()))),
        };
        self.records.iter().filter_map(step).collect()
    }

    /// Puts the archives that a manifest names into the order of the layers; one without the digest of its content ends it.
    pub fn order(&self, named: &[Descriptor]) -> Vec<(Descriptor, Digest)> {
        let find = |layer: &CacheLayer| {
            let found = named.iter().find(|it| it.digest == layer.blob)?;
            let diff_id = found.annotations.get(UNCOMPRESSED)?.parse().ok()?;
            Some((found.clone(), diff_id))
        };
        self.layers.iter().map_while(find).collect()
    }
}

/// Describes a layer's archive, with the digest of its content.
pub fn describe(media_type: &str, digest: &Digest, size: u64, diff_id: &Digest) -> serde_json::Value {
    json!({
        "mediaType": media_type,
        "digest": digest.to_string(),
        "size": size,
        "annotations": {UNCOMPRESSED: diff_id.to_string()},
    })
}

/// Returns the manifest of a cache: an image's, or an index as older registries and builders want it.
pub fn manifest(config: &[u8], mut layers: Vec<serde_json::Value>, as_image: bool) -> Vec<u8> {
    let config = json!({"mediaType": CONFIG_TYPE, "digest": Digest::of(config).to_string(), "size": config.len()});
    let text = if as_image {
        json!({"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": layers})
    } else {
        layers.push(config);
        json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": layers})
    };
    text.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(text: &str) -> (Descriptor, Digest) {
        let value = describe("", &Digest::of(text.as_bytes()), 1, &Digest::of(b"content"));
        (serde_json::from_value(value).unwrap(), Digest::of(b"content"))
    }

    #[test]
    fn a_cache_of_buildkit_is_read_and_gives_only_what_has_a_result() {
        // As BuildKit 0.17 writes it: the parent of the first layer is -1, one that is 0 is left out.
        let (a, b, key) = (Digest::of(b"a"), Digest::of(b"b"), Digest::of(b"key"));
        let text = format!(
            r#"{{"layers":[{{"blob":"{a}","parent":-1}},{{"blob":"{b}"}}],"records":[{{"digest":"{key}",
            "layers":[{{"layer":1,"createdAt":"2026-01-01T00:00:00Z"}}],"inputs":[[{{"link":1}}]]}},{{"digest":"{a}"}}]}}"#
        );
        let config: CacheConfig = serde_json::from_str(&text).unwrap();
        let layers = config.order(&[layer("a").0, layer("b").0]);
        let steps = config.steps(&layers);
        assert_eq!(steps.keys().collect::<Vec<_>>(), [&key]);
        assert_eq!(steps[&key].0.as_ref().unwrap().0.digest, b);
    }

    #[test]
    fn a_record_that_names_a_layer_that_is_not_there_gives_nothing() {
        let result = CacheResult { layer: 3, created: String::new() };
        let record = CacheRecord { digest: Digest::of(b"key"), results: vec![result], created: None };
        let config = CacheConfig { layers: Vec::new(), records: vec![record] };
        assert!(config.steps(&[layer("a")]).is_empty());
    }
}
