//! Which of a project's containers an operation is about.

/// Services and replicas that a command names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    /// Services, glob patterns allowed; empty: all.
    pub services: Vec<String>,
    /// Only the replica of this number.
    pub index: Option<u32>,
    /// `run` containers too.
    pub one_offs: bool,
}
