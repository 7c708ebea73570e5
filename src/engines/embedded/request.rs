//! A container as the engine is told of it, made a request to the runtime; what can't be done is refused by name.

use std::path::PathBuf;

use orchestrator::engine::container::{
    ContainerSpec, Endpoint, FileContent, FileMount, Healthcheck, Limits, Logging, Mount, MountSource, NetworkMode,
    PortBinding, RestartPolicy,
};
use orchestrator::engine::error::{EngineError, ErrorKind};
use runtime::cgroup;
use runtime::container::request::{
    ContainerRequest, FileContent as Content, FileRequest, HealthcheckRequest, MountRequest, MountSourceRequest,
    NetworkModeRequest, VolumesFrom,
};
use runtime::state::container::{
    BlockRecord, EndpointRequest, LimitsRecord, LogRecord, PortRecord, Protocol, RestartRecord,
};
use runtime::state::selinux::Relabel;

use crate::embedded::{cdi, errors, security};

/// What other engines on Linux take without any effect, too.
const IGNORED: [&str; 2] = ["cpu_count", "cpu_percent"];
/// Names of programs that do what the embedded runtime does.
const RUNTIMES: [&str; 4] = ["", "runc", "crun", "io.containerd.runc.v2"];

const PROPAGATIONS: [&str; 7] = ["", "private", "rprivate", "shared", "rshared", "slave", "rslave"];

pub(super) struct Refusal<'a> {
    act: &'static str,
    name: &'a str,
}

impl Refusal<'_> {
    pub(super) fn because(&self, text: impl std::fmt::Display) -> EngineError {
        let resource = errors::container(self.name);
        let message = format!("cannot {} {resource}: {text}", self.act);
        EngineError::new(ErrorKind::Unsupported, resource, message)
    }
}

/// Returns the names that the container alone has for others, once each.
fn links(network: &NetworkMode) -> Vec<(String, String)> {
    let NetworkMode::Networks(endpoints) = network else { return Vec::new() };
    let mut links: Vec<(String, String)> = endpoints.iter().flat_map(|endpoint| endpoint.links.clone()).collect();
    links.sort();
    links.dedup();
    links
}

/// Makes the request.
pub(crate) fn request(spec: &ContainerSpec) -> Result<ContainerRequest, EngineError> {
    let refuse = Refusal { act: "create", name: &spec.name };
    check(spec, &refuse)?;
    let limits = LimitsRecord {
        oom_kill_disable: spec.oom_kill_disable,
        storage: storage(spec, &refuse)?,
        parent: spec.cgroup_parent.clone(),
        ..limits(&spec.limits)
    };
    for name in cgroup::limits::without_effect(&limits) {
        tracing::warn!("`{name}` of {} has no effect on this host", errors::container(&spec.name));
    }
    let mut request = ContainerRequest {
        name: spec.name.clone(),
        image: spec.image.clone(),
        labels: spec.labels.clone(),
        annotations: spec.annotations.clone(),
        command: spec.command.clone(),
        entrypoint: spec.entrypoint.clone(),
        environment: spec.environment.clone(),
        working_dir: spec.working_dir.clone(),
        user: spec.user.clone(),
        additional_groups: spec.group_add.clone(),
        hostname: spec.hostname.clone(),
        domainname: spec.domainname.clone(),
        tty: spec.tty,
        stdin_open: spec.stdin_open,
        init: spec.init,
        stop_signal: spec.stop_signal.clone(),
        stop_grace: spec.stop_grace_period,
        restart: restart(spec.restart),
        healthcheck: spec.healthcheck.as_ref().map(healthcheck),
        mounts: spec.mounts.iter().map(|it| mount(it, &refuse)).collect::<Result<_, _>>()?,
        volumes_from: spec.volumes_from.iter().map(|it| volumes_from(it, &refuse)).collect::<Result<_, _>>()?,
        files: spec.files.iter().map(|it| file(it, &refuse)).collect::<Result<_, _>>()?,
        network: network(&spec.network, &refuse)?,
        ports: spec.ports.iter().map(|it| port(it, &refuse)).collect::<Result<_, _>>()?,
        extra_hosts: spec.extra_hosts.clone(),
        links: links(&spec.network),
        dns: spec.dns.clone(),
        dns_options: spec.dns_opt.clone(),
        dns_search: spec.dns_search.clone(),
        security: security::security(spec, &refuse)?,
        limits,
        sysctls: spec.sysctls.clone(),
        ulimits: spec.ulimits.clone(),
        shm_size: spec.shm_size,
        oom_score_adj: spec.oom_score_adj,
        pid: spec.pid.clone(),
        ipc: spec.ipc.clone(),
        uts: spec.uts.clone(),
        cgroup: spec.cgroup.clone(),
        log: log(&spec.logging, &refuse)?,
        stdin_once: spec.stdin_once,
        auto_remove: spec.auto_remove,
    };
    cdi::apply(spec, &mut request).map_err(|problem| refuse.because(problem))?;
    Ok(request)
}

