//! A container as the engine is told of it, made a request to the runtime; what can't be done is refused by name.

use std::path::PathBuf;

use orchestrator::engine::container::{
    BlockLimits, ContainerSpec, Endpoint, FileContent, FileMount, Healthcheck, Limits, Logging, Mount, MountSource,
    NetworkMode, PortBinding, RestartPolicy,
};
use orchestrator::engine::error::{EngineError, ErrorKind};
use runtime::container::request::{
    ContainerRequest, FileContent as Content, FileRequest, HealthcheckRequest, MountRequest, MountSourceRequest,
    NetworkModeRequest,
};
use runtime::state::container::{
    DeviceRecord, EndpointRequest, LimitsRecord, LogRecord, PortRecord, Protocol, RestartRecord, SeccompRecord,
    SecurityRecord,
};

use crate::embedded::errors;

/// What other engines on Linux take without any effect, too, or what only makes things faster or slower.
const IGNORED: [&str; 7] =
    ["blkio_config", "cpu_count", "cpu_percent", "cpu_rt_period", "cpu_rt_runtime", "isolation", "runtime"];

struct Refusal<'a> {
    name: &'a str,
}

impl Refusal<'_> {
    fn because(&self, text: impl std::fmt::Display) -> EngineError {
        let resource = errors::container(self.name);
        let message = format!("cannot create {resource}: {text}");
        EngineError::new(ErrorKind::Unsupported, resource, message)
    }
}

/// Makes the request.
pub(crate) fn request(spec: &ContainerSpec) -> Result<ContainerRequest, EngineError> {
    let refuse = Refusal { name: &spec.name };
    check(spec, &refuse)?;
    Ok(ContainerRequest {
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
        mounts: spec.mounts.iter().map(mount).collect(),
        files: spec.files.iter().map(|it| file(it, &refuse)).collect::<Result<_, _>>()?,
        network: network(&spec.network, &refuse)?,
        ports: spec.ports.iter().map(|it| port(it, &refuse)).collect::<Result<_, _>>()?,
        extra_hosts: spec.extra_hosts.clone(),
        dns: spec.dns.clone(),
        dns_options: spec.dns_opt.clone(),
        dns_search: spec.dns_search.clone(),
        security: security(spec, &refuse)?,
        limits: limits(&spec.limits, spec),
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
    })
}

fn check(spec: &ContainerSpec, refuse: &Refusal<'_>) -> Result<(), EngineError> {
    let is_ignored = |path: &&String| IGNORED.iter().any(|name| path.rsplit('.').next() == Some(*name));
    let asked: Vec<String> = spec.unsupported.iter().cloned().chain(lacking(spec).map(str::to_owned)).collect();
    let (ignored, refused): (Vec<&String>, Vec<&String>) = asked.iter().partition(is_ignored);
    if !refused.is_empty() {
        let list: Vec<String> = refused.iter().map(|path| format!("`{path}`")).collect();
        return Err(refuse.because(format_args!("the embedded runtime can't do {}", list.join(", "))));
    }
    for path in ignored {
        tracing::warn!("`{path}` has no effect with the embedded runtime");
    }
    match spec.userns.as_deref() {
        None | Some("" | "host") => Ok(()),
        Some(other) => Err(refuse.because(format_args!("the user namespace is the host's, not `{other}`"))),
    }
}

/// Names what is asked for and the embedded runtime has not.
fn lacking(spec: &ContainerSpec) -> impl Iterator<Item = &'static str> + use<> {
    let asked = [
        ("blkio_config", spec.limits.block != BlockLimits::default()),
        ("cpu_rt_period", spec.limits.cpu_rt_period.is_some()),
        ("cpu_rt_runtime", spec.limits.cpu_rt_runtime.is_some()),
        ("gpus", !spec.device_requests.is_empty()),
        ("runtime", spec.runtime.is_some()),
        ("storage_opt", !spec.storage_opt.is_empty()),
        ("volumes_from", !spec.volumes_from.is_empty()),
    ];
    asked.into_iter().filter(|(_, asked)| *asked).map(|(name, _)| name)
}

