//! A container on disk: what it is (`container.json`) and what it is doing (`status.json`).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::state::process::ProcessId;
use crate::state::selinux::{Relabel, SelinuxRecord};

/// Version of both formats.
pub const VERSION: u32 = 1;

/// What a container is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the attributes of a container under their usual names")]
pub struct ContainerRecord {
    pub version: u32,
    /// 64 hex digits.
    pub id: String,
    pub name: String,
    /// Milliseconds since 1970.
    pub created_ms: u64,
    /// As the caller wrote it.
    pub image_reference: String,
    /// `sha256:..`, digest of the image's config.
    pub image_id: String,
    /// Diff ids, lowest first.
    pub layers: Vec<String>,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub process: ProcessRecord,
    pub hostname: String,
    pub domainname: Option<String>,
    /// Run our own reaper as process 1.
    pub init: bool,
    /// Signal number.
    pub stop_signal: i32,
    pub stop_grace_ms: u64,
    pub restart: RestartRecord,
    pub healthcheck: Option<HealthcheckRecord>,
    pub mounts: Vec<MountRecord>,
    pub network: NetworkModeRecord,
    pub ports: Vec<PortRecord>,
    pub exposed: Vec<String>,
    pub extra_hosts: Vec<(String, String)>,
    /// Names or ids of containers on the same networks, and what this container alone calls them.
    #[serde(default)]
    pub links: Vec<(String, String)>,
    pub dns: Vec<String>,
    pub dns_options: Vec<String>,
    pub dns_search: Vec<String>,
    pub security: SecurityRecord,
    pub limits: LimitsRecord,
    pub sysctls: BTreeMap<String, String>,
    /// Name (`nofile`) to soft and hard limit; `-1` is unlimited.
    pub ulimits: BTreeMap<String, (i64, i64)>,
    pub shm_size: u64,
    pub oom_score_adj: Option<i64>,
    pub namespaces: NamespacesRecord,
    pub log: LogRecord,
    /// Its input ends with that of the first who is attached.
    #[serde(default)]
    pub stdin_once: bool,
    /// It is removed, with its anonymous volumes, once it has ended for good.
    #[serde(default)]
    pub auto_remove: bool,
}

/// The program, with image and override already merged.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the attributes of a process under their usual names")]
pub struct ProcessRecord {
    pub args: Vec<String>,
    /// `KEY=value`
    pub env: Vec<String>,
    pub cwd: String,
    /// `user[:group]`, names or numbers, resolved in the container's root; empty is root.
    pub user: String,
    pub additional_groups: Vec<String>,
    pub tty: bool,
    pub stdin_open: bool,
}

/// When it is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the usual names of restart policies")]
pub enum RestartRecord {
    #[default]
    No,
    Always,
    UnlessStopped,
    OnFailure {
        max: Option<u32>,
    },
}

/// A health check with every default filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the attributes of a health check under their usual names")]
pub struct HealthcheckRecord {
    /// The program; a shell line is already `/bin/sh -c line` (the image's SHELL).
    pub args: Vec<String>,
    pub interval_ms: u64,
    pub timeout_ms: u64,
    pub retries: u32,
    pub start_period_ms: u64,
    pub start_interval_ms: u64,
}

/// Something mounted over the image's root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountRecord {
    /// What.
    pub source: MountSourceRecord,
    /// Absolute path in the container.
    pub target: String,
    /// Not writable.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the attributes of a mount under their usual names")]
pub enum MountSourceRecord {
    Bind {
        path: PathBuf,
        propagation: Option<String>,
        /// What is mounted below it, too.
        #[serde(default = "yes")]
        recursive: bool,
        /// Its files get the container's label, where that has one.
        #[serde(default)]
        relabel: Option<Relabel>,
    },
    Volume {
        name: String,
        anonymous: bool,
        nocopy: bool,
        subpath: Option<String>,
    },
    Tmpfs {
        size: Option<u64>,
        mode: Option<u32>,
        options: Vec<String>,
    },
    /// A config or secret: a file of the bundle's `files` folder, owner and mode already set.
    File {
        name: String,
    },
    Image {
        layers: Vec<String>,
        subpath: Option<String>,
    },
}

