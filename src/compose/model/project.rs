//! The whole project.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::document::spans::Spans;
use crate::model::build::Build;
use crate::model::decode_parts;
use crate::model::file_object::{Config, Secret};
use crate::model::network::Network;
use crate::model::service::{Model, Service};
use crate::model::volume::Volume;
use crate::source::Span;

/// One deployment of a Compose model, with every short form spelt out and every default filled in.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Project {
    /// Normalised name, `[a-z0-9][a-z0-9_-]*`.
    pub name: String,
    /// Absolute folder that relative paths start from.
    pub directory: PathBuf,
    /// Absolute paths of the Compose files, in the order given.
    pub files: Vec<PathBuf>,
    /// Absolute paths of the `.env` files that were read.
    pub environment_files: Vec<PathBuf>,
    /// Services that are enabled, by name.
    pub services: BTreeMap<String, Service>,
    /// Services that an inactive profile leaves out; their containers are not orphans.
    pub disabled_services: BTreeMap<String, Service>,
    /// Networks, by key in the file (`default` included where a service uses it).
    pub networks: BTreeMap<String, Network>,
    /// Named volumes, by key in the file.
    pub volumes: BTreeMap<String, Volume>,
    /// Configs, by key in the file.
    pub configs: BTreeMap<String, Config>,
    /// Secrets, by key in the file.
    pub secrets: BTreeMap<String, Secret>,
    /// AI models, by key in the file.
    pub models: BTreeMap<String, Model>,
    /// The environment that the file was interpolated with.
    pub environment: BTreeMap<String, String>,
    /// Active profiles.
    pub profiles: Vec<String>,
    /// The references were left as they are written, so that nothing has a final form.
    pub uninterpolated: bool,
    /// Where each value was written.
    pub spans: Spans,
    /// Where values stand that an `env_file` or `label_file` brought: `services.web.environment.DEBUG` to its line there.
    pub from_files: BTreeMap<String, Span>,
    /// Values that others took the place of: where the later one stands, and where the earlier ones do.
    pub shadowed: BTreeMap<Span, Vec<Span>>,
    /// The canonical tree as JSON, in the reference's key order: what `config` prints and hashes are made of.
    pub canonical: serde_json::Value,
}

impl Project {
    /// Returns how `service` is built, whether or not its typed parts are there.
    pub fn build_of(&self, service: &str) -> Option<Build> {
        let build = self.canonical.get("services")?.get(service)?.get("build")?;
        build.is_object().then(|| decode_parts::build(build))
    }

    /// Returns where `path` (`services.web.ports[0]`) was written, or else its nearest parent.
    pub fn span(&self, path: &str) -> Option<Span> {
        if let Some(span) = self.from_files.get(path) {
            return Some(*span);
        }
        let mut path = path;
        loop {
            if let Some(span) = self.spans.get(path) {
                return Some(span);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }
}

impl Project {
    /// Returns the services that are not enabled, but whose images are contexts of builds of those that are, or of each other:
    /// `additional_contexts: {base: "service:base"}`.
    pub fn context_services(&self) -> Vec<&Service> {
        let mut found: Vec<&Service> = Vec::new();
        let mut pending: Vec<&Service> = self.services.values().collect();
        while let Some(service) = pending.pop() {
            let contexts = service.build.iter().flat_map(|build| build.additional_contexts.values());
            for name in contexts.filter_map(|text| text.strip_prefix("service:")) {
                if let Some(other) = self.disabled_services.get(name)
                    && !found.iter().any(|known| known.name == other.name)
                {
                    found.push(other);
                    pending.push(other);
                }
            }
        }
        found
    }
}
