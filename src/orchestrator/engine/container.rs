//! Containers, as the engine is told of them and as it tells of them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

/// The engine's own id of a container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId(pub String);

/// A container to create. `None` means the image's or the engine's default.
#[derive(Debug, Clone, PartialEq, Default)]
#[expect(missing_docs, reason = "the attributes of a container, named as in the Compose specification")]
pub struct ContainerSpec {
    pub name: String,
    /// Reference or image id in the local store.
    pub image: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub command: Option<Vec<String>>,
    pub entrypoint: Option<Vec<String>>,
    /// `None` as a value removes the image's variable.
    pub environment: BTreeMap<String, Option<String>>,
    pub working_dir: Option<String>,
    pub user: Option<String>,
    pub group_add: Vec<String>,
    pub hostname: Option<String>,
    pub domainname: Option<String>,
    pub tty: bool,
    pub stdin_open: bool,
    /// Its input ends when that of the first who is attached does (`run -i`).
    pub stdin_once: bool,
    pub init: bool,
    pub stop_signal: Option<String>,
    pub stop_grace_period: Option<Duration>,
    pub restart: RestartPolicy,
    pub healthcheck: Option<Healthcheck>,
    pub mounts: Vec<Mount>,
    pub files: Vec<FileMount>,
    pub network: NetworkMode,
    pub ports: Vec<PortBinding>,
    /// Ports that are told of without being opened on the host: `80`, `53/udp`, `7000-7002`.
    pub expose: Vec<String>,
    /// Host name and address, `host-gateway` included.
    pub extra_hosts: Vec<(String, String)>,
    pub dns: Vec<String>,
    pub dns_opt: Vec<String>,
    pub dns_search: Vec<String>,
    pub read_only: bool,
    pub privileged: bool,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    pub security_opt: Vec<String>,
    pub devices: Vec<Device>,
    pub device_cgroup_rules: Vec<String>,
    pub sysctls: BTreeMap<String, String>,
    /// Name to soft and hard limit; `-1` is unlimited.
    pub ulimits: BTreeMap<String, (i64, i64)>,
    /// Bytes.
    pub shm_size: Option<u64>,
    pub pid: Option<String>,
    pub ipc: Option<String>,
    pub uts: Option<String>,
    pub cgroup: Option<String>,
    pub cgroup_parent: Option<String>,
    pub userns: Option<String>,
    pub oom_score_adj: Option<i64>,
    pub oom_kill_disable: bool,
    pub device_requests: Vec<DeviceRequest>,
    /// Containers whose volumes are mounted too, by id or name, with `:ro` where so asked.
    pub volumes_from: Vec<String>,
    pub storage_opt: BTreeMap<String, String>,
    pub runtime: Option<String>,
    /// The engine removes it when its program ends (`run --rm`).
    pub auto_remove: bool,
    pub limits: Limits,
    pub logging: Logging,
    pub platform: Option<String>,
    /// Attributes that the Compose file asks for and this structure has no field for yet, as their Compose paths;
    /// an engine must refuse or say what it leaves out.
    pub unsupported: Vec<String>,
}

/// Resource limits; `None` is no limit.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Limits {
    /// Bytes.
    pub memory: Option<u64>,
    /// Bytes of memory and swap together; `-1` is unlimited.
    pub memory_swap: Option<i64>,
    /// Bytes.
    pub memory_reservation: Option<u64>,
    /// 0 to 100.
    pub memory_swappiness: Option<u64>,
    /// Billionths of a processor.
    pub nano_cpus: Option<u64>,
    /// Relative weight, 1024 is the default.
    pub cpu_shares: Option<u64>,
    /// Microseconds.
    pub cpu_period: Option<u64>,
    /// Microseconds a period.
    pub cpu_quota: Option<i64>,
    /// `0-3,5`
    pub cpuset: Option<String>,
    /// Processes and threads; `-1` is unlimited.
    pub pids: Option<i64>,
    /// Microseconds a period of real-time scheduling.
    pub cpu_rt_period: Option<u64>,
    /// Microseconds of real-time scheduling a period.
    pub cpu_rt_runtime: Option<i64>,
    /// Block devices.
    pub block: BlockLimits,
}

