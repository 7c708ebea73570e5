//! Which services and resources a command is about: profiles, names, `.env`, folders, orphans, scale.

use std::fs;

use crate::support::checks;
use crate::support::engines::engines;
use crate::support::host::{Host, free_port, http, lacks_root, until};

const PROFILES: &str = "
services:
  always: { image: 'stand-in:1', command: sleep 1000, init: true }
  debug: { image: 'stand-in:1', command: sleep 1000, init: true, profiles: [tools] }
";

const ONE: &str = "services: { web: { image: 'stand-in:1', command: sleep 1000, init: true } }";

#[test]
fn a_profile_is_enabled_by_a_flag_a_file_or_the_name_of_its_service() {
    if lacks_root() {
        return;
    }
    let host = Host::with("profiles", PROFILES);
    host.does("up -d").success();
    assert_eq!(host.named("running"), ["profiles-always-1"]);
    host.does("--profile tools up -d").success();
    assert_eq!(host.named("running"), ["profiles-always-1", "profiles-debug-1"]);
    host.does("--profile tools stop").success();
    assert_eq!(host.named("running"), Vec::<String>::new());
    host.does("start").success();
    assert_eq!(host.named("running"), ["profiles-always-1"], "that of another profile is left alone");
    host.does("--profile tools start").success();
    host.does("down").success();
    assert_eq!(host.named("running"), ["profiles-debug-1"], "`down` without the profile, too");
    host.does("--profile tools down").success();
    host.does("up -d debug").success();
    assert_eq!(host.named("running"), ["profiles-debug-1"], "its name enables it");
    host.does("--profile * down").success();
    host.write(".env", "COMPOSE_PROFILES=tools\n");
    host.does("up -d").success();
    assert_eq!(host.named("running"), ["profiles-always-1", "profiles-debug-1"]);
    host.does("down").success();
    host.must_be_clean();
}

#[test]
fn the_file_is_named_by_env_files_of_the_folder_the_project_or_the_flag() {
    let host = Host::empty("named-by-env");
    host.write("other.yaml", "services: { other: { image: a } }");
    host.write("sub/compose.yaml", "services: { sub: { image: '${TAG}' } }");
    let services = |line: &str| host.does(&format!("{line} config --services")).success().stdout;
    host.write(".env", "COMPOSE_FILE=other.yaml\n");
    assert_eq!(services(""), "other\n");
    host.write("env", "COMPOSE_FILE=sub/compose.yaml\nTAG=from-the-flag\n");
    assert_eq!(services("--env-file env"), "sub\n");
    host.write("sub/.env", "TAG=from-its-folder\n");
    assert_eq!(services("--project-directory sub"), "sub\n");
    assert_eq!(host.does("--project-directory sub config --images").success().stdout, "from-its-folder\n");
    // From a folder below, the `.env` of the folder itself is read first, and wins.
    fs::remove_file(host.folder.join(".env")).unwrap();
    host.write("compose.yaml", "services: { top: { image: '${TAG}' } }");
    host.write(".env", "TAG=top\nOTHER=top\n");
    host.write("below/.env", "TAG=below\n");
    let mut command = host.command(&["config", "--images"]);
    let output = command.current_dir(host.folder.join("below")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "below\n");
}

#[test]
fn a_folder_below_finds_the_file_above_and_names_the_project_if_it_is_named() {
    if lacks_root() {
        return;
    }
    let host = Host::with("above", ONE);
    fs::create_dir(host.folder.join("child")).unwrap();
    host.does("--project-directory child up -d").success();
    assert_eq!(host.does("-p child ps -q").success().stdout.lines().count(), 1, "the named folder gives its name");
    host.does("--project-directory child down").success();
    let mut command = host.command(&["up", "-d"]);
    assert!(command.current_dir(host.folder.join("child")).output().unwrap().status.success());
    assert_eq!(host.named("running"), ["above-web-1"]);
    host.does("down").success();
    host.must_be_clean();
}

#[test]
fn an_external_network_is_missed_only_by_who_uses_it() {
    if lacks_root() {
        return;
    }
    let file = "
services:
  web: { image: 'stand-in:1', command: sleep 1000, init: true }
  odd: { image: 'stand-in:1', command: sleep 1000, init: true, networks: [absent] }
networks: { absent: { external: true, name: motet-absent-network } }
";
    let host = Host::with("missing", file);
    host.does("up -d").failure().names(&["motet-absent-network"]);
    host.does("up -d web").success();
    assert_eq!(host.named("running"), ["missing-web-1"]);
    host.does("down").success();
    host.must_be_clean();
}

