//! The half of a container that is about the machine: mounts, ports, limits, privileges.

use std::collections::HashMap;
use std::net::IpAddr;

use bollard::models::{
    DeviceMapping, DeviceRequest, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig, Mount, MountBindOptions,
    MountImageOptions, MountTmpfsOptions, MountType, MountVolumeOptions, PortBinding, ResourcesBlkioWeightDevice,
    ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum, ThrottleDevice,
};
use orchestrator::engine::container::{
    BlockLimits, ContainerSpec, FileContent, FileMount, Limits, MountSource, NetworkMode, RestartPolicy as Restart,
};
use orchestrator::engine::update::ContainerUpdate;
use serde_json::Value;

use crate::docker::create::{Needs, own_links, some};
use crate::docker::fault::{Fault, Version};

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Makes the body's `HostConfig`.
pub(crate) fn host_config(spec: &ContainerSpec, needs: &Needs) -> Result<HostConfig, Fault> {
    if !spec.annotations.is_empty() {
        needs.at_least("annotations", Version(1, 43))?;
    }
    let mut config = HostConfig {
        network_mode: Some(network_mode(&spec.network)),
        port_bindings: Some(ports(spec)),
        restart_policy: restart(spec.restart),
        auto_remove: Some(spec.auto_remove),
        volumes_from: some(spec.volumes_from.clone()),
        annotations: some(spec.annotations.clone().into_iter().collect()),
        cap_add: some(capabilities(&spec.cap_add)),
        cap_drop: some(capabilities(&spec.cap_drop)),
        cgroupns_mode: cgroup_namespace(spec.cgroup.as_deref())?,
        cgroup_parent: spec.cgroup_parent.clone(),
        dns: some(spec.dns.clone()),
        dns_options: some(spec.dns_opt.clone()),
        dns_search: some(spec.dns_search.clone()),
        extra_hosts: Some(spec.extra_hosts.iter().map(|(host, address)| format!("{host}:{address}")).collect()),
        group_add: some(spec.group_add.clone()),
        init: spec.init.then_some(true),
        ipc_mode: spec.ipc.clone(),
        pid_mode: spec.pid.clone(),
        uts_mode: spec.uts.clone(),
        userns_mode: spec.userns.clone(),
        oom_score_adj: spec.oom_score_adj,
        oom_kill_disable: Some(spec.oom_kill_disable),
        privileged: Some(spec.privileged),
        readonly_rootfs: Some(spec.read_only),
        shm_size: spec.shm_size.map(signed),
        sysctls: some(spec.sysctls.clone().into_iter().collect()),
        storage_opt: some(spec.storage_opt.clone().into_iter().collect()),
        runtime: spec.runtime.clone(),
        ulimits: some(spec.ulimits.iter().map(|(name, (soft, hard))| ulimit(name, *soft, *hard)).collect()),
        device_cgroup_rules: some(spec.device_cgroup_rules.clone()),
        log_config: log(spec),
        links: some(own_links(&spec.network)),
        ..HostConfig::default()
    };
    devices(spec, &mut config);
    limits(&spec.limits, &mut config);
    security(spec, &mut config)?;
    mounts(spec, needs, &mut config)?;
    Ok(config)
}

fn network_mode(mode: &NetworkMode) -> String {
    match mode {
        NetworkMode::None => "none".to_owned(),
        NetworkMode::Host => "host".to_owned(),
        NetworkMode::Container(id) => format!("container:{id}"),
        NetworkMode::Networks(endpoints) => endpoints.first().map_or("none", |first| &first.network).to_owned(),
    }
}

fn ports(spec: &ContainerSpec) -> HashMap<String, Option<Vec<PortBinding>>> {
    let mut ports: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for port in &spec.ports {
        let host_port = match port.host_ports {
            None => String::new(),
            Some((first, last)) if first == last => first.to_string(),
            Some((first, last)) => format!("{first}-{last}"),
        };
        let binding = PortBinding {
            host_ip: Some(port.host_ip.as_ref().map(IpAddr::to_string).unwrap_or_default()),
            host_port: Some(host_port),
        };
        let key = format!("{}/{}", port.container_port, port.protocol);
        ports.entry(key).or_default().get_or_insert_default().push(binding);
    }
    ports
}

