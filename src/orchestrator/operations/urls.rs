//! The ways into a project from the host.

use std::net::IpAddr;

use crate::engine::container::OpenPort;
use crate::observed::ObservedContainer;

/// A way in from the host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Url {
    /// Service that answers.
    pub service: String,
    /// `http://localhost:5000`, or `localhost:5432` where no browser is wanted.
    pub url: String,
}

/// Returns the TCP ports that the containers have open on the host.
pub fn urls(containers: &[ObservedContainer]) -> Vec<Url> {
    let mut urls: Vec<Url> = containers
        .iter()
        .flat_map(|container| {
            let url = |port: &OpenPort| url(port).map(|url| Url { service: container.identity.service.clone(), url });
            container.summary.ports.iter().filter_map(url).collect::<Vec<_>>()
        })
        .collect();
    urls.sort();
    urls.dedup();
    urls
}

fn url(port: &OpenPort) -> Option<String> {
    let (ip, host_port) = port.host.filter(|_| port.protocol == "tcp")?;
    let host = match ip {
        ip if ip.is_unspecified() || ip.is_loopback() => "localhost".to_owned(),
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    Some(match port.container_port {
        443 | 8443 => format!("https://{host}:{host_port}"),
        // What listens there by convention does not speak HTTP.
        21 | 22 | 25 | 53 | 389 | 1433 | 1521 | 1883 | 2181 | 3306 | 4222 | 5432 | 5672 | 6379 | 9042 | 9092
        | 11211 | 27017 => format!("{host}:{host_port}"),
        _ => format!("http://{host}:{host_port}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_no_web_page() {
        let port = |container_port| OpenPort {
            host: Some((IpAddr::from([0, 0, 0, 0]), 5000)),
            container_port,
            protocol: "tcp".into(),
        };
        assert_eq!(url(&port(5000)).as_deref(), Some("http://localhost:5000"));
        assert_eq!(url(&port(5432)).as_deref(), Some("localhost:5000"));
    }
}
