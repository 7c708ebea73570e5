//! Ports where the kernel does not forward.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::network::firewall::policy;
use crate::network::firewall::table::{Hook, add_chain, add_table};
use crate::network::ports::{publish, reserve};
use crate::network::proxy::Proxy;
use crate::network::tests::scratch::{HOST, Host, ask, on_a_host, serve};
use crate::network::{NetworkRequest, create};
use crate::state::container::{PortRecord, Protocol};
use crate::sys::netlink::Socket;
use crate::sys::netns;

/// Drives the proxy on this thread while `act` runs on another one of the same namespace.
fn drive<T: Send>(mut proxy: Proxy, act: impl FnOnce() -> T + Send) -> T {
    let is_done = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        let done = Arc::clone(&is_done);
        let acting = scope.spawn(move || {
            let result = act();
            done.store(true, Ordering::Relaxed);
            result
        });
        while !is_done.load(Ordering::Relaxed) && !acting.is_finished() {
            let fds = proxy.poll_fds();
            let mut polled: Vec<_> =
                fds.iter().map(|(fd, events)| rustix::event::PollFd::from_borrowed_fd(*fd, *events)).collect();
            let moment = rustix::event::Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
            let _ = rustix::event::poll(&mut polled, Some(&moment));
            proxy.on_ready();
        }
        acting.join().unwrap()
    })
}

fn port(number: u16, protocol: Protocol) -> PortRecord {
    PortRecord { host_ip: None, host_ports: Some((number, number)), container_port: 80, protocol }
}

fn open(host: &Host, protocol: Protocol) -> (crate::network::tests::scratch::Container, Proxy) {
    let network = host.network("front");
    let web = host.container("web", &[&network]);
    let reserved = reserve(&[port(8080, protocol)]).unwrap();
    publish(&host.rt, &web.record.id, &reserved, &web.endpoints).unwrap();
    let proxy = Proxy::open(reserved, &web.endpoints).unwrap();
    (web, proxy)
}

#[test]
fn a_megabyte_over_ipv6_loopback_comes_back_whole_and_closes() {
    on_a_host(|host| {
        let (web, proxy) = open(host, Protocol::Tcp);
        let listener = netns::within(web.netns.as_fd(), || TcpListener::bind("0.0.0.0:80").unwrap()).unwrap();
        std::thread::spawn(move || {
            // Reads all before it answers: the asker's end of sending must arrive.
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut bytes = Vec::new();
                stream.read_to_end(&mut bytes).unwrap();
                stream.write_all(&bytes).unwrap();
            }
        });
        let sent: Vec<u8> = (0..4_000_000u32).map(|n| n.to_le_bytes()[usize::try_from(n % 3).unwrap()]).collect();
        let expected = sent.clone();
        let got = drive(proxy, move || {
            let mut all = Vec::new();
            for _ in 0..3 {
                let mut stream = TcpStream::connect((Ipv6Addr::LOCALHOST, 8080)).unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                stream.write_all(&sent).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
                let mut bytes = Vec::new();
                stream.read_to_end(&mut bytes).unwrap();
                all.push(bytes);
            }
            all
        });
        assert!(got.iter().all(|bytes| *bytes == expected));
    });
}

#[test]
fn an_asker_of_a_container_that_does_not_listen_is_let_go() {
    on_a_host(|host| {
        let (_web, proxy) = open(host, Protocol::Tcp);
        let got = drive(proxy, || {
            let mut stream = TcpStream::connect((Ipv6Addr::LOCALHOST, 8080)).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            stream.read(&mut [0; 8]).map_err(|error| error.kind())
        });
        assert!(matches!(got, Ok(0) | Err(std::io::ErrorKind::ConnectionReset)), "{got:?}");
    });
}

#[test]
fn datagrams_find_there_and_back() {
    on_a_host(|host| {
        let (web, proxy) = open(host, Protocol::Udp);
        let server = netns::within(web.netns.as_fd(), || UdpSocket::bind("0.0.0.0:80").unwrap()).unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 64];
            while let Ok((length, peer)) = server.recv_from(&mut buffer) {
                buffer[..length].reverse();
                server.send_to(&buffer[..length], peer).unwrap();
            }
        });
        let answers = drive(proxy, || {
            ["one", "two"].map(|word| {
                let socket = UdpSocket::bind("[::1]:0").unwrap();
                socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                socket.send_to(word.as_bytes(), "[::1]:8080").unwrap();
                let mut buffer = [0; 64];
                let (length, from) = socket.recv_from(&mut buffer).unwrap();
                assert_eq!(from.port(), 8080);
                String::from_utf8(buffer[..length].to_vec()).unwrap()
            })
        });
        assert_eq!(answers, ["eno", "owt"]);
    });
}

#[test]
fn an_internal_network_is_not_published() {
    on_a_host(|host| {
        let request = NetworkRequest { name: "in".into(), internal: true, ..NetworkRequest::default() };
        let inside = create(&host.rt, &request).unwrap();
        let web = host.container("web", &[&inside]);
        let reserved = reserve(&[port(8080, Protocol::Tcp)]).unwrap();
        publish(&host.rt, &web.record.id, &reserved, &web.endpoints).unwrap();
        let _proxy = Proxy::open(reserved, &web.endpoints).unwrap();
        let refused = TcpStream::connect((Ipv6Addr::LOCALHOST, 8080)).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_host_that_drops_what_is_forwarded_carries_ports_itself() {
    on_a_host(|host| {
        let front = host.network("front");
        let web = host.container("web", &[&front]);
        serve(&web.netns, 80);
        // As ufw and other engines do: a chain at `forward` (2) whose policy (attribute 5) is to drop.
        let hook = Hook { kind: "filter", number: 2, priority: 0 };
        let mut chain = add_chain("theirs", "FORWARD", Some(hook));
        chain.put_be32(5, 0);
        Socket::netfilter().unwrap().transaction(&[add_table("theirs"), chain]).unwrap();
        assert_eq!(policy::dropping(true).unwrap().unwrap(), "inet theirs FORWARD");
        let reserved = reserve(&[port(8080, Protocol::Tcp)]).unwrap();
        publish(&host.rt, &web.record.id, &reserved, &web.endpoints).unwrap();
        let proxy = Proxy::open(reserved, &web.endpoints).unwrap();
        drive(proxy, || {
            assert!(ask(Some(&host.world), HOST.parse::<IpAddr>().unwrap(), 8080).is_some(), "from outside");
            assert!(ask(None, IpAddr::from([127, 0, 0, 1]), 8080).is_some(), "from the host");
        });
    });
}
