//! Containers, networks and volumes in the words of the Docker API: what `inspect` prints.

use std::collections::BTreeMap;
use std::net::IpAddr;

use orchestrator::engine::error::{EngineError, ErrorKind};
use runtime::Runtime;
use runtime::container::list::{self, Container};
use runtime::container::signal;
use runtime::image::config::ContainerConfig;
use runtime::image::store;
use runtime::state::container::{
    ContainerRecord, HealthRecord, MountRecord, MountSourceRecord, NamespaceRecord, NetworkModeRecord, PortRecord,
    RestartRecord, Status, StatusRecord,
};
use runtime::state::network::{EndpointRecord, NetworkRecord};
use runtime::state::selinux::Relabel;
use runtime::state::volume::VolumeRecord;
use runtime::{network, volume};
use serde_json::{Map, Value, json};

use crate::embedded::stamp;
use crate::embedded::summary::Networks;
use crate::embedded::{errors, predefined, security, summary};

/// What the Docker API says of a time that never was.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// Describes a container (`GET /containers/ID/json`).
pub(crate) fn container(rt: &Runtime, name: &str, networks: &Networks) -> Result<Value, EngineError> {
    let container = list::find(rt, name).map_err(|error| errors::find(name, &error))?;
    let (record, status) = (&container.record, &container.status);
    // An image that has been removed by force: then all words are the container's own.
    let image = store::find(rt, &record.image_id).ok().flatten();
    let image = image.map(|image| image.config.config).unwrap_or_default();
    let bundle = rt.layout.bundle(&record.id);
    let labels = record.security.selinux.labels.as_ref();
    Ok(json!({
        "Id": record.id,
        "Created": stamp::format(stamp::of_millis(record.created_ms)),
        "Path": record.process.args.first(),
        "Args": record.process.args.get(1..).unwrap_or_default(),
        "State": state(status),
        "Image": record.image_id,
        "ResolvConfPath": bundle.files().join("resolv.conf"),
        "HostnamePath": bundle.files().join("hostname"),
        "HostsPath": bundle.files().join("hosts"),
        "LogPath": if record.log.disabled { String::new() } else { bundle.log().join("current.log").display().to_string() },
        "Name": format!("/{}", record.name),
        "RestartCount": status.restarts,
        "Driver": "overlay2",
        "Platform": "linux",
        "MountLabel": labels.map_or("", |labels| &labels.file),
        "ProcessLabel": labels.map_or("", |labels| &labels.process),
        "AppArmorProfile": security::apparmor(&record.security),
        "ExecIDs": null,
        "HostConfig": host_config(record, networks),
        "GraphDriver": { "Name": "overlay2", "Data": { "UpperDir": bundle.upper(), "WorkDir": bundle.work(), "MergedDir": bundle.root() } },
        "Mounts": record.mounts.iter().filter_map(|it| mount(rt, it)).collect::<Vec<_>>(),
        "Config": config(record, &image),
        "NetworkSettings": network_settings(&container, networks),
    }))
}

fn state(status: &StatusRecord) -> Value {
    let time = |millis: u64| stamp::format(stamp::of_millis(millis));
    let failure = status.failure.as_ref();
    let (word, pid, exit_code, started, finished) = match &status.status {
        Status::Created => ("created", 0, failure.map_or(0, |it| it.exit_code), NEVER.into(), NEVER.into()),
        Status::Running { init, since_ms } => ("running", init.pid, 0, time(*since_ms), NEVER.into()),
        Status::Paused { init, since_ms } => ("paused", init.pid, 0, time(*since_ms), NEVER.into()),
        Status::Restarting { exit_code, at_ms, .. } => ("restarting", 0, *exit_code, time(*at_ms), time(*at_ms)),
        Status::Exited { exit_code, at_ms, since_ms, .. } => ("exited", 0, *exit_code, time(*since_ms), time(*at_ms)),
        Status::Dead { .. } => ("dead", 0, 128, NEVER.into(), NEVER.into()),
    };
    let error = match &status.status {
        Status::Dead { reason } => reason.as_str(),
        _ => failure.map(|it| it.message.as_str()).unwrap_or_default(),
    };
    let mut state = json!({
        "Status": word,
        "Running": matches!(word, "running" | "paused" | "restarting"),
        "Paused": word == "paused",
        "Restarting": word == "restarting",
        "OOMKilled": matches!(status.status, Status::Exited { out_of_memory: true, .. }),
        "Dead": word == "dead",
        "Pid": pid,
        "ExitCode": exit_code,
        "Error": error,
        "StartedAt": started,
        "FinishedAt": finished,
    });
    if let Some(health) = &status.health {
        let (word, streak, log) = match health {
            HealthRecord::Starting => ("starting", 0, Vec::new()),
            HealthRecord::Healthy => ("healthy", 0, Vec::new()),
            HealthRecord::Unhealthy { failures, exit_code, output } => {
                ("unhealthy", *failures, vec![json!({ "ExitCode": exit_code.unwrap_or(-1), "Output": output })])
            }
        };
        state["Health"] = json!({ "Status": word, "FailingStreak": streak, "Log": log });
    }
    state
}

