//! All that can be reported while a plan is made and carried out: a closed enum, dressed by cli.

use std::time::SystemTime;

use tokio::sync::mpsc::UnboundedSender;

use crate::engine::container::ContainerId;
use crate::engine::error::EngineError;

/// Takes events; cheap to clone, never blocks.
#[derive(Debug, Clone)]
pub struct ProgressSink {
    /// Name of the image, build or service that progress is about.
    pub subject: String,
    /// Where events go.
    pub events: UnboundedSender<Event>,
}

impl ProgressSink {
    /// Reports progress on this sink's subject; nobody listening is fine.
    pub fn report(&self, progress: Progress) {
        let _ = self.events.send(Event::Progress { subject: self.subject.clone(), progress });
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
    Build,
    Wait,
    Kill,
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

/// How far a long act is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// One line about what is done now.
    Note(String),
    /// Bytes of one item (a layer) so far; `total` may be unknown.
    Bytes {
        /// Short name of the item.
        item: String,
        /// Bytes so far.
        done: u64,
        /// Bytes in all.
        total: Option<u64>,
    },
    /// A build step begins.
    Step {
        /// Position, from 1.
        number: u32,
        /// Steps in all.
        total: u32,
        /// `[web 2/5] RUN pip install flask`
        text: String,
    },
    /// A build step ended.
    StepDone {
        /// Position, from 1.
        number: u32,
        /// It was taken from the cache.
        cached: bool,
    },
    /// A line that a build step wrote.
    StepOutput {
        /// Position of the step, from 1.
        number: u32,
        /// The line.
        line: String,
    },
}