fn yes() -> bool {
    true
}

/// Which network it sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum NetworkModeRecord {
    None,
    Host,
    /// Another container's, by id.
    Container(String),
    /// The first is the primary one.
    Networks(Vec<EndpointRequest>),
}

/// A place on a network, as asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the attributes of an attachment under their usual names")]
pub struct EndpointRequest {
    /// Network id.
    pub network: String,
    pub aliases: Vec<String>,
    pub ipv4: Option<IpAddr>,
    pub ipv6: Option<IpAddr>,
    pub mac: Option<String>,
    pub interface_name: Option<String>,
    /// The highest carries the default route.
    pub gw_priority: i64,
    /// Further addresses, of no use beyond the link.
    #[serde(default)]
    pub link_local: Vec<IpAddr>,
    /// Settings of the link, with `IFNAME` for its name (`net.ipv4.conf.IFNAME.log_martians`), and their values.
    #[serde(default)]
    pub sysctls: Vec<(String, String)>,
}

/// A port opened on the host, as asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRecord {
    /// `None`: every address, IPv4 and IPv6.
    pub host_ip: Option<IpAddr>,
    /// First and last to choose from; `None`: any free one.
    pub host_ports: Option<(u16, u16)>,
    /// Port in the container.
    pub container_port: u16,
    /// Transport.
    pub protocol: Protocol,
}

/// Transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

/// What it may do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the attributes of a container under their usual names")]
pub struct SecurityRecord {
    pub privileged: bool,
    pub read_only: bool,
    /// Names without `CAP_`; `ALL` is every one.
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    pub no_new_privileges: bool,
    pub seccomp: SeccompRecord,
    #[serde(default)]
    pub apparmor: AppArmorRecord,
    #[serde(default)]
    pub selinux: SelinuxRecord,
    /// `security_opt: systempaths=unconfined`: neither masked nor read-only paths.
    pub unmasked: bool,
    pub devices: Vec<DeviceRecord>,
    /// `c 1:3 rwm`
    pub device_rules: Vec<String>,
}

/// Which system calls are allowed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum SeccompRecord {
    #[default]
    Default,
    Unconfined,
    /// A profile's JSON text, as Docker's.
    Profile(String),
}

/// Which AppArmor profile it is under, on a kernel that has them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum AppArmorRecord {
    #[default]
    Default,
    Unconfined,
    /// One that the host has loaded.
    Profile(String),
}

/// A host device made available.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct DeviceRecord {
    pub source: PathBuf,
    pub target: String,
    pub permissions: String,
}

/// Limits; `None` is none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "bytes, billionths of a processor, microseconds; under their usual names")]
pub struct LimitsRecord {
    pub memory: Option<u64>,
    pub memory_swap: Option<i64>,
    pub memory_reservation: Option<u64>,
    pub memory_swappiness: Option<u64>,
    pub nano_cpus: Option<u64>,
    pub cpu_shares: Option<u64>,
    pub cpu_period: Option<u64>,
    pub cpu_quota: Option<i64>,
    pub cpuset: Option<String>,
    pub pids: Option<i64>,
    #[serde(default)]
    pub cpu_rt_period: Option<u64>,
    #[serde(default)]
    pub cpu_rt_runtime: Option<i64>,
    #[serde(default)]
    pub block: BlockRecord,
    pub oom_kill_disable: bool,
    /// What may be written to the root.
    #[serde(default)]
    pub storage: Option<u64>,
    /// Parent group, relative to the hierarchy's root.
    pub parent: Option<String>,
}

/// Limits of block devices, which are paths on the host; bytes or operations a second.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct BlockRecord {
    pub weight: Option<u16>,
    pub weights: Vec<(String, u64)>,
    pub read_bytes: Vec<(String, u64)>,
    pub write_bytes: Vec<(String, u64)>,
    pub read_operations: Vec<(String, u64)>,
    pub write_operations: Vec<(String, u64)>,
}