fn restart(policy: RestartPolicy) -> RestartRecord {
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

fn mount(mount: &Mount) -> MountRequest {
    let source = match &mount.source {
        MountSource::Bind { path, create, propagation } => {
            MountSourceRequest::Bind { path: PathBuf::from(path), create: *create, propagation: propagation.clone() }
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
    MountRequest { source, target: mount.target.clone(), read_only: mount.read_only }
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

fn endpoint(endpoint: &Endpoint, refuse: &Refusal<'_>) -> Result<EndpointRequest, EngineError> {
    let address = |text: &Option<String>| match text {
        Some(text) => text.parse().map(Some).map_err(|_| refuse.because(format_args!("`{text}` is not an address"))),
        None => Ok(None),
    };
    Ok(EndpointRequest {
        network: endpoint.network.clone(),
        aliases: endpoint.aliases.clone(),
        ipv4: address(&endpoint.ipv4_address)?,
        ipv6: address(&endpoint.ipv6_address)?,
        mac: endpoint.mac_address.clone(),
        interface_name: endpoint.interface_name.clone(),
        gw_priority: endpoint.gw_priority,
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
    let refuse = Refusal { name: &spec.name };
    spec.ports.iter().filter_map(|it| port(it, &refuse).ok()).collect()
}

fn security(spec: &ContainerSpec, refuse: &Refusal<'_>) -> Result<SecurityRecord, EngineError> {
    let bare = |names: &[String]| {
        let bare = |name: &String| {
            let name = name.to_ascii_uppercase();
            name.strip_prefix("CAP_").unwrap_or(&name).to_owned()
        };
        names.iter().map(bare).collect()
    };
    let mut security = SecurityRecord {
        privileged: spec.privileged,
        read_only: spec.read_only,
        cap_add: bare(&spec.cap_add),
        cap_drop: bare(&spec.cap_drop),
        device_rules: spec.device_cgroup_rules.clone(),
        devices: spec
            .devices
            .iter()
            .map(|device| DeviceRecord {
                source: PathBuf::from(&device.source),
                target: device.target.clone(),
                permissions: device.permissions.clone(),
            })
            .collect(),
        ..SecurityRecord::default()
    };
    for option in &spec.security_opt {
        let (key, value) = option.split_once(['=', ':']).unwrap_or((option, ""));
        match (key, value) {
            ("no-new-privileges", "" | "true") => security.no_new_privileges = true,
            ("no-new-privileges", "false") => {}
            ("seccomp", "unconfined") => security.seccomp = SeccompRecord::Unconfined,
            ("seccomp", "builtin") => {}
            ("seccomp", profile) => security.seccomp = SeccompRecord::Profile(seccomp(profile, refuse)?),
            ("systempaths", "unconfined") => security.unmasked = true,
            // Without such a module there is nothing to confine or to label, and the image runs all the same.
            ("apparmor" | "label", _) => {
                tracing::warn!("`security_opt: {option}` has no effect: no such module is used")
            }
            _ => return Err(refuse.because(format_args!("there is no `security_opt: {option}`"))),
        }
    }
    Ok(security)
}

/// A profile is given as its text, or as the path of a file with it.
fn seccomp(profile: &str, refuse: &Refusal<'_>) -> Result<String, EngineError> {
    if profile.trim_start().starts_with('{') {
        return Ok(profile.into());
    }
    std::fs::read_to_string(profile)
        .map_err(|error| refuse.because(format_args!("cannot read the seccomp profile `{profile}`: {error}")))
}

fn limits(limits: &Limits, spec: &ContainerSpec) -> LimitsRecord {
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
        oom_kill_disable: spec.oom_kill_disable,
        parent: spec.cgroup_parent.clone(),
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
        let asked = ContainerSpec { unsupported: vec!["services.web.gpus".into()], ..spec() };
        let error = request(&asked).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported);
        assert_eq!(
            error.message,
            "cannot create container `shop-web-1`: the embedded runtime can't do `services.web.gpus`"
        );
        let ignored = ContainerSpec { unsupported: vec!["services.web.cpu_count".into()], ..spec() };
        assert!(request(&ignored).is_ok());
    }

    #[test]
    fn security_options_are_told_apart() {
        let options = ["no-new-privileges:true", "seccomp=unconfined", "systempaths=unconfined", "label=disable"];
        let asked = ContainerSpec { security_opt: options.map(Into::into).to_vec(), ..spec() };
        let security = request(&asked).unwrap().security;
        assert!(security.no_new_privileges && security.unmasked);
        assert_eq!(security.seccomp, SeccompRecord::Unconfined);
        let unknown = ContainerSpec { security_opt: vec!["magic".into()], ..spec() };
        assert!(request(&unknown).unwrap_err().message.ends_with("there is no `security_opt: magic`"));
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
