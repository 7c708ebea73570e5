//! Flags become the container that the engine is to make.

use std::collections::BTreeMap;
use std::time::Duration;

use orchestrator::engine::container::{
    ContainerSpec, Device, DeviceRequest, Endpoint, Healthcheck, Logging, Mount, NetworkMode, PortBinding,
    RestartPolicy,
};

use crate::app::App;
use crate::args::mount::{parse_mount, parse_tmpfs, parse_volume};
use crate::args::publish::range;
use crate::args::variables::{labels, of_file, variables};
use crate::commands::container::make::{HealthArgs, MakeArgs, NetworkArgs};

/// The network of a container that asks for none.
pub(crate) const DEFAULT_NETWORK: &str = "bridge";

/// Makes the spec; the error is the sentence that says which flag is wrong.
pub(crate) fn spec(args: &MakeArgs, image: &str, command: &[String], app: &App) -> Result<ContainerSpec, String> {
    let rights = &args.rights;
    let mut given = Vec::new();
    for file in &args.env_file {
        given.extend(of_file(&app.absolute(file))?);
    }
    given.extend(args.env.iter().cloned());
    let environment = variables(&given, &app.environment);
    let mut own_labels = BTreeMap::new();
    for file in &args.label_file {
        own_labels.extend(labels(&of_file(&app.absolute(file))?));
    }
    own_labels.extend(labels(&args.label));
    let command = if command.is_empty() { None } else { Some(command.to_vec()) };
    Ok(ContainerSpec {
        name: args.name.clone().unwrap_or_default(),
        image: image.to_owned(),
        labels: own_labels,
        annotations: labels(&args.annotation),
        // Another program can't want the arguments of the one before.
        command: command.or_else(|| args.entrypoint.as_ref().map(|_| Vec::new())),
        entrypoint: args.entrypoint.as_ref().map(|it| if it.is_empty() { Vec::new() } else { vec![it.clone()] }),
        environment: environment.into_iter().map(|(key, value)| (key, Some(value))).collect(),
        working_dir: args.workdir.clone(),
        user: args.user.clone(),
        group_add: args.group_add.clone(),
        hostname: args.network.hostname.clone(),
        domainname: args.network.domainname.clone(),
        tty: args.tty,
        stdin_open: args.interactive,
        init: args.init,
        stop_signal: args.stop_signal.clone(),
        stop_grace_period: args.stop_timeout.map(Duration::from_secs),
        restart: restart(&args.restart)?,
        healthcheck: healthcheck(&args.health),
        mounts: mounts(args, app)?,
        network: network(&args.network)?,
        ports: args.publish.concat(),
        extra_hosts: args.network.add_host.iter().map(|text| host(text)).collect::<Result<_, String>>()?,
        dns: args.network.dns.clone(),
        dns_opt: args.network.dns_option.clone(),
        dns_search: args.network.dns_search.clone(),
        read_only: rights.read_only,
        privileged: rights.privileged,
        cap_add: rights.cap_add.clone(),
        cap_drop: rights.cap_drop.clone(),
        security_opt: rights.security_opt.clone(),
        devices: rights.device.iter().map(|text| device(text)).collect::<Result<_, String>>()?,
        device_cgroup_rules: rights.device_cgroup_rule.clone(),
        sysctls: labels(&rights.sysctl),
        ulimits: args.limits.ulimits(),
        shm_size: args.limits.shm_size,
        pid: rights.pid.clone(),
        ipc: rights.ipc.clone(),
        uts: rights.uts.clone(),
        cgroup: rights.cgroupns.clone(),
        cgroup_parent: rights.cgroup_parent.clone(),
        userns: rights.userns.clone(),
        oom_score_adj: args.limits.oom_score_adj,
        oom_kill_disable: args.limits.oom_kill_disable,
        device_requests: rights.gpus.iter().map(|text| gpus(text)).collect::<Result<_, String>>()?,
        volumes_from: args.volumes_from.clone(),
        storage_opt: labels(&rights.storage_opt),
        runtime: rights.runtime.clone(),
        auto_remove: args.rm,
        limits: args.limits.limits(),
        logging: Logging { driver: rights.log_driver.clone(), options: labels(&rights.log_opt) },
        platform: args.platform.clone(),
        ..ContainerSpec::default()
    })
}

