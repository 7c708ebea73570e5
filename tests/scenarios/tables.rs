//! What the listing verbs print: ps, images, top, port, run's containers.

use serde_json::Value;

use crate::support::checks;
use crate::support::engines::engines;
use crate::support::host::{Host, free_port, lacks_root};

const FILE: &str = "
services:
  web:
    image: stand-in:1
    command: sleep 1000
    init: true
    ports: ['PORT:80']
    labels: { my-label: mine }
  job: { image: 'stand-in:1', command: 'true' }
";

fn columns(table: &str) -> Vec<&str> {
    table.lines().next().unwrap().split("  ").map(str::trim).filter(|title| !title.is_empty()).collect()
}

#[test]
fn containers_are_listed_as_a_table_and_as_lines_of_json() {
    if lacks_root() {
        return;
    }
    let port = free_port();
    let host = Host::with("listed", &FILE.replace("PORT", &port.to_string()));
    host.does("up -d").success();
    host.does("wait job").success();
    let table = host.does("ps").success().stdout;
    assert_eq!(columns(&table), ["NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS"]);
    assert!(table.contains(&format!("0.0.0.0:{port}->80/tcp")), "{table}");
    assert!(!table.contains("listed-job-1"), "{table}");
    assert!(host.does("ps --all").success().stdout.contains("listed-job-1"));
    let web = host.container("listed-web-1");
    assert_eq!(web["Publishers"][0]["PublishedPort"], port);
    assert_eq!((&web["Project"], &web["Service"], &web["State"]), (&"listed".into(), &"web".into(), &"running".into()));
    let labels = checks::text(&web, "Labels");
    for label in ["my-label=mine", "com.docker.compose.oneoff=False", "com.docker.compose.container-number=1"] {
        assert!(labels.split(',').any(|other| other == label), "{labels}");
    }
    assert_eq!(host.does("ps --services --status running").success().stdout, "web\n");
    assert_eq!(host.does("ps --format {{.Name}} --filter status=exited -a").success().stdout, "listed-job-1\n");
    assert_eq!(host.does("ps no-such-service").code, 1);
    assert_eq!(host.does("port web 80").success().stdout, format!("0.0.0.0:{port}\n"));
    host.does("down web").success();
    assert_eq!(host.ps().len(), 1, "only that service");
    host.does("down").success();
    host.must_be_clean();
}

#[test]
fn images_are_listed_with_their_platform_and_age() {
    if lacks_root() {
        return;
    }
    let host =
        Host::with("listed-images", "services: { web: { image: 'stand-in:1', command: sleep 1000, init: true } }");
    host.does("up -d").success();
    let table = host.does("images").success().stdout;
    assert_eq!(columns(&table), ["CONTAINER", "REPOSITORY", "TAG", "PLATFORM", "IMAGE ID", "SIZE", "CREATED"]);
    let row = table.lines().nth(1).unwrap();
    for part in ["listed-images-web-1", "stand-in", "linux/"] {
        assert!(row.contains(part), "{table}");
    }
    let printed = host.does("images --format json").success().stdout;
    let all: Vec<Value> = serde_json::from_str(&printed).unwrap();
    assert_eq!((&all[0]["Platform"]["os"], &all[0]["Tag"]), (&"linux".into(), &"1".into()));
    host.does("down").success();
    host.must_be_clean();
}

#[test]
fn processes_are_listed_as_docker_calls_them() {
    if lacks_root() {
        return;
    }
    let file = "services: { web: { image: 'stand-in:1', command: sleep 1000, init: true, scale: 2 } }";
    let host = Host::with("listed-top", file);
    host.does("up -d").success();
    let table = host.does("top").success().stdout;
    let titles = ["SERVICE", "#", "UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"];
    assert_eq!(table.lines().next().unwrap().split_whitespace().collect::<Vec<_>>(), titles);
    assert_eq!(table.matches("/sbin/docker-init -- sleep 1000").count(), 2, "{table}");
    assert!(!table.contains("__keep"), "{table}");
    let inside = host.shell("web", "tr '\\0' ' ' < /proc/1/cmdline");
    assert_eq!(inside.trim(), "/sbin/docker-init -- sleep 1000");
    host.does("down").success();
    host.must_be_clean();
}

#[test]
fn a_run_has_ports_volumes_and_labels_of_its_own() {
    if lacks_root() {
        return;
    }
    let (own, given) = (free_port(), free_port());
    let file = "
services:
  web:
    image: stand-in:1
    command: sleep 1000
    init: true
    ports: ['PORT:80']
    depends_on: { db: {condition: service_started}, off: { condition: service_started, required: false } }
  db: { image: 'stand-in:1', command: sleep 1000, init: true }
  off: { image: 'stand-in:1', profiles: [never] }
";
    let host = Host::with("one-run", &file.replace("PORT", &own.to_string()));
    host.write("shared/file", "of the host");
    let volume = format!("{}:/seen", host.folder.join("shared").display());
    let seen = host.motet(&["run", "--rm", "-T", "-v", &volume, "web", "cat", "/seen/file"]).success();
    assert_eq!(seen.stdout.trim(), "of the host");
    host.motet(&["run", "-d", "-p", &format!("{given}:80"), "--name", "motet-published", "web"]).success();
    assert_eq!(host.container("motet-published")["Publishers"][0]["PublishedPort"], given);
    host.motet(&["run", "-d", "--service-ports", "--name", "motet-service-ports", "web"]).success();
    assert_eq!(host.container("motet-service-ports")["Publishers"][0]["PublishedPort"], own);
    let labels = checks::text(&host.container("motet-published"), "Labels");
    assert!(
        labels.contains("com.docker.compose.oneoff=True") && labels.contains("com.docker.compose.slug="),
        "{labels}"
    );
    host.does("down --remove-orphans").success();
    host.does("run --rm -T --no-deps web true").success();
    checks::nothing_is_there(&host);
    host.does("down").success();
    host.must_be_clean();
}

#[test]
fn exec_finds_a_one_off_where_no_container_of_the_service_is() {
    if lacks_root() {
        return;
    }
    let host =
        Host::with("exec-one-off", "services: { web: { image: 'stand-in:1', command: sleep 1000, init: true } }");
    host.does("exec -T web true").failure().names(&["web"]);
    host.does("run -d web").success();
    assert_eq!(host.does("exec -T web echo found").success().stdout, "found\n");
    host.does("exec -T --index 1 web true").failure().names(&["web"]);
    host.does("up -d").success();
    assert_eq!(host.does("exec -T --index 1 web echo found").success().stdout, "found\n");
    host.does("down --remove-orphans").success();
    host.must_be_clean();
}

engines! {
    both: [
        containers_are_listed_as_a_table_and_as_lines_of_json,
        images_are_listed_with_their_platform_and_age,
        processes_are_listed_as_docker_calls_them,
        a_run_has_ports_volumes_and_labels_of_its_own,
        exec_finds_a_one_off_where_no_container_of_the_service_is,
    ],
}
