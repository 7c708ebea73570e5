//! Networks come and go, and leave nothing.

use std::net::IpAddr;
use std::os::fd::AsFd as _;

use crate::network::firewall::{self, table};
use crate::network::tests::scratch::{Host, ask, new_netns, on_a_host, serve};
use crate::network::{
    AttachError, NetworkError, NetworkRequest, Pool, attach, create, detach, endpoints, find, lease, list, release,
    remove, remove_unused,
};
use crate::state::container::{NetworkModeRecord, Status, StatusRecord};
use crate::state::layout::Layout;
use crate::state::process::{ProcessId, boot_id};
use crate::state::record;
use crate::sys::netlink::Socket;
use crate::sys::netns;

fn has_table(host: &Host) -> bool {
    let name = firewall::table_name(&host.rt.layout);
    Socket::netfilter().unwrap().get(&table::get_table(&name)).is_ok_and(|reply| reply.is_some())
}

#[test]
fn containers_of_a_network_reach_each_other_and_the_world() {
    on_a_host(|host| {
        let network = host.network("front");
        assert_eq!(network.mtu, 1400, "that of the host's way out");
        let (a, b) = (host.container("a", &[&network]), host.container("b", &[&network]));
        serve(&b.netns, 80);
        serve(&host.world, 81);
        assert_eq!(ask(Some(&a.netns), b.address(), 80).unwrap(), a.address().to_string());
        let world: IpAddr = "203.0.113.2".parse().unwrap();
        assert_eq!(ask(Some(&a.netns), world, 81).unwrap(), "203.0.113.1", "masqueraded");
        assert_eq!(ask(None, b.address(), 80).unwrap(), network.subnets[0].gateway.to_string());
    });
}

#[test]
fn removal_leaves_no_link_table_or_lease() {
    on_a_host(|host| {
        let network = host.network("front");
        let a = host.container("a", &[&network]);
        let link = a.endpoints[0].host_link.clone();
        assert!(host.has_link(&network.bridge) && host.has_link(&link) && has_table(host));
        let is_in_use = |result| matches!(result, Err(NetworkError::InUse { containers, .. }) if containers == ["a"]);
        let bundle = host.rt.layout.bundle(&a.record.id);
        let mut status = StatusRecord { boot: boot_id(), ..StatusRecord::created() };
        let init = ProcessId::of(std::process::id().cast_signed()).unwrap();
        status.status = Status::Running { init, since_ms: 0 };
        record::write(&bundle.status(), &status).unwrap();
        assert!(is_in_use(remove(&host.rt, "front")) && is_in_use(remove_unused(&host.rt, "front")));
        status.status = Status::Exited { exit_code: 0, at_ms: 0, since_ms: 0, out_of_memory: false };
        record::write(&bundle.status(), &status).unwrap();
        assert!(is_in_use(remove_unused(&host.rt, "front")));
        let starting = record::lock(&bundle.act_lock()).unwrap();
        assert!(is_in_use(remove(&host.rt, "front")));
        drop(starting);
        for _ in 0..2 {
            detach(&host.rt, &a.record.id).unwrap();
        }
        assert!(!host.has_link(&link) && host.has_link(&network.bridge));
        assert_eq!(endpoints(&host.rt, &network.id).unwrap().len(), 1, "the lease lasts as long as the container");
        for _ in 0..2 {
            release(&host.rt, &a.record.id).unwrap();
        }
        assert!(endpoints(&host.rt, &network.id).unwrap().is_empty());
        // A stopped container of which the lease is still there does not hold it.
        lease(&host.rt, &a.record).unwrap();
        remove(&host.rt, "front").unwrap();
        assert!(!host.has_link(&network.bridge) && !has_table(host));
        assert!(list(&host.rt).unwrap().is_empty() && find(&host.rt, "front").unwrap().is_none());
        assert!(matches!(remove(&host.rt, "front"), Err(NetworkError::NotFound { .. })));
    });
}

#[test]
fn a_second_network_of_a_name_is_refused_and_changes_nothing() {
    on_a_host(|host| {
        let first = host.network("front");
        let again = create(&host.rt, &NetworkRequest { name: "front".into(), ..NetworkRequest::default() });
        assert!(matches!(again, Err(NetworkError::NameTaken { .. })));
        let second = host.network("back");
        assert_ne!(first.subnets[0].address, second.subnets[0].address);
        let overlap = Pool { subnet: Some(format!("{}/24", first.subnets[0].address)), ..Pool::default() };
        let request = NetworkRequest { name: "bad".into(), pools: vec![overlap], ..NetworkRequest::default() };
        assert!(create(&host.rt, &request).unwrap_err().to_string().contains("overlaps"));
        assert_eq!(list(&host.rt).unwrap().len(), 2);
        assert_eq!(find(&host.rt, &first.id[..8]).unwrap().unwrap().name, "front");
    });
}

