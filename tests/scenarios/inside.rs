//! What a service asks for, and what its container then really has: an attribute, a line of shell inside, the answer.

use std::fmt::Write as _;

use crate::support::engines::engines;
use crate::support::host::{Host, lacks_root};

/// What is asked for, the line, and what it must print.
type Row = (&'static str, &'static str, &'static str);

/// All of one project, as the services `row0`, `row1`, ..; `peer` is whom some of them join.
const ROWS: &[Row] = &[
    ("cap_drop: [ALL], cap_add: [CHOWN]", "grep CapEff /proc/self/status | tr -d '\\t'", "CapEff:0000000000000001"),
    ("security_opt: ['no-new-privileges:true']", "grep -c 'NoNewPrivs:.1' /proc/self/status", "1"),
    ("security_opt: ['seccomp:unconfined']", "grep -c 'Seccomp:.0' /proc/self/status", "1"),
    ("security_opt: ['systempaths=unconfined']", "grep -c ' /proc/kcore ' /proc/mounts", "0"),
    ("read_only: true, tmpfs: ['/run:size=1m,mode=700']", "touch /x 2>/dev/null; touch /run/x; stat -c %a /run", "700"),
    ("shm_size: 32m", "df -k /dev/shm | tail -1 | tr -s ' ' | cut -d' ' -f2", "32768"),
    ("ipc: none", "grep -c ' /dev/shm ' /proc/mounts", "0"),
    ("ipc: 'service:peer'", "cat /dev/shm/mark", "shared"),
    ("pid: 'service:peer'", "ps | grep '[s]leep 4242' | grep -vc docker-init", "1"),
    ("network_mode: 'service:peer'", "hostname; grep -c peerhost /etc/hosts", "peerhost\n1"),
    ("uts: host", "test $(hostname) = peerhost; echo $?", "1"),
    ("ulimits: { nofile: { soft: 100, hard: 200 }, core: 0 }", "ulimit -n; ulimit -Hn; ulimit -c", "100\n200\n0"),
    ("sysctls: { net.core.somaxconn: 1000 }", "cat /proc/sys/net/core/somaxconn", "1000"),
    ("user: '1000:1001', group_add: ['777']", "id -u; id -G", "1000\n1001 777"),
    ("working_dir: /some/new/place", "pwd", "/some/new/place"),
    ("hostname: h1, domainname: example.org", "hostname; cat /proc/sys/kernel/domainname", "h1\nexample.org"),
    ("extra_hosts: ['a:1.2.3.4', 'b=::1']", "tail -3 /etc/hosts | head -2", "1.2.3.4\ta\n::1\tb"),
    ("devices: ['/dev/null:/dev/other']", "stat -c %t:%T /dev/other", "1:3"),
    ("oom_score_adj: 321", "cat /proc/self/oom_score_adj", "321"),
    ("mac_address: '02:42:ac:11:65:43'", "cat /sys/class/net/eth0/address", "02:42:ac:11:65:43"),
    ("networks: { fixed: { interface_name: lan7 } }", "ls /sys/class/net | grep -c lan7", "1"),
    ("networks: { fixed: { ipv4_address: 10.199.7.9 } }", "ip -4 addr show eth0 | grep -c 10.199.7.9", "1"),
    ("external_links: ['inside-peer-1:far']", "nslookup far >/dev/null 2>&1; echo $?", "0"),
    ("links: ['peer:near']", "nslookup near >/dev/null 2>&1; echo $?", "0"),
    ("tty: true", "stat -c %t /dev/console; ls /dev/pts | grep -c 0", "88\n1"),
    ("cgroup: private", "grep -vc ':/$' /proc/self/cgroup", "0"),
    ("blkio_config: { weight: 300 }", "echo runs", "runs"),
    ("volumes: [{ type: tmpfs, target: /m, tmpfs: { size: 2097152, mode: 0750 } }]", "stat -c %a /m", "750"),
];

#[test]
fn every_attribute_is_there_inside_the_container() {
    if lacks_root() {
        return;
    }
    let mut file = String::from(
        "
services:
  peer:
    image: 'stand-in:1'
    init: true
    hostname: peerhost
    ipc: shareable
    command: [sh, -c, 'echo shared > /dev/shm/mark; exec sleep 4242']
",
    );
    for (index, (asked, _, _)) in ROWS.iter().enumerate() {
        let base = "image: 'stand-in:1', command: sleep 1000, depends_on: [peer]";
        writeln!(file, "  row{index}: {{ {base}, {asked} }}").unwrap();
    }
    file.push_str("networks: { fixed: { ipam: { config: [{ subnet: 10.199.7.0/24 }] } } }\n");
    let host = Host::with("inside", &file);
    host.motet_patiently(&["up", "-d"]).success();
    for (index, (asked, line, expected)) in ROWS.iter().enumerate() {
        // What is printed is asked for: grep(1) that counts to 0 ends with 1.
        assert_eq!(host.shell(&format!("row{index}"), &format!("{line}; true")), *expected, "{asked}");
    }
    host.motet_patiently(&["down", "-v", "-t", "0"]).success();
    host.must_be_clean();
}

#[test]
fn what_can_not_be_had_is_refused_by_name() {
    if lacks_root() {
        return;
    }
    for (asked, names) in [
        ("isolation: hyperv", "isolation"),
        ("platform: linux/s390x", "linux/s390x"),
        ("userns_mode: private", "private"),
        ("runtime: kata", "kata"),
        ("security_opt: ['magic:1']", "magic"),
        ("storage_opt: { size: 10m }", "storage_opt"),
        ("gpus: all", "gpu"),
        ("devices: ['vendor.com/x=y']", "vendor.com/x=y"),
    ] {
        let host = Host::with("refused", &format!("services: {{ web: {{ image: 'stand-in:1', {asked} }} }}"));
        host.motet(&["up", "-d"]).failure().names(&[names]);
        host.motet(&["down", "-v"]).success();
    }
}

engines! {
    embedded: [
        every_attribute_is_there_inside_the_container: "several of them need an API newer than 1.41",
        what_can_not_be_had_is_refused_by_name: "it names what our own runtime lacks",
    ],
}
