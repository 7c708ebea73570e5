//! Networks: names, ports, and what is kept apart.

use crate::support::checks;
use crate::support::engines::engines;
use crate::support::host::{Host, free_port, http, lacks_root, until};

#[test]
fn services_find_each_other_by_name_alias_and_container_name() {
    if lacks_root() {
        return;
    }
    let host = Host::with(
        "names",
        "
services:
  web: { image: 'stand-in:1', command: httpd -f -p 80 -h /www, init: true, networks: { default: { aliases: [shop] } } }
  client: { image: 'stand-in:1', command: sleep 1000, init: true, depends_on: [web] }
",
    );
    host.motet(&["up", "-d"]).success();
    for name in ["web", "shop", "names-web-1"] {
        until("the server answers", || {
            host.motet(&["exec", "-T", "client", "wget", "-qO-", &format!("http://{name}/")]).code == 0
        });
        assert_eq!(host.shell("client", &format!("wget -qO- http://{name}/")), "hello");
    }
    assert_eq!(host.shell("client", "grep -c 127.0.0.11 /etc/resolv.conf"), "1");
    assert_ne!(host.motet(&["exec", "-T", "client", "nslookup", "nobody"]).code, 0, "an unknown name is no answer");
}

#[test]
fn a_published_port_answers_on_localhost_and_on_the_hosts_address() {
    if lacks_root() {
        return;
    }
    let port = free_port();
    let host = Host::with(
        "published",
        &format!(
            "services: {{ web: {{ image: 'stand-in:1', command: httpd -f -p 80 -h /www, init: true, ports: ['{port}:80'] }} }}"
        ),
    );
    host.motet(&["up", "-d"]).success();
    let local = format!("127.0.0.1:{port}");
    until("the server listens", || http(&local, "GET / HTTP/1.0\r\n\r\n").is_some());
    checks::port_answers(&local, "hello");
    checks::port_answers(&format!("[::1]:{port}"), "hello");
    if let Some(address) = own_address() {
        checks::port_answers(&format!("{address}:{port}"), "hello");
    }
    let publishers = host.container("published-web-1")["Publishers"].clone();
    assert_eq!(publishers[0]["PublishedPort"], port);
    host.motet(&["down"]).success();
    checks::port_is_closed(&local);
    host.must_be_clean();
}

/// An address of this host that is not loopback: what a route outwards would leave from. Nothing is sent.
fn own_address() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|address| !address.is_loopback() && !address.is_unspecified())
}

#[test]
fn a_sysctl_of_the_service_wins_over_the_usual_value() {
    if lacks_root() {
        return;
    }
    let host = Host::with(
        "sysctls",
        "
services:
  plain: { image: 'stand-in:1', command: sleep 1000, init: true }
  own: { image: 'stand-in:1', command: sleep 1000, init: true, sysctls: { net.ipv4.ip_unprivileged_port_start: 500 } }
",
    );
    host.motet(&["up", "-d"]).success();
    let read = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/ping_group_range";
    assert_eq!(host.shell("plain", read), "0\n0\t2147483647");
    assert_eq!(host.shell("own", read), "500\n0\t2147483647");
}

#[test]
fn networks_are_kept_apart() {
    if lacks_root() {
        return;
    }
    let host = Host::with(
        "apart",
        "
services:
  web: { image: 'stand-in:1', command: httpd -f -p 80 -h /www, init: true, networks: [one] }
  stranger: { image: 'stand-in:1', command: sleep 1000, init: true, networks: [two] }
  friend: { image: 'stand-in:1', command: sleep 1000, init: true, networks: [one, two] }
networks: { one: {}, two: {} }
",
    );
    host.motet(&["up", "-d"]).success();
    until("the server answers its friend", || {
        host.motet(&["exec", "-T", "friend", "wget", "-qO-", "http://web/"]).code == 0
    });
    assert_ne!(host.motet(&["exec", "-T", "stranger", "wget", "-T", "1", "-qO-", "http://web/"]).code, 0);
    let address = host.shell("web", "ip -4 addr show eth0 | grep inet | tr -s ' ' | sed 's/ inet //; s|/.*||'");
    let reach = host.motet(&["exec", "-T", "stranger", "wget", "-T", "1", "-qO-", &format!("http://{address}/")]);
    assert_ne!(reach.code, 0, "the address of another network must not answer: {address}");
    host.motet(&["down"]).success();
    host.must_be_clean();
}

#[test]
fn the_network_of_single_containers_and_that_of_another_service_can_be_joined() {
    if lacks_root() {
        return;
    }
    let host = Host::with(
        "joined",
        "
services:
  plain: { image: 'stand-in:1', command: sleep 1000, init: true, network_mode: bridge }
  friend: { image: 'stand-in:1', command: sleep 1000, init: true, network_mode: 'service:plain' }
  alone: { image: 'stand-in:1', command: sleep 1000, init: true, network_mode: none }
",
    );
    host.motet(&["up", "-d"]).success();
    let address = "ip -4 addr show eth0 | grep inet";
    assert_eq!(host.shell("plain", address), host.shell("friend", address));
    assert_eq!(host.shell("alone", "ls /sys/class/net"), "lo");
}

engines! {
    both: [
        the_network_of_single_containers_and_that_of_another_service_can_be_joined,
        services_find_each_other_by_name_alias_and_container_name,
        a_published_port_answers_on_localhost_and_on_the_hosts_address,
        a_sysctl_of_the_service_wins_over_the_usual_value,
        networks_are_kept_apart,
    ],
}
