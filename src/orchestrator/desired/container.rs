//! A service becomes the template of its containers.

use std::collections::BTreeMap;

use compose::Project;
use compose::model::healthcheck::Healthcheck as ModelHealthcheck;
use compose::model::port::Port;
use compose::model::service::Service;

use crate::desired::{files, limits, mounts, networks};
use crate::engine::container::{ContainerSpec, Device, Healthcheck, Logging, PortBinding, RestartPolicy};
use crate::engine::error::{EngineError, ErrorKind};
use crate::event::Failure;
use crate::identity;

/// Returns replica 1 of `service`.
pub(crate) fn container(project: &Project, service: &Service, hash: &str) -> Result<ContainerSpec, Vec<Failure>> {
    let mut failures = Vec::new();
    let (files, mounted_files) = files::files(project, service, &mut failures);
    let mut mounts = mounts::mounts(project, service);
    mounts.extend(mounted_files);
    let mut labels = identity::container_labels(project, service, 1, hash);
    labels.insert(identity::MADE_FROM.into(), identity::made_from(project, &service.name));
    if let Some(hash) = files::hash(&files) {
        labels.insert(identity::FILES_HASH.into(), hash);
    }
    let mut ports = Vec::new();
    for (index, port) in service.ports.iter().enumerate() {
        match port_binding(port) {
            Ok(port) => ports.push(port),
            Err(error) => {
                failures.push(Failure::new(error, Some(format!("services.{}.ports[{index}]", service.name))));
            }
        }
    }
    let restart = match restart_policy(service) {
        Ok(restart) => restart,
        Err(error) => {
            failures.push(Failure::new(error, Some(format!("services.{}.restart", service.name))));
            RestartPolicy::No
        }
    };
    if !failures.is_empty() {
        return Err(failures);
    }
    Ok(ContainerSpec {
        name: identity::container_name(&project.name, service, 1),
        image: identity::image_reference(&project.name, service),
        labels,
        annotations: service.annotations.clone(),
        command: service.command.clone(),
        entrypoint: service.entrypoint.clone(),
        environment: service.environment.clone(),
        working_dir: service.working_dir.clone(),
        user: service.user.clone(),
        group_add: service.group_add.clone(),
        hostname: service.hostname.clone(),
        domainname: service.domainname.clone(),
        tty: service.tty,
        stdin_open: service.stdin_open,
        stdin_once: false,
        init: service.init.unwrap_or(false),
        stop_signal: service.stop_signal.clone(),
        stop_grace_period: service.stop_grace_period.map(compose::model::duration::Duration::to_std),
        restart,
        healthcheck: service.healthcheck.as_ref().map(healthcheck),
        mounts,
        files,
        network: networks::mode(project, service),
        ports,
        expose: service.expose.clone(),
        extra_hosts: flatten_hosts(&service.extra_hosts),
        dns: service.dns.clone(),
        dns_opt: service.dns_opt.clone(),
        dns_search: service.dns_search.clone(),
        read_only: service.read_only,
        privileged: service.privileged,
        cap_add: service.cap_add.clone(),
        cap_drop: service.cap_drop.clone(),
        security_opt: service.security_opt.clone(),
        devices: service
            .devices
            .iter()
            .map(|device| Device {
                source: device.source.clone(),
                target: device.target.clone(),
                permissions: device.permissions.clone(),
            })
            .collect(),
        device_cgroup_rules: service.device_cgroup_rules.clone(),
        sysctls: service.sysctls.clone(),
        ulimits: service.ulimits.iter().map(|(name, limit)| (name.clone(), (limit.soft, limit.hard))).collect(),
        shm_size: service.shm_size.and_then(limits::bytes),
        pid: service.pid.clone(),
        ipc: service.ipc.clone(),
        uts: service.uts.clone(),
        cgroup: service.cgroup.clone(),
        cgroup_parent: service.cgroup_parent.clone(),
        userns: service.userns_mode.clone(),
        oom_score_adj: service.oom_score_adj,
        oom_kill_disable: service.oom_kill_disable,
        device_requests: limits::device_requests(service),
        volumes_from: volumes_from(service),
        storage_opt: service.storage_opt.clone(),
        runtime: service.runtime.clone(),
        auto_remove: false,
        limits: limits::limits(service),
        logging: service.logging.as_ref().map_or_else(Logging::default, |logging| Logging {
            driver: logging.driver.clone(),
            options: logging.options.clone(),
        }),
        platform: service.platform.clone(),
        unsupported: Vec::new(),
    })
}

/// Returns a host name and address a line.
pub(crate) fn flatten_hosts(hosts: &BTreeMap<String, Vec<String>>) -> Vec<(String, String)> {
    hosts.iter().flat_map(|(host, addresses)| addresses.iter().map(|address| (host.clone(), address.clone()))).collect()
}

