//! A service: the template of its containers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::model::build::Build;
use crate::model::bytes::Bytes;
use crate::model::deploy::{Deploy, DeviceRequest};
use crate::model::develop::Develop;
use crate::model::duration::Duration;
use crate::model::file_object::FileReference;
use crate::model::healthcheck::Healthcheck;
use crate::model::mount::Mount;
use crate::model::port::Port;

/// One service. `None` means that the file does not say, so the image or the engine decides.
#[derive(Debug, Clone, PartialEq, Default)]
#[expect(missing_docs, reason = "each field is the attribute of the same name in the Compose specification")]
pub struct Service {
    pub name: String,
    pub image: Option<String>,
    pub build: Option<Build>,
    pub provider: Option<Provider>,
    /// `None`: the image's; an empty list: none at all.
    pub command: Option<Vec<String>>,
    /// `None`: the image's; an empty list: none at all.
    pub entrypoint: Option<Vec<String>>,
    /// `None` as a value: the variable is removed if the image sets it.
    pub environment: BTreeMap<String, Option<String>>,
    pub env_files: Vec<EnvFile>,
    pub label_files: Vec<PathBuf>,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// Names made from the project and the service have `_` between them (`--compatibility`); the caller sets it.
    pub joined_by_underscore: bool,
    pub container_name: Option<String>,
    pub hostname: Option<String>,
    pub domainname: Option<String>,
    pub user: Option<String>,
    pub group_add: Vec<String>,
    pub working_dir: Option<String>,
    pub ports: Vec<Port>,
    /// Ports open to other services only, `80` or `80/udp`.
    pub expose: Vec<String>,
    pub mounts: Vec<Mount>,
    /// Mount points of in-memory file systems, each `path[:options]`.
    pub tmpfs: Vec<String>,
    pub volumes_from: Vec<String>,
    /// Network key to how the service is attached. Empty with `network_mode`.
    pub networks: BTreeMap<String, Attachment>,
    /// `none`, `host`, `service:NAME`, `container:NAME`, `bridge`.
    pub network_mode: Option<String>,
    pub links: Vec<String>,
    pub external_links: Vec<String>,
    /// Host name to addresses.
    pub extra_hosts: BTreeMap<String, Vec<String>>,
    pub dns: Vec<String>,
    pub dns_opt: Vec<String>,
    pub dns_search: Vec<String>,
    pub depends_on: BTreeMap<String, Dependency>,
    pub healthcheck: Option<Healthcheck>,
    pub restart: Option<String>,
    pub deploy: Option<Deploy>,
    /// Replicas wanted: `scale`, `deploy.replicas`, or 1.
    pub replicas: u32,
    pub develop: Option<Develop>,
    pub configs: Vec<FileReference>,
    pub secrets: Vec<FileReference>,
    pub profiles: Vec<String>,
    /// `always`, `never`, `missing`, `build`, `daily`, `weekly`, `every_<duration>`.
    pub pull_policy: Option<String>,
    pub platform: Option<String>,
    pub attach: Option<bool>,
    pub init: Option<bool>,
    pub tty: bool,
    pub stdin_open: bool,
    pub stop_signal: Option<String>,
    pub stop_grace_period: Option<Duration>,
    pub read_only: bool,
    pub privileged: bool,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    pub security_opt: Vec<String>,
    pub devices: Vec<Device>,
    pub device_cgroup_rules: Vec<String>,
    pub gpus: Vec<DeviceRequest>,
    pub sysctls: BTreeMap<String, String>,
    pub ulimits: BTreeMap<String, Ulimit>,
    pub shm_size: Option<Bytes>,
    pub storage_opt: BTreeMap<String, String>,
    pub logging: Option<Logging>,
    pub pid: Option<String>,
    pub ipc: Option<String>,
    pub uts: Option<String>,
    pub cgroup: Option<String>,
    pub cgroup_parent: Option<String>,
    pub userns_mode: Option<String>,
    pub isolation: Option<String>,
    /// Says that `credential_spec` is given: only Windows has what it names.
    pub credential_spec: bool,
    pub runtime: Option<String>,
    pub mac_address: Option<String>,
    pub oom_kill_disable: bool,
    pub oom_score_adj: Option<i64>,
    pub cpus: Option<f64>,
    pub cpu_count: Option<i64>,
    pub cpu_percent: Option<f64>,
    pub cpu_period: Option<i64>,
    pub cpu_quota: Option<i64>,
    pub cpu_rt_period: Option<i64>,
    pub cpu_rt_runtime: Option<i64>,
    pub cpu_shares: Option<i64>,
    pub cpuset: Option<String>,
    pub mem_limit: Option<Bytes>,
    pub mem_reservation: Option<Bytes>,
    pub mem_swappiness: Option<i64>,
    pub memswap_limit: Option<Bytes>,
    pub pids_limit: Option<i64>,
    pub blkio: Option<Blkio>,
    pub pre_start: Vec<Hook>,
    pub post_start: Vec<Hook>,
    pub pre_stop: Vec<Hook>,
    pub models: BTreeMap<String, ModelBinding>,
    pub use_api_socket: bool,
}