/// Capabilities as the docker command names them: each once, in order, `CAP_` before it.
fn capabilities(names: &[String]) -> Vec<String> {
    let full = |name: &String| match name.to_ascii_uppercase() {
        all if all == "ALL" => all,
        name if name.starts_with("CAP_") => name,
        name => format!("CAP_{name}"),
    };
    names.iter().map(full).collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

fn restart(policy: Restart) -> Option<RestartPolicy> {
    let (name, times) = match policy {
        Restart::No => return None,
        Restart::Always => (RestartPolicyNameEnum::ALWAYS, None),
        Restart::UnlessStopped => (RestartPolicyNameEnum::UNLESS_STOPPED, None),
        Restart::OnFailure(times) => (RestartPolicyNameEnum::ON_FAILURE, times.map(i64::from)),
    };
    Some(RestartPolicy { name: Some(name), maximum_retry_count: times })
}

fn cgroup_namespace(mode: Option<&str>) -> Result<Option<HostConfigCgroupnsModeEnum>, Fault> {
    match mode {
        None | Some("") => Ok(None),
        Some("private") => Ok(Some(HostConfigCgroupnsModeEnum::PRIVATE)),
        Some("host") => Ok(Some(HostConfigCgroupnsModeEnum::HOST)),
        Some(other) => {
            Err(Fault::Broken { why: format!("the cgroup namespace is `host` or `private`, not `{other}`") })
        }
    }
}

fn ulimit(name: &str, soft: i64, hard: i64) -> ResourcesUlimits {
    ResourcesUlimits { name: Some(name.to_owned()), soft: Some(soft), hard: Some(hard) }
}

fn log(spec: &ContainerSpec) -> Option<HostConfigLogConfig> {
    let logging = &spec.logging;
    if logging.driver.is_none() && logging.options.is_empty() {
        return None;
    }
    Some(HostConfigLogConfig {
        typ: logging.driver.clone(),
        config: some(logging.options.clone().into_iter().collect()),
    })
}

/// Says whether a device is named by the Container Device Interface: `vendor.com/class=name`.
fn is_cdi(source: &str) -> bool {
    source.split_once('=').is_some_and(|(kind, name)| {
        !name.is_empty()
            && !kind.starts_with('/')
            && kind.split_once('/').is_some_and(|(vendor, class)| !vendor.is_empty() && !class.is_empty())
    })
}

fn devices(spec: &ContainerSpec, config: &mut HostConfig) {
    let (named, paths): (Vec<_>, Vec<_>) =
        spec.devices.iter().partition(|device| device.source == device.target && is_cdi(&device.source));
    config.devices = some(
        paths
            .iter()
            .map(|device| DeviceMapping {
                path_on_host: Some(device.source.clone()),
                path_in_container: Some(device.target.clone()),
                cgroup_permissions: Some(device.permissions.clone()),
            })
            .collect(),
    );
    let mut requests: Vec<DeviceRequest> = spec
        .device_requests
        .iter()
        .map(|request| DeviceRequest {
            driver: request.driver.clone(),
            count: request.count,
            device_ids: some(request.device_ids.clone()),
            capabilities: some(vec![request.capabilities.clone()]).filter(|sets| !sets[0].is_empty()),
            options: some(request.options.clone().into_iter().collect()),
        })
        .collect();
    if !named.is_empty() {
        requests.push(DeviceRequest {
            driver: Some("cdi".to_owned()),
            device_ids: Some(named.iter().map(|device| device.source.clone()).collect()),
            ..DeviceRequest::default()
        });
    }
    config.device_requests = some(requests);
}

/// Returns the body of `POST /containers/ID/update`.
pub(crate) fn update(update: &ContainerUpdate) -> Result<Value, Fault> {
    let mut config = HostConfig::default();
    limits(&update.limits, &mut config);
    config.restart_policy = match update.restart {
        Some(Restart::No) => Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None }),
        Some(policy) => restart(policy),
        None => None,
    };
    serde_json::to_value(config).map_err(|error| Fault::Broken { why: error.to_string() })
}

