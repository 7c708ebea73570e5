//! Makes the runtime's sandbox of a bundle. What the runtime can't do is an error that names the attribute.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use runtime::cgroup::devices::DevicePolicy;
use runtime::sandbox::capabilities;
use runtime::sandbox::spec::{CapabilitySets, Masks, Namespace, Namespaces, Root, SandboxMount, SandboxSpec};
use runtime::state::container::{LimitsRecord, ProcessRecord, SeccompRecord};
use runtime::sys::mount::Attributes;

use crate::config::{Capabilities, Config, Linux, Mount, Process, Resources};
use crate::failure::{Failure, failed};

/// File systems that the runtime mounts itself, always at the same places.
const OWN: [(&str, &str); 6] = [
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("cgroup", "/sys/fs/cgroup"),
    ("cgroup2", "/sys/fs/cgroup"),
    ("devpts", "/dev/pts"),
    ("mqueue", "/dev/mqueue"),
];

/// Makes the sandbox; `mount_point` is an empty folder.
pub(crate) fn of(config: &Config, bundle: &Path, mount_point: PathBuf) -> Result<SandboxSpec, Failure> {
    refuse(config)?;
    let process = config.process.as_ref().ok_or_else(|| failed("`process` is missing"))?;
    let root = config.root.as_ref().ok_or_else(|| failed("`root` is missing"))?;
    let rootfs = bundle.join(&root.path);
    if !rootfs.is_dir() {
        return Err(failed(format!("no folder `{}` to be the root", rootfs.display())));
    }
    let linux = &config.linux;
    let mut shm_size = 64 << 20;
    let mounts = mounts(config, bundle, &mut shm_size)?;
    let sets = process.capabilities.as_ref().map(capability_sets).transpose()?.unwrap_or_default();
    Ok(SandboxSpec {
        root: Root::Directory(rootfs),
        mount_point,
        read_only_root: root.readonly,
        process: record(process),
        hostname: config.hostname.clone().unwrap_or_default(),
        domainname: config.domainname.clone(),
        mounts,
        namespaces: namespaces(linux)?,
        privileged: false,
        capabilities: sets.bounding,
        seccomp: match &linux.seccomp {
            Some(profile) => SeccompRecord::Profile(profile.to_string()),
            None => SeccompRecord::Unconfined,
        },
        apparmor: profile(process),
        label: None,
        file_label: None,
        no_new_privileges: process.no_new_privileges,
        capability_sets: Some(sets),
        masks: Masks::These { hidden: linux.masked_paths.clone(), read_only: linux.readonly_paths.clone() },
        devices: Vec::new(),
        rlimits: rlimits(process)?,
        sysctls: linux.sysctl.clone(),
        oom_score_adj: process.oom_score_adj,
        init: false,
        outlives_parent: false,
        shm_size,
        shared_memory_of: None,
        cgroup: None,
    })
}

/// The AppArmor profile of a process; the kernel says so where it has none of that name.
pub(crate) fn profile(process: &Process) -> Option<String> {
    process.apparmor_profile.clone().filter(|name| !name.is_empty() && name != "unconfined")
}

/// What is asked for and can't be had must not be dropped without a word.
fn refuse(config: &Config) -> Result<(), Failure> {
    let linux = &config.linux;
    let resources = linux.resources.clone().unwrap_or_default();
    let empty = |text: &Option<String>| text.as_ref().is_none_or(String::is_empty);
    let version_is_known = config.oci_version.starts_with("1.");
    let process = config.process.as_ref();
    let asked = [
        (!version_is_known, "ociVersion"),
        (!config.hooks.create_container.is_empty(), "hooks.createContainer"),
        (!linux.uid_mappings.is_empty() || !linux.gid_mappings.is_empty(), "linux.uidMappings"),
        (
            !matches!(linux.rootfs_propagation.as_deref(), None | Some("" | "private" | "rprivate")),
            "linux.rootfsPropagation",
        ),
        (!empty(&linux.mount_label), "linux.mountLabel"),
        (linux.intel_rdt.is_some(), "linux.intelRdt"),
        (linux.personality.is_some(), "linux.personality"),
        (!resources.hugepage_limits.is_empty(), "linux.resources.hugepageLimits"),
        (resources.network.is_some(), "linux.resources.network"),
        (resources.rdma.is_some_and(|rdma| !rdma.is_empty()), "linux.resources.rdma"),
        (resources.unified.is_some_and(|unified| !unified.is_empty()), "linux.resources.unified"),
        (process.is_some_and(|process| !empty(&process.selinux_label)), "process.selinuxLabel"),
        (process.is_some_and(|process| process.scheduler.is_some()), "process.scheduler"),
        (process.is_some_and(|process| process.io_priority.is_some()), "process.ioPriority"),
        (process.is_some_and(|process| process.user.umask.is_some_and(|mask| mask != 0o022)), "process.user.umask"),
    ];
    match asked.iter().find(|(is_asked, _)| *is_asked) {
        Some((_, attribute)) => Err(failed(format!("`{attribute}` can't be done by this runtime"))),
        None => Ok(()),
    }
}