/// Returns bindings of free host ports for what an image exposes (`80/tcp`, `7000-7002/udp`).
pub(crate) fn publish_all<'a>(exposed: impl Iterator<Item = &'a str>) -> Vec<PortBinding> {
    let binding = |text: &str| {
        let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let (first, last) = range(ports)?;
        let protocol = protocol.to_owned();
        Some((first..=last).map(move |container_port| PortBinding {
            host_ip: None,
            host_ports: None,
            container_port,
            protocol: protocol.clone(),
        }))
    };
    exposed.filter_map(binding).flatten().collect()
}

fn mounts(args: &MakeArgs, app: &App) -> Result<Vec<Mount>, String> {
    let volumes = args.volume.iter().map(|text| parse_volume(text, &app.folder));
    let long = args.mount.iter().map(|text| parse_mount(text, &app.folder));
    volumes.chain(long).chain(args.tmpfs.iter().map(|text| parse_tmpfs(text))).collect()
}

/// Reads a restart policy.
pub(crate) fn restart(text: &str) -> Result<RestartPolicy, String> {
    let wrong = || format!("`{text}` is no restart policy; write `no`, `always`, `unless-stopped` or `on-failure:3`");
    match text.split_once(':') {
        None => match text {
            "" | "no" => Ok(RestartPolicy::No),
            "always" => Ok(RestartPolicy::Always),
            "unless-stopped" => Ok(RestartPolicy::UnlessStopped),
            "on-failure" => Ok(RestartPolicy::OnFailure(None)),
            _ => Err(wrong()),
        },
        Some(("on-failure", attempts)) => {
            let attempts: u32 = attempts.parse().map_err(|_| wrong())?;
            Ok(RestartPolicy::OnFailure((attempts > 0).then_some(attempts)))
        }
        Some(_) => Err(wrong()),
    }
}

fn healthcheck(args: &HealthArgs) -> Option<Healthcheck> {
    if args.no_healthcheck {
        return Some(Healthcheck { test: Some(vec!["NONE".to_owned()]), ..Healthcheck::default() });
    }
    let check = Healthcheck {
        test: args.health_cmd.as_ref().map(|line| vec!["CMD-SHELL".to_owned(), line.clone()]),
        interval: args.health_interval,
        timeout: args.health_timeout,
        retries: args.health_retries,
        start_period: args.health_start_period,
        start_interval: args.health_start_interval,
    };
    (check != Healthcheck::default()).then_some(check)
}

fn network(args: &NetworkArgs) -> Result<NetworkMode, String> {
    match args.network.as_slice() {
        [one] if one == "none" => return Ok(NetworkMode::None),
        [one] if one == "host" => return Ok(NetworkMode::Host),
        [one] => {
            if let Some(name) = one.strip_prefix("container:") {
                return Ok(NetworkMode::Container(name.to_owned()));
            }
        }
        _ => {}
    }
    let names = if args.network.is_empty() { vec!["default".to_owned()] } else { args.network.clone() };
    let mut endpoints = Vec::new();
    for (index, text) in names.iter().enumerate() {
        let mut endpoint = endpoint(text)?;
        // What is said once is meant for the first.
        if index == 0 {
            endpoint.aliases.extend(args.network_alias.iter().cloned());
            let link = |link: &String| {
                link.split_once(':').map_or((link.clone(), link.clone()), |(a, b)| (a.into(), b.into()))
            };
            endpoint.links.extend(args.link.iter().map(link));
            endpoint.ipv4_address = args.ip.clone().or(endpoint.ipv4_address);
            endpoint.ipv6_address = args.ip6.clone().or(endpoint.ipv6_address);
            endpoint.mac_address = args.mac_address.clone().or(endpoint.mac_address);
        }
        endpoints.push(endpoint);
    }
    Ok(NetworkMode::Networks(endpoints))
}

