//! Containers whose links hang on a link of the host.

use std::collections::BTreeMap;

use crate::network::link;
use crate::network::tests::scratch::{WORLD, on_a_host};
use crate::network::{NetworkError, NetworkRequest, Pool, create, remove};
use crate::sys::netlink::Socket;

fn request(name: &str, driver: &str, options: &[(&str, &str)]) -> NetworkRequest {
    let options: BTreeMap<String, String> =
        options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let pool = Pool {
        subnet: Some("203.0.113.0/24".into()),
        range: Some("203.0.113.64/26".into()),
        gateway: Some(WORLD.into()),
        ..Pool::default()
    };
    let pools = if options.contains_key("parent") { vec![pool] } else { Vec::new() };
    NetworkRequest { name: name.into(), driver: driver.into(), options, pools, ..NetworkRequest::default() }
}

#[test]
fn what_can_not_be_a_parent_is_refused_and_nothing_is_left() {
    on_a_host(|host| {
        let refused = |driver, options: &[(&str, &str)], part: &str| {
            let error = create(&host.rt, &request("lan", driver, options)).unwrap_err();
            assert!(matches!(error, NetworkError::Unsupported { .. }) && error.to_string().contains(part), "{error}");
        };
        refused("macvlan", &[("parent", "absent0")], "no link `absent0`");
        refused("macvlan", &[("parent", "wan0.5000")], "no link `wan0.5000`");
        refused("macvlan", &[("parent", "wan0"), ("macvlan_mode", "odd")], "odd");
        refused("ipvlan", &[("parent", "wan0"), ("ipvlan_mode", "l4")], "l4");
        refused("overlay", &[], "overlay");
        create(&host.rt, &request("first", "macvlan", &[("parent", "wan0")])).unwrap();
        refused("macvlan", &[("parent", "wan0")], "`first`");
        remove(&host.rt, "first").unwrap();
    });
}

#[test]
fn a_bridge_of_the_host_s_own_is_used_and_stays() {
    on_a_host(|host| {
        let mut socket = Socket::route().unwrap();
        socket.request(&[link::add_bridge("br-own", [2, 0, 0, 0, 0, 9], 1500)]).unwrap();
        let options = BTreeMap::from([("com.docker.network.bridge.name".to_owned(), "br-own".to_owned())]);
        let request = NetworkRequest { name: "own".into(), options, ..NetworkRequest::default() };
        let network = create(&host.rt, &request).unwrap();
        assert!(!network.owns_link);
        remove(&host.rt, "own").unwrap();
        assert!(host.has_link("br-own"));
    });
}
