//! Volumes and networks of a project as they change, and what containers share.

use std::fs;

use crate::support::checks;
use crate::support::engines::engines;
use crate::support::host::{Host, lacks_root};
use crate::support::pty::OnTerminal;

#[test]
fn a_switch_to_another_volume_makes_the_container_anew_and_a_bind_does_not() {
    if lacks_root() {
        return;
    }
    let file = "
services: { web: { image: 'stand-in:1', command: sleep 1000, init: true, volumes: ['data:/data', './src:/src'] } }
volumes: { data: { external: true, name: NAME } }
";
    let host = Host::with("switched", &file.replace("NAME", "motet-external-1"));
    fs::create_dir(host.folder.join("src")).unwrap();
    for name in ["motet-external-1", "motet-external-2"] {
        host.motet(&["volume", "create", name]).success();
    }
    host.does("up -d").success();
    let first = host.container("switched-web-1")["ID"].clone();
    host.write("src/new", "x");
    host.does("up -d").success();
    assert_eq!(host.container("switched-web-1")["ID"], first, "files of a bind are no change");
    host.write("compose.yaml", &file.replace("NAME", "motet-external-2"));
    host.does("up -d").success();
    assert_ne!(host.container("switched-web-1")["ID"], first);
    assert!(host.container("switched-web-1")["Mounts"].as_str().unwrap().contains("motet-external"));
    let look = ["container", "inspect", "-f", "{{json .Mounts}}", "switched-web-1"];
    assert!(host.motet(&look).success().stdout.contains("\"motet-external-2\""));
    host.does("down -v").success();
    host.does("volume rm motet-external-1 motet-external-2").success();
    host.must_be_clean();
}

#[test]
fn a_volume_that_differs_keeps_its_data_unless_yes_is_said() {
    if lacks_root() {
        return;
    }
    let file = "
services:
  web: { image: 'stand-in:1', command: sleep 1000, init: true, volumes: ['data:/data'] }
  other: { image: 'stand-in:1', command: sleep 1000, init: true, volumes: ['data:/data'] }
volumes: { data: { labels: { version: 'one' } } }
";
    let host = Host::with("differs", file);
    host.does("up -d").success();
    host.shell("web", "echo old > /data/file");
    host.write("compose.yaml", &file.replace("'one'", "'two'"));
    let warned = host.does("up -d").success().stderr;
    assert!(warned.contains("differs_data") && warned.contains("up -y"), "{warned}");
    assert_eq!(host.shell("web", "cat /data/file"), "old");
    let refused = host.does("up -d -y web").success().stderr;
    assert!(refused.contains("other"), "who is not brought up still uses it: {refused}");
    assert_eq!(host.shell("web", "cat /data/file"), "old");
    let before = host.ps();
    let planned = host.does("--dry-run up -d -y").success();
    assert!(planned.stdout.contains("remove volume differs_data"), "{}{}", planned.stdout, planned.stderr);
    checks::same_containers(&before, &host.ps());
    host.does("up -d -y").success();
    assert_eq!(host.shell("web", "ls /data"), "");
    assert_eq!(host.named("running"), ["differs-other-1", "differs-web-1"]);
    let before = host.ps();
    host.does("up -d -y").success();
    checks::same_containers(&before, &host.ps());
    host.does("down -v").success();
    host.must_be_clean();
}

#[test]
fn a_volume_that_differs_is_asked_about_where_somebody_can_answer() {
    if lacks_root() {
        return;
    }
    let file = "
services: { web: { image: 'stand-in:1', command: sleep 1000, init: true, volumes: ['data:/data'] } }
volumes: { data: { labels: { version: 'one' } } }
";
    let host = Host::with("asked", file);
    host.does("up -d").success();
    host.shell("web", "echo old > /data/file");
    host.write("compose.yaml", &file.replace("'one'", "'two'"));
    for (answer, kept) in [("\r", "file"), ("y\r", ""), ("", "")] {
        let mut terminal = OnTerminal::start(&host, &["up", "-d"], 100, &[]);
        if !answer.is_empty() {
            terminal.shows("Volume `asked_data` differs from the file", 1);
            terminal.types(answer);
        }
        terminal.ends().success();
        assert_eq!(host.shell("web", "ls /data"), kept, "after {answer:?}");
    }
    host.does("down -v").success();
    host.must_be_clean();
}

#[test]
fn a_volume_may_be_a_folder_of_the_host() {
    if lacks_root() {
        return;
    }
    let host = Host::empty("device");
    fs::create_dir(host.folder.join("kept")).unwrap();
    let device = host.folder.join("kept").display().to_string();
    let file = format!(
        "
services: {{ web: {{ image: 'stand-in:1', command: sleep 1000, init: true, volumes: ['data:/data'] }} }}
volumes: {{ data: {{ driver: local, driver_opts: {{ type: none, o: bind, device: '{device}' }} }} }}
"
    );
    host.motet(&["load", "-i", crate::support::image::stand_in().to_str().unwrap()]).success();
    host.write("compose.yaml", &file);
    host.does("up -d").success();
    host.shell("web", "echo x > /data/file");
    assert_eq!(fs::read_to_string(host.folder.join("kept/file")).unwrap(), "x\n");
    host.does("down -v").success();
    assert!(host.folder.join("kept/file").exists(), "`down -v` forgets the volume and not the folder");
    host.must_be_clean();
    fs::remove_file(host.folder.join("compose.yaml")).unwrap();
}