fn check(spec: &ContainerSpec, refuse: &Refusal<'_>) -> Result<(), EngineError> {
    let is_ignored = |path: &&String| IGNORED.iter().any(|name| path.rsplit('.').next() == Some(*name));
    let (ignored, refused): (Vec<&String>, Vec<&String>) = spec.unsupported.iter().partition(is_ignored);
    if !refused.is_empty() {
        let list: Vec<String> = refused.iter().map(|path| format!("`{path}`")).collect();
        return Err(refuse.because(format_args!("the embedded runtime can't do {}", list.join(", "))));
    }
    for path in ignored {
        tracing::warn!("`{path}` has no effect with the embedded runtime");
    }
    refuse_the_impossible(spec, refuse)?;
    match spec.userns.as_deref() {
        None | Some("" | "host") => Ok(()),
        Some(other) => Err(refuse.because(format_args!("the user namespace is the host's, not `{other}`"))),
    }
}

/// Refuses what is asked for and can't be had, with the reason.
fn refuse_the_impossible(spec: &ContainerSpec, refuse: &Refusal<'_>) -> Result<(), EngineError> {
    if let Some(other) = spec.runtime.as_deref().filter(|name| !RUNTIMES.contains(name)) {
        return Err(refuse.because(format_args!("there is no runtime `{other}`: the embedded one is the only one")));
    }
    storage(spec, refuse).map(drop)
}

/// Bytes that may be written to the root: `storage_opt: {size: 10G}`, the one option that Docker has on an overlay.
fn storage(spec: &ContainerSpec, refuse: &Refusal<'_>) -> Result<Option<u64>, EngineError> {
    if let Some(other) = spec.storage_opt.keys().find(|key| *key != "size") {
        return Err(refuse.because(format_args!("there is no `storage_opt: {other}`, only `size`")));
    }
    let Some(text) = spec.storage_opt.get("size") else { return Ok(None) };
    match size(text) {
        Some(bytes @ Some(1..)) => Ok(bytes),
        _ => Err(refuse.because(format_args!("`storage_opt: size={text}` is no size, such as `10G`"))),
    }
}

pub(super) fn restart(policy: RestartPolicy) -> RestartRecord {
    match policy {
        RestartPolicy::No => RestartRecord::No,
        RestartPolicy::Always => RestartRecord::Always,
        RestartPolicy::UnlessStopped => RestartRecord::UnlessStopped,
        RestartPolicy::OnFailure(max) => RestartRecord::OnFailure { max },
    }
}

fn healthcheck(check: &Healthcheck) -> HealthcheckRequest {
    HealthcheckRequest {
        test: check.test.clone(),
        interval: check.interval,
        timeout: check.timeout,
        retries: check.retries.map(|retries| u32::try_from(retries).unwrap_or(u32::MAX)),
        start_period: check.start_period,
        start_interval: check.start_interval,
    }
}

