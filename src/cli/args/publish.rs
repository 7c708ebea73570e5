//! `-p [[IP:]HOST:]CONTAINER[/PROTOCOL]`: ports and ranges of ports.

use std::net::IpAddr;

use orchestrator::engine::container::PortBinding;

/// Reads one value of `-p`; a range gives a binding a port.
pub(crate) fn parse_publish(text: &str) -> Result<Vec<PortBinding>, String> {
    let wrong = |why: &str| format!("`{text}` is no port to publish: {why}; write `8080:80`, `127.0.0.1:8080:80/udp`");
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(wrong(&format!("there is no protocol `{protocol}`")));
    }
    let (rest, container) = match ports.rsplit_once(':') {
        Some((rest, container)) => (Some(rest), container),
        None => (None, ports),
    };
    let (address, host) = match rest {
        None => (None, ""),
        Some(rest) => match rest.rsplit_once(':') {
            // `[::1]:` has colons of its own.
            Some((_, _)) if rest.ends_with(']') => return Err(wrong("the host port is missing")),
            Some((address, host)) => (Some(address), host),
            None => (None, rest),
        },
    };
    let host_ip = match address {
        None | Some("") => None,
        Some(address) => {
            let bare = address.trim_start_matches('[').trim_end_matches(']');
            Some(bare.parse::<IpAddr>().map_err(|_| wrong(&format!("`{bare}` is no address")))?)
        }
    };
    let (first, last) = range(container).ok_or_else(|| wrong(&format!("`{container}` is no port")))?;
    let host = match host {
        "" | "0" => None,
        host => Some(range(host).ok_or_else(|| wrong(&format!("`{host}` is no port")))?),
    };
    let binding =
        |container_port, host_ports| PortBinding { host_ip, host_ports, container_port, protocol: protocol.clone() };
    match host {
        Some(whole) if first == last => Ok(vec![binding(first, Some(whole))]),
        Some((from, to)) if to - from != last - first => Err(wrong("the two ranges differ in length")),
        Some((from, _)) => {
            Ok((first..=last).map(|port| binding(port, Some((from + (port - first), from + (port - first))))).collect())
        }
        None => Ok((first..=last).map(|port| binding(port, None)).collect()),
    }
}

/// Reads `80` or `80-90`.
pub(crate) fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last && first > 0).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let shown = |binding: PortBinding| {
            let ip = binding.host_ip.map_or(String::new(), |ip| format!("{ip} "));
            let host = binding.host_ports.map_or("any".to_owned(), |(first, last)| format!("{first}-{last}"));
            format!("{ip}{host}>{}/{}", binding.container_port, binding.protocol)
        };
        let all: Vec<String> = parse_publish(text).unwrap().into_iter().map(shown).collect();
        assert_eq!(all.join(" "), expected);
    }

    #[test]
    fn ports_are_read_as_docker_reads_them() {
        check("80", "any>80/tcp");
        check("8080:80", "8080-8080>80/tcp");
        check("127.0.0.1:8080:80/udp", "127.0.0.1 8080-8080>80/udp");
        check("127.0.0.1::80", "127.0.0.1 any>80/tcp");
        check("[::1]:8080:80", "::1 8080-8080>80/tcp");
        check("8000-8001:80-81", "8000-8000>80/tcp 8001-8001>81/tcp");
        check("8000-8010:80", "8000-8010>80/tcp");
    }

    #[test]
    fn what_is_no_port_says_why() {
        assert!(parse_publish("80:x").unwrap_err().contains("`x` is no port"));
        assert!(parse_publish("host:80:80").unwrap_err().contains("`host` is no address"));
        assert!(parse_publish("80-82:80-81").unwrap_err().contains("differ in length"));
        assert!(parse_publish("80/icmp").unwrap_err().contains("no protocol"));
    }
}