/// How a service is attached to one network.
#[derive(Debug, Clone, PartialEq, Default)]
#[expect(missing_docs, reason = "each field is the attribute of the same name in the Compose specification")]
pub struct Attachment {
    pub aliases: Vec<String>,
    pub ipv4_address: Option<String>,
    pub ipv6_address: Option<String>,
    pub link_local_ips: Vec<String>,
    pub mac_address: Option<String>,
    pub driver_opts: BTreeMap<String, String>,
    pub priority: i64,
    pub gw_priority: i64,
    pub interface_name: Option<String>,
}

/// What a dependant waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Condition {
    /// `service_started`
    #[default]
    Started,
    /// `service_healthy`
    Healthy,
    /// `service_completed_successfully`
    CompletedSuccessfully,
}

/// One entry of `depends_on`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// What to wait for.
    pub condition: Condition,
    /// Restart the dependant when the dependency is updated.
    pub restart: bool,
    /// `false`: a missing dependency is only a warning.
    pub required: bool,
}

/// One `env_file` entry; its content is already merged into `environment`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvFile {
    /// Absolute path.
    pub path: PathBuf,
    /// `false`: may be missing.
    pub required: bool,
    /// `raw`, or the dotenv grammar when not given.
    pub format: Option<String>,
}

/// A host device made available, `source:target:permissions`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the attribute of the same name in the Compose specification")]
pub struct Device {
    pub source: String,
    pub target: String,
    pub permissions: String,
}

/// A resource limit of setrlimit(2); `-1` is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of setrlimit(2)")]
pub struct Ulimit {
    pub soft: i64,
    pub hard: i64,
}

/// Where log lines go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "each field is the attribute of the same name in the Compose specification")]
pub struct Logging {
    pub driver: Option<String>,
    pub options: BTreeMap<String, String>,
}

/// `blkio_config`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "each field is the attribute of the same name in the Compose specification")]
pub struct Blkio {
    pub weight: Option<u16>,
    /// Device path to weight.
    pub weight_device: Vec<(String, u16)>,
    /// Device path to bytes a second.
    pub device_read_bps: Vec<(String, u64)>,
    pub device_write_bps: Vec<(String, u64)>,
    /// Device path to operations a second.
    pub device_read_iops: Vec<(String, u64)>,
    pub device_write_iops: Vec<(String, u64)>,
}

/// A command run at a moment of a container's life.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "each field is the attribute of the same name in the Compose specification")]
pub struct Hook {
    pub command: Vec<String>,
    /// Image that it runs in; else the service's.
    pub image: Option<String>,
    /// Runs for each container, not once a service.
    pub per_replica: bool,
    pub user: Option<String>,
    pub privileged: bool,
    pub working_dir: Option<String>,
    pub environment: BTreeMap<String, Option<String>>,
}

/// A service that an outside program provides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "each field is the attribute of the same name in the Compose specification")]
pub struct Provider {
    pub kind: String,
    pub options: BTreeMap<String, Vec<String>>,
}

/// A top-level AI model.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "each field is the attribute of the same name in the Compose specification")]
pub struct Model {
    pub name: Option<String>,
    pub model: String,
    pub context_size: Option<i64>,
    pub runtime_flags: Vec<String>,
}

/// How a service learns of a model.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "each field is the attribute of the same name in the Compose specification")]
pub struct ModelBinding {
    pub endpoint_var: Option<String>,
    pub model_var: Option<String>,
}