#[test]
fn an_anonymous_volume_is_handed_on_until_it_is_renewed() {
    if lacks_root() {
        return;
    }
    let file = "services: { web: { image: 'stand-in:1', command: sleep 1000, init: true, volumes: [/data] } }";
    let host = Host::with("anonymous", file);
    host.does("up -d").success();
    host.shell("web", "echo old > /data/file");
    host.does("up -d --force-recreate").success();
    assert_eq!(host.shell("web", "cat /data/file"), "old");
    host.does("up -d -V").success();
    assert_eq!(host.shell("web", "ls /data"), "");
    host.does("down -v").success();
    host.must_be_clean();
}

#[test]
fn a_network_that_differs_is_made_anew_under_its_containers() {
    if lacks_root() {
        return;
    }
    let file = "
services: { web: { image: 'stand-in:1', command: sleep 1000, init: true, networks: [back] } }
networks: { back: { labels: { version: 'one' } } }
";
    let host = Host::with("renewed", file);
    host.does("up -d").success();
    host.write("compose.yaml", &file.replace("'one'", "'two'"));
    let printed = host.does("--progress plain up -d").success().stderr;
    let position = |line: &str| {
        let at = printed.lines().position(|other| other.trim_start() == line);
        at.unwrap_or_else(|| panic!("no `{line}` in {printed}"))
    };
    let order = [
        position("Network renewed_back  Removed"),
        position("Network renewed_back  Created"),
        position("Container renewed-web-1  Recreated"),
        position("Container renewed-web-1  Started"),
    ];
    assert!(order.is_sorted(), "{order:?} in {printed}");
    let label = host.does("network inspect --format {{.Labels.version}} renewed_back").success().stdout;
    assert_eq!(label.trim(), "two");
    host.does("down").success();
    host.must_be_clean();
}

#[test]
fn addresses_of_links_are_those_asked_for() {
    if lacks_root() {
        return;
    }
    let file = "
services:
  web:
    image: stand-in:1
    command: sleep 1000
    init: true
    mac_address: 00:e0:84:35:d0:e8
    networks: { back: { ipv4_address: 10.187.3.77 } }
  db: { image: 'stand-in:1', command: sleep 1000, init: true, links: ['web:frontend'], networks: [back] }
networks: { back: { ipam: { config: [{ subnet: 10.187.3.0/24 }] } } }
";
    let host = Host::with("addresses", file);
    host.does("up -d").success();
    let shown = host.shell("web", "ip addr show dev eth0");
    assert!(shown.contains("10.187.3.77/24") && shown.contains("00:e0:84:35:d0:e8"), "{shown}");
    assert!(host.shell("db", "ping -c 1 -W 5 frontend").contains("10.187.3.77"), "the link is a name");
    host.does("down").success();
    host.must_be_clean();
}

#[test]
fn ipc_is_shared_with_whom_the_file_names() {
    if lacks_root() {
        return;
    }
    let file = "
services:
  one: { image: 'stand-in:1', command: sleep 1000, init: true, ipc: shareable, container_name: motet-ipc-one }
  two: { image: 'stand-in:1', command: sleep 1000, init: true, ipc: 'service:one' }
  three: { image: 'stand-in:1', command: sleep 1000, init: true, ipc: 'container:motet-ipc-one' }
  alone: { image: 'stand-in:1', command: sleep 1000, init: true }
";
    let host = Host::with("ipc", file);
    host.does("up -d one").success();
    host.does("up -d").success();
    let space = |service: &str| host.shell(service, "readlink /proc/self/ns/ipc");
    assert_eq!((space("two"), space("three")), (space("one"), space("one")));
    assert_ne!(space("alone"), space("one"));
    host.does("down").success();
    host.must_be_clean();
}

#[test]
fn another_way_of_logging_makes_the_container_anew() {
    if lacks_root() {
        return;
    }
    let file =
        "services: { web: { image: 'stand-in:1', command: sleep 1000, init: true, logging: { driver: DRIVER } } }";
    let host = Host::with("logging", &file.replace("DRIVER", "json-file"));
    host.does("up -d").success();
    let first = host.container("logging-web-1")["ID"].clone();
    host.does("up -d").success();
    assert_eq!(host.container("logging-web-1")["ID"], first);
    host.write("compose.yaml", &file.replace("DRIVER", "none"));
    host.does("up -d").success();
    assert_ne!(host.container("logging-web-1")["ID"], first);
    host.does("down").success();
    host.must_be_clean();
}

engines! {
    both: [
        a_switch_to_another_volume_makes_the_container_anew_and_a_bind_does_not,
        a_volume_that_differs_keeps_its_data_unless_yes_is_said,
        a_volume_that_differs_is_asked_about_where_somebody_can_answer,
        a_volume_may_be_a_folder_of_the_host,
        an_anonymous_volume_is_handed_on_until_it_is_renewed,
        a_network_that_differs_is_made_anew_under_its_containers,
        addresses_of_links_are_those_asked_for,
        ipc_is_shared_with_whom_the_file_names,
        another_way_of_logging_makes_the_container_anew,
    ],
}
