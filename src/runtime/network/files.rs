//! `/etc/hosts` and `/etc/resolv.conf` of a container, as Docker writes them.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};

use crate::state::container::{ContainerRecord, NetworkModeRecord};
use crate::state::network::EndpointRecord;

/// Where the container's own name server listens.
pub const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

const LOCAL_HOSTS: &str = "127.0.0.1\tlocalhost\n\
    ::1\tlocalhost ip6-localhost ip6-loopback\n\
    fe00::\tip6-localnet\n\
    ff00::\tip6-mcastprefix\n\
    ff02::1\tip6-allnodes\n\
    ff02::2\tip6-allrouters\n";

/// Returns the container's `/etc/hosts`; on the host's network a copy of the host's, with the extra hosts added.
pub fn hosts(container: &ContainerRecord, endpoints: &[EndpointRecord]) -> String {
    let is_on_host = container.network == NetworkModeRecord::Host;
    let mut text =
        if is_on_host { std::fs::read_to_string("/etc/hosts").unwrap_or_default() } else { LOCAL_HOSTS.to_owned() };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    for (name, address) in &container.extra_hosts {
        let address = match address.as_str() {
            "host-gateway" => gateway(endpoints).to_string(),
            // An IPv6 address may come in brackets.
            other => other.trim_start_matches('[').trim_end_matches(']').to_owned(),
        };
        let _ = writeln!(text, "{address}\t{name}");
    }
    for address in endpoints.iter().flat_map(|endpoint| &endpoint.addresses) {
        text.push_str(&own_line(container, *address));
    }
    text
}

/// Returns the line of `/etc/hosts` that says what the container is called at one of its addresses.
pub(crate) fn own_line(container: &ContainerRecord, address: IpAddr) -> String {
    match &container.domainname {
        Some(domain) if !domain.is_empty() => format!("{address}\t{0}.{domain} {0}\n", container.hostname),
        _ => format!("{address}\t{}\n", container.hostname),
    }
}

/// Returns the host's address as its containers see it: the one that the host would send to them from.
fn gateway(endpoints: &[EndpointRecord]) -> IpAddr {
    let towards = |address: &IpAddr| {
        let any: IpAddr = if address.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
        // Connecting a datagram socket sends nothing, it looks up the route.
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect((*address, 9)).ok()?;
        socket.local_addr().ok().map(|local| local.ip())
    };
    let first = endpoints.iter().flat_map(|endpoint| &endpoint.addresses).next();
    first.and_then(towards).unwrap_or(Ipv4Addr::LOCALHOST.into())
}

/// Returns the container's `/etc/resolv.conf`; `host` is the text of the host's, see [`host_resolv_conf`].
pub fn resolv_conf(container: &ContainerRecord, host: &str) -> String {
    let is_ours = matches!(&container.network, NetworkModeRecord::Networks(networks) if !networks.is_empty());
    let is_changed = !container.dns.is_empty() || !container.dns_search.is_empty() || !container.dns_options.is_empty();
    if !is_ours && !is_changed {
        return host.to_owned();
    }
    let mut text = String::new();
    if is_ours {
        let _ = writeln!(text, "nameserver {NAME_SERVER}");
    } else if container.dns.is_empty() {
        for server in values(host, "nameserver") {
            let _ = writeln!(text, "nameserver {server}");
        }
    } else {
        for server in &container.dns {
            let _ = writeln!(text, "nameserver {server}");
        }
    }
    let mut search = container.dns_search.clone();
    if search.is_empty() {
        search = last_line(host, "search");
    }
    // `.` alone is how one says: none.
    if !search.is_empty() && search != ["."] {
        let _ = writeln!(text, "search {}", search.join(" "));
    }
    let mut options = container.dns_options.clone();
    if options.is_empty() {
        options = values(host, "options").into_iter().filter(|option| !option.starts_with("ndots:")).collect();
    }
    if is_ours && !options.iter().any(|option| option.starts_with("ndots:")) {
        options.push("ndots:0".into());
    }
    if !options.is_empty() {
        let _ = writeln!(text, "options {}", options.join(" "));
    }
    text
}

