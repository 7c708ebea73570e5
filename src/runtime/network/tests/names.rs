//! Names, as a container asks for them.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::network::detach;
use crate::network::names::message::{Code, Record, parse, question};
use crate::network::names::server::NameServer;
use crate::network::names::upstream::Upstream;
use crate::network::names::zone::Zone;
use crate::network::tests::scratch::{Container, Host, on_a_host};
use crate::state::network::NetworkRecord;
use crate::sys::netns;

/// Runs a name server as a keeper does, until dropped.
struct Running {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

fn run(mut server: NameServer) -> Running {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let thread = std::thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            {
                let fds = server.poll_fds();
                let mut polled: Vec<_> =
                    fds.iter().map(|(fd, events)| rustix::event::PollFd::from_borrowed_fd(*fd, *events)).collect();
                let tenth = rustix::event::Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
                let _ = rustix::event::poll(&mut polled, Some(&tenth));
            }
            server.on_ready();
        }
    });
    Running { stop, thread: Some(thread) }
}

fn serve(host: &Host, container: &Container, networks: &[&NetworkRecord], upstream: Vec<SocketAddr>) -> Running {
    let zone = Zone::open(&host.rt, networks.iter().map(|network| (*network).clone()).collect());
    run(NameServer::listen(zone, container.netns.as_fd(), Upstream::at(upstream)).unwrap())
}

/// Asks at 127.0.0.11 inside a namespace; returns the code and the last bytes of each answer.
fn look_up(netns: &File, name: &str, kind: u16) -> (u8, Vec<Vec<u8>>) {
    let socket = netns::within(netns.as_fd(), || UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket.send_to(&question(99, name, kind), "127.0.0.11:53").unwrap();
    let mut buffer = [0; 512];
    let (length, _) = socket.recv_from(&mut buffer).unwrap();
    read(&buffer[..length], question(99, name, kind).len())
}

fn read(answer: &[u8], mut at: usize) -> (u8, Vec<Vec<u8>>) {
    let count = answer[7];
    let mut records = Vec::new();
    for _ in 0..count {
        let length = usize::from(u16::from_be_bytes([answer[at + 10], answer[at + 11]]));
        records.push(answer[at + 12..at + 12 + length].to_vec());
        at += 12 + length;
    }
    (answer[3] & 15, records)
}

const A: u16 = 1;
const PTR: u16 = 12;
const AAAA: u16 = 28;
const SRV: u16 = 33;
const NXDOMAIN: u8 = Code::NameError as u8;
const SERVFAIL: u8 = Code::ServerFailure as u8;

#[test]
fn names_of_the_networks_are_answered_while_their_containers_run() {
    on_a_host(|host| {
        let (front, back) = (host.network("front"), host.network("back"));
        let asker = host.container("asker", &[&front]);
        let _server = serve(host, &asker, &[&front], Vec::new());
        assert_eq!(look_up(&asker.netns, "web", A), (NXDOMAIN, vec![]), "nobody has it yet");
        let one = host.container("web-1", &[&front]);
        let two = host.container("web-2", &[&front]);
        let _hidden = host.container("db", &[&back]);
        let octets = |container: &Container| crate::network::subnet::octets(container.address());
        for name in ["web-1", "WEB-1", "web-1.front", &one.record.id[..12]] {
            assert_eq!(look_up(&asker.netns, name, A), (0, vec![octets(&one)]), "{name}");
        }
        let first = look_up(&asker.netns, "web", A).1;
        let second = look_up(&asker.netns, "web", A).1;
        assert_eq!(first.len(), 2);
        assert_eq!(first[0], second[1], "in turn");
        assert_eq!(look_up(&asker.netns, "web", AAAA), (0, vec![]), "it has no IPv6, but it is there");
        assert_eq!(look_up(&asker.netns, "db", A).0, NXDOMAIN, "of a network that the asker is not on");
        let [a, b, c, d] = octets(&one)[..] else { panic!("IPv4") };
        let (code, records) = look_up(&asker.netns, &format!("{d}.{c}.{b}.{a}.in-addr.arpa"), PTR);
        assert_eq!((code, records[0].as_slice()), (0, &b"\x05web-1\x05front\x00"[..]));
        let (code, records) = look_up(&asker.netns, "_8080._tcp.web", SRV);
        assert_eq!((code, records.len()), (0, 2), "a record a copy");
        assert!(records.contains(&b"\0\0\0\0\x1f\x90\x05web-1\x05front\x00".to_vec()), "{records:?}");
        assert_eq!(look_up(&asker.netns, "_http._tcp.web-2", SRV).1[0][4..6], [0, 80]);
        assert_eq!(look_up(&asker.netns, "_nothing._tcp.web", SRV), (0, vec![]));
        assert_eq!(look_up(&asker.netns, "_http._tcp.nobody", SRV).0, SERVFAIL, "not ours, and nobody to ask");
        detach(&host.rt, &one.record.id).unwrap();
        assert_eq!(look_up(&asker.netns, "web", A).1, [octets(&two)]);
        assert_eq!(look_up(&asker.netns, "web-1", A).0, NXDOMAIN);
    });
}

#[test]
fn other_names_go_to_the_hosts_server_and_ours_never() {
    on_a_host(|host| {
        let front = host.network("front");
        let asker = host.container("asker", &[&front]);
        // In the host's namespace, as a stub resolver on loopback is.
        let outside = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = outside.local_addr().unwrap();
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        drop(silent.local_addr());
        std::thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((length, peer)) = outside.recv_from(&mut buffer) {
                let query = parse(&buffer[..length]).unwrap();
                assert!(query.name.ends_with("example.org"), "{} must not leave the host", query.name);
                let answer = query.answer(Code::NoError, &[Record::Address([192, 0, 2, 80].into())], 9, 512);
                outside.send_to(&answer, peer).unwrap();
            }
        });
        // The first server is closed: the second answers at once.
        let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let _server = serve(host, &asker, &[&front], vec![closed, address]);
        assert_eq!(look_up(&asker.netns, "www.example.org", A), (0, vec![vec![192, 0, 2, 80]]));
        assert_eq!(look_up(&asker.netns, "asker", A).0, 0);
    });
}