#[test]
fn resources_that_nobody_uses_are_made_only_if_that_is_asked_for() {
    if lacks_root() {
        return;
    }
    let file = "services: {}\nvolumes: { unused: {} }\nnetworks: { idle: {} }\n";
    let host = Host::with("unused", file);
    host.does("up -d --all-resources").success();
    let names = |kind: &str| host.does(&format!("{kind} ls --format {{{{.Name}}}}")).success().stdout;
    assert!(names("volume").contains("unused_unused"), "{}", names("volume"));
    assert!(names("network").contains("unused_idle"), "{}", names("network"));
    host.does("--all-resources down -v").success();
    host.must_be_clean();
}

#[test]
fn a_container_name_is_for_one_container() {
    if lacks_root() {
        return;
    }
    let file = "
services:
  one: { image: 'stand-in:1', command: sleep 1000, init: true, container_name: motet-the-same }
  two: { image: 'stand-in:1', command: sleep 1000, init: true, container_name: motet-the-same }
";
    let host = Host::with("same-name", file);
    host.does("up -d").failure().names(&["motet-the-same"]);
    let one = file.lines().filter(|line| !line.contains("two:")).collect::<Vec<_>>().join("\n");
    host.write("compose.yaml", &one);
    host.does("up -d").success();
    host.does("up -d --scale one=2").failure().names(&["motet-the-same"]);
    host.does("down").success();
    host.must_be_clean();
}

#[test]
fn what_is_shared_with_a_service_that_is_left_out_must_be_there() {
    if lacks_root() {
        return;
    }
    let file = "
services:
  web: { image: 'stand-in:1', command: sleep 1000, init: true, ATTRIBUTE }
  db: { image: 'stand-in:1', command: sleep 1000, init: true }
";
    let host = Host::with("left-out", ONE);
    for attribute in ["volumes_from: [db]", "network_mode: 'service:db'"] {
        host.write("compose.yaml", &file.replace("ATTRIBUTE", attribute));
        host.does("up -d --no-deps web").failure().names(&["`web`", "`db`"]);
        checks::nothing_is_there(&host);
        host.does("up -d db").success();
        host.does("up -d --no-deps web").success();
        host.does("down").success();
    }
    host.must_be_clean();
}

#[test]
fn a_dependency_that_is_not_required_may_be_absent_or_fail() {
    if lacks_root() {
        return;
    }
    let file = "
services:
  web:
    image: stand-in:1
    command: sleep 1000
    init: true
    depends_on:
      off: { condition: service_healthy, required: false }
      bad: { condition: service_completed_successfully, required: false }
  off: { image: 'stand-in:1', profiles: [never] }
  bad: { image: 'stand-in:1', command: 'false' }
";
    let host = Host::with("optional", file);
    let outcome = host.does("up -d").success();
    assert!(outcome.stderr.contains("bad"), "the failure is told: {}", outcome.stderr);
    assert_eq!(host.named("running"), ["optional-web-1"]);
    host.does("down").success();
    host.must_be_clean();
}

#[test]
fn an_ended_one_off_is_an_orphan_that_a_variable_has_removed() {
    if lacks_root() {
        return;
    }
    let host = Host::with("orphans", ONE);
    host.does("run --name motet-ended-one-off web true").success();
    let warned = host.does("up -d").success().stderr;
    assert!(warned.contains("motet-ended-one-off"), "{warned}");
    assert_eq!(host.ps().len(), 2);
    host.write(".env", "COMPOSE_IGNORE_ORPHANS=true\n");
    assert!(!host.does("up -d").success().stderr.contains("motet-ended-one-off"));
    host.write(".env", "COMPOSE_REMOVE_ORPHANS=true\n");
    host.does("up -d").success();
    checks::only_these_run(&host, &["orphans-web-1"]);
    assert_eq!(host.ps().len(), 1);
    host.does("down").success();
    host.must_be_clean();
}

