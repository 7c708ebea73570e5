//! Resource limits: `deploy.resources` over the service's own attributes.

use compose::model::bytes::Bytes;
use compose::model::service::{Blkio, Service};

use crate::engine::container::{BlockLimits, DeviceRequest, Limits};

/// Returns a size; one below zero is no limit.
pub(crate) fn bytes(bytes: Bytes) -> Option<u64> {
    u64::try_from(bytes.0).ok()
}

/// Returns the limits of a service's containers.
pub(crate) fn limits(service: &Service) -> Limits {
    let deploy = service.deploy.as_ref();
    let limits = deploy.and_then(|deploy| deploy.limits.as_ref());
    let reservations = deploy.and_then(|deploy| deploy.reservations.as_ref());
    let unsigned = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok());
    let positive = |number: Option<u64>| number.filter(|number| *number > 0);
    Limits {
        memory: positive(limits.and_then(|limits| limits.memory).or(service.mem_limit).and_then(bytes)),
        memory_swap: service.memswap_limit.map(|bytes| bytes.0).filter(|bytes| *bytes != 0),
        memory_reservation: positive(
            reservations.and_then(|reservations| reservations.memory).or(service.mem_reservation).and_then(bytes),
        ),
        memory_swappiness: unsigned(service.mem_swappiness),
        nano_cpus: limits.and_then(|limits| limits.cpus).or(service.cpus).and_then(nano_cpus),
        cpu_shares: positive(unsigned(service.cpu_shares)),
        cpu_period: positive(unsigned(service.cpu_period)),
        cpu_quota: service.cpu_quota.filter(|quota| *quota != 0),
        cpuset: service.cpuset.clone(),
        pids: limits.and_then(|limits| limits.pids).or(service.pids_limit).filter(|pids| *pids != 0),
        cpu_rt_period: positive(unsigned(service.cpu_rt_period)),
        cpu_rt_runtime: service.cpu_rt_runtime.filter(|runtime| *runtime != 0),
        block: service.blkio.as_ref().map(block).unwrap_or_default(),
    }
}

fn block(blkio: &Blkio) -> BlockLimits {
    BlockLimits {
        weight: blkio.weight.filter(|weight| *weight > 0),
        weight_device: blkio.weight_device.iter().map(|(path, weight)| (path.clone(), u64::from(*weight))).collect(),
        device_read_bps: blkio.device_read_bps.clone(),
        device_write_bps: blkio.device_write_bps.clone(),
        device_read_iops: blkio.device_read_iops.clone(),
        device_write_iops: blkio.device_write_iops.clone(),
    }
}

/// Returns the requests for devices by what they can do: the reserved ones, then `gpus`.
pub(crate) fn device_requests(service: &Service) -> Vec<DeviceRequest> {
    let reserved = service.deploy.as_ref().and_then(|deploy| deploy.reservations.as_ref());
    let request = |asked: &compose::model::deploy::DeviceRequest, capability: Option<&str>| {
        let mut capabilities = asked.capabilities.clone();
        if let Some(capability) = capability.filter(|it| !capabilities.iter().any(|has| has == it)) {
            capabilities.push(capability.to_owned());
        }
        DeviceRequest {
            driver: asked.driver.clone(),
            count: asked.count,
            device_ids: asked.device_ids.clone(),
            capabilities,
            options: asked.options.clone(),
        }
    };
    let reserved = reserved.into_iter().flat_map(|reserved| &reserved.devices).map(|asked| request(asked, None));
    reserved.chain(service.gpus.iter().map(|asked| request(asked, Some("gpu")))).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of processors is small and positive here"
)]
fn nano_cpus(cpus: f64) -> Option<u64> {
    (cpus > 0.0 && cpus < 1e6).then(|| (cpus * 1e9).round() as u64)
}

#[cfg(test)]
mod tests {
    use compose::model::deploy::{Deploy, Resources};

    use super::*;

    #[test]
    fn deploy_is_over_the_service() {
        let deploy = Deploy {
            limits: Some(Resources { cpus: Some(0.5), memory: Some(Bytes(64 << 20)), pids: None, devices: Vec::new() }),
            ..Deploy::default()
        };
        let service = Service { cpus: Some(2.0), pids_limit: Some(-1), deploy: Some(deploy), ..Service::default() };
        let limits = limits(&service);
        assert_eq!(limits.nano_cpus, Some(500_000_000));
        assert_eq!(limits.memory, Some(64 << 20));
        assert_eq!(limits.pids, Some(-1));
    }
}
