//! One container's groups, in every hierarchy that the host has.

/// The groups of one container. Plain data: paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Name relative to each hierarchy's root: `motet/<container id>`.
    pub name: String,
}
