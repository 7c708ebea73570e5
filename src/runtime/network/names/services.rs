//! Names of ports, as SRV questions have them (RFC 2782): `_http._tcp.web`, or with its number `_8080._tcp.web`.

/// Ports that programs in containers commonly serve, as in the registry of services (RFC 6335).
const WELL_KNOWN: [(&str, u16); 26] = [
    ("amqp", 5672),
    ("amqps", 5671),
    ("domain", 53),
    ("ftp", 21),
    ("git", 9418),
    ("http", 80),
    ("http-alt", 8080),
    ("https", 443),
    ("imap", 143),
    ("imaps", 993),
    ("ipp", 631),
    ("kerberos", 88),
    ("ldap", 389),
    ("ldaps", 636),
    ("mongodb", 27017),
    ("mqtt", 1883),
    ("mysql", 3306),
    ("nfs", 2049),
    ("ntp", 123),
    ("postgresql", 5432),
    ("redis", 6379),
    ("sip", 5060),
    ("smtp", 25),
    ("ssh", 22),
    ("submission", 587),
    ("syslog", 514),
];

/// Returns the port that a question is about (`None`: nobody knows it by this name), and whose; `None`: it is about no
/// port. `name` is in small letters.
pub fn split(name: &str) -> Option<(Option<u16>, &str)> {
    let (port, rest) = name.strip_prefix('_')?.split_once('.')?;
    let (protocol, rest) = rest.strip_prefix('_')?.split_once('.')?;
    if !matches!(protocol, "tcp" | "udp" | "sctp") {
        return None;
    }
    let well_known = || WELL_KNOWN.iter().find(|(name, _)| *name == port).map(|(_, port)| *port);
    Some((port.parse().ok().or_else(well_known), rest))
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn ports_have_numbers_and_names() {
        assert_eq!(split("_8080._tcp.web"), Some((Some(8080), "web")));
        assert_eq!(split("_http._tcp.web.shop_default"), Some((Some(80), "web.shop_default")));
        assert_eq!(split("_nothing._udp.web"), Some((None, "web")));
        for name in ["web", "_http.web", "_http._quic.web", "_http._tcp", "_99999._tcp"] {
            assert_eq!(split(name), None, "{name}");
        }
    }
}