/// `NAME`, `NAME:ro`, `NAME:rw`.
fn volumes_from(entry: &str, refuse: &Refusal<'_>) -> Result<VolumesFrom, EngineError> {
    let (container, mode) = entry.split_once(':').unwrap_or((entry, "rw"));
    if !matches!(mode, "ro" | "rw" | "z" | "Z") {
        return Err(refuse.because(format_args!("`volumes_from: {entry}` has the unknown mode `{mode}`")));
    }
    Ok(VolumesFrom { container: container.to_owned(), read_only: mode == "ro" })
}

fn mount(mount: &Mount, refuse: &Refusal<'_>) -> Result<MountRequest, EngineError> {
    let source = match &mount.source {
        MountSource::Bind { path, create, propagation, recursive, selinux } => {
            let wrong = |key: &str, text: &str| {
                refuse.because(format_args!("the mount of `{path}` can't have `{key}: {text}`"))
            };
            if let Some(other) = propagation.as_deref().filter(|text| !PROPAGATIONS.contains(text)) {
                return Err(wrong("propagation", other));
            }
            let recursive = match recursive.as_deref() {
                // Read-only means all of it, as with Docker where the kernel can.
                None | Some("" | "enabled" | "readonly") => true,
                Some("disabled") => false,
                Some("writable") if !mount.read_only => true,
                Some(other) => return Err(wrong("recursive", other)),
            };
            let (path, propagation) = (PathBuf::from(path), propagation.clone());
            let relabel = match selinux.as_deref() {
                None | Some("") => None,
                Some("z") => Some(Relabel::Shared),
                Some("Z") => Some(Relabel::Private),
                Some(other) => return Err(refuse.because(format_args!("`selinux: {other}` is neither `z` nor `Z`"))),
            };
            MountSourceRequest::Bind { path, create: *create, propagation, recursive, relabel }
        }
        MountSource::Volume { name, nocopy, subpath } => {
            MountSourceRequest::Volume { name: name.clone(), nocopy: *nocopy, subpath: subpath.clone() }
        }
        MountSource::Anonymous { name } => MountSourceRequest::Anonymous { name: name.clone() },
        MountSource::Tmpfs { size, mode, options } => {
            MountSourceRequest::Tmpfs { size: *size, mode: *mode, options: options.clone() }
        }
        MountSource::Image { reference, subpath } => {
            MountSourceRequest::Image { reference: reference.clone(), subpath: subpath.clone() }
        }
    };
    Ok(MountRequest { source, target: mount.target.clone(), read_only: mount.read_only })
}

fn file(file: &FileMount, refuse: &Refusal<'_>) -> Result<FileRequest, EngineError> {
    let number = |text: &Option<String>| match text {
        Some(text) => text
            .parse()
            .map(Some)
            .map_err(|_| refuse.because(format_args!("the owner of `{}` must be a number, not `{text}`", file.target))),
        None => Ok(None),
    };
    Ok(FileRequest {
        target: file.target.clone(),
        content: match &file.content {
            FileContent::Path(path) => Content::Path(PathBuf::from(path)),
            FileContent::Inline(content) => Content::Inline(content.clone()),
        },
        uid: number(&file.uid)?,
        gid: number(&file.gid)?,
        mode: file.mode,
    })
}

fn network(mode: &NetworkMode, refuse: &Refusal<'_>) -> Result<NetworkModeRequest, EngineError> {
    Ok(match mode {
        NetworkMode::None => NetworkModeRequest::None,
        NetworkMode::Host => NetworkModeRequest::Host,
        NetworkMode::Container(name) => NetworkModeRequest::Container(name.clone()),
        NetworkMode::Networks(endpoints) => {
            // The highest priority comes first; the order given decides between equals.
            let mut ordered: Vec<&Endpoint> = endpoints.iter().collect();
            ordered.sort_by_key(|endpoint| std::cmp::Reverse(endpoint.priority));
            NetworkModeRequest::Networks(ordered.into_iter().map(|it| endpoint(it, refuse)).collect::<Result<_, _>>()?)
        }
    })
}

