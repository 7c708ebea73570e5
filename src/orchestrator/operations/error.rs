//! Why an operation did not reach its end, and what it left behind.

use crate::engine::error::{EngineError, ErrorKind};
use crate::event::{Failure, ResourceKind};

/// Something that a failed operation made and did not take away again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leftover {
    /// Kind of thing.
    pub kind: ResourceKind,
    /// Its name.
    pub name: String,
    /// `running`, `created`, or empty.
    pub state: String,
}

/// All that went wrong; the steps that did not depend on it were carried out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OperationError {
    /// The failures, first things first.
    pub failures: Vec<Failure>,
    /// What this run created and left.
    pub left_behind: Vec<Leftover>,
    /// How to go on.
    pub hints: Vec<String>,
}

impl OperationError {
    /// Makes an error of failures that came before anything was changed.
    pub fn of(failures: Vec<Failure>) -> Self {
        Self { failures, left_behind: Vec::new(), hints: Vec::new() }
    }

    /// Returns the kind of the first failure.
    pub fn kind(&self) -> ErrorKind {
        self.failures.first().map_or(ErrorKind::Failed, |failure| failure.error.kind)
    }
}

impl From<EngineError> for OperationError {
    fn from(error: EngineError) -> Self {
        Self::of(vec![Failure::new(error, None)])
    }
}

impl From<Failure> for OperationError {
    fn from(failure: Failure) -> Self {
        Self::of(vec![failure])
    }
}

impl std::fmt::Display for OperationError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, failure) in self.failures.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{}", failure.error)?;
        }
        Ok(())
    }
}

impl std::error::Error for OperationError {}
