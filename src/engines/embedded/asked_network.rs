//! A network that is asked for, in the runtime's words.

use orchestrator::engine::error::{EngineError, ErrorKind};
use orchestrator::engine::network::NetworkSpec;
use runtime::network::{NetworkRequest, Pool};
use runtime::state::network::NetworkRecord;

/// Addresses are given out by ourselves alone.
pub(super) fn check_addresses(spec: &NetworkSpec) -> Result<(), EngineError> {
    let problem = match (spec.ipam_driver.as_deref(), spec.ipam_options.keys().next()) {
        (Some(driver), _) if !matches!(driver, "" | "default") => {
            format!("there is no driver `{driver}` that gives out addresses, only `default`")
        }
        (_, Some(option)) => format!("the driver that gives out addresses has no option `{option}`"),
        (_, None) => return Ok(()),
    };
    let message = format!("cannot create network `{}`: {problem}", spec.name);
    Err(EngineError::new(ErrorKind::Unsupported, format!("network `{}`", spec.name), message))
}

pub(super) fn network_request(spec: &NetworkSpec) -> NetworkRequest {
    let pool = |pool: &orchestrator::engine::network::AddressPool| Pool {
        subnet: pool.subnet.clone(),
        range: pool.ip_range.clone(),
        gateway: pool.gateway.clone(),
        reserved: pool.aux_addresses.values().cloned().collect(),
    };
    NetworkRequest {
        name: spec.name.clone(),
        driver: spec.driver.clone().unwrap_or_default(),
        options: spec.driver_opts.clone(),
        pools: spec.pools.iter().map(pool).collect(),
        internal: spec.internal,
        attachable: spec.attachable,
        ipv4: spec.ipv4,
        ipv6: spec.ipv6,
        labels: spec.labels.clone(),
        owner: None,
        id: None,
    }
}

/// The network that a request lost its name to is the one asked for when it bears the same labels.
pub(super) fn is_same(found: &NetworkRecord, request: &NetworkRequest) -> bool {
    request.labels.iter().all(|(key, value)| found.labels.get(key) == Some(value))
}