/// Makes the request of a container that is there to be on one more network.
pub(crate) fn place(name: &str, wanted: &Endpoint) -> Result<EndpointRequest, EngineError> {
    endpoint(wanted, &Refusal { act: "connect", name })
}

fn endpoint(endpoint: &Endpoint, refuse: &Refusal<'_>) -> Result<EndpointRequest, EngineError> {
    let address = |text: &Option<String>| match text {
        Some(text) => text.parse().map(Some).map_err(|_| refuse.because(format_args!("`{text}` is not an address"))),
        None => Ok(None),
    };
    let mut interface_name = endpoint.interface_name.clone();
    let mut sysctls = Vec::new();
    for (key, value) in &endpoint.driver_opts {
        match key.as_str() {
            "com.docker.network.endpoint.ifname" => interface_name = interface_name.or_else(|| Some(value.clone())),
            "com.docker.network.endpoint.sysctls" => {
                for setting in value.split(',').filter(|setting| !setting.is_empty()) {
                    let parts = setting.split_once('=');
                    let of_link = parts.filter(|(name, _)| name.starts_with("net.") && name.contains(".IFNAME."));
                    let (name, value) = of_link.ok_or_else(|| {
                        refuse.because(format_args!("`{setting}` is no setting such as net.ipv4.conf.IFNAME.name=1"))
                    })?;
                    sysctls.push((name.to_owned(), value.to_owned()));
                }
            }
            other => return Err(refuse.because(format_args!("there is no option `{other}` of a place on a network"))),
        }
    }
    Ok(EndpointRequest {
        network: endpoint.network.clone(),
        aliases: endpoint.aliases.clone(),
        ipv4: address(&endpoint.ipv4_address)?,
        ipv6: address(&endpoint.ipv6_address)?,
        mac: endpoint.mac_address.clone(),
        interface_name,
        gw_priority: endpoint.gw_priority,
        link_local: endpoint
            .link_local_ips
            .iter()
            .map(|text| text.parse().map_err(|_| refuse.because(format_args!("`{text}` is not an address"))))
            .collect::<Result<_, _>>()?,
        sysctls,
    })
}

fn port(port: &PortBinding, refuse: &Refusal<'_>) -> Result<PortRecord, EngineError> {
    let protocol = match port.protocol.as_str() {
        "" | "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        other => {
            return Err(refuse.because(format_args!("port {} has unknown protocol `{other}`", port.container_port)));
        }
    };
    Ok(PortRecord { host_ip: port.host_ip, host_ports: port.host_ports, container_port: port.container_port, protocol })
}

/// Makes the ports of a request; one that can't be is no conflict, and refused when its container is created.
pub(crate) fn ports(spec: &ContainerSpec) -> Vec<PortRecord> {
    let refuse = Refusal { act: "create", name: &spec.name };
    spec.ports.iter().filter_map(|it| port(it, &refuse).ok()).collect()
}

/// Puts limits into the runtime's words.
pub(crate) fn limits(limits: &Limits) -> LimitsRecord {
    LimitsRecord {
        memory: limits.memory,
        memory_swap: limits.memory_swap,
        memory_reservation: limits.memory_reservation,
        memory_swappiness: limits.memory_swappiness,
        nano_cpus: limits.nano_cpus,
        cpu_shares: limits.cpu_shares,
        cpu_period: limits.cpu_period,
        cpu_quota: limits.cpu_quota,
        cpuset: limits.cpuset.clone(),
        pids: limits.pids,
        cpu_rt_period: limits.cpu_rt_period,
        cpu_rt_runtime: limits.cpu_rt_runtime,
        block: BlockRecord {
            weight: limits.block.weight,
            weights: limits.block.weight_device.clone(),
            read_bytes: limits.block.device_read_bps.clone(),
            write_bytes: limits.block.device_write_bps.clone(),
            read_operations: limits.block.device_read_iops.clone(),
            write_operations: limits.block.device_write_iops.clone(),
        },
        ..LimitsRecord::default()
    }
}