/// The program is told as the image's and the caller's halves, where the image is still known.
fn config(record: &ContainerRecord, image: &ContainerConfig) -> Value {
    let process = &record.process;
    let entrypoint = image.entrypoint.clone().filter(|entrypoint| process.args.starts_with(entrypoint));
    let length = entrypoint.as_ref().map_or(0, Vec::len);
    let volumes: Map<String, Value> = image.volumes.iter().map(|path| (path.clone(), json!({}))).collect();
    let exposed = record.exposed.iter().cloned().chain(record.ports.iter().map(port_name));
    let exposed: Map<String, Value> = exposed.map(|port| (port, json!({}))).collect();
    let nanos = |millis: u64| millis.saturating_mul(1_000_000);
    let mut config = json!({
        "Hostname": record.hostname,
        "Domainname": record.domainname.as_deref().unwrap_or_default(),
        "User": process.user,
        "AttachStdin": record.stdin_once,
        "AttachStdout": true,
        "AttachStderr": true,
        "ExposedPorts": exposed,
        "Tty": process.tty,
        "OpenStdin": process.stdin_open,
        "StdinOnce": record.stdin_once,
        "Env": environment(record, image),
        "Cmd": &process.args[length..],
        "Image": record.image_reference,
        "Volumes": if volumes.is_empty() { Value::Null } else { volumes.into() },
        "WorkingDir": process.cwd,
        "Entrypoint": entrypoint,
        "OnBuild": null,
        "Labels": record.labels,
        "StopSignal": signal::name(record.stop_signal),
        "StopTimeout": record.stop_grace_ms / 1000,
    });
    if let Some(check) = &record.healthcheck {
        let test: Vec<&str> = std::iter::once("CMD").chain(check.args.iter().map(String::as_str)).collect();
        config["Healthcheck"] = json!({
            "Test": test,
            "Interval": nanos(check.interval_ms),
            "Timeout": nanos(check.timeout_ms),
            "StartPeriod": nanos(check.start_period_ms),
            "StartInterval": nanos(check.start_interval_ms),
            "Retries": check.retries,
        });
    }
    config
}

/// What was asked for before what the image has, as Docker tells it; without what the runtime adds by itself.
fn environment<'a>(record: &'a ContainerRecord, image: &ContainerConfig) -> Vec<&'a String> {
    let added = [format!("HOSTNAME={}", record.hostname), "TERM=xterm".to_owned()];
    let told = record.process.env.iter().filter(|it| !added.contains(it));
    let (of_image, own): (Vec<_>, Vec<_>) = told.partition(|it| image.env.contains(it));
    own.into_iter().chain(of_image).collect()
}

fn port_name(port: &PortRecord) -> String {
    format!("{}/{}", port.container_port, summary::protocol(port.protocol))
}

fn namespace(namespace: &NamespaceRecord, private: &str) -> String {
    match namespace {
        NamespaceRecord::Private => private.to_owned(),
        NamespaceRecord::Host => "host".to_owned(),
        NamespaceRecord::Container(id) => format!("container:{id}"),
    }
}

