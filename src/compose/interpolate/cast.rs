//! Strings in places that want a number or a boolean: what interpolation leaves is text.

use std::sync::LazyLock;

use crate::document::node::Value;
use crate::document::path::{Place, PlaceTable};

/// What a place wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cast {
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// A boolean.
    Bool,
}

const CASTS: &[(&str, Cast)] = &[
    ("services.*.cpu_count", Cast::Int),
    ("services.*.cpu_percent", Cast::Float),
    ("services.*.cpu_period", Cast::Int),
    ("services.*.cpu_quota", Cast::Int),
    ("services.*.cpu_rt_period", Cast::Int),
    ("services.*.cpu_rt_runtime", Cast::Int),
    ("services.*.cpus", Cast::Float),
    ("services.*.cpu_shares", Cast::Int),
    ("services.*.init", Cast::Bool),
    ("services.*.deploy.replicas", Cast::Int),
    ("services.*.deploy.update_config.parallelism", Cast::Int),
    ("services.*.deploy.update_config.max_failure_ratio", Cast::Float),
    ("services.*.deploy.rollback_config.parallelism", Cast::Int),
    ("services.*.deploy.rollback_config.max_failure_ratio", Cast::Float),
    ("services.*.deploy.restart_policy.max_attempts", Cast::Int),
    ("services.*.deploy.placement.max_replicas_per_node", Cast::Int),
    ("services.*.healthcheck.retries", Cast::Int),
    ("services.*.healthcheck.disable", Cast::Bool),
    ("services.*.oom_kill_disable", Cast::Bool),
    ("services.*.oom_score_adj", Cast::Int),
    ("services.*.pids_limit", Cast::Int),
    ("services.*.ports.*.target", Cast::Int),
    ("services.*.privileged", Cast::Bool),
    ("services.*.read_only", Cast::Bool),
    ("services.*.scale", Cast::Int),
    ("services.*.stdin_open", Cast::Bool),
    ("services.*.tty", Cast::Bool),
    ("services.*.ulimits.*", Cast::Int),
    ("services.*.ulimits.*.hard", Cast::Int),
    ("services.*.ulimits.*.soft", Cast::Int),
    ("services.*.volumes.*.read_only", Cast::Bool),
    ("services.*.volumes.*.volume.nocopy", Cast::Bool),
    ("networks.*.external", Cast::Bool),
    ("networks.*.internal", Cast::Bool),
    ("networks.*.attachable", Cast::Bool),
    ("networks.*.enable_ipv4", Cast::Bool),
    ("networks.*.enable_ipv6", Cast::Bool),
    ("volumes.*.external", Cast::Bool),
    ("secrets.*.external", Cast::Bool),
    ("configs.*.external", Cast::Bool),
];

/// Returns what `place` wants of a string, if anything but a string.
pub fn wanted(place: &Place<'_>) -> Option<Cast> {
    static TABLE: LazyLock<PlaceTable<Cast>> = LazyLock::new(|| PlaceTable::new(CASTS));
    TABLE.find(place)
}

/// Returns `text` as what is wanted.
pub fn cast(cast: Cast, text: &str) -> Option<Value> {
    match cast {
        Cast::Int => integer(text).map(|value| Value::Int(i128::from(value))),
        Cast::Float => text.parse().ok().filter(|_| !text.is_empty()).map(Value::Float),
        Cast::Bool => boolean(text).map(Value::Bool),
    }
}

/// Reads a whole number as Go's `Atoi` does.
pub fn integer(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// Reads a boolean, with YAML 1.1's words.
pub fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "y" | "yes" | "on" => Some(true),
        "false" | "n" | "no" | "off" => Some(false),
        _ => None,
    }
}

impl Cast {
    /// Returns the name and an example.
    pub fn describe(self) -> (&'static str, &'static str) {
        match self {
            Self::Int => ("a whole number", "3"),
            Self::Float => ("a number", "0.5"),
            Self::Bool => ("a boolean", "true"),
        }
    }
}
