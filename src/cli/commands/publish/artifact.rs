//! The manifest of a published project, as Docker Compose writes it.

use runtime::image::digest::Digest;
use runtime::registry::artifact::Artifact;
use serde_json::{Value, json};

use crate::commands::publish::OciVersion;
use crate::commands::publish::layers::Layer;

/// What the artifact is.
const ARTIFACT: &str = "application/vnd.docker.compose.project";
/// Type of the config where the form has no attribute for [`ARTIFACT`].
const OLD_CONFIG: &str = "application/vnd.docker.compose.config.empty.v1+json";
const EMPTY_CONFIG: &str = "application/vnd.oci.empty.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The content of every config.
const EMPTY: &[u8] = b"{}";
/// [`EMPTY`] in base64.
const EMPTY_ENCODED: &str = "e30=";

/// Puts the layers together; `created` is the time in RFC 3339.
pub(super) fn of(layers: &[Layer], version: OciVersion, created: &str) -> Artifact {
    let (media_type, artifact_type) = match version {
        OciVersion::V1_0 => (OLD_CONFIG, None),
        OciVersion::V1_1 => (EMPTY_CONFIG, Some(ARTIFACT)),
    };
    let mut config = json!({ "mediaType": media_type, "digest": Digest::of(EMPTY).to_string(), "size": EMPTY.len() });
    let mut manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST });
    if let Some(kind) = artifact_type {
        config["data"] = EMPTY_ENCODED.into();
        manifest["artifactType"] = kind.into();
    }
    manifest["config"] = config;
    manifest["layers"] = layers.iter().map(descriptor).collect();
    manifest["annotations"] = json!({ "org.opencontainers.image.created": created });
    let mut blobs: Vec<Vec<u8>> = vec![EMPTY.to_vec()];
    blobs.extend(layers.iter().map(|layer| layer.content.clone().into_bytes()));
    Artifact { blobs, manifest: manifest.to_string().into_bytes(), media_type: MANIFEST.to_owned() }
}

fn descriptor(layer: &Layer) -> Value {
    let bytes = layer.content.as_bytes();
    let mut annotations = serde_json::Map::new();
    annotations.insert(layer.kind.annotation().to_owned(), layer.name.clone().into());
    annotations.insert("com.docker.compose.version".to_owned(), env!("CARGO_PKG_VERSION").into());
    if layer.is_base {
        annotations.insert("com.docker.compose.extends".to_owned(), "true".into());
    }
    json!({
        "mediaType": layer.kind.media_type(),
        "digest": Digest::of(bytes).to_string(),
        "size": bytes.len(),
        "annotations": annotations,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_forms_tell_in_their_own_way_what_they_are() {
        let layers = [Layer::compose("/shop/compose.yaml", "services: {}\n".to_owned())];
        let manifest = |version| -> Value {
            serde_json::from_slice(&of(&layers, version, "2026-01-02T03:04:05Z").manifest).unwrap()
        };
        let new = manifest(OciVersion::V1_1);
        assert_eq!(new["artifactType"], ARTIFACT);
        assert_eq!(new["config"]["mediaType"], EMPTY_CONFIG);
        assert_eq!(new["config"]["data"], "e30=");
        let layer = &new["layers"][0];
        assert_eq!(layer["mediaType"], "application/vnd.docker.compose.file+yaml");
        assert_eq!(layer["annotations"]["com.docker.compose.file"], "compose.yaml");
        assert_eq!(layer["size"], 13);
        let old = manifest(OciVersion::V1_0);
        assert_eq!(old["artifactType"], Value::Null);
        assert_eq!(old["config"]["mediaType"], OLD_CONFIG);
    }
}
