//! Published ports, from everywhere.

use std::net::IpAddr;

use crate::network::ports::{check, publish, reserve, unpublish};
use crate::network::tests::scratch::{Container, HOST, Host, ask, is_barred, on_a_host, serve};
use crate::state::container::{PortRecord, Protocol};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn port(host_ip: Option<&str>, host: u16, container: u16) -> PortRecord {
    PortRecord {
        host_ip: host_ip.map(ip),
        host_ports: Some((host, host)),
        container_port: container,
        protocol: Protocol::Tcp,
    }
}

fn open(host: &Host, container: &Container, ports: &[PortRecord]) -> crate::network::ports::Reserved {
    let reserved = reserve(ports).unwrap();
    publish(&host.rt, &container.record.id, &reserved, &container.endpoints).unwrap();
    reserved
}

#[test]
fn a_published_port_is_reached_from_everywhere() {
    on_a_host(|host| {
        let (front, back) = (host.network("front"), host.network("back"));
        let web = host.container("web", &[&front]);
        let neighbour = host.container("neighbour", &[&front]);
        let stranger = host.container("stranger", &[&back]);
        serve(&web.netns, 80);
        let _reserved = open(host, &web, &[port(None, 8080, 80)]);
        assert_eq!(ask(Some(&host.world), ip(HOST), 8080).unwrap(), "203.0.113.2", "the world's own address is seen");
        assert!(ask(None, ip(HOST), 8080).is_some(), "the host by its address");
        assert!(ask(None, ip("127.0.0.1"), 8080).is_some(), "the host by its loopback");
        assert!(ask(Some(&neighbour.netns), ip(HOST), 8080).is_some(), "a neighbour");
        assert!(ask(Some(&web.netns), ip(HOST), 8080).is_some(), "the container itself");
        assert!(ask(Some(&stranger.netns), ip(HOST), 8080).is_some(), "a container of another network");
        assert!(ask(Some(&neighbour.netns), front.subnets[0].gateway, 8080).is_some(), "by the gateway");
        unpublish(&host.rt, &web.record.id).unwrap();
        unpublish(&host.rt, &web.record.id).unwrap();
        assert!(is_barred(Some(&host.world), ip(HOST), 8080));
    });
}

#[test]
fn a_port_published_on_loopback_is_the_hosts_alone() {
    on_a_host(|host| {
        let front = host.network("front");
        let web = host.container("web", &[&front]);
        let neighbour = host.container("neighbour", &[&front]);
        serve(&web.netns, 80);
        let _reserved = open(host, &web, &[port(Some("127.0.0.1"), 8080, 80)]);
        assert!(ask(None, ip("127.0.0.1"), 8080).is_some());
        assert!(is_barred(Some(&host.world), ip(HOST), 8080));
        assert!(is_barred(Some(&neighbour.netns), front.subnets[0].gateway, 8080));
        // Packets to 127.0.0.1 that arrive by a link: let the world and the neighbour send such.
        for netns in [&host.world, &neighbour.netns] {
            send_loopback_outwards(netns);
            assert!(is_barred(Some(netns), ip("127.0.0.1"), 8080));
        }
    });
}

/// Takes 127.0.0.0/8 off `lo`, so that it leaves by the default route.
fn send_loopback_outwards(netns: &std::fs::File) {
    use std::os::fd::AsFd as _;

    use crate::network::{bridge, link};
    use crate::sys::{netlink::Socket, netns};

    netns::within(netns.as_fd(), || {
        bridge::sysctl("ipv4/conf/all/route_localnet", "1").unwrap();
        let mut socket = Socket::route().unwrap();
        let mut down = crate::sys::netlink::Message::new(16, 0, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
        down.put_text(3, "lo");
        socket.request(&[down]).unwrap();
        assert!(!link::find(&mut socket, "lo").unwrap().unwrap().up);
    })
    .unwrap();
}

#[test]
fn one_host_port_leads_to_the_newest_and_a_killed_keeper_leaves_nothing() {
    on_a_host(|host| {
        let front = host.network("front");
        let (old, new) = (host.container("old", &[&front]), host.container("new", &[&front]));
        serve(&new.netns, 80);
        drop(open(host, &old, &[port(None, 8080, 80)]));
        // As if the process that published it had been killed: its number lives on in nobody.
        let path = crate::network::ports::publications::path(&host.rt, &old.record.id);
        let mut record: crate::state::network::PublicationRecord = crate::state::record::read(&path).unwrap().unwrap();
        record.owner = Some(crate::state::process::ProcessId { pid: i32::MAX, start_time: 1 });
        crate::state::record::write(&path, &record).unwrap();
        let _reserved = open(host, &new, &[port(None, 8080, 80)]);
        assert!(ask(Some(&host.world), ip(HOST), 8080).is_some());
        assert!(!path.exists());
    });
}

/// Answers datagrams with a word.
fn echo(netns: &std::fs::File, word: &'static str) {
    use std::os::fd::AsFd as _;

    let open = || std::net::UdpSocket::bind("0.0.0.0:53").unwrap();
    let socket = crate::sys::netns::within(netns.as_fd(), open).unwrap();
    std::thread::spawn(move || {
        while let Ok((_, peer)) = socket.recv_from(&mut [0; 64]) {
            let _ = socket.send_to(word.as_bytes(), peer);
        }
    });
}

#[test]
fn a_flow_of_datagrams_follows_its_port_to_the_next_container() {
    on_a_host(|host| {
        use std::os::fd::AsFd as _;

        let front = host.network("front");
        let (old, new) = (host.container("old", &[&front]), host.container("new", &[&front]));
        echo(&old.netns, "old");
        echo(&new.netns, "new");
        let udp = PortRecord { protocol: Protocol::Udp, ..port(None, 5353, 53) };
        let client = || std::net::UdpSocket::bind("203.0.113.2:0").unwrap();
        let client = crate::sys::netns::within(host.world.as_fd(), client).unwrap();
        client.set_read_timeout(Some(std::time::Duration::from_secs(2))).unwrap();
        client.connect((HOST, 5353)).unwrap();
        let ask = || {
            let mut buffer = [0; 16];
            // The host answers that nobody listens as long as the port is closed.
            let _ = client.send(b"?");
            client.recv(&mut buffer).map(|length| String::from_utf8_lossy(&buffer[..length]).into_owned())
        };
        assert!(ask().is_err(), "nobody listens yet, and the kernel remembers the flow");
        let reserved = open(host, &old, std::slice::from_ref(&udp));
        assert_eq!(ask().unwrap(), "old");
        assert_eq!(ask().unwrap(), "old");
        unpublish(&host.rt, &old.record.id).unwrap();
        drop(reserved);
        let _reserved = open(host, &new, &[udp]);
        assert_eq!(ask().unwrap(), "new");
    });
}

#[test]
fn a_host_listener_is_named_before_anything_is_made() {
    on_a_host(|host| {
        let listener = std::net::TcpListener::bind("0.0.0.0:8080").unwrap();
        let conflicts = check(&host.rt, &[port(None, 8080, 80), port(None, 8081, 80), port(None, 8081, 81)]);
        assert_eq!(conflicts.iter().map(|conflict| conflict.port).collect::<Vec<_>>(), [8080, 8081]);
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(conflicts[0].holder.as_ref().unwrap().pid, own);
        drop(listener);
        assert!(check(&host.rt, &[port(None, 8080, 80)]).is_empty());
    });
}