fn host_config(record: &ContainerRecord, networks: &Networks) -> Value {
    let security = &record.security;
    let (policy, retries) = match record.restart {
        RestartRecord::No => ("no", 0),
        RestartRecord::Always => ("always", 0),
        RestartRecord::UnlessStopped => ("unless-stopped", 0),
        RestartRecord::OnFailure { max } => ("on-failure", max.unwrap_or(0)),
    };
    let mut options = Map::new();
    if let Some(size) = record.log.max_size {
        options.insert("max-size".into(), size.to_string().into());
        options.insert("max-file".into(), record.log.max_files.to_string().into());
    }
    let hosts: Vec<String> = record.extra_hosts.iter().map(|(name, address)| format!("{name}:{address}")).collect();
    let mut told = json!({
        "Binds": record.mounts.iter().filter_map(bind).collect::<Vec<_>>(),
        "ContainerIDFile": "",
        "LogConfig": { "Type": if record.log.disabled { "none" } else { "json-file" }, "Config": options },
        "NetworkMode": network_mode(record, networks),
        "PortBindings": bindings(&record.ports),
        "RestartPolicy": { "Name": policy, "MaximumRetryCount": retries },
        "AutoRemove": record.auto_remove,
        "VolumeDriver": "",
        "VolumesFrom": null,
        "CapAdd": security.cap_add,
        "CapDrop": security.cap_drop,
        "CgroupnsMode": namespace(&record.namespaces.cgroup, "private"),
        "Dns": record.dns,
        "DnsOptions": record.dns_options,
        "DnsSearch": record.dns_search,
        "ExtraHosts": hosts,
        "GroupAdd": record.process.additional_groups,
        "IpcMode": namespace(&record.namespaces.ipc, "private"),
        "Cgroup": "",
        "Links": null,
        "OomScoreAdj": record.oom_score_adj.unwrap_or(0),
        "PidMode": namespace(&record.namespaces.pid, ""),
        "Privileged": security.privileged,
        "PublishAllPorts": false,
        "ReadonlyRootfs": security.read_only,
        "SecurityOpt": security::options(security),
        "UTSMode": namespace(&record.namespaces.uts, ""),
        "UsernsMode": "",
    });
    if let (Value::Object(told), Value::Object(limits)) = (&mut told, resources(record)) {
        told.extend(limits);
    }
    told
}

/// How much it may use, and of what.
fn resources(record: &ContainerRecord) -> Value {
    let (security, limits) = (&record.security, &record.limits);
    let ulimits = record.ulimits.iter().map(|(name, (soft, hard))| json!({ "Name": name, "Soft": soft, "Hard": hard }));
    let devices = security.devices.iter().map(|device| {
        json!({ "PathOnHost": device.source, "PathInContainer": device.target, "CgroupPermissions": device.permissions })
    });
    json!({
        "ShmSize": record.shm_size,
        "Sysctls": record.sysctls,
        "Runtime": "motet",
        "Isolation": "",
        "CpuShares": limits.cpu_shares.unwrap_or(0),
        "Memory": limits.memory.unwrap_or(0),
        "NanoCpus": limits.nano_cpus.unwrap_or(0),
        "CgroupParent": limits.parent.as_deref().unwrap_or_default(),
        "CpuPeriod": limits.cpu_period.unwrap_or(0),
        "CpuQuota": limits.cpu_quota.unwrap_or(0),
        "CpusetCpus": limits.cpuset.as_deref().unwrap_or_default(),
        "Devices": devices.collect::<Vec<_>>(),
        "DeviceCgroupRules": security.device_rules,
        "MemoryReservation": limits.memory_reservation.unwrap_or(0),
        "MemorySwap": limits.memory_swap.unwrap_or(0),
        "MemorySwappiness": limits.memory_swappiness,
        "OomKillDisable": limits.oom_kill_disable,
        "PidsLimit": limits.pids,
        "Ulimits": ulimits.collect::<Vec<_>>(),
        "Tmpfs": tmpfs(&record.mounts),
        "Init": record.init,
        "Annotations": record.annotations,
    })
}

fn bind(mount: &MountRecord) -> Option<String> {
    let mode = if mount.read_only { "ro" } else { "rw" };
    match &mount.source {
        MountSourceRecord::Bind { path, relabel, .. } => {
            let label = relabel.map_or("", |relabel| if relabel == Relabel::Shared { ",z" } else { ",Z" });
            Some(format!("{}:{}:{mode}{label}", path.display(), mount.target))
        }
        MountSourceRecord::Volume { name, anonymous: false, .. } => Some(format!("{name}:{}:{mode}", mount.target)),
        _ => None,
    }
}

fn tmpfs(mounts: &[MountRecord]) -> BTreeMap<&str, String> {
    let one = |mount: &MountRecord| match &mount.source {
        MountSourceRecord::Tmpfs { options, .. } => Some(options.join(",")),
        _ => None,
    };
    mounts.iter().filter_map(|mount| Some((mount.target.as_str(), one(mount)?))).collect()
}