#[test]
fn fixed_addresses_last_and_are_given_once() {
    on_a_host(|host| {
        let pool = Pool { subnet: Some("10.77.0.0/24".into()), ..Pool::default() };
        let request = NetworkRequest { name: "fixed".into(), pools: vec![pool], ..NetworkRequest::default() };
        let network = create(&host.rt, &request).unwrap();
        let mut record = host.record("db", &[&network]);
        let NetworkModeRecord::Networks(requests) = &mut record.network else { unreachable!() };
        requests[0].ipv4 = Some("10.77.0.9".parse().unwrap());
        let first = lease(&host.rt, &record).unwrap();
        assert_eq!(first[0].addresses[0].to_string(), "10.77.0.9");
        assert_eq!(first[0].mac, "02:42:0a:4d:00:09");
        assert_eq!(lease(&host.rt, &record).unwrap(), first, "idempotent");
        let mut other = host.record("other", &[&network]);
        let NetworkModeRecord::Networks(requests) = &mut other.network else { unreachable!() };
        requests[0].ipv4 = Some("10.77.0.9".parse().unwrap());
        let error = lease(&host.rt, &other).unwrap_err();
        assert!(
            matches!(&error, AttachError::Address { .. }) && error.to_string().contains("10.77.0.9 is taken"),
            "{error}"
        );
        let started = host.start(record.clone());
        detach(&host.rt, &record.id).unwrap();
        let again = host.start(record);
        assert_eq!(started.address(), again.address(), "a restart keeps the address");
    });
}

#[test]
fn what_a_reboot_or_a_flush_took_is_made_again_at_the_next_start() {
    on_a_host(|host| {
        let network = host.network("front");
        let mut socket = Socket::route().unwrap();
        crate::network::bridge::remove(&mut socket, &network.bridge).unwrap();
        let name = firewall::table_name(&host.rt.layout);
        Socket::netfilter().unwrap().transaction(&[table::remove_table(&name)]).unwrap();
        let a = host.container("a", &[&network]);
        serve(&host.world, 81);
        let world: IpAddr = "203.0.113.2".parse().unwrap();
        assert_eq!(ask(Some(&a.netns), world, 81).unwrap(), "203.0.113.1");
        // And a container that was killed with its link still there.
        let netns = new_netns();
        attach(&host.rt, &a.record, netns.as_fd()).unwrap();
        assert_eq!(ask(Some(&netns), world, 81).unwrap(), "203.0.113.1");
    });
}

#[test]
fn what_a_kill_leaves_of_a_network_is_none_and_goes_at_the_next_listing() {
    on_a_host(|host| {
        let network = host.network("half");
        let folders = host.rt.layout.networks();
        let unmade = Layout::unmade_network(&network.id);
        let (made, unmade) = (folders.join(&network.id), folders.join(unmade));
        std::fs::rename(&made, &unmade).unwrap();
        // Its maker may be alive: a table that is made anew meanwhile has it.
        let name = firewall::table_name(&host.rt.layout);
        Socket::netfilter().unwrap().transaction(&[table::remove_table(&name)]).unwrap();
        firewall::ensure(&host.rt).unwrap();
        std::fs::rename(&unmade, &made).unwrap();
        let a = host.container("a", &[&network]);
        serve(&host.world, 81);
        let world: IpAddr = "203.0.113.2".parse().unwrap();
        assert_eq!(ask(Some(&a.netns), world, 81).unwrap(), "203.0.113.1", "masqueraded");
        drop(a);
        std::fs::rename(&made, &unmade).unwrap();
        assert_eq!(find(&host.rt, "half").unwrap(), None, "a container would be put on what is not complete");
        assert!(!unmade.exists());
        assert!(!host.has_link(&network.bridge));
        assert!(!has_table(host));
        // Of one that had not even a record its own next creation takes all away.
        std::fs::create_dir(&unmade).unwrap();
        create(&host.rt, &NetworkRequest { name: "half".into(), ..NetworkRequest::default() }).unwrap();
        assert!(!unmade.exists());
    });
}

