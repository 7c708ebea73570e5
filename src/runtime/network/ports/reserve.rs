//! Takes ports of the host by binding sockets to them: nobody else gets them then, and nobody has them already.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};

use crate::network::firewall;
use crate::network::ports::{PortConflict, holder};
use crate::state::container::{OpenPortRecord, PortRecord, Protocol};

/// How often a port that is free on IPv4 may be taken on IPv6 before we give up.
const TRIES: u32 = 64;
const BACKLOG: i32 = 1024;

/// A bound socket of the host; TCP ones listen.
#[derive(Debug)]
pub struct HostSocket {
    /// The socket, non-blocking.
    pub fd: OwnedFd,
    /// What it is open for.
    pub port: OpenPortRecord,
}

/// Sockets on the host that keep ports from everybody else, until dropped.
#[derive(Debug, Default)]
pub struct Reserved {
    /// What is open, in the order asked for; every address is two entries, `0.0.0.0` and `::`.
    pub open: Vec<OpenPortRecord>,
    pub(crate) sockets: Vec<HostSocket>,
    /// Where they lead, known once they are published.
    pub(crate) targets: OnceLock<Vec<IpAddr>>,
}

/// Takes all of `ports`, or none.
pub fn reserve(ports: &[PortRecord]) -> Result<Reserved, PortConflict> {
    let mut reserved = Reserved::default();
    for port in ports {
        for socket in reserve_one(port)? {
            reserved.open.push(socket.port.clone());
            reserved.sockets.push(socket);
        }
    }
    Ok(reserved)
}

fn reserve_one(port: &PortRecord) -> Result<Vec<HostSocket>, PortConflict> {
    let conflict = |number, problem| PortConflict {
        host_ip: port.host_ip,
        port: number,
        protocol: port.protocol,
        holder: None,
        problem,
    };
    if port.protocol == Protocol::Sctp && !firewall::is_there() {
        let problem = "sctp is forwarded by the kernel alone, and this one has no nf_tables".to_owned();
        return Err(conflict(port.host_ports.map_or(0, |(first, _)| first), Some(problem)));
    }
    let (first, last) = port.host_ports.unwrap_or((0, 0));
    let candidates = (first..=last).flat_map(|number| {
        // Any free port is the kernel's choice, of which the other family may know better.
        std::iter::repeat_n(number, if number == 0 { TRIES as usize } else { 1 })
    });
    let mut taken = conflict(first, None);
    for number in candidates {
        match bind_all(port, number) {
            Ok(sockets) => return Ok(sockets),
            Err(Errno::ADDRINUSE) => {}
            Err(Errno::ADDRNOTAVAIL) => {
                taken.problem = Some("the host has no such address".into());
                return Err(taken);
            }
            Err(errno) => {
                taken.problem = Some(std::io::Error::from(errno).to_string());
                return Err(taken);
            }
        }
    }
    taken.holder = holder::find(first, port.protocol);
    Err(taken)
}

fn bind_all(port: &PortRecord, number: u16) -> Result<Vec<HostSocket>, Errno> {
    let Some(address) = port.host_ip else {
        let ipv4 = bind(port, Ipv4Addr::UNSPECIFIED.into(), number)?;
        let number = ipv4.port.host_port;
        return match bind(port, Ipv6Addr::UNSPECIFIED.into(), number) {
            Ok(ipv6) => Ok(vec![ipv4, ipv6]),
            // A host without IPv6.
            Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) => Ok(vec![ipv4]),
            Err(errno) => Err(errno),
        };
    };
    Ok(vec![bind(port, address, number)?])
}

