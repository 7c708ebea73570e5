//! All that a contained process needs, as plain data. The keeper makes it for containers, the builder for RUN.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::state::container::{DeviceRecord, ProcessRecord, SeccompRecord};
use crate::sys::mount::Attributes;

/// A sandbox to launch.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct SandboxSpec {
    pub root: Root,
    /// Where the root is put together; an empty folder on the host, on no shared mount.
    pub mount_point: PathBuf,
    pub read_only_root: bool,
    pub process: ProcessRecord,
    pub hostname: String,
    pub domainname: Option<String>,
    pub mounts: Vec<SandboxMount>,
    pub namespaces: Namespaces,
    pub privileged: bool,
    /// Bounding, permitted and effective set of root, one bit a capability number.
    pub capabilities: u64,
    pub seccomp: SeccompRecord,
    /// The AppArmor profile that its programs enter.
    pub apparmor: Option<String>,
    /// The SELinux label that its programs run under.
    pub label: Option<String>,
    /// The SELinux label of the files on the file systems that are made for it.
    pub file_label: Option<String>,
    pub no_new_privileges: bool,
    /// Sets other than what `capabilities` gives; `None`: that.
    pub capability_sets: Option<CapabilitySets>,
    pub masks: Masks,
    pub devices: Vec<DeviceRecord>,
    /// Name (`nofile`) to soft and hard limit; `-1` is unlimited.
    pub rlimits: BTreeMap<String, (i64, i64)>,
    pub sysctls: BTreeMap<String, String>,
    pub oom_score_adj: Option<i64>,
    /// Run our own reaper as process 1.
    pub init: bool,
    /// It goes on when its parent is killed: there is somebody to take it over.
    pub outlives_parent: bool,
    /// Bytes of `/dev/shm`; 0: nothing is mounted there.
    pub shm_size: u64,
    /// Mount namespace (`/proc/PID/ns/mnt`) whose `/dev/shm` it shares, with the IPC namespace that goes with it.
    pub shared_memory_of: Option<PathBuf>,
    /// The container's groups are made by the caller; `None`: none, stay where we are.
    pub cgroup: Option<crate::cgroup::group::Group>,
}

/// The capabilities of a program, a set each, one bit a capability number; whoever it runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names of capabilities(7)")]
pub struct CapabilitySets {
    pub bounding: u64,
    pub effective: u64,
    pub permitted: u64,
    pub inheritable: u64,
    pub ambient: u64,
}

/// Paths that are there and must not be read, or not written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Masks {
    /// Those of /proc and /sys that Docker has.
    #[default]
    Usual,
    /// None.
    None,
    /// These, inside the root; what is missing there is left out.
    These {
        /// Not to be read.
        hidden: Vec<String>,
        /// Not to be written.
        read_only: Vec<String>,
    },
}

/// What becomes `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// Layers stacked, lowest first, with a writable top.
    Overlay {
        /// Lower directories, lowest first.
        lower: Vec<PathBuf>,
        /// Writable directory.
        upper: PathBuf,
        /// Overlayfs work directory, on the same file system.
        work: PathBuf,
    },
    /// A folder as it is.
    Directory(PathBuf),
}

/// Something mounted over the root, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum SandboxMount {
    /// A host file or folder; the target is made where missing, resolved inside the root only.
    Bind {
        source: PathBuf,
        target: String,
        read_only: bool,
        /// Set beside that: `nosuid`, `nodev`, `noexec`.
        attributes: Attributes,
        propagation: Option<String>,
        recursive: bool,
    },
    /// A file or folder inside of a host folder whose content nobody vouches for: no link leads out of it.
    Within {
        folder: PathBuf,
        subpath: String,
        target: String,
        read_only: bool,
    },
    /// Layers of an image stacked, lowest first, or a part of them; never writable.
    Layers {
        layers: Vec<PathBuf>,
        subpath: Option<String>,
        target: String,
    },
    Tmpfs {
        target: String,
        size: Option<u64>,
        mode: Option<u32>,
        options: Vec<String>,
        read_only: bool,
    },
}

impl SandboxMount {
    /// Returns the absolute path that it is mounted at.
    pub fn target(&self) -> &str {
        match self {
            Self::Bind { target, .. }
            | Self::Within { target, .. }
            | Self::Layers { target, .. }
            | Self::Tmpfs { target, .. } => target,
        }
    }
}

/// Which namespaces are whose.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names of namespaces(7)")]
pub struct Namespaces {
    pub network: Namespace,
    pub pid: Namespace,
    pub ipc: Namespace,
    pub uts: Namespace,
    pub cgroup: Namespace,
}

/// One namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Namespace {
    /// Its own.
    #[default]
    New,
    /// The host's.
    Host,
    /// The one at this path (`/proc/PID/ns/net`).
    Join(PathBuf),
}
