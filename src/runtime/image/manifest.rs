//! Manifests and indexes: OCI's and Docker's second version, which differ in media types only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::image::config::host_architecture;
use crate::image::digest::Digest;

/// What a registry is asked for, best first.
pub const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";

/// Names a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the members of the OCI descriptor under their own names")]
pub struct Descriptor {
    #[serde(default)]
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Where a foreign layer is to be had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
}

/// What an image runs on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the members of the OCI platform under their own names")]
pub struct Platform {
    #[serde(default)]
    pub os: String,
    #[serde(default)]
    pub architecture: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// One image's config and layers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Manifest {
    /// The config document.
    pub config: Descriptor,
    /// Lowest first.
    pub layers: Vec<Descriptor>,
}

/// Images of several platforms.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Index {
    /// One a platform, and attestations.
    pub manifests: Vec<Descriptor>,
}

impl Index {
    /// Finds the entry of this tag or digest; where none is asked for, that of `latest` or the first.
    pub fn named(&self, name: Option<&str>) -> Option<&Descriptor> {
        let wanted = name.unwrap_or("latest");
        let fits = |entry: &&Descriptor| {
            entry.digest.to_string() == wanted
                || entry.annotations.get("org.opencontainers.image.ref.name").is_some_and(|tag| tag == wanted)
        };
        self.manifests.iter().find(fits).or_else(|| self.manifests.first().filter(|_| name.is_none()))
    }
}

/// Either.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Document {
    Manifest(Manifest),
    Index(Index),
}

/// Why a document can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// No JSON, or a member is missing.
    #[error("the manifest is damaged")]
    Damaged(#[source] serde_json::Error),
    /// Neither manifest nor index, or one of the first version, which nobody serves any more.
    #[error("the manifest is of an unknown kind")]
    Kind,
    /// Nothing for the platform.
    #[error("no image for `{wanted}`; there is {available}")]
    Platform {
        /// What was asked for.
        wanted: String,
        /// What there is, with commas.
        available: String,
    },
    /// The platform's text is wrong.
    #[error("`{0}` is not a platform (`linux/amd64`)")]
    PlatformText(String),
}

impl Document {
    /// Parses either, told apart by its members: media types are often missing or wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Members {
            manifests: Option<serde::de::IgnoredAny>,
            layers: Option<serde::de::IgnoredAny>,
        }
        let members: Members = serde_json::from_slice(bytes).map_err(ManifestError::Damaged)?;
        match (members.manifests.is_some(), members.layers.is_some()) {
            (true, false) => serde_json::from_slice(bytes).map(Self::Index).map_err(ManifestError::Damaged),
            (false, true) => serde_json::from_slice(bytes).map(Self::Manifest).map_err(ManifestError::Damaged),
            (true, true) | (false, false) => Err(ManifestError::Kind),
        }
    }
}

impl Platform {
    /// This machine's.
    pub fn host() -> Self {
        Self { os: "linux".into(), architecture: host_architecture().into(), variant: None }
    }

    /// As builders and registries write it: the usual variant of `arm` is told, that of `arm64` and `amd64` is not.
    #[must_use]
    pub fn normal(&self) -> Self {
        let variant = match (&*self.architecture, self.variant.as_deref()) {
            ("arm", None) => Some("v7".to_owned()),
            ("arm64", Some("v8" | "8")) | ("amd64", Some("v1")) => None,
            (_, variant) => variant.map(str::to_owned),
        };
        Self { os: self.os.clone(), architecture: self.architecture.clone(), variant }
    }

