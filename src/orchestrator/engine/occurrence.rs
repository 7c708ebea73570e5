//! What happened to the things of an engine, told in Docker's words.

use std::collections::BTreeMap;
use std::time::SystemTime;

/// Which occurrences.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OccurrenceQuery {
    /// Only of things with all of these labels (`key=value`, or `key`).
    pub labels: Vec<String>,
    /// Not before; `None`: from now on.
    pub since: Option<SystemTime>,
    /// Not after; `None`: for ever.
    pub until: Option<SystemTime>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occurrence {
    /// When.
    pub time: SystemTime,
    /// `container`, `network`, `volume`, `image`.
    pub kind: String,
    /// `create`, `start`, `die`, `health_status: healthy`, ...
    pub action: String,
    /// Engine id of the thing.
    pub id: String,
    /// Labels, `name`, `image`, `exitCode`, ...
    pub attributes: BTreeMap<String, String>,
}
