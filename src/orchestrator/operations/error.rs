//! Why an operation did not reach its end, and what it left behind.

use crate::engine::error::{EngineError, ErrorKind};
use crate::event::{Failure, ResourceKind};
use crate::execute::Execution;

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
    /// The time to wait was over before all was ready.
    pub timed_out: bool,
}

impl OperationError {
    /// Makes an error of failures that came before anything was changed.
    pub fn of(failures: Vec<Failure>) -> Self {
        Self { failures, ..Self::default() }
    }

    /// Makes an error of what failed in a plan that made nothing new.
    pub(crate) fn check(execution: Execution) -> Result<(), Self> {
        let Execution { failures, timed_out, .. } = execution;
        if failures.is_empty() { Ok(()) } else { Err(Self { timed_out, ..Self::of(failures) }) }
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