fn log(logging: &Logging, refuse: &Refusal<'_>) -> Result<LogRecord, EngineError> {
    // Docker's `local` rotates by itself: five files of 20 MB.
    let (max_size, max_files) = match logging.driver.as_deref() {
        None | Some("" | "json-file") => (None, 1),
        Some("local") => (Some(20 << 20), 5),
        Some("none") => return Ok(LogRecord { disabled: true, max_size: None, max_files: 1 }),
        Some(other) => return Err(refuse.because(format_args!("there is no logging driver `{other}`"))),
    };
    let mut record = LogRecord { disabled: false, max_size, max_files };
    for (key, value) in &logging.options {
        let bad = || refuse.because(format_args!("logging option `{key}: {value}` is not understood"));
        match key.as_str() {
            "max-size" => record.max_size = size(value).ok_or_else(bad)?,
            "max-file" => record.max_files = value.parse().map_err(|_| bad())?,
            // They add to what only other readers of the log show.
            "compress" | "labels" | "labels-regex" | "env" | "env-regex" | "tag" | "mode" | "max-buffer-size" => {
                tracing::warn!("logging option `{key}` has no effect with the embedded runtime");
            }
            _ => return Err(bad()),
        }
    }
    Ok(record)
}

/// `10m`, `1.5g`, `1024`, `-1` for no limit; the inner `None` is none, the outer one no size.
fn size(text: &str) -> Option<Option<u64>> {
    if text == "-1" {
        return Some(None);
    }
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match &lower[digits.len()..] {
        "" | "b" => 0,
        "k" | "kb" => 10,
        "m" | "mb" => 20,
        "g" | "gb" => 30,
        _ => return None,
    };
    let number: f64 = digits.parse().ok().filter(|number: &f64| *number > 0.0 && number.is_finite())?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is positive, and saturates")]
    let bytes = (number * f64::from(1_u32 << shift)) as u64;
    Some(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> ContainerSpec {
        ContainerSpec { name: "shop-web-1".into(), image: "web".into(), ..ContainerSpec::default() }
    }

    #[test]
    fn sizes_are_read_as_docker_does() {
        assert_eq!(size("10m"), Some(Some(10 << 20)));
        assert_eq!(size("1.5kb"), Some(Some(1536)));
        assert_eq!(size("-1"), Some(None));
        assert_eq!(size("much"), None);
    }

    #[test]
    fn what_can_not_be_done_is_named() {
        let asked = ContainerSpec { unsupported: vec!["services.web.models".into()], ..spec() };
        let error = request(&asked).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported);
        assert_eq!(
            error.message,
            "cannot create container `shop-web-1`: the embedded runtime can't do `services.web.models`"
        );
        let ignored = ContainerSpec { unsupported: vec!["services.web.cpu_count".into()], ..spec() };
        assert!(request(&ignored).is_ok());
    }

    #[test]
    fn the_network_of_highest_priority_comes_first() {
        let endpoint = |network: &str, priority| Endpoint { network: network.into(), priority, ..Endpoint::default() };
        let asked = ContainerSpec {
            network: NetworkMode::Networks(vec![endpoint("a", 0), endpoint("b", 10), endpoint("c", 0)]),
            ..spec()
        };
        let NetworkModeRequest::Networks(endpoints) = request(&asked).unwrap().network else { panic!() };
        let names: Vec<&str> = endpoints.iter().map(|endpoint| endpoint.network.as_str()).collect();
        assert_eq!(names, ["b", "a", "c"]);
    }
}
