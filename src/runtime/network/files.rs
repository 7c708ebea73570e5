//! `/etc/hosts` and `/etc/resolv.conf` of a container, as Docker writes them.

use std::net::IpAddr;

use crate::state::container::ContainerRecord;
use crate::state::network::EndpointRecord;

/// Returns the container's `/etc/hosts`; on the host's network a copy of the host's, with the extra hosts added.
pub fn hosts(_container: &ContainerRecord, _endpoints: &[EndpointRecord]) -> String {
    String::new()
}

/// Returns the container's `/etc/resolv.conf`; `host` is the text of the host's, see [`host_resolv_conf`].
pub fn resolv_conf(_container: &ContainerRecord, _host: &str) -> String {
    String::new()
}

/// Reads the host's `/etc/resolv.conf`; empty when there is none.
pub fn host_resolv_conf() -> String {
    String::new()
}

/// Returns where the container's name server forwards to: the container's own `dns`, else the host's.
pub fn upstream(_container: &ContainerRecord, _host: &str) -> Vec<IpAddr> {
    Vec::new()
}
