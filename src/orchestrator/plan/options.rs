//! What the person asks of `up`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// When images are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BuildChoice {
    /// When the image is not in the store.
    #[default]
    IfMissing,
    /// Always; the cache makes it cheap.
    Always,
    /// Never: a missing image is an error.
    Never,
}

/// When images are pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PullChoice {
    /// As the service's `pull_policy` says, else when it is not in the store.
    #[default]
    Policy,
    /// Whether it is in the store or not.
    Always,
    /// When it is not in the store.
    Missing,
    /// Never: a missing image is an error.
    Never,
}

/// The flags of `up`.
#[derive(Debug, Clone, PartialEq, Default)]
#[expect(missing_docs, reason = "the flags of `up`, named as in Docker Compose")]
pub struct UpOptions {
    /// Services to bring up, glob patterns allowed, with what they depend on; empty: all.
    pub services: Vec<String>,
    pub build: BuildChoice,
    pub pull: PullChoice,
    pub force_recreate: bool,
    pub no_recreate: bool,
    pub always_recreate_deps: bool,
    pub renew_anon_volumes: bool,
    /// Make volumes that differ from the file anew; their data is lost.
    pub recreate_volumes: bool,
    pub no_deps: bool,
    /// Create without starting.
    pub no_start: bool,
    pub remove_orphans: bool,
    /// Say nothing about orphans.
    pub ignore_orphans: bool,
    pub scale: BTreeMap<String, u32>,
    /// Services that get their image, networks, volumes and dependencies, but whose containers are left alone: a
    /// container of their own is about to be made (`run`).
    pub one_offs: BTreeSet<String>,
    /// Grace for containers that are stopped; `None`: each one's own.
    pub timeout: Option<Duration>,
    /// Return only when every service is running or healthy.
    pub wait: bool,
    pub wait_timeout: Option<Duration>,
    /// Providers and models were asked already: what they gave is in what is desired.
    pub provided: bool,
    /// Never assemble an image from the host's packages.
    pub no_bootstrap: bool,
    pub quiet_pull: bool,
    pub quiet_build: bool,
    /// Images that this run has already pulled or built.
    pub images_done: BTreeSet<String>,
    /// Leave everything as it is after a failure, instead of taking away what was made in vain.
    pub keep_failed: bool,
}