    /// Parses `linux/arm/v7`.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let mut parts = text.split('/');
        let (os, architecture, variant) = (parts.next(), parts.next(), parts.next());
        match (os, architecture, parts.next()) {
            (Some(os), Some(architecture), None) if !os.is_empty() && !architecture.is_empty() => {
                let architecture = match architecture {
                    "x86_64" | "x86-64" => "amd64",
                    "aarch64" => "arm64",
                    other => other,
                };
                Ok(Self { os: os.into(), architecture: architecture.into(), variant: variant.map(str::to_owned) })
            }
            (_, _, _) => Err(ManifestError::PlatformText(text.into())),
        }
    }

    /// Ranks how well `offered` serves what is wanted; `None`: not at all. Higher is better.
    fn rank(&self, offered: &Self) -> Option<u32> {
        if self.os != offered.os || self.architecture != offered.architecture {
            return None;
        }
        // Variants are `v7` on arm, `v8` on arm64 and levels of amd64: an older one runs on a newer processor.
        let number = |variant: &Option<String>, default| -> u32 {
            variant.as_deref().and_then(|v| v.strip_prefix('v')?.parse().ok()).unwrap_or(default)
        };
        let default = match &*self.architecture {
            "arm" => 7,
            "arm64" => 8,
            _ => 1,
        };
        let (wanted, offered) = (number(&self.variant, default), number(&offered.variant, default));
        (offered <= wanted).then_some(offered)
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

impl Index {
    /// Chooses the best entry for `wanted`; attestations (`unknown/unknown`) are no images.
    pub fn choose(&self, wanted: &Platform) -> Result<&Descriptor, ManifestError> {
        let rank = |entry: &Descriptor| match &entry.platform {
            Some(platform) => wanted.rank(platform),
            // An index of one nameless image, as layouts on disk have it.
            None => (self.manifests.len() == 1).then_some(0),
        };
        // The first of equals wins, as in every other client.
        let best = self.manifests.iter().rev().filter_map(|entry| Some((rank(entry)?, entry))).max_by_key(|it| it.0);
        best.map(|it| it.1).ok_or_else(|| {
            let known =
                self.manifests.iter().filter_map(|entry| entry.platform.as_ref()).filter(|it| it.os != "unknown");
            let available = known.map(Platform::to_string).collect::<Vec<_>>().join(", ");
            let available = if available.is_empty() { "none".to_owned() } else { available };
            ManifestError::Platform { wanted: wanted.to_string(), available }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(platforms: &[&str]) -> Index {
        let entry = |(number, text): (usize, &&str)| Descriptor {
            media_type: String::new(),
            digest: Digest::of(&[u8::try_from(number).unwrap()]),
            size: 1,
            platform: Some(Platform::parse(text).unwrap()),
            annotations: BTreeMap::new(),
            urls: Vec::new(),
        };
        Index { manifests: platforms.iter().enumerate().map(entry).collect() }
    }

    fn check(platforms: &[&str], wanted: &str, chosen: Option<usize>) {
        let index = index(platforms);
        let entry = index.choose(&Platform::parse(wanted).unwrap());
        let place = entry.ok().map(|it| index.manifests.iter().position(|other| other == it).unwrap());
        assert_eq!(place, chosen, "{platforms:?} for {wanted}");
    }

    #[test]
    fn the_best_platform_is_chosen() {
        check(&["unknown/unknown", "linux/arm64/v8", "linux/amd64"], "linux/amd64", Some(2));
        check(&["linux/arm/v5", "linux/arm/v7", "linux/arm/v6"], "linux/arm", Some(1));
        check(&["linux/arm/v5", "linux/arm/v7", "linux/arm/v6"], "linux/arm/v6", Some(2));
        check(&["linux/arm64/v8"], "linux/arm64", Some(0));
        check(&["linux/amd64/v3", "linux/amd64"], "linux/amd64", Some(1));
        check(&["unknown/unknown", "windows/amd64"], "linux/amd64", None);
    }

    #[test]
    fn a_missing_platform_names_those_that_are_there() {
        let index = index(&["unknown/unknown", "linux/s390x"]);
        let error = index.choose(&Platform::parse("linux/amd64").unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "no image for `linux/amd64`; there is linux/s390x");
    }

    #[test]
    fn the_first_schema_is_an_unknown_kind() {
        assert!(matches!(Document::parse(br#"{"schemaVersion":1,"fsLayers":[]}"#), Err(ManifestError::Kind)));
        assert!(matches!(Document::parse(b"<html>"), Err(ManifestError::Damaged(_))));
    }
}
