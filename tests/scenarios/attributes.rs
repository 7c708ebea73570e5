//! What a file asks of volumes, mounts, links and limits is there inside the container, or is refused by name.

use crate::support::engines::engines;
use crate::support::host::{Host, lacks_root};

const IMAGE: &str = "image: 'stand-in:1', init: true";

#[test]
fn a_volume_in_memory_is_shared_by_its_users_and_leaves_no_mount() {
    if lacks_root() {
        return;
    }
    let host = Host::with(
        "memory",
        &format!(
            "
services:
  one: {{ {IMAGE}, command: sleep 1000, volumes: ['shared:/data'] }}
  two: {{ {IMAGE}, command: sleep 1000, volumes: ['shared:/data'] }}
volumes:
  shared: {{ driver_opts: {{ type: tmpfs, device: tmpfs, o: 'size=1m,noexec' }} }}
"
        ),
    );
    host.motet(&["up", "-d"]).success();
    host.shell("one", "echo hello > /data/file");
    assert_eq!(host.shell("two", "cat /data/file"), "hello");
    assert_eq!(host.shell("two", "dd if=/dev/zero of=/data/big bs=1024 count=2000 2>/dev/null; echo $?"), "1");
    assert!(host.shell("one", "grep ' /data ' /proc/mounts").contains("noexec"));
    host.motet(&["stop", "-t", "0"]).success();
    assert!(
        !std::fs::read_to_string("/proc/mounts").unwrap().contains(host.folder.parent().unwrap().to_str().unwrap())
    );
    host.motet(&["down", "-v"]).success();
    host.must_be_clean();
}

#[test]
fn a_part_of_a_volume_is_mounted_and_no_link_leads_out_of_it() {
    if lacks_root() {
        return;
    }
    let part = |subpath: &str| {
        format!("volumes: [{{ type: volume, source: data, target: /part, volume: {{ subpath: {subpath} }} }}]")
    };
    let host = Host::with(
        "part",
        &format!(
            "
services:
  owner: {{ {IMAGE}, command: sleep 1000, volumes: ['data:/data'] }}
  inner: {{ {IMAGE}, command: sleep 1000, {}, profiles: [later] }}
  out: {{ {IMAGE}, command: sleep 1000, {}, profiles: [later] }}
volumes: {{ data: {{ }} }}
",
            part("a/b"),
            part("link")
        ),
    );
    host.motet(&["up", "-d"]).success();
    host.shell("owner", "mkdir -p /data/a/b && echo deep > /data/a/b/file && ln -s /etc /data/link");
    host.motet(&["up", "-d", "inner"]).success();
    assert_eq!(host.shell("inner", "cat /part/file"), "deep");
    host.motet(&["up", "-d", "out"]).failure().names(&["link"]);
    host.motet(&["--profile", "later", "down", "-v"]).success();
    host.must_be_clean();
}

