//! All that can be reported while a plan is made and carried out: a closed enum, dressed by cli.

use tokio::sync::mpsc::UnboundedSender;

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