#[test]
fn a_dead_upstream_holds_up_only_who_asks_it() {
    on_a_host(|host| {
        let front = host.network("front");
        let asker = host.container("asker", &[&front]);
        let deaf = UdpSocket::bind("127.0.0.1:0").unwrap();
        deaf.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let _server = serve(host, &asker, &[&front], vec![deaf.local_addr().unwrap()]);
        let netns = asker.netns.try_clone().unwrap();
        let slow = std::thread::spawn(move || look_up(&netns, "www.example.org", A));
        deaf.recv(&mut [0; 512]).unwrap();
        for (name, code) in [("mistake", NXDOMAIN), ("asker", 0), ("nobody", NXDOMAIN), ("nobody-else", NXDOMAIN)] {
            assert_eq!(look_up(&asker.netns, name, A).0, code, "{name}");
        }
        assert_eq!(slow.join().unwrap().0, SERVFAIL);
        // It was asked for names of its own alone.
        deaf.set_nonblocking(true).unwrap();
        let mut buffer = [0; 512];
        while let Ok(length) = deaf.recv(&mut buffer) {
            assert_ne!(parse(&buffer[..length]).unwrap().name, "asker");
        }
    });
}

#[test]
fn a_program_may_have_port_53_of_every_address_for_itself() {
    on_a_host(|host| {
        let front = host.network("front");
        let asker = host.container("asker", &[&front]);
        let before = netns::within(asker.netns.as_fd(), || UdpSocket::bind("0.0.0.0:53").unwrap()).unwrap();
        let _server = serve(host, &asker, &[&front], Vec::new());
        drop(before);
        let theirs = || (UdpSocket::bind("0.0.0.0:53"), std::net::TcpListener::bind("0.0.0.0:53"));
        let (udp, tcp) = netns::within(asker.netns.as_fd(), theirs).unwrap();
        assert!(udp.is_ok() && tcp.is_ok(), "{udp:?} {tcp:?}");
        assert_eq!(look_up(&asker.netns, "asker", A).0, 0, "and names are answered all the same");
    });
}

#[test]
fn questions_over_tcp_are_answered_and_forwarded() {
    on_a_host(|host| {
        let front = host.network("front");
        let asker = host.container("asker", &[&front]);
        let outside = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = outside.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = outside.accept().unwrap();
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut bytes).unwrap();
            let records: Vec<_> = (0..200).map(|n| Record::Address([192, 0, 2, n].into())).collect();
            let answer = parse(&bytes).unwrap().answer(Code::NoError, &records, 9, 65535);
            stream.write_all(&u16::try_from(answer.len()).unwrap().to_be_bytes()).unwrap();
            stream.write_all(&answer).unwrap();
        });
        let _server = serve(host, &asker, &[&front], vec![address]);
        let mut stream = netns::within(asker.netns.as_fd(), || TcpStream::connect("127.0.0.11:53").unwrap()).unwrap();
        for (name, count) in [("asker", 1), ("www.example.org", 200)] {
            let bytes = question(5, name, A);
            stream.write_all(&u16::try_from(bytes.len()).unwrap().to_be_bytes()).unwrap();
            stream.write_all(&bytes).unwrap();
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(answer[7], count, "{name}");
        }
    });
}