/// Limits of block devices; a device is a path on the host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the attributes of `blkio_config`, named as in the Compose specification")]
pub struct BlockLimits {
    /// 10 to 1000.
    pub weight: Option<u16>,
    pub weight_device: Vec<(String, u64)>,
    /// Bytes a second.
    pub device_read_bps: Vec<(String, u64)>,
    /// Bytes a second.
    pub device_write_bps: Vec<(String, u64)>,
    /// Operations a second.
    pub device_read_iops: Vec<(String, u64)>,
    /// Operations a second.
    pub device_write_iops: Vec<(String, u64)>,
}

/// A request for devices by what they can do: `gpus`, `deploy.resources.reservations.devices`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the attributes of a device request, named as in the Compose specification")]
pub struct DeviceRequest {
    pub driver: Option<String>,
    /// `-1` is all.
    pub count: Option<i64>,
    pub device_ids: Vec<String>,
    pub capabilities: Vec<String>,
    pub options: BTreeMap<String, String>,
}

/// How an image is made of a container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommitSpec {
    /// Name of the image; `None`: none.
    pub reference: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// Why.
    pub message: Option<String>,
    /// Dockerfile instructions to apply (`CMD ["x"]`, `ENV A=1`).
    pub changes: Vec<String>,
    /// Freeze the container meanwhile.
    pub pause: bool,
}

/// When a container is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// Whatever happens, also after the machine restarts.
    Always,
    /// As `Always`, unless somebody stopped it.
    UnlessStopped,
    /// When the exit code is not 0, at most so often; `None` is without end.
    OnFailure(Option<u32>),
}

/// A health check; `None` is the image's value or the default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the attributes of a health check, named as in the Compose specification")]
pub struct Healthcheck {
    /// `["CMD", ..]`, `["CMD-SHELL", line]`, `["NONE"]`; `None`: the image's.
    pub test: Option<Vec<String>>,
    pub interval: Option<Duration>,
    pub timeout: Option<Duration>,
    pub retries: Option<u64>,
    pub start_period: Option<Duration>,
    pub start_interval: Option<Duration>,
}

/// Something mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What.
    pub source: MountSource,
    /// Absolute path in the container.
    pub target: String,
    /// Not writable.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the attributes of a mount, named as in the Compose specification")]
pub enum MountSource {
    Bind {
        path: String,
        create: bool,
        propagation: Option<String>,
        /// What is mounted below it: `enabled`, `disabled`, `writable`, `readonly`.
        recursive: Option<String>,
        /// Its files get an SELinux label that every container may use (`z`), or this one alone (`Z`).
        selinux: Option<String>,
    },
    Volume {
        name: String,
        nocopy: bool,
        subpath: Option<String>,
    },
    /// A volume without a name of its own; `Some`: the engine name of one inherited from a replaced container.
    Anonymous {
        name: Option<String>,
    },
    /// Bytes; mode bits.
    Tmpfs {
        size: Option<u64>,
        mode: Option<u32>,
        options: Vec<String>,
    },
    Image {
        reference: String,
        subpath: Option<String>,
    },
}

/// A config or secret: a file with this content in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the attributes of a config, named as in the Compose specification")]
pub struct FileMount {
    pub target: String,
    pub content: FileContent,
    pub uid: Option<String>,
    pub gid: Option<String>,
    pub mode: Option<u32>,
}

/// Where a config's or secret's content is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileContent {
    /// A host file, by absolute path.
    Path(String),
    /// The content itself.
    Inline(Vec<u8>),
}

/// Which network a container sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkMode {
    /// Its own loopback only.
    None,
    /// The host's.
    Host,
    /// That of another container, by id or name.
    Container(String),
    /// These networks; the first is the primary one.
    Networks(Vec<Endpoint>),
}

impl Default for NetworkMode {
    fn default() -> Self {
        Self::Networks(Vec::new())
    }
}

