//! The `deploy` section; outside of swarm only replicas, resources and the restart policy act.

use std::collections::BTreeMap;

use crate::model::bytes::Bytes;
use crate::model::duration::Duration;

/// The `deploy` section.
#[derive(Debug, Clone, PartialEq, Default)]
#[expect(missing_docs, reason = "each field is the attribute of the same name in the Compose specification")]
pub struct Deploy {
    pub mode: Option<String>,
    pub endpoint_mode: Option<String>,
    pub replicas: Option<u32>,
    pub labels: BTreeMap<String, String>,
    pub limits: Option<Resources>,
    pub reservations: Option<Resources>,
    pub restart_policy: Option<RestartPolicy>,
    /// `update_config`, `rollback_config`, `placement`: kept as written, for deployers.
    pub rest: serde_json::Value,
}

/// Limits or reservations.
#[derive(Debug, Clone, PartialEq, Default)]
#[expect(missing_docs, reason = "each field is the attribute of the same name in the Compose specification")]
pub struct Resources {
    pub cpus: Option<f64>,
    pub memory: Option<Bytes>,
    pub pids: Option<i64>,
    pub devices: Vec<DeviceRequest>,
}

/// A request for devices by capability.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "each field is the attribute of the same name in the Compose specification")]
pub struct DeviceRequest {
    pub capabilities: Vec<String>,
    pub driver: Option<String>,
    /// `-1`: all.
    pub count: Option<i64>,
    pub device_ids: Vec<String>,
    pub options: BTreeMap<String, String>,
}

/// `deploy.restart_policy`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "each field is the attribute of the same name in the Compose specification")]
pub struct RestartPolicy {
    /// `none`, `on-failure`, `any`.
    pub condition: Option<String>,
    pub delay: Option<Duration>,
    pub max_attempts: Option<u64>,
    pub window: Option<Duration>,
}
