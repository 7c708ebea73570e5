//! How far a long act of an engine is.

use std::sync::Arc;

/// Takes progress; cheap to clone, never blocks.
#[derive(Clone)]
pub struct ProgressSink(Arc<dyn Fn(Progress) + Send + Sync>);

impl ProgressSink {
    /// Makes a sink of a function.
    pub fn new(sink: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    /// Reports progress.
    pub fn report(&self, progress: Progress) {
        (self.0)(progress);
    }
}

impl std::fmt::Debug for ProgressSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ProgressSink")
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
        /// `RUN pip install flask`, of several stages `[base] RUN ..`
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