/// A place on a network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the attributes of an attachment, named as in the Compose specification")]
pub struct Endpoint {
    /// Engine name of the network.
    pub network: String,
    pub aliases: Vec<String>,
    pub ipv4_address: Option<String>,
    pub ipv6_address: Option<String>,
    pub mac_address: Option<String>,
    pub driver_opts: BTreeMap<String, String>,
    pub interface_name: Option<String>,
    pub link_local_ips: Vec<String>,
    pub priority: i64,
    pub gw_priority: i64,
    /// Containers of others on the same network, and the names that this one alone has for them.
    pub links: Vec<(String, String)>,
}

/// A port opened on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortBinding {
    /// Host address; `None`: every address.
    pub host_ip: Option<IpAddr>,
    /// First and last host port to choose from; `None`: any free one.
    pub host_ports: Option<(u16, u16)>,
    /// Port in the container.
    pub container_port: u16,
    /// `tcp`, `udp`, `sctp`.
    pub protocol: String,
}

/// A host device.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the attributes of a device, named as in the Compose specification")]
pub struct Device {
    pub source: String,
    pub target: String,
    pub permissions: String,
}

/// Where log lines go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Logging {
    /// `None`: the engine's own files.
    pub driver: Option<String>,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
}

/// How to stop.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StopOptions {
    /// `None`: the container's own.
    pub signal: Option<String>,
    /// `None`: the container's own, else 10 s.
    pub grace: Option<Duration>,
}

/// What a container is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerState {
    /// Never started.
    Created,
    /// Its program runs.
    Running {
        /// Since when.
        since: SystemTime,
        /// Verdict of its health check; `None`: it has none.
        health: Option<Health>,
    },
    /// Running, but frozen.
    Paused {
        /// Since when it runs.
        since: SystemTime,
    },
    /// It ended and will be started again.
    Restarting {
        /// Code of the last run.
        exit_code: i32,
        /// Restarts so far.
        attempts: u32,
        /// When the last run ended.
        at: SystemTime,
    },
    /// It ended.
    Exited {
        /// The program's own code, or 128 and the signal.
        exit_code: i32,
        /// When.
        at: SystemTime,
        /// The kernel killed it for memory.
        out_of_memory: bool,
    },
    /// It could not be started, or its record is broken.
    Dead {
        /// Why.
        reason: String,
    },
    /// It is no longer there.
    Removed,
}

impl ContainerState {
    /// Whether its program runs, or will run again by itself.
    pub fn is_up(&self) -> bool {
        match self {
            Self::Running { .. } | Self::Paused { .. } | Self::Restarting { .. } => true,
            Self::Created | Self::Exited { .. } | Self::Dead { .. } | Self::Removed => false,
        }
    }
}

/// Verdict of a health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// No verdict yet.
    Starting,
    /// The last probe passed.
    Healthy,
    /// So many probes in a row failed.
    Unhealthy {
        /// Failed probes in a row.
        failures: u32,
        /// Code of the last probe; `None`: it ran into its timeout.
        exit_code: Option<i32>,
        /// Output of the last probe.
        output: String,
    },
}

/// A container as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the attributes of a container, named as in the Compose specification")]
pub struct ContainerSummary {
    pub id: ContainerId,
    pub name: String,
    /// Reference that it was created from.
    pub image: String,
    /// Image id that it was created from.
    pub image_id: String,
    pub labels: BTreeMap<String, String>,
    pub state: ContainerState,
    pub created: SystemTime,
    /// The program with its arguments.
    pub command: Vec<String>,
    /// What is really open on the host; ports that are only exposed have no host side.
    pub ports: Vec<OpenPort>,
    /// Engine names of the networks that it is on, with its addresses there.
    pub networks: BTreeMap<String, Vec<IpAddr>>,
    /// Target to engine name of each volume, named or anonymous.
    pub volumes: BTreeMap<String, String>,
    /// Container paths of anonymous volumes.
    pub anonymous_volumes: Vec<String>,
    /// Target to host path of each bind mount.
    pub binds: BTreeMap<String, String>,
}

/// A port as `ps` shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub struct OpenPort {
    pub host: Option<(IpAddr, u16)>,
    pub container_port: u16,
    pub protocol: String,
}
