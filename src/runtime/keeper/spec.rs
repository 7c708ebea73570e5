//! Makes the sandbox of a container from its record.

use std::path::{Component, Path, PathBuf};

use crate::Runtime;
use crate::cgroup::devices::DevicePolicy;
use crate::cgroup::group::Group;
use crate::sandbox::apparmor::{self, AppArmorError};
use crate::sandbox::capabilities::{self, UnknownCapability};
use crate::sandbox::selinux;
use crate::sandbox::spec::{Masks, Namespace, Namespaces, Root, SandboxMount, SandboxSpec};
use crate::state::container::{
    ContainerRecord, MountRecord, MountSourceRecord, NamespaceRecord, NetworkModeRecord, Status, StatusRecord,
};
use crate::state::layout::Bundle;
use crate::state::process::ProcessId;
use crate::state::record;
use crate::sys::mount::Attributes;
use crate::volume;

/// Why a container's sandbox can't be described.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum SpecError {
    #[error(transparent)]
    Capability(#[from] UnknownCapability),
    #[error(transparent)]
    AppArmor(#[from] AppArmorError),
    #[error("container `{id}`, whose {namespace} namespace is to be shared, does not run")]
    NotRunning { id: String, namespace: &'static str },
    #[error("cannot use volume `{name}`")]
    Volume {
        name: String,
        #[source]
        source: volume::VolumeError,
    },
    #[error("`{subpath}` leads out of `{within}`")]
    Outside { subpath: String, within: String },
}

/// Returns the name of a container's groups; `parent` is the group that it asked to be in.
pub fn group_name(id: &str, parent: Option<&str>) -> String {
    match parent.map(|parent| parent.trim_matches('/')).filter(|parent| !parent.is_empty()) {
        Some(parent) => format!("{parent}/{id}"),
        None => format!("motet/{id}"),
    }
}

/// Returns what devices a container may use.
pub fn device_policy(record: &ContainerRecord) -> DevicePolicy {
    let mut rules = record.security.device_rules.clone();
    rules.extend(record.security.devices.iter().filter_map(|device| {
        use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
        let metadata = std::fs::metadata(&device.source).ok()?;
        let kind = if metadata.file_type().is_block_device() { 'b' } else { 'c' };
        let number = metadata.rdev();
        let (major, minor) = (rustix::fs::major(number), rustix::fs::minor(number));
        Some(format!("{kind} {major}:{minor} {}", device.permissions))
    }));
    DevicePolicy { all: record.security.privileged, rules }
}

/// Makes the sandbox of a container.
pub fn sandbox(rt: &Runtime, record: &ContainerRecord, group: Option<Group>) -> Result<SandboxSpec, SpecError> {
    let bundle = rt.layout.bundle(&record.id);
    let security = &record.security;
    let labels = selinux::labels(&security.selinux);
    Ok(SandboxSpec {
        root: root(rt, record, &bundle),
        mount_point: bundle.root(),
        read_only_root: security.read_only,
        process: record.process.clone(),
        hostname: record.hostname.clone(),
        domainname: record.domainname.clone(),
        mounts: mounts(rt, record, &bundle)?,
        namespaces: namespaces(rt, record)?,
        privileged: security.privileged,
        capabilities: capabilities::resolve(&security.cap_add, &security.cap_drop, security.privileged)?,
        seccomp: security.seccomp.clone(),
        apparmor: apparmor::profile(&rt.layout, &security.apparmor, security.privileged)?,
        label: labels.map(|labels| labels.process.clone()),
        file_label: labels.map(|labels| labels.file.clone()),
        no_new_privileges: security.no_new_privileges,
        capability_sets: None,
        masks: if security.unmasked || security.privileged { Masks::None } else { Masks::Usual },
        devices: security.devices.clone(),
        rlimits: record.ulimits.clone(),
        sysctls: record.sysctls.clone(),
        oom_score_adj: record.oom_score_adj,
        init: record.init,
        outlives_parent: true,
        shm_size: record.shm_size,
        shared_memory_of: shared_memory_of(rt, record),
        cgroup: group,
    })
}

fn root(rt: &Runtime, record: &ContainerRecord, bundle: &Bundle) -> Root {
    if record.layers.is_empty() {
        return Root::Directory(bundle.upper());
    }
    Root::Overlay { lower: layers(rt, &record.layers), upper: bundle.upper(), work: bundle.work() }
}

/// Returns the directories of layers, given as diff ids; of one that is there several times the highest place counts,
/// since overlayfs refuses to stack a directory twice.
pub fn layers(rt: &Runtime, diff_ids: &[String]) -> Vec<PathBuf> {
    let higher = |at: usize| diff_ids[at + 1..].contains(&diff_ids[at]);
    let once = (0..diff_ids.len()).filter(|at| !higher(*at)).map(|at| &diff_ids[at]);
    once.map(|id| rt.layout.layers().join(id.strip_prefix("sha256:").unwrap_or(id))).collect()
}

fn namespaces(rt: &Runtime, record: &ContainerRecord) -> Result<Namespaces, SpecError> {
    let shared = |namespace: &NamespaceRecord, file, name| match namespace {
        NamespaceRecord::Private => Ok(Namespace::New),
        NamespaceRecord::Host => Ok(Namespace::Host),
        NamespaceRecord::Container(id) => of_container(rt, id, file, name),
    };
    let wanted = &record.namespaces;
    Ok(Namespaces {
        network: match &record.network {
            NetworkModeRecord::None | NetworkModeRecord::Networks(_) => Namespace::New,
            NetworkModeRecord::Host => Namespace::Host,
            NetworkModeRecord::Container(id) => of_container(rt, id, "net", "network")?,
        },
        pid: shared(&wanted.pid, "pid", "process")?,
        ipc: shared(&wanted.ipc, "ipc", "IPC")?,
        uts: shared(&wanted.uts, "uts", "UTS")?,
        cgroup: shared(&wanted.cgroup, "cgroup", "control group")?,
    })
}

/// A container in another's IPC namespace sees the same `/dev/shm`: POSIX shared memory and semaphores lie there.
fn shared_memory_of(rt: &Runtime, record: &ContainerRecord) -> Option<PathBuf> {
    let NamespaceRecord::Container(id) = &record.namespaces.ipc else { return None };
    running_init(rt, id).map(|init| format!("/proc/{}/ns/mnt", init.pid).into())
}

fn of_container(rt: &Runtime, id: &str, file: &str, namespace: &'static str) -> Result<Namespace, SpecError> {
    match running_init(rt, id) {
        Some(init) => Ok(Namespace::Join(format!("/proc/{}/ns/{file}", init.pid).into())),
        None => Err(SpecError::NotRunning { id: id.chars().take(12).collect(), namespace }),
    }
}

/// Returns process 1 of a container that runs.
fn running_init(rt: &Runtime, id: &str) -> Option<ProcessId> {
    let status: StatusRecord = record::read(&rt.layout.bundle(id).status()).ok()??;
    match status.status {
        Status::Running { init, .. } | Status::Paused { init, .. } => Some(init).filter(|init| init.is_running()),
        Status::Created | Status::Restarting { .. } | Status::Exited { .. } | Status::Dead { .. } => None,
    }
}

/// Returns what is mounted over the root, in order.
pub fn mounts(rt: &Runtime, record: &ContainerRecord, bundle: &Bundle) -> Result<Vec<SandboxMount>, SpecError> {
    let mut mounts = Vec::new();
    // A container that shares another's network shares what it calls itself and others.
    let names = match &record.network {
        NetworkModeRecord::Container(id) => rt.layout.bundle(id).files(),
        NetworkModeRecord::None | NetworkModeRecord::Host | NetworkModeRecord::Networks(_) => bundle.files(),
    };
    for name in ["hosts", "hostname", "resolv.conf"] {
        let target = format!("/etc/{name}");
        if !record.mounts.iter().any(|mount| mount.target == target) {
            mounts.push(bind(names.join(name), &target, false));
        }
    }
    // Whatever lies in another's target must come after it.
    let mut wanted: Vec<&MountRecord> = record.mounts.iter().collect();
    wanted.sort_by_key(|mount| Path::new(&mount.target).components().count());
    for mount in wanted {
        mounts.push(sandbox_mount(rt, bundle, mount)?);
    }
    Ok(mounts)
}

fn bind(source: PathBuf, target: &str, read_only: bool) -> SandboxMount {
    let attributes = Attributes::empty();
    SandboxMount::Bind { source, target: target.into(), read_only, attributes, propagation: None, recursive: true }
}

fn sandbox_mount(rt: &Runtime, bundle: &Bundle, mount: &MountRecord) -> Result<SandboxMount, SpecError> {
    Ok(match &mount.source {
        MountSourceRecord::Bind { path, propagation, recursive, relabel: _ } => SandboxMount::Bind {
            source: path.clone(),
            target: mount.target.clone(),
            read_only: mount.read_only,
            attributes: Attributes::empty(),
            propagation: propagation.clone(),
            recursive: *recursive,
        },
        MountSourceRecord::Volume { name, subpath, .. } => {
            let folder =
                volume::prepare(rt, name).map_err(|source| SpecError::Volume { name: name.clone(), source })?;
            match subpath.as_deref().filter(|subpath| !subpath.is_empty()) {
                None => bind(folder, &mount.target, mount.read_only),
                Some(subpath) => SandboxMount::Within {
                    subpath: part(subpath, name)?,
                    folder,
                    target: mount.target.clone(),
                    read_only: mount.read_only,
                },
            }
        }
        MountSourceRecord::Tmpfs { size, mode, options } => SandboxMount::Tmpfs {
            target: mount.target.clone(),
            size: *size,
            mode: *mode,
            options: options.clone(),
            read_only: mount.read_only,
        },
        MountSourceRecord::File { name } => bind(bundle.files().join(name), &mount.target, mount.read_only),
        MountSourceRecord::Image { layers: diff_ids, subpath } => {
            let subpath = subpath.as_deref().filter(|subpath| !subpath.is_empty());
            let subpath = subpath.map(|subpath| part(subpath, "the image")).transpose()?;
            SandboxMount::Layers { layers: layers(rt, diff_ids), subpath, target: mount.target.clone() }
        }
    })
}

/// Returns a path inside of what is mounted, as it is to be looked up there.
fn part(subpath: &str, within: &str) -> Result<String, SpecError> {
    let is_inside = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if Path::new(subpath).components().all(is_inside) {
        Ok(subpath.to_owned())
    } else {
        Err(SpecError::Outside { subpath: subpath.into(), within: within.into() })
    }
}