fn limits(limits: &Limits, config: &mut HostConfig) {
    config.memory = limits.memory.map(signed);
    config.memory_swap = limits.memory_swap;
    config.memory_reservation = limits.memory_reservation.map(signed);
    config.memory_swappiness = limits.memory_swappiness.map(signed);
    config.nano_cpus = limits.nano_cpus.map(signed);
    config.cpu_shares = limits.cpu_shares.map(signed);
    config.cpu_period = limits.cpu_period.map(signed);
    config.cpu_quota = limits.cpu_quota;
    config.cpu_realtime_period = limits.cpu_rt_period.map(signed);
    config.cpu_realtime_runtime = limits.cpu_rt_runtime;
    config.cpuset_cpus = limits.cpuset.clone();
    config.pids_limit = limits.pids;
    let BlockLimits { weight, weight_device, device_read_bps, device_write_bps, device_read_iops, device_write_iops } =
        &limits.block;
    let rates = |rates: &[(String, u64)]| {
        let rate =
            |(path, rate): &(String, u64)| ThrottleDevice { path: Some(path.clone()), rate: Some(signed(*rate)) };
        some(rates.iter().map(rate).collect::<Vec<_>>())
    };
    config.blkio_weight = *weight;
    config.blkio_weight_device = some(
        weight_device
            .iter()
            .map(|(path, weight)| ResourcesBlkioWeightDevice {
                path: Some(path.clone()),
                weight: usize::try_from(*weight).ok(),
            })
            .collect(),
    );
    config.blkio_device_read_bps = rates(device_read_bps);
    config.blkio_device_write_bps = rates(device_write_bps);
    config.blkio_device_read_iops = rates(device_read_iops);
    config.blkio_device_write_iops = rates(device_write_iops);
}

/// The engine is told a seccomp profile by its text; `systempaths` are two lists of their own.
fn security(spec: &ContainerSpec, config: &mut HostConfig) -> Result<(), Fault> {
    let mut options = Vec::new();
    for option in &spec.security_opt {
        if option == "systempaths=unconfined" {
            config.masked_paths = Some(Vec::new());
            config.readonly_paths = Some(Vec::new());
            continue;
        }
        match option.split_once(['=', ':']) {
            Some(("seccomp", profile)) if profile != "unconfined" && profile != "builtin" => {
                let broken = |why: &dyn std::fmt::Display| Fault::Broken {
                    why: format!("the seccomp profile `{profile}` can't be read: {why}"),
                };
                let text = std::fs::read_to_string(profile).map_err(|error| broken(&error))?;
                let json: Value = serde_json::from_str(&text).map_err(|error| broken(&error))?;
                options.push(format!("seccomp={json}"));
            }
            Some(_) | None => options.push(option.clone()),
        }
    }
    config.security_opt = some(options);
    Ok(())
}

/// Says whether a file of the host is mounted as it is; one with an owner or mode of its own is copied in.
pub(crate) fn is_mounted(file: &FileMount) -> bool {
    matches!(file.content, FileContent::Path(_)) && file.uid.is_none() && file.gid.is_none() && file.mode.is_none()
}

