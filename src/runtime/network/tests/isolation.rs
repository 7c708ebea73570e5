//! Who can't reach whom.

use crate::network::link;
use crate::network::tests::scratch::{ask, is_barred, on_a_host, serve};
use crate::network::{NetworkRequest, create};
use crate::sys::netlink::Socket;
use crate::sys::netns;
use std::os::fd::AsFd as _;

#[test]
fn networks_do_not_reach_each_other_and_a_container_on_both_does() {
    on_a_host(|host| {
        let (front, back) = (host.network("front"), host.network("back"));
        let a = host.container("a", &[&front]);
        let b = host.container("b", &[&back]);
        let both = host.container("both", &[&front, &back]);
        serve(&b.netns, 80);
        assert!(is_barred(Some(&a.netns), b.address(), 80));
        assert!(ask(Some(&both.netns), b.address(), 80).is_some());
        assert_eq!(both.endpoints[1].interface, "eth1");
    });
}

#[test]
fn the_world_reaches_no_container_by_its_address() {
    on_a_host(|host| {
        let network = host.network("front");
        let a = host.container("a", &[&network]);
        serve(&a.netns, 80);
        assert!(ask(None, a.address(), 80).is_some(), "the host does");
        assert!(is_barred(Some(&host.world), a.address(), 80));
    });
}

#[test]
fn an_internal_network_is_closed_both_ways_even_with_a_route() {
    on_a_host(|host| {
        let request = NetworkRequest { name: "in".into(), internal: true, ..NetworkRequest::default() };
        let inside = create(&host.rt, &request).unwrap();
        let a = host.container("a", &[&inside]);
        serve(&a.netns, 80);
        serve(&host.world, 81);
        netns::within(a.netns.as_fd(), || {
            let mut socket = Socket::route().unwrap();
            let index = link::find(&mut socket, "eth0").unwrap().unwrap().index;
            socket.request(&[link::add_default_route(index, inside.subnets[0].gateway)]).unwrap();
        })
        .unwrap();
        assert!(is_barred(Some(&a.netns), "203.0.113.2".parse::<std::net::IpAddr>().unwrap(), 81));
        assert!(is_barred(Some(&host.world), a.address(), 80));
    });
}

#[test]
fn containers_kept_apart_reach_the_world_but_not_each_other() {
    on_a_host(|host| {
        let mut request = NetworkRequest { name: "apart".into(), ..NetworkRequest::default() };
        request.options.insert("com.docker.network.bridge.enable_icc".into(), "false".into());
        let network = create(&host.rt, &request).unwrap();
        let (a, b) = (host.container("a", &[&network]), host.container("b", &[&network]));
        serve(&b.netns, 80);
        serve(&host.world, 81);
        assert!(is_barred(Some(&a.netns), b.address(), 80));
        assert!(ask(Some(&a.netns), "203.0.113.2".parse::<std::net::IpAddr>().unwrap(), 81).is_some());
    });
}
