//! The project's networks, and a service's place on them.

use std::cmp::Reverse;

use compose::Project;
use compose::model::service::Service;

use crate::desired::project::DesiredNetwork;
use crate::engine::container::{Endpoint, NetworkMode};
use crate::engine::network::{AddressPool, NetworkSpec};
use crate::identity;

/// Returns the network of `key`.
pub(crate) fn network(project: &Project, key: &str) -> DesiredNetwork {
    let network = &project.networks[key];
    let hash = identity::network_hash(project, key);
    let pools = network.ipam.config.iter().map(|pool| AddressPool {
        subnet: pool.subnet.clone(),
        ip_range: pool.ip_range.clone(),
        gateway: pool.gateway.clone(),
        aux_addresses: pool.aux_addresses.clone(),
    });
    DesiredNetwork {
        external: network.external,
        spec: NetworkSpec {
            name: network.name.clone(),
            driver: network.driver.clone(),
            driver_opts: network.driver_opts.clone(),
            pools: pools.collect(),
            internal: network.internal,
            attachable: network.attachable,
            ipam_driver: network.ipam.driver.clone(),
            ipam_options: network.ipam.options.clone(),
            ipv4: network.enable_ipv4.unwrap_or(true),
            ipv6: network.enable_ipv6.unwrap_or(false),
            labels: identity::resource_labels(&project.name, identity::NETWORK, key, &hash, &network.labels),
        },
        hash,
    }
}

/// Returns what network a service's containers see; another service's is still named `service:NAME`.
pub(crate) fn mode(project: &Project, service: &Service) -> NetworkMode {
    match service.network_mode.as_deref() {
        Some("none") => NetworkMode::None,
        Some("host") => NetworkMode::Host,
        Some(mode) if mode.starts_with("service:") => NetworkMode::Container(mode.to_owned()),
        Some(mode) => match mode.strip_prefix("container:") {
            Some(container) => NetworkMode::Container(container.to_owned()),
            None => NetworkMode::Networks(vec![Endpoint { network: mode.to_owned(), ..Endpoint::default() }]),
        },
        None if service.networks.is_empty() => NetworkMode::None,
        None => NetworkMode::Networks(endpoints(project, service)),
    }
}

fn endpoints(project: &Project, service: &Service) -> Vec<Endpoint> {
    let mut attachments: Vec<_> = service.networks.iter().collect();
    attachments.sort_by_key(|(key, attachment)| (Reverse(attachment.priority), (*key).clone()));
    let links: Vec<_> = service.external_links.iter().map(|link| external_link(link)).collect();
    let endpoint = |(index, (key, attachment)): (usize, &(&String, &compose::model::service::Attachment))| {
        let mut aliases = vec![service.name.clone()];
        for alias in attachment.aliases.iter().cloned().chain(linked_names(project, &service.name)) {
            if !aliases.contains(&alias) {
                aliases.push(alias);
            }
        }
        let own_address = if index == 0 { service.mac_address.clone() } else { None };
        Endpoint {
            network: project.networks.get(*key).map_or_else(|| (*key).clone(), |network| network.name.clone()),
            aliases,
            ipv4_address: attachment.ipv4_address.clone(),
            ipv6_address: attachment.ipv6_address.clone(),
            mac_address: attachment.mac_address.clone().or(own_address),
            driver_opts: attachment.driver_opts.clone(),
            interface_name: attachment.interface_name.clone(),
            link_local_ips: attachment.link_local_ips.clone(),
            priority: attachment.priority,
            gw_priority: attachment.gw_priority,
            links: links.clone(),
        }
    };
    attachments.iter().enumerate().map(endpoint).collect()
}

/// Reads `CONTAINER[:ALIAS]`.
fn external_link(link: &str) -> (String, String) {
    let (container, alias) = link.split_once(':').unwrap_or((link, link));
    (container.to_owned(), alias.to_owned())
}

/// Returns the names that other services' `links` give this one. Every service of the network sees them.
fn linked_names(project: &Project, service: &str) -> Vec<String> {
    let links = project.services.values().flat_map(|other| &other.links);
    links
        .filter_map(|link| link.split_once(':'))
        .filter(|(name, _)| *name == service)
        .map(|(_, alias)| alias.to_owned())
        .collect()
}
