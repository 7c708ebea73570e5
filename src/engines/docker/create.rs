//! A container as the engine is told of it, made the body of `POST /containers/create`: what Docker Compose would send.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HealthConfig, NetworkingConfig};
use orchestrator::engine::container::{ContainerSpec, Endpoint, Healthcheck, NetworkMode};

use crate::docker::fault::{Fault, Version};
use crate::docker::host_config;

/// The request, and what is to be done after it.
pub(crate) struct Creation {
    pub(crate) body: serde_json::Value,
    /// Networks that an engine this old is told of one by one.
    pub(crate) connects: Vec<Endpoint>,
}

/// Refuses what the engine's API is too old for.
pub(crate) struct Needs {
    pub(crate) has: Version,
}

impl Needs {
    /// Refuses `attribute` below `needs`.
    pub(crate) fn at_least(&self, attribute: &str, needs: Version) -> Result<(), Fault> {
        if self.has < needs {
            return Err(Fault::TooOld { attribute: attribute.to_owned(), needs, has: self.has });
        }
        Ok(())
    }
}

/// From this version on a container is told of all its networks at once, and of a MAC address on each.
pub(crate) const ALL_NETWORKS: Version = Version(1, 44);

/// Whole nanoseconds.
fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// `None` where there is nothing to say.
pub(crate) fn some<T: Default + PartialEq>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}

/// Makes the request.
pub(crate) fn creation(spec: &ContainerSpec, has: Version) -> Result<Creation, Fault> {
    let needs = Needs { has };
    if !spec.unsupported.is_empty() {
        let list: Vec<String> = spec.unsupported.iter().map(|path| format!("`{path}`")).collect();
        return Err(Fault::Refused {
            status: 501,
            message: format!("the docker engine can't be told of {}", list.join(", ")),
        });
    }
    let (networking, connects) = networks(&spec.network, &needs)?;
    let body = ContainerCreateBody {
        hostname: spec.hostname.clone(),
        domainname: spec.domainname.clone(),
        user: spec.user.clone(),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        exposed_ports: some(
            spec.expose
                .iter()
                .cloned()
                .chain(spec.ports.iter().map(|port| format!("{}/{}", port.container_port, port.protocol)))
                .collect::<std::collections::BTreeSet<_>>()
                .into_iter()
                .collect::<Vec<_>>(),
        ),
        tty: Some(spec.tty),
        open_stdin: Some(spec.stdin_open),
        stdin_once: Some(spec.stdin_once),
        attach_stdin: Some(spec.stdin_once),
        // A variable without `=` takes the image's away.
        env: some(
            spec.environment
                .iter()
                .map(|(name, value)| value.as_ref().map_or_else(|| name.clone(), |value| format!("{name}={value}")))
                .collect::<Vec<_>>(),
        ),
        cmd: spec.command.clone(),
        entrypoint: spec.entrypoint.clone(),
        healthcheck: spec.healthcheck.as_ref().map(|check| healthcheck(check, &needs)).transpose()?,
        image: Some(spec.image.clone()),
        working_dir: spec.working_dir.clone(),
        labels: Some(spec.labels.clone().into_iter().collect()),
        stop_signal: spec.stop_signal.clone(),
        stop_timeout: spec.stop_grace_period.map(|grace| i64::try_from(grace.as_secs()).unwrap_or(i64::MAX)),
        host_config: Some(host_config::host_config(spec, &needs)?),
        networking_config: networking,
        ..ContainerCreateBody::default()
    };
    let mut body = serde_json::to_value(&body).map_err(|error| Fault::Broken { why: error.to_string() })?;
    // Before 1.44 the address on the first network was an attribute of the container.
    if has < ALL_NETWORKS
        && let NetworkMode::Networks(endpoints) = &spec.network
        && let Some(address) = endpoints.first().and_then(|endpoint| endpoint.mac_address.as_ref())
    {
        body["MacAddress"] = address.clone().into();
    }
    Ok(Creation { body, connects })
}

fn healthcheck(check: &Healthcheck, needs: &Needs) -> Result<HealthConfig, Fault> {
    if check.start_interval.is_some() {
        needs.at_least("healthcheck.start_interval", Version(1, 44))?;
    }
    Ok(HealthConfig {
        test: check.test.clone(),
        interval: check.interval.map(nanos),
        timeout: check.timeout.map(nanos),
        retries: check.retries.map(|retries| i64::try_from(retries).unwrap_or(i64::MAX)),
        start_period: check.start_period.map(nanos),
        start_interval: check.start_interval.map(nanos),
    })
}

fn networks(mode: &NetworkMode, needs: &Needs) -> Result<(Option<NetworkingConfig>, Vec<Endpoint>), Fault> {
    let NetworkMode::Networks(endpoints) = mode else { return Ok((None, Vec::new())) };
    let Some((first, others)) = endpoints.split_first() else { return Ok((None, Vec::new())) };
    let mut told = HashMap::from([(first.network.clone(), endpoint(first, needs)?)]);
    let mut connects = Vec::new();
    for other in others {
        let settings = endpoint(other, needs)?;
        if needs.has < ALL_NETWORKS {
            if other.mac_address.is_some() {
                needs.at_least("mac_address on a second network", ALL_NETWORKS)?;
            }
            connects.push(other.clone());
        } else {
            told.insert(other.network.clone(), settings);
        }
    }
    Ok((Some(NetworkingConfig { endpoints_config: Some(told) }), connects))
}

/// The engine's own network.
const BRIDGE: &str = "bridge";

fn links(endpoint: &Endpoint) -> Vec<String> {
    endpoint.links.iter().map(|(container, alias)| format!("{container}:{alias}")).collect()
}

/// Returns the links that are the container's, whatever its network.
pub(crate) fn own_links(mode: &NetworkMode) -> Vec<String> {
    match mode {
        NetworkMode::Networks(endpoints) => {
            endpoints.iter().filter(|endpoint| endpoint.network == BRIDGE).flat_map(links).collect()
        }
        NetworkMode::None | NetworkMode::Host | NetworkMode::Container(_) => Vec::new(),
    }
}

/// Makes a place on a network.
pub(crate) fn endpoint(endpoint: &Endpoint, needs: &Needs) -> Result<EndpointSettings, Fault> {
    let mut options: HashMap<String, String> = endpoint.driver_opts.clone().into_iter().collect();
    if let Some(name) = &endpoint.interface_name {
        needs.at_least("interface_name", Version(1, 49))?;
        options.insert("com.docker.network.endpoint.ifname".to_owned(), name.clone());
    }
    if endpoint.gw_priority != 0 {
        needs.at_least("gw_priority", Version(1, 48))?;
    }
    let addresses = EndpointIpamConfig {
        ipv4_address: endpoint.ipv4_address.clone(),
        ipv6_address: endpoint.ipv6_address.clone(),
        link_local_ips: some(endpoint.link_local_ips.clone()),
    };
    // The engine's own network knows no names, and refuses to start who wants one. Links on it are the container's.
    let (aliases, links) = match endpoint.network == BRIDGE {
        true => (Vec::new(), Vec::new()),
        false => (endpoint.aliases.clone(), links(endpoint)),
    };
    Ok(EndpointSettings {
        aliases: some(aliases),
        links: some(links),
        ipam_config: some(addresses),
        mac_address: endpoint.mac_address.clone(),
        driver_opts: some(options),
        gw_priority: some(endpoint.gw_priority),
        ..EndpointSettings::default()
    })
}
