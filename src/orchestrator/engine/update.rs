//! What of a container can be changed while it is there.

use crate::engine::container::{Limits, RestartPolicy};

/// A change of a container: what is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ContainerUpdate {
    /// New limits. Those of single devices can't be changed.
    pub limits: Limits,
    /// When it is started again by itself.
    pub restart: Option<RestartPolicy>,
}
