//! All that can be reported while a plan is made and carried out: a closed enum, dressed by cli.

use std::time::SystemTime;

use tokio::sync::mpsc::UnboundedSender;

use crate::engine::container::ContainerId;
use crate::engine::error::EngineError;

pub use crate::engine::progress::{Progress, ProgressSink};

impl ProgressSink {
    /// Makes a sink that passes progress on as events about `subject`; nobody listening is fine.
    pub fn to(events: &UnboundedSender<Event>, subject: impl Into<String>) -> Self {
        let (events, subject) = (events.clone(), subject.into());
        Self::new(move |progress| {
            let _ = events.send(Event::Progress { subject: subject.clone(), progress });
        })
    }
}

/// A kind of thing that events are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum ResourceKind {
    Network,
    Volume,
    Container,
    Image,
    /// A service that a program outside of the engine provides.
    Provider,
    /// An AI model.
    Model,
}

/// What is being done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Act {
    Create,
    Start,
    Stop,
    Restart,
    Remove,
    Recreate,
    Pull,
    Push,
    Build,
    Wait,
    Kill,
    Pause,
    Unpause,
    Copy,
    Commit,
    Export,
    Configure,
    Publish,
}

/// Something happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// An act began.
    Started {
        /// Kind of thing.
        kind: ResourceKind,
        /// Its name.
        name: String,
        /// What is done to it.
        act: Act,
    },
    /// An act ended well.
    Done {
        /// Kind of thing.
        kind: ResourceKind,
        /// Its name.
        name: String,
        /// What was done to it.
        act: Act,
    },
    /// Nothing had to be done.
    UpToDate {
        /// Kind of thing.
        kind: ResourceKind,
        /// Its name.
        name: String,
        /// `Running`, `Healthy`, ...
        state: String,
    },
    /// An act failed.
    Failed {
        /// Kind of thing.
        kind: ResourceKind,
        /// Its name.
        name: String,
        /// What was tried.
        act: Act,
        /// Why it failed.
        error: EngineError,
    },
    /// A long act goes on.
    Progress {
        /// Name of the image or build.
        subject: String,
        /// How far it is.
        progress: Progress,
    },
    /// Something that the person should know, but that does not stop the work.
    Warning(String),
    /// A hook of the file wrote a line.
    HookOutput {
        /// `shop-web-1 ->`, `web pre_start[0] ->`
        source: String,
        /// The line.
        line: String,
    },
    /// A container is about to start, or runs already: whoever shows its output listens from now on.
    Attach(Attachment),
}

/// A container whose output can be listened to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The engine's id.
    pub id: ContainerId,
    /// Name of the container.
    pub name: String,
    /// Service that it belongs to.
    pub service: String,
    /// Its number among the replicas.
    pub number: u32,
    /// Lines from when on are new; `None`: all, the container has never run.
    pub since: Option<SystemTime>,
    /// When its last run ended, by the engine's clock: that end is no news. `None`: it runs, or has never run.
    pub before: Option<SystemTime>,
}

/// Something that kept an operation from its end, and where the Compose file asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What was attempted and why it failed.
    pub error: EngineError,
    /// Path into the Compose model: `services.db.healthcheck`.
    pub path: Option<String>,
    /// Names of containers and services that wait for it and were not started.
    pub blocked: Vec<String>,
}

impl Failure {
    /// Makes a failure that blocks nothing else.
    pub fn new(error: EngineError, path: Option<String>) -> Self {
        Self { error, path, blocked: Vec::new() }
    }
}
