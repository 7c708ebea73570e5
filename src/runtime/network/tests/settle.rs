//! Networks are joined and left while the container runs, and a step that was done before does no harm.

use std::net::IpAddr;
use std::os::fd::AsFd as _;

use crate::network::link;
use crate::network::tests::scratch::{Container, Host, ask, is_barred, on_a_host, serve};
use crate::network::{NetworkRequest, create, endpoints, lease, leases, settle};
use crate::state::container::{EndpointRequest, NetworkModeRecord};
use crate::state::network::NetworkRecord;
use crate::sys::netlink::Socket;
use crate::sys::netns;

/// A container on `networks`, with the hosts file that a creation writes.
fn running(host: &Host, name: &str, networks: &[&NetworkRecord]) -> Container {
    let record = host.record(name, networks);
    let files = host.rt.layout.bundle(&record.id).files();
    std::fs::create_dir_all(&files).unwrap();
    std::fs::write(files.join("hosts"), "127.0.0.1\tlocalhost\n").unwrap();
    host.start(record)
}

fn hosts(host: &Host, container: &Container) -> String {
    std::fs::read_to_string(host.rt.layout.bundle(&container.record.id).files().join("hosts")).unwrap()
}

/// Has a container be on these networks from now on.
fn follow(host: &Host, container: &mut Container, networks: &[(&NetworkRecord, i64)]) {
    let request = |(network, gw_priority): &(&NetworkRecord, i64)| EndpointRequest {
        network: network.id.clone(),
        gw_priority: *gw_priority,
        ..EndpointRequest::default()
    };
    container.record.network = NetworkModeRecord::Networks(networks.iter().map(request).collect());
    container.endpoints = settle(&host.rt, &container.record, Some(container.netns.as_fd())).unwrap();
}

/// Number of the link that carries the default route inside.
fn way_out(container: &Container) -> Option<u32> {
    let routes = || link::routes(&mut Socket::route().unwrap(), true).unwrap().default_link;
    netns::within(container.netns.as_fd(), routes).unwrap()
}

fn index(container: &Container, interface: &str) -> Option<u32> {
    let find = || link::find(&mut Socket::route().unwrap(), interface).unwrap().map(|link| link.index);
    netns::within(container.netns.as_fd(), find).unwrap()
}

#[test]
fn a_running_container_joins_and_leaves() {
    on_a_host(|host| {
        let (front, back) = (host.network("front"), host.network("back"));
        let mut web = running(host, "web", &[&front]);
        let db = running(host, "db", &[&back]);
        serve(&db.netns, 80);
        assert!(is_barred(Some(&web.netns), db.address(), 80));
        for _ in 0..2 {
            follow(host, &mut web, &[(&front, 0), (&back, 0)]);
            assert_eq!(ask(Some(&web.netns), db.address(), 80).unwrap(), web.endpoints[1].addresses[0].to_string());
            assert_eq!(web.endpoints[1].interface, "eth1");
            assert!(web.endpoints.iter().all(|endpoint| endpoint.up));
            assert_eq!(way_out(&web), index(&web, "eth0"), "the first of equals leads out");
            let line = format!("{}\tweb\n", web.endpoints[1].addresses[0]);
            assert_eq!(hosts(host, &web).matches(&line).count(), 1, "{}", hosts(host, &web));
        }
        let link = web.endpoints[1].host_link.clone();
        for _ in 0..2 {
            follow(host, &mut web, &[(&front, 0)]);
            assert!(is_barred(Some(&web.netns), db.address(), 80));
            assert!(!host.has_link(&link) && index(&web, "eth1").is_none());
            assert_eq!(endpoints(&host.rt, &back.id).unwrap().len(), 1, "its lease is given up");
            assert_eq!(hosts(host, &web).lines().count(), 2, "{}", hosts(host, &web));
        }
    });
}

#[test]
fn the_way_out_follows_the_priorities_and_survives_a_leave() {
    on_a_host(|host| {
        let (front, back) = (host.network("front"), host.network("back"));
        let mut web = running(host, "web", &[&front]);
        serve(&host.world, 81);
        let world: IpAddr = "203.0.113.2".parse().unwrap();
        follow(host, &mut web, &[(&front, 0), (&back, 5)]);
        assert_eq!(way_out(&web), index(&web, "eth1"));
        assert!(ask(Some(&web.netns), world, 81).is_some());
        follow(host, &mut web, &[(&back, 5)]);
        assert_eq!((index(&web, "eth0"), way_out(&web)), (None, index(&web, "eth1")), "a link keeps its name");
        // The name that is free now goes to who comes next.
        follow(host, &mut web, &[(&back, 5), (&front, 9)]);
        assert_eq!(web.endpoints[1].interface, "eth0");
        assert_eq!(way_out(&web), index(&web, "eth0"));
        assert!(ask(Some(&web.netns), world, 81).is_some());
        follow(host, &mut web, &[]);
        assert_eq!(way_out(&web), None);
        assert!(is_barred(Some(&web.netns), world, 81));
    });
}

#[test]
fn a_network_with_ipv6_brings_it_along() {
    on_a_host(|host| {
        let front = host.network("front");
        let request = NetworkRequest { name: "six".into(), ipv6: true, ..NetworkRequest::default() };
        let six = create(&host.rt, &request).unwrap();
        let mut web = running(host, "web", &[&front]);
        let peer = running(host, "peer", &[&six]);
        let listener = netns::within(peer.netns.as_fd(), || std::net::TcpListener::bind(("::", 80)).unwrap()).unwrap();
        follow(host, &mut web, &[(&front, 0), (&six, 0)]);
        let target = std::net::SocketAddr::new(peer.endpoints[0].addresses[1], 80);
        let stream = netns::within(web.netns.as_fd(), || std::net::TcpStream::connect(target).unwrap()).unwrap();
        assert_eq!(listener.accept().unwrap().1.ip(), web.endpoints[1].addresses[1]);
        drop(stream);
        assert_eq!(way_out(&web), index(&web, "eth0"), "IPv4 still leaves by the first");
    });
}

#[test]
fn what_a_killed_command_left_is_mended() {
    on_a_host(|host| {
        let (front, back) = (host.network("front"), host.network("back"));
        let mut web = running(host, "web", &[&front]);
        // A lease was taken and the command killed before the record told of it.
        let mut told = web.record.clone();
        let join = EndpointRequest { network: back.id.clone(), ..EndpointRequest::default() };
        if let NetworkModeRecord::Networks(requests) = &mut told.network {
            requests.push(join);
        }
        lease(&host.rt, &told).unwrap();
        follow(host, &mut web, &[(&front, 0)]);
        assert!(endpoints(&host.rt, &back.id).unwrap().is_empty());
        // The record told of it, and a link was made whose lease is not yet marked as up.
        follow(host, &mut web, &[(&front, 0), (&back, 0)]);
        let mut half = web.endpoints[1].clone();
        half.up = false;
        crate::state::record::write(&leases::path(&host.rt, &back.id, &web.record.id), &half).unwrap();
        follow(host, &mut web, &[(&front, 0), (&back, 0)]);
        assert!(web.endpoints[1].up && host.has_link(&half.host_link));
        assert_eq!(index(&web, "eth2"), None);
        assert_eq!(endpoints(&host.rt, &back.id).unwrap().len(), 1);
    });
}
