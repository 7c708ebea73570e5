//! The `develop` section: what a saved file does.

use crate::model::service::Hook;

/// The `develop` section.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Develop {
    /// Rules, in the order of the file.
    pub watch: Vec<WatchRule>,
}

/// What a change does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the Compose specification")]
pub enum WatchAction {
    Sync,
    Rebuild,
    Restart,
    SyncRestart,
    SyncExec,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the attribute of the same name in the Compose specification")]
pub struct WatchRule {
    /// Absolute path that is watched.
    pub path: String,
    pub action: WatchAction,
    pub target: Option<String>,
    pub ignore: Vec<String>,
    pub include: Vec<String>,
    pub initial_sync: bool,
    pub exec: Option<Hook>,
}