#[test]
fn an_image_may_be_named_by_its_id() {
    if lacks_root() {
        return;
    }
    let host = Host::with("by-id", ONE);
    let id = host.does("image inspect --format {{.Id}} stand-in:1").success().stdout.trim().to_owned();
    for name in [id.clone(), id.trim_start_matches("sha256:").chars().take(12).collect()] {
        host.write("compose.yaml", &ONE.replace("'stand-in:1'", &format!("'{name}'")));
        host.does("up -d").success();
        checks::only_these_run(&host, &["by-id-web-1"]);
    }
    host.does("down").success();
    host.must_be_clean();
}

#[test]
fn names_have_underscores_where_that_is_asked_for() {
    if lacks_root() {
        return;
    }
    let host = Host::with("compat", ONE);
    host.does("--compatibility up -d").success();
    checks::only_these_run(&host, &["compat_web_1"]);
    host.does("--compatibility down").success();
    host.must_be_clean();
}

#[test]
fn scaling_counts_up_from_the_highest_and_takes_the_outdated_first() {
    if lacks_root() {
        return;
    }
    let file = "
services:
  web: { image: 'stand-in:1', command: sleep 1000, init: true, depends_on: [db] }
  db: { image: 'stand-in:1', command: sleep 1000, init: true }
";
    let host = Host::with("counting", file);
    host.does("up -d --scale db=2").success();
    let db = host.container("counting-db-1")["ID"].clone();
    host.does("up -d --scale web=3 --scale db=2").success();
    assert_eq!(host.named("running").len(), 5);
    assert_eq!(host.container("counting-db-1")["ID"], db, "who is not scaled is not made again");
    host.does("scale --no-deps web=1").success();
    assert_eq!(host.named("running"), ["counting-db-1", "counting-db-2", "counting-web-1"]);
    host.does("scale web=1").success();
    assert_eq!(host.named("running"), ["counting-db-1", "counting-web-1"], "what it depends on is as the file says");
    host.does("scale --no-deps web=2 db=0").success();
    assert_eq!(host.named("running"), ["counting-web-1", "counting-web-2"]);
    // The first is outdated: scaled down to one, it goes, and not the one with the highest number.
    host.write("compose.yaml", &file.replacen("init: true", "init: true, environment: { NEW: 1 }", 1));
    host.does("up -d --no-recreate --scale web=3 --scale db=0").success();
    host.does("up -d --no-recreate --scale web=1 --scale db=0").success();
    assert_eq!(host.named("running"), ["counting-web-3"]);
    host.does("down").success();
    host.must_be_clean();
}

#[test]
fn services_share_a_range_of_ports() {
    if lacks_root() {
        return;
    }
    let first = (0..50).map(|_| free_port()).find(|port| *port < 65_000 && (1..6).all(|more| is_free(port + more)));
    let Some(first) = first else { return println!("skipped: no six free ports in a row") };
    let mut file = String::from("services:\n");
    for number in 0..6 {
        file.push_str(&format!(
            "  s{number}: {{ image: 'stand-in:1', command: httpd -f -p 80 -h /www, init: true, ports: ['{first}-{}:80'] }}\n",
            first + 5
        ));
    }
    let host = Host::with("range", &file);
    host.does("up -d").success();
    for port in first..first + 6 {
        let address = format!("127.0.0.1:{port}");
        until("the server listens", || http(&address, "GET / HTTP/1.0\r\n\r\n").is_some());
    }
    host.does("down").success();
    host.must_be_clean();
}

fn is_free(port: u16) -> bool {
    std::net::TcpListener::bind(("0.0.0.0", port)).is_ok()
}

engines! {
    both: [
        a_profile_is_enabled_by_a_flag_a_file_or_the_name_of_its_service,
        a_folder_below_finds_the_file_above_and_names_the_project_if_it_is_named,
        an_external_network_is_missed_only_by_who_uses_it,
        resources_that_nobody_uses_are_made_only_if_that_is_asked_for,
        a_container_name_is_for_one_container,
        what_is_shared_with_a_service_that_is_left_out_must_be_there,
        a_dependency_that_is_not_required_may_be_absent_or_fail,
        an_ended_one_off_is_an_orphan_that_a_variable_has_removed,
        an_image_may_be_named_by_its_id,
        names_have_underscores_where_that_is_asked_for,
        scaling_counts_up_from_the_highest_and_takes_the_outdated_first,
        services_share_a_range_of_ports,
    ],
    neither: [
        the_file_is_named_by_env_files_of_the_folder_the_project_or_the_flag,
    ],
}