fn healthcheck(healthcheck: &ModelHealthcheck) -> Healthcheck {
    let length = |duration: Option<compose::model::duration::Duration>| duration.map(|duration| duration.to_std());
    Healthcheck {
        test: if healthcheck.disable { Some(vec!["NONE".to_owned()]) } else { healthcheck.test.clone() },
        interval: length(healthcheck.interval),
        timeout: length(healthcheck.timeout),
        retries: healthcheck.retries,
        start_period: length(healthcheck.start_period),
        start_interval: length(healthcheck.start_interval),
    }
}

fn port_binding(port: &Port) -> Result<PortBinding, EngineError> {
    let invalid = |what: &str, text: &str| {
        EngineError::new(
            ErrorKind::Failed,
            format!("port {text}"),
            format!("{what} `{text}` of a published port is invalid"),
        )
    };
    let host_ip = match port.host_ip.as_deref() {
        None | Some("") => None,
        Some(text) => {
            let bare = text.trim_start_matches('[').trim_end_matches(']');
            Some(bare.parse().map_err(|_| invalid("the host address", text))?)
        }
    };
    let host_ports = match port.published.as_deref() {
        None | Some("" | "0") => None,
        Some(text) => {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            let parse = |part: &str| part.trim().parse::<u16>().map_err(|_| invalid("the host port", text));
            Some((parse(first)?, parse(last)?))
        }
    };
    let protocol = if port.protocol.is_empty() { "tcp".to_owned() } else { port.protocol.clone() };
    Ok(PortBinding { host_ip, host_ports, container_port: port.target, protocol })
}

fn restart_policy(service: &Service) -> Result<RestartPolicy, EngineError> {
    let deployed = service.deploy.as_ref().and_then(|deploy| deploy.restart_policy.as_ref());
    if let Some(policy) = deployed {
        let attempts = policy.max_attempts.and_then(|attempts| u32::try_from(attempts).ok()).filter(|n| *n > 0);
        return Ok(match policy.condition.as_deref() {
            Some("none" | "no") => RestartPolicy::No,
            Some("on-failure") => RestartPolicy::OnFailure(attempts),
            Some("unless-stopped") => RestartPolicy::UnlessStopped,
            Some(_) | None => RestartPolicy::Always,
        });
    }
    let text = service.restart.as_deref().unwrap_or("no");
    let (name, attempts) = text.split_once(':').map_or((text, None), |(name, attempts)| (name, Some(attempts)));
    let invalid = || {
        EngineError::new(
            ErrorKind::Failed,
            format!("service `{}`", service.name),
            format!("restart policy `{text}` is unknown"),
        )
        .hint("use `no`, `always`, `unless-stopped`, `on-failure` or `on-failure:3`")
    };
    match (name, attempts) {
        ("no" | "", None) => Ok(RestartPolicy::No),
        ("always", None) => Ok(RestartPolicy::Always),
        ("unless-stopped", None) => Ok(RestartPolicy::UnlessStopped),
        ("on-failure", None) => Ok(RestartPolicy::OnFailure(None)),
        ("on-failure", Some(attempts)) => {
            let attempts: u32 = attempts.parse().map_err(|_| invalid())?;
            Ok(RestartPolicy::OnFailure((attempts > 0).then_some(attempts)))
        }
        (_, _) => Err(invalid()),
    }
}

/// Returns whose volumes are mounted too; another service's is still named `service:NAME`.
fn volumes_from(service: &Service) -> Vec<String> {
    let entry = |entry: &String| match entry.strip_prefix("container:") {
        Some(container) => container.to_owned(),
        None => format!("service:{entry}"),
    };
    service.volumes_from.iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(published: Option<&str>) -> Port {
        Port { target: 80, published: published.map(str::to_owned), protocol: "tcp".into(), ..Port::default() }
    }

    #[test]
    fn ports_are_single_ranges_or_free() {
        assert_eq!(port_binding(&port(Some("8080"))).unwrap().host_ports, Some((8080, 8080)));
        assert_eq!(port_binding(&port(Some("8000-8010"))).unwrap().host_ports, Some((8000, 8010)));
        assert_eq!(port_binding(&port(None)).unwrap().host_ports, None);
        assert!(port_binding(&port(Some("80800"))).is_err());
    }

    #[test]
    fn restart_policies_are_read_and_refused() {
        let policy = |text: &str| {
            restart_policy(&Service { restart: Some(text.into()), ..Service::default() }).map_err(|error| error.message)
        };
        assert_eq!(policy("on-failure:3"), Ok(RestartPolicy::OnFailure(Some(3))));
        assert_eq!(policy("unless-stopped"), Ok(RestartPolicy::UnlessStopped));
        assert_eq!(policy("allways"), Err("restart policy `allways` is unknown".to_owned()));
    }
}