/// Makes the process of a config, or of a `process.json`.
pub(crate) fn record(process: &Process) -> ProcessRecord {
    ProcessRecord {
        args: process.args.clone(),
        env: process.env.clone(),
        cwd: process.cwd.clone(),
        user: format!("{}:{}", process.user.uid, process.user.gid),
        additional_groups: process.user.additional_gids.iter().map(ToString::to_string).collect(),
        tty: process.terminal,
        stdin_open: true,
    }
}

pub(crate) fn capability_sets(wanted: &Capabilities) -> Result<CapabilitySets, Failure> {
    let set = |names: &[String]| {
        // Dropping all leaves what is added by name.
        capabilities::resolve(names, &["ALL".to_owned()], false).map_err(|error| failed(error.to_string()))
    };
    Ok(CapabilitySets {
        bounding: set(&wanted.bounding)?,
        effective: set(&wanted.effective)?,
        permitted: set(&wanted.permitted)?,
        inheritable: set(&wanted.inheritable)?,
        ambient: set(&wanted.ambient)?,
    })
}

pub(crate) fn rlimits(process: &Process) -> Result<BTreeMap<String, (i64, i64)>, Failure> {
    let mut limits = BTreeMap::new();
    for limit in &process.rlimits {
        let value = |limit: u64| i64::try_from(limit).unwrap_or(-1);
        if limits.insert(limit.kind.clone(), (value(limit.soft), value(limit.hard))).is_some() {
            return Err(failed(format!("`process.rlimits` has `{}` twice", limit.kind)));
        }
    }
    Ok(limits)
}

fn namespaces(linux: &Linux) -> Result<Namespaces, Failure> {
    let mut these = Namespaces {
        network: Namespace::Host,
        pid: Namespace::Host,
        ipc: Namespace::Host,
        uts: Namespace::Host,
        cgroup: Namespace::Host,
    };
    let mut has_mounts = false;
    let mut seen: Vec<&str> = Vec::new();
    for namespace in &linux.namespaces {
        if seen.contains(&namespace.kind.as_str()) {
            return Err(failed(format!("`linux.namespaces` has `{}` twice", namespace.kind)));
        }
        seen.push(&namespace.kind);
        let wanted = match namespace.path.as_deref().filter(|path| !path.is_empty()) {
            Some(path) => Namespace::Join(path.into()),
            None => Namespace::New,
        };
        match namespace.kind.as_str() {
            "network" => these.network = wanted,
            "pid" => these.pid = wanted,
            "ipc" => these.ipc = wanted,
            "uts" => these.uts = wanted,
            "cgroup" => these.cgroup = wanted,
            "mount" if wanted == Namespace::New => has_mounts = true,
            other => return Err(failed(format!("a namespace `{other}` can't be had like that"))),
        }
    }
    if has_mounts { Ok(these) } else { Err(failed("a container without a mount namespace can't be had")) }
}

fn mounts(config: &Config, bundle: &Path, shm_size: &mut u64) -> Result<Vec<SandboxMount>, Failure> {
    let mut mounts = Vec::new();
    for mount in &config.mounts {
        let target = format!("/{}", mount.destination.trim_start_matches('/'));
        let is_bind = mount.kind == "bind" || mount.options.iter().any(|option| option == "bind" || option == "rbind");
        if is_bind {
            mounts.push(bind(mount, bundle, target)?);
        } else if mount.kind == "tmpfs" && target == "/dev" || OWN.contains(&(&*mount.kind, &*target)) {
            // As the runtime makes it.
        } else if mount.kind == "tmpfs" && target == "/dev/shm" {
            let size = mount.options.iter().find_map(|option| option.strip_prefix("size="));
            *shm_size = size.map_or(Ok(*shm_size), bytes)?;
        } else if mount.kind == "tmpfs" {
            // Docker's defaults for such a mount are nosuid, nodev and noexec; here they count only when asked for.
            let mut options: Vec<String> = ["suid", "dev", "exec"].map(str::to_owned).to_vec();
            options.extend(mount.options.iter().filter(|option| !is_propagation(option)).cloned());
            options.retain(|option| !matches!(option.as_str(), "relatime" | "strictatime" | "rw"));
            mounts.push(SandboxMount::Tmpfs { target, size: None, mode: None, options, read_only: false });
        } else {
            return Err(failed(format!("a mount of type `{}` at `{target}` can't be had", mount.kind)));
        }
    }
    Ok(mounts)
}

