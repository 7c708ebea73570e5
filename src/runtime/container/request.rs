//! What a caller asks for: the image decides what is left open.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::state::container::{EndpointRequest, LimitsRecord, LogRecord, PortRecord, RestartRecord, SecurityRecord};
use crate::state::selinux::Relabel;

/// A container to create. `None` means the image's or the runtime's default.
#[derive(Debug, Clone, PartialEq, Default)]
#[expect(missing_docs, reason = "the attributes of a container under their usual names")]
pub struct ContainerRequest {
    pub name: String,
    /// Reference, id, or unique beginning of an id.
    pub image: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub command: Option<Vec<String>>,
    pub entrypoint: Option<Vec<String>>,
    /// `None` as a value removes the image's variable.
    pub environment: BTreeMap<String, Option<String>>,
    pub working_dir: Option<String>,
    pub user: Option<String>,
    pub additional_groups: Vec<String>,
    pub hostname: Option<String>,
    pub domainname: Option<String>,
    pub tty: bool,
    pub stdin_open: bool,
    pub init: bool,
    pub stop_signal: Option<String>,
    pub stop_grace: Option<Duration>,
    pub restart: RestartRecord,
    pub healthcheck: Option<HealthcheckRequest>,
    pub mounts: Vec<MountRequest>,
    /// Others whose mounts it has, too.
    pub volumes_from: Vec<VolumesFrom>,
    pub files: Vec<FileRequest>,
    pub network: NetworkModeRequest,
    pub ports: Vec<PortRecord>,
    pub extra_hosts: Vec<(String, String)>,
    /// Names or ids of containers on the same networks, and what this one alone calls them.
    pub links: Vec<(String, String)>,
    pub dns: Vec<String>,
    pub dns_options: Vec<String>,
    pub dns_search: Vec<String>,
    pub security: SecurityRecord,
    pub limits: LimitsRecord,
    pub sysctls: BTreeMap<String, String>,
    pub ulimits: BTreeMap<String, (i64, i64)>,
    pub shm_size: Option<u64>,
    pub oom_score_adj: Option<i64>,
    /// `host`, `private`, `container:NAME`.
    pub pid: Option<String>,
    pub ipc: Option<String>,
    pub uts: Option<String>,
    pub cgroup: Option<String>,
    pub log: LogRecord,
    /// Its input ends with that of the first who is attached.
    pub stdin_once: bool,
    /// Remove it, with its anonymous volumes, once it has ended for good.
    pub auto_remove: bool,
}

/// A health check; `None` is the image's value or the default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the attributes of a health check under their usual names")]
pub struct HealthcheckRequest {
    /// `["CMD", ..]`, `["CMD-SHELL", line]`, `["NONE"]`; `None`: the image's.
    pub test: Option<Vec<String>>,
    pub interval: Option<Duration>,
    pub timeout: Option<Duration>,
    pub retries: Option<u32>,
    pub start_period: Option<Duration>,
    pub start_interval: Option<Duration>,
}

/// Something to mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountRequest {
    /// What.
    pub source: MountSourceRequest,
    /// Absolute path in the container.
    pub target: String,
    /// Not writable.
    pub read_only: bool,
}

/// A container whose mounts another one has, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumesFrom {
    /// Id or name.
    pub container: String,
    /// Not writable here.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the attributes of a mount under their usual names")]
pub enum MountSourceRequest {
    Bind {
        path: PathBuf,
        /// Make a folder where there is nothing.
        create: bool,
        propagation: Option<String>,
        /// What is mounted below it, too.
        recursive: bool,
        /// Its files get the container's label, where that has one.
        relabel: Option<Relabel>,
    },
    Volume {
        name: String,
        nocopy: bool,
        subpath: Option<String>,
    },
    /// `Some`: one inherited from another container.
    Anonymous {
        name: Option<String>,
    },
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

/// A file with this content in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the attributes of a file under their usual names")]
pub struct FileRequest {
    pub target: String,
    pub content: FileContent,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    /// `None`: readable by everybody.
    pub mode: Option<u32>,
}

/// Where a file's content is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileContent {
    /// A host file.
    Path(PathBuf),
    /// The content itself.
    Inline(Vec<u8>),
}

/// Which network it sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkModeRequest {
    /// Its own loopback only.
    None,
    /// The host's.
    Host,
    /// Another container's, by id or name.
    Container(String),
    /// These, by id or name; the first is the primary one.
    Networks(Vec<EndpointRequest>),
}

impl Default for NetworkModeRequest {
    fn default() -> Self {
        Self::Networks(Vec::new())
    }
}
