//! A top-level named volume.

use std::collections::BTreeMap;

/// One named volume.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "each field is the attribute of the same name in the Compose specification")]
pub struct Volume {
    /// Name on the engine: `PROJECT_KEY`, or as given.
    pub name: String,
    pub driver: Option<String>,
    pub driver_opts: BTreeMap<String, String>,
    /// Made outside of the project: never created, never removed.
    pub external: bool,
    pub labels: BTreeMap<String, String>,
}