#[test]
fn a_flushed_table_is_made_again_for_neighbouring_subnets_and_half_removed_networks() {
    on_a_host(|host| {
        let network = |name: &str, subnet: &str| {
            let pool = Pool { subnet: Some(subnet.into()), ..Pool::default() };
            let request = NetworkRequest { name: name.into(), pools: vec![pool], ..NetworkRequest::default() };
            create(&host.rt, &request).unwrap()
        };
        // Each begins where another ends; by name they come in no order.
        let front = network("a", "10.77.1.0/24");
        let others = [network("b", "10.77.0.0/24"), network("c", "10.77.3.0/24"), network("d", "10.77.2.0/24")];
        for half_removed in ["b", "c"] {
            let id = find(&host.rt, half_removed).unwrap().unwrap().id;
            std::fs::rename(host.rt.layout.networks().join(&id), host.rt.layout.leaving_network(&id)).unwrap();
            let name = firewall::table_name(&host.rt.layout);
            Socket::netfilter().unwrap().transaction(&[table::remove_table(&name)]).unwrap();
            // A port opens before anybody has cleared the other network away.
            firewall::ensure(&host.rt).unwrap();
            assert!(has_table(host));
        }
        let left = list(&host.rt).unwrap();
        assert_eq!(left.iter().map(|network| &network.name[..]).collect::<Vec<_>>(), ["a", "d"]);
        assert!(!host.has_link(&others[0].bridge) && !host.has_link(&others[1].bridge));
        let a = host.container("a", &[&front]);
        serve(&host.world, 81);
        let world: IpAddr = "203.0.113.2".parse().unwrap();
        assert_eq!(ask(Some(&a.netns), world, 81).unwrap(), "203.0.113.1", "masqueraded");
    });
}

#[test]
fn clearing_a_half_removed_network_leaves_its_subnet_to_the_next() {
    on_a_host(|host| {
        let front = host.network("front");
        let leaving = host.rt.layout.leaving_network(&front.id);
        std::fs::rename(host.rt.layout.networks().join(&front.id), leaving).unwrap();
        let pool = Pool { subnet: Some(format!("{}/16", front.subnets[0].address)), ..Pool::default() };
        let request = NetworkRequest { name: "next".into(), pools: vec![pool], ..NetworkRequest::default() };
        let mut socket = Socket::route().unwrap();
        crate::network::bridge::remove(&mut socket, &front.bridge).unwrap();
        let next = create(&host.rt, &request).unwrap();
        assert_eq!(list(&host.rt).unwrap().len(), 1);
        let a = host.container("a", &[&next]);
        serve(&host.world, 81);
        let world: IpAddr = "203.0.113.2".parse().unwrap();
        assert_eq!(ask(Some(&a.netns), world, 81).unwrap(), "203.0.113.1", "masqueraded");
    });
}

#[test]
fn a_network_with_ipv6_gives_both_and_an_internal_one_no_way_out() {
    on_a_host(|host| {
        let request = NetworkRequest { name: "six".into(), ipv6: true, ..NetworkRequest::default() };
        let six = create(&host.rt, &request).unwrap();
        let (a, b) = (host.container("a", &[&six]), host.container("b", &[&six]));
        assert_eq!(a.endpoints[0].addresses.len(), 2);
        let listener = netns::within(b.netns.as_fd(), || std::net::TcpListener::bind(("::", 80)).unwrap()).unwrap();
        let target = std::net::SocketAddr::new(b.endpoints[0].addresses[1], 80);
        let stream = netns::within(a.netns.as_fd(), || std::net::TcpStream::connect(target).unwrap()).unwrap();
        assert_eq!(listener.accept().unwrap().1.ip(), a.endpoints[0].addresses[1]);
        drop(stream);

        let request = NetworkRequest { name: "in".into(), internal: true, ..NetworkRequest::default() };
        let inside = create(&host.rt, &request).unwrap();
        let (c, d) = (host.container("c", &[&inside]), host.container("d", &[&inside]));
        serve(&d.netns, 80);
        assert!(ask(Some(&c.netns), d.address(), 80).is_some());
        let routes = netns::within(c.netns.as_fd(), || {
            crate::network::link::routes(&mut Socket::route().unwrap(), true).unwrap()
        });
        assert_eq!(routes.unwrap().default_link, None);
    });
}