fn bind(port: &PortRecord, address: IpAddr, number: u16) -> Result<HostSocket, Errno> {
    if port.protocol == Protocol::Sctp {
        return claim(port, address, number);
    }
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let is_tcp = port.protocol == Protocol::Tcp;
    let kind = if is_tcp { SocketType::STREAM } else { SocketType::DGRAM };
    let fd = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&fd, true)?;
    }
    if is_tcp {
        // Connections of an earlier life of the port may still wait for their end; listeners exclude each other all the same.
        sockopt::set_socket_reuseaddr(&fd, true)?;
    }
    rustix::net::bind(&fd, &SocketAddr::new(address, number))?;
    if is_tcp {
        rustix::net::listen(&fd, BACKLOG)?;
    }
    let bound = SocketAddr::try_from(rustix::net::getsockname(&fd)?)?;
    let port = OpenPortRecord {
        host_ip: address,
        host_port: bound.port(),
        container_port: port.container_port,
        protocol: port.protocol,
    };
    Ok(HostSocket { fd, port })
}

/// Keeps an SCTP port from other containers by a name that only one socket of this network namespace can have: the
/// kernel may forward SCTP without having sockets of it.
fn claim(port: &PortRecord, host_ip: IpAddr, number: u16) -> Result<HostSocket, Errno> {
    let host_port = if number == 0 { random_port() } else { number };
    let fd = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let name = SocketAddrUnix::new_abstract_name(format!("motet-sctp-{host_ip}-{host_port}").as_bytes())?;
    rustix::net::bind(&fd, &name)?;
    let port = OpenPortRecord { host_ip, host_port, container_port: port.container_port, protocol: port.protocol };
    Ok(HostSocket { fd, port })
}

/// Returns one of the kernel's usual range for ports of its own choice.
fn random_port() -> u16 {
    let mut bytes = [0u8; 2];
    // Should it fail, the next port is tried like one that is taken.
    let _ = rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty());
    32768 + u16::from_ne_bytes(bytes) % 28232
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(host_ip: Option<&str>, host_ports: Option<(u16, u16)>) -> PortRecord {
        PortRecord {
            host_ip: host_ip.map(|ip| ip.parse().unwrap()),
            host_ports,
            container_port: 80,
            protocol: Protocol::Tcp,
        }
    }

    #[test]
    fn a_free_port_is_the_same_for_both_families() {
        let reserved = reserve(&[port(None, None)]).unwrap();
        assert!(reserved.open.iter().all(|open| open.host_port == reserved.open[0].host_port && open.host_port != 0));
    }

    #[test]
    fn a_taken_port_names_its_holder_and_a_range_goes_on() {
        let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let number = holder.local_addr().unwrap().port();
        let conflict = reserve(&[port(Some("127.0.0.1"), Some((number, number)))]).unwrap_err();
        assert_eq!(conflict.holder.as_ref().unwrap().pid, i32::try_from(std::process::id()).unwrap());
        assert!(conflict.to_string().starts_with(&format!("port 127.0.0.1:{number}/tcp is taken by `")), "{conflict}");
        let reserved = reserve(&[port(Some("127.0.0.1"), Some((number, number.saturating_add(50))))]).unwrap();
        assert!(reserved.open[0].host_port > number);
    }

    #[test]
    fn one_that_is_taken_leaves_none_open() {
        let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = holder.local_addr().unwrap().port();
        let free = reserve(&[port(Some("127.0.0.1"), None)]).unwrap().open[0].host_port;
        let both = [port(Some("127.0.0.1"), Some((free, free))), port(Some("127.0.0.1"), Some((taken, taken)))];
        assert_eq!(reserve(&both).unwrap_err().port, taken);
        assert!(reserve(&both[..1]).is_ok(), "the first is free again");
    }

    #[test]
    fn an_address_that_the_host_lacks_is_told() {
        let conflict = reserve(&[port(Some("198.51.100.77"), None)]).unwrap_err();
        assert!(conflict.to_string().contains("no such address"), "{conflict}");
    }

    #[test]
    fn an_sctp_port_is_one_containers_own() {
        let sctp = |ports| PortRecord { protocol: Protocol::Sctp, ..port(Some("127.0.0.1"), ports) };
        let held = reserve(&[sctp(None)]).unwrap();
        let number = held.open[0].host_port;
        assert!(number >= 32768);
        assert_eq!(reserve(&[sctp(Some((number, number)))]).unwrap_err().port, number);
        drop(held);
        assert!(reserve(&[sctp(Some((number, number)))]).is_ok());
    }
}