fn is_propagation(option: &str) -> bool {
    matches!(option.trim_start_matches('r'), "private" | "shared" | "slave" | "unbindable")
}

/// Reads a size of a tmpfs: bytes, or with `k`, `m`, `g`.
fn bytes(text: &str) -> Result<u64, Failure> {
    let number = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match text[number.len()..].to_ascii_lowercase().as_str() {
        "" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        _ => return Err(failed(format!("`{text}` is no size"))),
    };
    number.parse::<u64>().map(|number| number * unit).map_err(|_| failed(format!("`{text}` is no size")))
}

fn bind(mount: &Mount, bundle: &Path, target: String) -> Result<SandboxMount, Failure> {
    let source = mount.source.as_ref().ok_or_else(|| failed(format!("the mount at `{target}` has no source")))?;
    let (mut attributes, mut propagation) = (Attributes::empty(), None);
    let (mut read_only, mut recursive) = (false, false);
    for option in &mount.options {
        match option.as_str() {
            "bind" | "rw" | "suid" | "dev" | "exec" | "relatime" | "defaults" => {}
            "rbind" => recursive = true,
            "ro" => read_only = true,
            "nosuid" => attributes |= Attributes::MOUNT_ATTR_NOSUID,
            "nodev" => attributes |= Attributes::MOUNT_ATTR_NODEV,
            "noexec" => attributes |= Attributes::MOUNT_ATTR_NOEXEC,
            "noatime" => attributes |= Attributes::MOUNT_ATTR_NOATIME,
            "nosymfollow" => attributes |= Attributes::MOUNT_ATTR_NOSYMFOLLOW,
            option if is_propagation(option) => propagation = Some(option.to_owned()),
            other => return Err(failed(format!("the option `{other}` of the mount at `{target}` can't be had"))),
        }
    }
    Ok(SandboxMount::Bind { source: bundle.join(source), target, read_only, attributes, propagation, recursive })
}

/// Returns the limits of a container's groups.
pub(crate) fn limits(resources: &Resources) -> Result<LimitsRecord, Failure> {
    let memory = resources.memory.clone().unwrap_or_default();
    let cpu = resources.cpu.clone().unwrap_or_default();
    if cpu.mems.as_ref().is_some_and(|mems| !mems.is_empty()) {
        return Err(failed("`linux.resources.cpu.mems` can't be done by this runtime"));
    }
    let positive = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok()).filter(|value| *value > 0);
    let mut limits = LimitsRecord {
        memory: positive(memory.limit),
        memory_swap: memory.swap.filter(|swap| *swap != 0),
        memory_reservation: positive(memory.reservation),
        memory_swappiness: memory.swappiness,
        cpu_shares: cpu.shares.filter(|shares| *shares > 0),
        cpu_period: cpu.period.filter(|period| *period > 0),
        cpu_quota: cpu.quota.filter(|quota| *quota != 0),
        cpuset: cpu.cpus.filter(|cpus| !cpus.is_empty()),
        pids: resources.pids.as_ref().map(|pids| pids.limit).filter(|limit| *limit != 0),
        cpu_rt_period: cpu.realtime_period.filter(|period| *period > 0),
        cpu_rt_runtime: cpu.realtime_runtime.filter(|runtime| *runtime != 0),
        oom_kill_disable: memory.disable_oom_killer.unwrap_or(false),
        ..LimitsRecord::default()
    };
    limits.block.weight = resources.block_io.as_ref().and_then(|block| block.weight).filter(|weight| *weight > 0);
    Ok(limits)
}

/// Returns what devices may be used: the usual ones, and those that are allowed beside them.
pub(crate) fn devices(resources: &Resources) -> DevicePolicy {
    let mut policy = DevicePolicy { all: resources.devices.is_empty(), rules: Vec::new() };
    for rule in &resources.devices {
        let access = rule.access.as_deref().unwrap_or("rwm");
        let number = |number: Option<i64>| match number {
            Some(number) if number >= 0 => number.to_string(),
            Some(_) | None => "*".to_owned(),
        };
        match (rule.kind.as_deref(), rule.allow) {
            (None | Some("a" | ""), allow) if rule.major.is_none() && rule.minor.is_none() => {
                policy = DevicePolicy { all: allow && access.contains('r'), rules: Vec::new() };
            }
            (Some(kind), true) => {
                policy.rules.push(format!("{kind} {}:{} {access}", number(rule.major), number(rule.minor)));
            }
            (_, _) => {}
        }
    }
    policy
}