fn network_mode(record: &ContainerRecord, networks: &Networks) -> String {
    match &record.network {
        NetworkModeRecord::None => "none".into(),
        NetworkModeRecord::Host => "host".into(),
        NetworkModeRecord::Container(id) => format!("container:{id}"),
        NetworkModeRecord::Networks(endpoints) => {
            let first = endpoints.first().and_then(|first| networks.0.iter().find(|(it, _)| it.id == first.network));
            first.map_or_else(|| "none".into(), |(network, _)| network.name.clone())
        }
    }
}

fn bindings(ports: &[PortRecord]) -> Map<String, Value> {
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for port in ports {
        let ip = port.host_ip.map(|ip| ip.to_string()).unwrap_or_default();
        let host = match port.host_ports {
            None => String::new(),
            Some((first, last)) if first == last => first.to_string(),
            Some((first, last)) => format!("{first}-{last}"),
        };
        found.entry(port_name(port)).or_default().push(json!({ "HostIp": ip, "HostPort": host }));
    }
    found.into_iter().map(|(port, hosts)| (port, hosts.into())).collect()
}

fn mount(rt: &Runtime, mount: &MountRecord) -> Option<Value> {
    let (kind, name, source, driver, propagation) = match &mount.source {
        MountSourceRecord::Bind { path, propagation, .. } => {
            ("bind", None, path.clone(), None, propagation.clone().unwrap_or_else(|| "rprivate".into()))
        }
        MountSourceRecord::Volume { name, .. } => {
            ("volume", Some(name.clone()), rt.layout.volume_data(name), Some("local"), String::new())
        }
        MountSourceRecord::Tmpfs { .. } => ("tmpfs", None, "".into(), None, String::new()),
        MountSourceRecord::Image { .. } => ("image", None, "".into(), None, String::new()),
        // A config or secret, whose content is nobody's mount.
        MountSourceRecord::File { .. } => return None,
    };
    let mut told = json!({
        "Type": kind,
        "Source": source,
        "Destination": mount.target,
        "Mode": if mount.read_only { "ro" } else { "" },
        "RW": !mount.read_only,
        "Propagation": propagation,
    });
    if let (Some(name), Some(driver)) = (name, driver) {
        told["Name"] = name.into();
        told["Driver"] = driver.into();
    }
    Some(told)
}

fn network_settings(container: &Container, networks: &Networks) -> Value {
    let (record, status) = (&container.record, &container.status);
    let mut ports: BTreeMap<String, Value> = record.exposed.iter().map(|port| (port.clone(), Value::Null)).collect();
    for open in &status.ports {
        let name = format!("{}/{}", open.container_port, summary::protocol(open.protocol));
        let host = json!({ "HostIp": open.host_ip.to_string(), "HostPort": open.host_port.to_string() });
        match ports.get_mut(&name) {
            Some(Value::Array(hosts)) => hosts.push(host),
            _ => drop(ports.insert(name, json!([host]))),
        }
    }
    let mut told = Map::new();
    if let NetworkModeRecord::Networks(endpoints) = &record.network {
        for endpoint in endpoints {
            let Some((network, leases)) = networks.0.iter().find(|(it, _)| it.id == endpoint.network) else { continue };
            let lease = leases.iter().find(|lease| lease.container == record.id);
            told.insert(network.name.clone(), place(network, lease, &endpoint.aliases));
        }
    }
    let first = told.values().next().cloned().unwrap_or_else(|| json!({}));
    json!({
        "Bridge": "",
        "SandboxID": record.id,
        "SandboxKey": match status.status {
            Status::Running { init, .. } | Status::Paused { init, .. } => format!("/proc/{}/ns/net", init.pid),
            _ => String::new(),
        },
        "Ports": ports,
        "Gateway": first["Gateway"],
        "IPAddress": first["IPAddress"],
        "IPPrefixLen": first["IPPrefixLen"],
        "MacAddress": first["MacAddress"],
        "Networks": told,
    })
}

