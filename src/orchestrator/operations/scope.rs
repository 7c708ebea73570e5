//! Which of a project's containers an operation is about.

use crate::observed::ObservedContainer;
use crate::plan::matches_pattern;

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

impl Scope {
    /// Whether a container is meant.
    pub fn contains(&self, container: &ObservedContainer) -> bool {
        let identity = &container.identity;
        (self.services.is_empty() || self.services.iter().any(|name| matches_pattern(name, &identity.service)))
            && self.index.is_none_or(|index| index == identity.number)
            && (self.one_offs || !identity.one_off)
    }
}