/// Namespaces that are not its own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names of namespaces(7)")]
pub struct NamespacesRecord {
    pub pid: NamespaceRecord,
    pub ipc: NamespaceRecord,
    pub uts: NamespaceRecord,
    pub cgroup: NamespaceRecord,
}

/// One namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum NamespaceRecord {
    /// Its own.
    #[default]
    Private,
    /// The host's.
    Host,
    /// Another container's, by id.
    Container(String),
}

/// Where its output is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LogRecord {
    /// Nothing is kept.
    pub disabled: bool,
    /// Bytes after which a new file is begun; `None`: never.
    pub max_size: Option<u64>,
    /// Files kept; at least 1.
    pub max_files: u32,
}

/// What a container is doing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusRecord {
    /// Version of the format.
    pub version: u32,
    /// What it is doing.
    pub status: Status,
    /// Verdict of the health check; `None`: it has none, or does not run.
    pub health: Option<HealthRecord>,
    /// Restarts so far.
    pub restarts: u32,
    /// Somebody asked for it to stop: `unless-stopped` and `always` leave it alone until it is started.
    pub stopped_by_user: bool,
    /// Its keeper, while there is one.
    pub keeper: Option<ProcessId>,
    /// What is really open on the host.
    pub ports: Vec<OpenPortRecord>,
    /// Boot of the machine that it was written in; process numbers of another one mean nothing.
    #[serde(default)]
    pub boot: String,
    /// The stop signal that process 1 did not listen to, so that something else ended it without a wait.
    #[serde(default)]
    pub deaf_to: Option<i32>,
    /// Why the last start failed; `None`: it did not.
    #[serde(default)]
    pub failure: Option<FailureRecord>,
}

/// Why a container could not be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureRecord {
    /// The whole sentence.
    pub message: String,
    /// 127: no such program; 126: it may not be run; 128: something else.
    pub exit_code: i32,
}

impl StatusRecord {
    /// The status of a container that has never run.
    pub fn created() -> Self {
        Self {
            version: VERSION,
            status: Status::Created,
            health: None,
            restarts: 0,
            stopped_by_user: false,
            keeper: None,
            ports: Vec::new(),
            boot: String::new(),
            deaf_to: None,
            failure: None,
        }
    }
}

/// What a container is doing, with the data of that state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it; times are milliseconds since 1970")]
pub enum Status {
    Created,
    Running {
        init: ProcessId,
        since_ms: u64,
    },
    Paused {
        init: ProcessId,
        since_ms: u64,
    },
    Restarting {
        exit_code: i32,
        at_ms: u64,
        next_ms: u64,
    },
    Exited {
        exit_code: i32,
        at_ms: u64,
        since_ms: u64,
        out_of_memory: bool,
    },
    /// It could not be started: what earlier versions wrote, see [`StatusRecord::failure`].
    Dead {
        reason: String,
    },
}

impl Status {
    /// Says whether its program runs, or will run again by itself.
    pub fn is_up(&self) -> bool {
        match self {
            Self::Running { .. } | Self::Paused { .. } | Self::Restarting { .. } => true,
            Self::Created | Self::Exited { .. } | Self::Dead { .. } => false,
        }
    }

    /// Says whether its program has ended for good.
    pub fn is_over(&self) -> bool {
        match self {
            Self::Exited { .. } | Self::Dead { .. } => true,
            Self::Created | Self::Running { .. } | Self::Paused { .. } | Self::Restarting { .. } => false,
        }
    }
}

/// Verdict of a health check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum HealthRecord {
    Starting,
    Healthy,
    /// Code `None`: it ran into its timeout.
    Unhealthy {
        failures: u32,
        exit_code: Option<i32>,
        output: String,
    },
}

/// A port that is open on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct OpenPortRecord {
    pub host_ip: IpAddr,
    pub host_port: u16,
    pub container_port: u16,
    pub protocol: Protocol,
}