fn place(network: &NetworkRecord, lease: Option<&EndpointRecord>, aliases: &[String]) -> Value {
    let addresses = lease.map(|lease| lease.addresses.as_slice()).unwrap_or_default();
    let of = |is_wanted: fn(&IpAddr) -> bool| {
        let text = addresses.iter().find(|ip| is_wanted(ip)).map(ToString::to_string).unwrap_or_default();
        let subnet = network.subnets.iter().find(|subnet| is_wanted(&subnet.address));
        let gateway = subnet.map(|subnet| subnet.gateway.to_string()).unwrap_or_default();
        (text, gateway, subnet.map_or(0, |subnet| subnet.prefix))
    };
    let ((v4, gateway4, prefix4), (v6, gateway6, prefix6)) = (of(IpAddr::is_ipv4), of(IpAddr::is_ipv6));
    json!({
        "IPAMConfig": null,
        "Links": null,
        "Aliases": aliases,
        "MacAddress": lease.map(|lease| lease.mac.as_str()).unwrap_or_default(),
        "DriverOpts": null,
        "NetworkID": network.id,
        "EndpointID": lease.map(|lease| lease.host_link.as_str()).unwrap_or_default(),
        "Gateway": gateway4,
        "IPAddress": v4,
        "IPPrefixLen": if v4.is_empty() { 0 } else { prefix4 },
        "IPv6Gateway": gateway6,
        "GlobalIPv6Address": v6,
        "GlobalIPv6PrefixLen": if v6.is_empty() { 0 } else { prefix6 },
        "DNSNames": lease.map(|lease| lease.names.as_slice()).unwrap_or_default(),
    })
}

/// Describes a network (`GET /networks/NAME`).
pub(crate) fn network(rt: &Runtime, name: &str) -> Result<Value, EngineError> {
    let failed = |error| errors::network(name, "look at", &error);
    let missing = || EngineError::new(ErrorKind::NotFound, format!("network `{name}`"), format!("no network `{name}`"));
    let network = match (network::find(rt, name).map_err(failed)?, predefined::find(rt, name)) {
        (Some(network), _) => network,
        (None, Some(predefined::BRIDGE)) => predefined::bridge(rt)?,
        (None, Some(name)) => return predefined::describe(rt, name),
        (None, None) => return Err(missing()),
    };
    let leases = network::endpoints(rt, &network.id).map_err(failed)?;
    let pools = network.subnets.iter().map(|subnet| {
        let mut pool = json!({
            "Subnet": format!("{}/{}", subnet.address, subnet.prefix),
            "Gateway": subnet.gateway.to_string(),
        });
        if let Some((address, prefix)) = subnet.range {
            pool["IPRange"] = format!("{address}/{prefix}").into();
        }
        pool
    });
    let address = |lease: &EndpointRecord, is_wanted: fn(&IpAddr) -> bool| {
        let prefix = network.subnets.iter().find(|subnet| is_wanted(&subnet.address)).map_or(0, |subnet| subnet.prefix);
        lease.addresses.iter().find(|ip| is_wanted(ip)).map(|ip| format!("{ip}/{prefix}")).unwrap_or_default()
    };
    let containers: Map<String, Value> = leases
        .iter()
        .filter(|lease| lease.up)
        .map(|lease| {
            let told = json!({
                "Name": lease.container_name,
                "EndpointID": lease.host_link,
                "MacAddress": lease.mac,
                "IPv4Address": address(lease, IpAddr::is_ipv4),
                "IPv6Address": address(lease, IpAddr::is_ipv6),
            });
            (lease.container.clone(), told)
        })
        .collect();
    Ok(json!({
        "Name": network.name,
        "Id": network.id,
        "Created": stamp::format(stamp::of_millis(network.created_ms)),
        "Scope": "local",
        "Driver": network.driver,
        "EnableIPv4": network.subnets.iter().any(|subnet| subnet.address.is_ipv4()),
        "EnableIPv6": network.subnets.iter().any(|subnet| subnet.address.is_ipv6()),
        "IPAM": { "Driver": "default", "Options": {}, "Config": pools.collect::<Vec<_>>() },
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Ingress": false,
        "ConfigFrom": { "Network": "" },
        "ConfigOnly": false,
        "Containers": containers,
        "Options": network.options,
        "Labels": network.labels,
    }))
}

/// Describes a volume (`GET /volumes/NAME`).
pub(crate) fn volume(rt: &Runtime, name: &str) -> Result<Value, EngineError> {
    let missing = || EngineError::new(ErrorKind::NotFound, format!("volume `{name}`"), format!("no volume `{name}`"));
    let volume: VolumeRecord =
        volume::find(rt, name).map_err(|error| errors::volume(name, "look at", &error))?.ok_or_else(missing)?;
    Ok(json!({
        "CreatedAt": stamp::format(stamp::of_millis(volume.created_ms)),
        "Driver": volume.driver,
        "Labels": volume.labels,
        "Mountpoint": rt.layout.volume_data(name),
        "Name": volume.name,
        "Options": if volume.options.is_empty() { Value::Null } else { json!(volume.options) },
        "Scope": "local",
    }))
}
