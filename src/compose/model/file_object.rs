//! Configs and secrets: files that a service is given.

use std::collections::BTreeMap;

/// Where the content comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names of the Compose specification")]
pub enum Content {
    /// Absolute path.
    File(String),
    /// Name of a variable of the project's environment.
    Environment(String),
    /// The content itself.
    Inline(String),
    #[default]
    External,
}

/// A top-level config.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "each field is the attribute of the same name in the Compose specification")]
pub struct Config {
    pub name: String,
    pub content: Content,
    pub labels: BTreeMap<String, String>,
    pub template_driver: Option<String>,
}

/// A top-level secret.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "each field is the attribute of the same name in the Compose specification")]
pub struct Secret {
    pub name: String,
    pub content: Content,
    pub labels: BTreeMap<String, String>,
    pub driver: Option<String>,
    pub driver_opts: BTreeMap<String, String>,
    pub template_driver: Option<String>,
}

/// A service's use of a config or secret.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "each field is the attribute of the same name in the Compose specification")]
pub struct FileReference {
    pub source: String,
    /// Absolute path in the container.
    pub target: String,
    pub uid: Option<String>,
    pub gid: Option<String>,
    pub mode: Option<u32>,
}
