//! `[[address:]host:]container[/protocol]` to ports, a range to one port each.

use std::net::IpAddr;

use crate::canonical::{expand, lists};
use crate::document::node::{Node, Value};
use crate::document::session::Session;

/// How many ports the ranges of one project may unfold into: that of two services that publish all there are.
pub const MAXIMUM_PORTS: usize = 2 * 65_536;

/// A published port as the short form says it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ShortPort {
    address: String,
    published: String,
    target: u16,
    protocol: String,
}

/// Spells out every port of the list. With references still in it, a list that cannot be read stays as it is.
pub fn expand(session: &mut Session<'_>, node: &mut Node, lenient: bool) {
    let Value::Sequence(items) = &mut node.value else { return };
    if lenient && items.iter().filter_map(Node::as_str).any(|text| parse(text).is_err()) {
        return;
    }
    let mut ports = Vec::with_capacity(items.len());
    for item in std::mem::take(items) {
        let text = match &item.value {
            Value::String(text) => text.clone(),
            Value::Int(_) => item.plain(),
            _ => {
                ports.push(item);
                continue;
            }
        };
        match parse(&text) {
            Ok(parsed) => {
                session.ports += parsed.len();
                if session.ports > MAXIMUM_PORTS {
                    let reason = format!("the ranges of ports unfold into more than {MAXIMUM_PORTS} ports");
                    expand::refuse(session, &item, reason);
                    continue;
                }
                ports.extend(parsed.into_iter().map(|port| long(&item, port)));
            }
            Err(reason) => expand::refuse(session, &item, reason),
        }
    }
    *items = ports;
}

fn long(item: &Node, port: ShortPort) -> Node {
    let mut entries = vec![("mode", Value::String("ingress".into()))];
    if !port.address.is_empty() {
        entries.push(("host_ip", Value::String(port.address)));
    }
    entries.push(("target", Value::Int(i128::from(port.target))));
    if !port.published.is_empty() {
        entries.push(("published", Value::String(port.published)));
    }
    entries.push(("protocol", Value::String(port.protocol)));
    lists::mapping(item, entries)
}

fn parse(text: &str) -> Result<Vec<ShortPort>, String> {
    let refuse = |reason: String| format!("the port `{text}` {reason}");
    let (front, container) = text.rsplit_once(':').unwrap_or(("", text));
    let (address, host) = front.rsplit_once(':').unwrap_or(("", front));
    let (container, protocol) = container.split_once('/').unwrap_or((container, "tcp"));
    let protocol = if protocol.is_empty() { "tcp".to_owned() } else { protocol.to_ascii_lowercase() };
    if container.is_empty() {
        return Err(refuse("has no container port".into()));
    }
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(refuse(format!("has the protocol `{protocol}`; there are tcp, udp and sctp")));
    }
    let address = address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(address);
    if !address.is_empty() && address.parse::<IpAddr>().is_err() {
        return Err(refuse(format!("has the address `{address}`, which is no IP address")));
    }
    let (first, last) = range(container).map_err(|reason| refuse(format!("has a container port that {reason}")))?;
    if first == 0 {
        return Err(refuse("has the container port 0".into()));
    }
    let published = if host.is_empty() {
        None
    } else {
        Some(range(host).map_err(|reason| refuse(format!("has a host port that {reason}")))?)
    };
    if let Some((low, high)) = published
        && first != last
        && high - low != last - first
    {
        return Err(refuse(format!("has ranges of different lengths, {host} and {container}")));
    }
    let mut ports: Vec<ShortPort> = (0..=last - first)
        .map(|step| ShortPort {
            address: address.to_owned(),
            published: match published {
                None => String::new(),
                Some((low, high)) if first == last && low != high => format!("{low}-{high}"),
                Some((low, _)) => (low + step).to_string(),
            },
            target: first + step,
            protocol: protocol.clone(),
        })
        .collect();
    // Compose sorts by the port's text, so 10000 comes before 9999.
    ports.sort_by_key(|port| port.target.to_string());
    Ok(ports)
}

fn range(text: &str) -> Result<(u16, u16), String> {
    let number = |part: &str| match part.parse::<u16>() {
        Ok(number) => Ok(number),
        Err(_) if part.parse::<u64>().is_ok() => Err(format!("is above 65535: `{part}`")),
        Err(_) => Err(format!("is no number: `{part}`")),
    };
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(text)?, number(text)?),
    };
    if last < first { Err(format!("ends before it begins: `{text}`")) } else { Ok((first, last)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let shown = parse(text).map(|ports| {
            let ports: Vec<_> =
                ports.iter().map(|p| format!("{}|{}|{}|{}", p.address, p.published, p.target, p.protocol)).collect();
            ports.join(" ")
        });
        assert_eq!(shown.as_deref().unwrap_or("error"), expected, "{text}");
    }

    #[test]
    fn every_short_form_is_read() {
        check("80", "||80|tcp");
        check("8080:80", "|8080|80|tcp");
        check("127.0.0.1:8080:80/udp", "127.0.0.1|8080|80|udp");
        check("127.0.0.1::80", "127.0.0.1||80|tcp");
        check("[::1]:8080:80", "::1|8080|80|tcp");
        check("::1:8080:80", "::1|8080|80|tcp");
        check("8000-9000:80", "|8000-9000|80|tcp");
        check("3000-3001:4000-4001", "|3000|4000|tcp |3001|4001|tcp");
        check("9999-10000", "||10000|tcp ||9999|tcp");
    }

    #[test]
    fn what_is_no_port_is_refused() {
        for text in ["8080:", "localhost:80:80", "80800:80", "http", "1-3:1-2", "80/icmp", "80/tcp/udp", "80:0", ""] {
            check(text, "error");
        }
    }
}