#[test]
fn mounts_of_another_container_and_of_a_whole_image_are_there() {
    if lacks_root() {
        return;
    }
    let host = Host::with(
        "others",
        &format!(
            "
services:
  owner: {{ {IMAGE}, command: sleep 1000, volumes: ['/anonymous', 'named:/named'] }}
  heir: {{ {IMAGE}, command: sleep 1000, volumes_from: ['owner:ro'] }}
  layered: {{ build: {{ context: ., dockerfile_inline: \"FROM stand-in:1\\nRUN echo two > /second\\n\" }}, image: layered, command: 'true' }}
  viewer:
    image: 'stand-in:1'
    init: true
    command: sleep 1000
    depends_on: {{ layered: {{ condition: service_completed_successfully }} }}
    volumes:
      - {{ type: image, source: layered, target: /whole }}
      - {{ type: image, source: layered, target: /programs, image: {{ subpath: bin }} }}
volumes: {{ named: {{ }} }}
"
        ),
    );
    host.motet_patiently(&["up", "-d", "--build"]).success();
    host.shell("owner", "echo a > /anonymous/file; echo b > /named/file");
    assert_eq!(host.shell("heir", "cat /anonymous/file /named/file"), "a\nb");
    assert_eq!(host.shell("heir", "touch /anonymous/x 2>/dev/null; echo $?"), "1");
    assert_eq!(
        host.shell("viewer", "cat /whole/second; test -x /whole/bin/busybox && test -x /programs/busybox; echo $?"),
        "two\n0"
    );
    assert_eq!(host.shell("viewer", "touch /whole/x 2>/dev/null; echo $?"), "1");
    host.motet(&["down", "-v"]).success();
    host.must_be_clean();
}

#[test]
fn links_have_the_names_and_addresses_asked_for_and_port_53_is_free() {
    if lacks_root() {
        return;
    }
    let host = Host::with(
        "links",
        &format!(
            "
services:
  web:
    {{ {IMAGE}, command: sleep 1000, networks: {{ front: {{ interface_name: lan7, link_local_ips: [169.254.8.8],
      driver_opts: {{ com.docker.network.endpoint.sysctls: net.ipv4.conf.IFNAME.log_martians=1 }} }} }} }}
networks: {{ front: {{ enable_ipv6: true, ipam: {{ config: [{{ subnet: 'fd42:7::/64' }}] }} }} }}
"
        ),
    );
    host.motet(&["up", "-d"]).success();
    let addresses = host.shell("web", "ip addr show lan7");
    assert!(addresses.contains("169.254.8.8/16") && addresses.contains("fd42:7::2"), "{addresses}");
    assert_eq!(host.shell("web", "cat /proc/sys/net/ipv4/conf/lan7/log_martians"), "1");
    // Nothing of ours is bound there, and names are answered all the same.
    assert_eq!(host.shell("web", "httpd -p 53 -h /www && wget -qO- http://127.0.0.1:53/"), "hello");
    assert!(host.shell("web", "nslookup web 127.0.0.11").contains("fd42:7::2"));
    host.motet(&["down", "-v"]).success();
    host.must_be_clean();
}

#[test]
fn what_this_host_can_not_do_is_refused_with_the_reason() {
    if lacks_root() {
        return;
    }
    for (attribute, parts) in [
        ("blkio_config: { device_write_bps: [{ path: /dev/null, rate: 1mb }] }", &["/dev/null", "block device"][..]),
        ("runtime: kata", &["runtime `kata`"]),
        ("storage_opt: { size: 1G }", &["storage_opt", "quotas"]),
        ("devices: ['vendor.example/card=one']", &["vendor.example/card=one", "/etc/cdi"]),
        ("userns_mode: 'private'", &["user namespace"]),
        ("cgroup_parent: '../x'", &["parent of a control group"]),
        ("volumes: [{ type: bind, source: ./absent, target: /x, bind: { create_host_path: false } }]", &["absent"]),
    ] {
        let host =
            Host::with("refused", &format!("services: {{ web: {{ {IMAGE}, command: sleep 1000, {attribute} }} }}"));
        host.motet(&["up", "-d"]).failure().names(parts);
        host.motet(&["down", "-v"]).success();
        host.must_be_clean();
    }
    let host = Host::with(
        "driver",
        &format!(
            "
services: {{ web: {{ {IMAGE}, command: sleep 1000 }} }}
networks: {{ default: {{ driver: overlay }} }}
"
        ),
    );
    host.motet(&["up", "-d"]).failure().names(&["driver `overlay`"]);
}

engines! {
    both: [
        a_volume_in_memory_is_shared_by_its_users_and_leaves_no_mount,
    ],
    embedded: [
        a_part_of_a_volume_is_mounted_and_no_link_leads_out_of_it: "`volume.subpath` needs API 1.45, Debian's Docker Engine has 1.41",
        mounts_of_another_container_and_of_a_whole_image_are_there: "an image as a volume needs API 1.48",
        links_have_the_names_and_addresses_asked_for_and_port_53_is_free: "`interface_name` needs API 1.49",
        what_this_host_can_not_do_is_refused_with_the_reason: "it names what our own runtime lacks",
    ],
}