/// Reads `NETWORK` or `name=NETWORK,alias=..,ip=..`.
fn endpoint(text: &str) -> Result<Endpoint, String> {
    let mut endpoint = Endpoint::default();
    let called = |name: &str| if name == "default" { DEFAULT_NETWORK.to_owned() } else { name.to_owned() };
    if !text.contains('=') {
        return Ok(Endpoint { network: called(text), ..endpoint });
    }
    for field in text.split(',') {
        let (key, value) = field.split_once('=').unwrap_or((field, ""));
        match key {
            "name" => endpoint.network = called(value),
            "alias" => endpoint.aliases.push(value.to_owned()),
            "ip" => endpoint.ipv4_address = Some(value.to_owned()),
            "ip6" => endpoint.ipv6_address = Some(value.to_owned()),
            "mac-address" => endpoint.mac_address = Some(value.to_owned()),
            "driver-opt" => {
                let (key, value) = value.split_once('=').unwrap_or((value, ""));
                endpoint.driver_opts.insert(key.to_owned(), value.to_owned());
            }
            "gw-priority" => {
                endpoint.gw_priority = value.parse().map_err(|_| format!("`{value}` is no number"))?;
            }
            other => return Err(format!("`{text}` is no network: there is no field `{other}`")),
        }
    }
    if endpoint.network.is_empty() { Err(format!("`{text}` has no `name=`")) } else { Ok(endpoint) }
}

fn host(text: &str) -> Result<(String, String), String> {
    let (name, address) = text
        .split_once('=')
        .or_else(|| text.split_once(':'))
        .ok_or_else(|| format!("`{text}` is no host; write `NAME:ADDRESS`"))?;
    Ok((name.to_owned(), address.trim_start_matches('[').trim_end_matches(']').to_owned()))
}

fn device(text: &str) -> Result<Device, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let is_rights = |text: &str| !text.is_empty() && text.chars().all(|letter| "rwm".contains(letter));
    let (source, target, permissions) = match parts.as_slice() {
        [source] => (*source, *source, "rwm"),
        [source, rights] if is_rights(rights) => (*source, *source, *rights),
        [source, target] => (*source, *target, "rwm"),
        [source, target, rights] if is_rights(rights) => (*source, *target, *rights),
        _ => return Err(format!("`{text}` is no device; write `/dev/x[:/dev/y[:rwm]]`")),
    };
    Ok(Device { source: source.to_owned(), target: target.to_owned(), permissions: permissions.to_owned() })
}

fn gpus(text: &str) -> Result<DeviceRequest, String> {
    let mut request = DeviceRequest { capabilities: vec!["gpu".to_owned()], ..DeviceRequest::default() };
    match text.split_once('=') {
        None if text == "all" => request.count = Some(-1),
        None => request.count = Some(text.parse().map_err(|_| format!("`{text}` is no number of processors"))?),
        Some(("device", ids)) => request.device_ids = ids.split(',').map(str::to_owned).collect(),
        Some(_) => return Err(format!("`{text}` is not understood; write `all`, a number, or `device=ID`")),
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_modes_or_names() {
        let of = |text: &str| network(&NetworkArgs { network: vec![text.to_owned()], ..NetworkArgs::default() });
        assert_eq!(of("host").unwrap(), NetworkMode::Host);
        assert_eq!(of("container:a").unwrap(), NetworkMode::Container("a".into()));
        let NetworkMode::Networks(endpoints) = of("name=n,alias=x,ip=10.0.0.2").unwrap() else { panic!() };
        assert_eq!((endpoints[0].network.as_str(), endpoints[0].aliases.as_slice()), ("n", &["x".to_owned()][..]));
        let NetworkMode::Networks(endpoints) = network(&NetworkArgs::default()).unwrap() else { panic!() };
        assert_eq!(endpoints[0].network, DEFAULT_NETWORK);
    }

    #[test]
    fn devices_and_policies_are_read() {
        assert_eq!(device("/dev/a:r").unwrap().permissions, "r");
        assert_eq!(device("/dev/a:/dev/b").unwrap().target, "/dev/b");
        assert_eq!(restart("on-failure:0").unwrap(), RestartPolicy::OnFailure(None));
        assert!(restart("sometimes").is_err());
        let ports: Vec<u16> =
            publish_all(["80/tcp", "90-91/udp"].into_iter()).iter().map(|p| p.container_port).collect();
        assert_eq!(ports, [80, 90, 91]);
    }
}
