//! Where what runs can be reached: a line a published port, at the end of `up`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use orchestrator::engine::container::ContainerSummary;

/// Container ports of well-known servers that speak no HTTP.
const NOT_HTTP: [u16; 20] =
    [21, 22, 25, 53, 110, 143, 389, 587, 636, 993, 1433, 1521, 1883, 3306, 5432, 5672, 6379, 9092, 11211, 27017];

/// Returns `http://localhost:5000` for each published TCP port of a container, sorted; `udp` ports as
/// `localhost:53/udp`.
pub(crate) fn of(container: &ContainerSummary) -> Vec<String> {
    let mut urls = BTreeSet::new();
    for port in &container.ports {
        let Some((address, host_port)) = port.host else { continue };
        let host = match address {
            address if address.is_unspecified() || address.is_loopback() => "localhost".to_owned(),
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        urls.insert((
            host_port,
            match port.protocol.as_str() {
                "tcp" if port.container_port == 443 || port.container_port == 8443 => {
                    format!("https://{host}:{host_port}")
                }
                "tcp" if NOT_HTTP.contains(&port.container_port) => format!("{host}:{host_port}"),
                "tcp" => format!("http://{host}:{host_port}"),
                protocol => format!("{host}:{host_port}/{protocol}"),
            },
        ));
    }
    urls.into_iter().map(|(_, url)| url).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;
    use std::time::UNIX_EPOCH;

    use orchestrator::engine::container::{ContainerId, ContainerState, OpenPort};

    use super::*;

    /// A running container with these ports: host side, container port, protocol.
    pub(crate) fn container(ports: &[(Option<&str>, u16, &str)]) -> ContainerSummary {
        let open = |(host, container_port, protocol): &(Option<&str>, u16, &str)| OpenPort {
            host: host.map(|text| text.parse::<std::net::SocketAddr>().map(|host| (host.ip(), host.port())).unwrap()),
            container_port: *container_port,
            protocol: (*protocol).to_owned(),
        };
        ContainerSummary {
            id: ContainerId("0123456789abcdef".into()),
            name: "shop-web-1".into(),
            image: "shop-web".into(),
            image_id: "sha256:1".into(),
            labels: BTreeMap::new(),
            state: ContainerState::Running { since: UNIX_EPOCH, health: None },
            created: UNIX_EPOCH,
            command: vec!["python".into(), "app.py".into()],
            ports: ports.iter().map(open).collect(),
            networks: BTreeMap::new(),
            volumes: BTreeMap::new(),
            anonymous_volumes: Vec::new(),
        }
    }

    #[test]
    fn published_ports_become_addresses_that_can_be_opened() {
        let urls = of(&container(&[
            (Some("[::]:5000"), 5000, "tcp"),
            (Some("0.0.0.0:5000"), 5000, "tcp"),
            (Some("192.168.1.7:8443"), 443, "tcp"),
            (Some("127.0.0.1:15432"), 5432, "tcp"),
            (Some("0.0.0.0:53"), 53, "udp"),
            (None, 9000, "tcp"),
        ]));
        assert_eq!(urls, ["localhost:53/udp", "http://localhost:5000", "https://192.168.1.7:8443", "localhost:15432"]);
    }
}
