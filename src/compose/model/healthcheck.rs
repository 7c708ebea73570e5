//! A health check.

use crate::model::duration::Duration;

/// The `healthcheck` section. `None`: the image's value, or the engine's default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "each field is the attribute of the same name in the Compose specification")]
pub struct Healthcheck {
    /// `["CMD", ..]`, `["CMD-SHELL", line]`, `["NONE"]`.
    pub test: Option<Vec<String>>,
    pub interval: Option<Duration>,
    pub timeout: Option<Duration>,
    pub retries: Option<u64>,
    pub start_period: Option<Duration>,
    pub start_interval: Option<Duration>,
    pub disable: bool,
}