fn mounts(spec: &ContainerSpec, needs: &Needs, config: &mut HostConfig) -> Result<(), Fault> {
    let (mut binds, mut mounts, mut tmpfs) = (Vec::new(), Vec::new(), HashMap::new());
    for mount in &spec.mounts {
        let access = if mount.read_only { "ro" } else { "rw" };
        let of = |typ: MountType, source: Option<String>| Mount {
            target: Some(mount.target.clone()),
            source,
            typ: Some(typ),
            read_only: some(mount.read_only),
            ..Mount::default()
        };
        // Only the old form makes a missing folder of the host, and only the new one takes a colon.
        let is_plain = |source: &str| !source.contains(':') && !mount.target.contains(':');
        match &mount.source {
            MountSource::Bind { path, create: true, propagation, recursive: None, selinux }
                if is_plain(path) && (propagation.is_none() || selinux.is_some()) =>
            {
                // The new form knows no labels.
                let words = [Some(access), selinux.as_deref(), propagation.as_deref()];
                let words: Vec<&str> = words.into_iter().flatten().collect();
                binds.push(format!("{path}:{}:{}", mount.target, words.join(",")));
            }
            MountSource::Bind { path, propagation, recursive, .. } => mounts.push(Mount {
                bind_options: bind_options(propagation.as_deref(), recursive.as_deref(), needs)?,
                ..of(MountType::BIND, Some(path.clone()))
            }),
            MountSource::Volume { name, nocopy: false, subpath: None } if is_plain(name) => {
                binds.push(format!("{name}:{}:{access}", mount.target));
            }
            MountSource::Volume { name, nocopy, subpath } => {
                if subpath.is_some() {
                    needs.at_least("volume.subpath", Version(1, 45))?;
                }
                let options =
                    MountVolumeOptions { no_copy: some(*nocopy), subpath: subpath.clone(), ..Default::default() };
                mounts.push(Mount { volume_options: Some(options), ..of(MountType::VOLUME, Some(name.clone())) });
            }
            MountSource::Anonymous { name } => mounts.push(Mount {
                volume_options: Some(MountVolumeOptions::default()),
                ..of(MountType::VOLUME, name.clone())
            }),
            MountSource::Tmpfs { size, mode, options } if !options.is_empty() || (size.is_none() && mode.is_none()) => {
                let size = size.map(|size| format!("size={size}"));
                let mode = mode.map(|mode| format!("mode={mode:o}"));
                let read_only = mount.read_only.then(|| "ro".to_owned());
                let all: Vec<String> = size.into_iter().chain(mode).chain(read_only).chain(options.clone()).collect();
                tmpfs.insert(mount.target.clone(), all.join(","));
            }
            MountSource::Tmpfs { size, mode, .. } => mounts.push(Mount {
                tmpfs_options: Some(MountTmpfsOptions {
                    size_bytes: size.map(signed),
                    mode: mode.map(i64::from),
                    options: None,
                }),
                ..of(MountType::TMPFS, None)
            }),
            MountSource::Image { reference, subpath } => {
                needs.at_least("an image as a volume", Version(1, 48))?;
                mounts.push(Mount {
                    image_options: Some(MountImageOptions { subpath: subpath.clone() }),
                    ..of(MountType::IMAGE, Some(reference.clone()))
                });
            }
        }
    }
    for file in spec.files.iter().filter(|file| is_mounted(file)) {
        if let FileContent::Path(path) = &file.content {
            mounts.push(Mount {
                target: Some(file.target.clone()),
                source: Some(path.clone()),
                typ: Some(MountType::BIND),
                read_only: Some(true),
                ..Mount::default()
            });
        }
    }
    config.binds = some(binds);
    config.mounts = some(mounts);
    config.tmpfs = some(tmpfs);
    Ok(())
}

fn bind_options(
    propagation: Option<&str>,
    recursive: Option<&str>,
    needs: &Needs,
) -> Result<Option<MountBindOptions>, Fault> {
    let unknown = |what: &str, word: &str| Fault::Broken { why: format!("{what} `{word}` of a mount is unknown") };
    let parse = |word: &str| word.parse().map_err(|_| unknown("the propagation", word));
    let propagation = propagation.map(parse).transpose()?;
    let mut options = MountBindOptions { propagation, ..MountBindOptions::default() };
    match recursive {
        None | Some("" | "enabled") => {}
        Some("disabled") => options.non_recursive = Some(true),
        Some(word @ ("writable" | "readonly")) => {
            needs.at_least(&format!("bind.recursive: {word}"), Version(1, 44))?;
            match word {
                "writable" => options.read_only_non_recursive = Some(true),
                _ => options.read_only_force_recursive = Some(true),
            }
        }
        Some(other) => return Err(unknown("the recursion", other)),
    }
    Ok(some(options))
}

#[cfg(test)]
mod tests {
    use super::*;
    use orchestrator::engine::container::Mount as Asked;

    #[test]
    fn a_bind_is_relabelled_where_that_is_asked_for() {
        let bind = |selinux: Option<&str>, propagation: Option<&str>| {
            let (path, create, recursive) = ("/data".to_owned(), true, None);
            let (propagation, selinux) = (propagation.map(Into::into), selinux.map(Into::into));
            let source = MountSource::Bind { path, create, propagation, recursive, selinux };
            let mount = Asked { source, target: "/x".into(), read_only: false };
            let spec = ContainerSpec { mounts: vec![mount], ..ContainerSpec::default() };
            let mut config = HostConfig::default();
            mounts(&spec, &Needs { has: Version(1, 40) }, &mut config).unwrap();
            config.binds.unwrap_or_default()
        };
        assert_eq!(bind(None, None), ["/data:/x:rw"]);
        assert_eq!(bind(Some("z"), None), ["/data:/x:rw,z"]);
        assert_eq!(bind(Some("Z"), Some("rslave")), ["/data:/x:rw,Z,rslave"]);
        assert!(bind(None, Some("rslave")).is_empty());
    }
}