/// Reads the host's `/etc/resolv.conf`; empty when there is none.
pub fn host_resolv_conf() -> String {
    std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default()
}

/// Returns where the container's name server forwards to: the container's own `dns`, else the host's.
pub fn upstream(container: &ContainerRecord, host: &str) -> Vec<IpAddr> {
    let servers = if container.dns.is_empty() { values(host, "nameserver") } else { container.dns.clone() };
    // An address with a zone (`fe80::1%eth0`) parses as none, and is of no use without its link.
    servers.iter().filter_map(|server| server.parse().ok()).collect()
}

/// Returns all values of a key of resolv.conf(5).
fn values(text: &str, key: &str) -> Vec<String> {
    lines(text, key).flat_map(|words| words.map(str::to_owned)).collect()
}

/// Returns the values of the last line with a key: of `search` only that one counts.
fn last_line(text: &str, key: &str) -> Vec<String> {
    lines(text, key).last().map(|words| words.map(str::to_owned).collect()).unwrap_or_default()
}

fn lines<'a>(text: &'a str, key: &'a str) -> impl Iterator<Item = std::str::SplitAsciiWhitespace<'a>> {
    text.lines().filter_map(move |line| {
        let mut words = line.split(['#', ';']).next().unwrap_or_default().split_ascii_whitespace();
        (words.next() == Some(key)).then_some(words)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::tests::scratch::container_record;
    use crate::state::container::EndpointRequest;

    const HOST: &str = "# by hand\nnameserver 127.0.0.53\nnameserver 192.0.2.53 # second\nsearch old\nsearch lan example.org\noptions edns0 ndots:2 trust-ad\n";

    fn on_network() -> ContainerRecord {
        container_record("web", vec![EndpointRequest::default()])
    }

    #[test]
    fn a_container_asks_its_own_server_with_the_hosts_search_and_options() {
        let text = resolv_conf(&on_network(), HOST);
        assert_eq!(text, "nameserver 127.0.0.11\nsearch lan example.org\noptions edns0 trust-ad ndots:0\n");
        let servers: Vec<_> = upstream(&on_network(), HOST).iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["127.0.0.53", "192.0.2.53"]);
    }

    #[test]
    fn what_a_container_asks_for_replaces_what_the_host_has() {
        let mut container = on_network();
        container.dns = vec!["9.9.9.9".into()];
        container.dns_search = vec![".".into()];
        container.dns_options = vec!["ndots:3".into()];
        assert_eq!(resolv_conf(&container, HOST), "nameserver 127.0.0.11\noptions ndots:3\n");
        assert_eq!(upstream(&container, HOST), ["9.9.9.9".parse::<IpAddr>().unwrap()]);
        container.network = NetworkModeRecord::Host;
        assert_eq!(resolv_conf(&container, HOST), "nameserver 9.9.9.9\noptions ndots:3\n");
        container.dns.clear();
        container.dns_search.clear();
        container.dns_options.clear();
        assert_eq!(resolv_conf(&container, HOST), HOST);
    }

    #[test]
    fn hosts_names_the_container_and_what_was_asked_for() {
        let mut container = on_network();
        container.domainname = Some("example.org".into());
        container.extra_hosts = vec![
            ("db".into(), "10.0.0.9".into()),
            ("six".into(), "[fd00::9]".into()),
            ("me".into(), "host-gateway".into()),
        ];
        let endpoint = EndpointRecord {
            version: 1,
            container: container.id.clone(),
            container_name: "web".into(),
            addresses: vec!["127.0.0.1".parse().unwrap()],
            mac: String::new(),
            host_link: String::new(),
            interface: "eth0".into(),
            names: Vec::new(),
            up: false,
            link_local: Vec::new(),
            sysctls: Vec::new(),
        };
        let text = hosts(&container, &[endpoint]);
        let tail: Vec<_> = text.lines().skip(6).collect();
        assert_eq!(tail, ["10.0.0.9\tdb", "fd00::9\tsix", "127.0.0.1\tme", "127.0.0.1\tweb.example.org web"]);
        assert!(text.starts_with("127.0.0.1\tlocalhost\n::1\tlocalhost"));
    }
}
