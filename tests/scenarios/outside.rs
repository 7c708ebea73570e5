//! Programs outside of the engine: providers and the model runner, real scripts here; and what runs before a service.

use crate::support::checks;
use crate::support::engines::engines;
use crate::support::host::{Host, Outcome, finish, lacks_root};
use crate::support::program;

/// A provider that keeps a diary, and gives what a file holds.
const PROVIDER: &str = r#"#!/bin/sh
echo "$@" >> "$STATE/calls"
case "$*" in
"compose metadata") cat "$STATE/metadata" 2>/dev/null || exit 1 ;;
*" up "*)
  echo '{"type":"info","message":"making a database"}'
  echo '{"type":"get-service-config"}'
  read -r config; echo "$config" > "$STATE/config"
  test ! -f "$STATE/broken" || { echo '{"type":"error","message":"the cloud is full"}'; sleep 100; }
  echo '{"type":"setenv","message":"URL=postgres://'"$(cat "$STATE/address")"'"}'
  echo '{"type":"rawsetenv","message":"PLAIN=yes"}{"type":"debug","message":"done"}' ;;
esac
"#;

const RUNNER: &str = r#"#!/bin/sh
echo "$@" >> "$STATE/model-calls"
case "$1" in
ls) echo '[{"id":"x","tags":["ai/other"]}]' ;;
status) echo '{"endpoint":"http://127.0.0.1:12434/engines/v1/"}' ;;
docker-cli-plugin-metadata) echo '{"SchemaVersion":"0.1.0","Version":"v1.0.7"}' ;;
esac
"#;

const PROVIDED: &str = "
services:
  db:
    provider: { type: cloud-db, options: { size: 10, tag: [a, b] } }
  web:
    image: stand-in:1
    command: sleep 1000
    init: true
    depends_on: [db]
";

fn program(host: &Host, path: &str, text: &str) {
    let path = host.folder.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    program::write(&path, text);
}

/// Runs the program with the project's `bin` in PATH and its `docker` as the folder of docker's plug-ins.
fn motet(host: &Host, args: &[&str]) -> Outcome {
    let path = format!("{}:{}", host.folder.join("bin").display(), std::env::var("PATH").unwrap());
    let mut command = host.command(args);
    command.env("PATH", path).env("STATE", &host.folder).env("DOCKER_CONFIG", host.folder.join("docker"));
    let child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    finish(child, &args.join(" "))
}

fn calls(host: &Host, file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(host.folder.join(file)).unwrap_or_default();
    text.lines().filter(|line| *line != "compose metadata").map(str::to_owned).collect()
}

#[test]
fn a_provider_gives_its_dependants_variables_and_is_taken_down_with_the_project() {
    if lacks_root() {
        return;
    }
    let host = Host::with("provided", PROVIDED);
    program(&host, "bin/cloud-db", PROVIDER);
    host.write("address", "one");
    let printed = motet(&host, &["up", "-d"]).success();
    assert!(printed.stderr.contains(" db  making a database"), "{}", printed.stderr);
    assert!(printed.stderr.contains(" db  Created"), "{}", printed.stderr);
    assert_eq!(host.shell("web", "echo $DB_URL $PLAIN"), "postgres://one yes");
    let up = "compose --project-name=provided up --size=10 --tag=a --tag=b db";
    assert_eq!(calls(&host, "calls"), [up]);
    let config = std::fs::read_to_string(host.folder.join("config")).unwrap();
    assert!(config.contains(r#""type":"cloud-db""#), "{config}");
    // The same again makes no new container, another value does.
    let before = host.container("provided-web-1");
    motet(&host, &["up", "-d"]).success();
    assert_eq!(host.container("provided-web-1")["ID"], before["ID"]);
    // What is left alone keeps what it was given, and the plan asks nobody.
    motet(&host, &["up", "-d", "--no-deps", "web"]).success();
    let plan = motet(&host, &["plan"]).success().stdout;
    assert!(plan.contains("have cloud-db up db") && !plan.contains("provided-web-1"), "{plan}");
    assert_eq!(calls(&host, "calls").len(), 2);
    host.write("address", "two");
    motet(&host, &["up", "-d"]).success();
    assert_ne!(host.container("provided-web-1")["ID"], before["ID"]);
    assert_eq!(host.shell("web", "echo $DB_URL"), "postgres://two");
    let one_off = motet(&host, &["run", "--rm", "-T", "web", "sh", "-c", "echo $DB_URL"]).success();
    assert_eq!(one_off.stdout.trim(), "postgres://two");
    motet(&host, &["--dry-run", "down"]).success();
    assert!(!calls(&host, "calls").iter().any(|call| call.contains(" down ")), "a dry run calls nobody");
    motet(&host, &["down"]).success();
    assert_eq!(calls(&host, "calls").last().unwrap(), &up.replace(" up ", " down "));
    host.must_be_clean();
}

#[test]
fn a_provider_that_fails_or_is_not_there_fails_up_and_nothing_is_made() {
    if lacks_root() {
        return;
    }
    let host = Host::with("unprovided", PROVIDED);
    let failed = motet(&host, &["up", "-d"]).failure();
    failed.names(&["service `db` is provided by `cloud-db`, and there is no such program", "provider:"]);
    program(&host, "bin/cloud-db", PROVIDER);
    host.write("broken", "");
    motet(&host, &["up", "-d"]).failure().names(&["could not create service `db`: the cloud is full"]);
    host.write("metadata", r#"{"description":"d","up":{"parameters":[{"name":"region","required":true}]}}"#);
    motet(&host, &["up", "-d"]).failure().names(&["needs the option `region`"]);
    checks::nothing_is_there(&host);
    host.must_be_clean();
}

#[test]
fn a_model_is_made_ready_by_dockers_runner_and_its_users_are_told_where_it_is() {
    if lacks_root() {
        return;
    }
    let host = Host::with(
        "modelled",
        "
services:
  web: { image: 'stand-in:1', command: sleep 1000, init: true, models: { my-llm: { endpoint_var: AI } } }
models:
  my-llm: { model: ai/smol, context_size: 1024, runtime_flags: ['--x'] }
",
    );
    let without = motet(&host, &["up", "-d"]).failure();
    assert_eq!(without.code, 4, "the host lacks something");
    without.names(&["model `my-llm` needs the docker command's model runner, which is not installed", "docker-model"]);
    program(&host, "docker/cli-plugins/docker-model", RUNNER);
    motet(&host, &["up", "-d"]).success();
    let told = host.shell("web", "echo $AI $MY_LLM_MODEL");
    assert_eq!(told, "http://127.0.0.1:12434/engines/v1/ ai/smol");
    let calls = calls(&host, "model-calls");
    assert!(calls.contains(&"pull ai/smol".to_owned()), "{calls:?}");
    assert!(calls.contains(&"configure --context-size 1024 ai/smol -- --x".to_owned()), "{calls:?}");
}

const HOOKED: &str = "
services:
  web:
    image: stand-in:1
    command: sh -c 'echo started after; sleep 1000'
    init: true
    volumes: [data:/data]
    pre_start:
      - command: [sh, -c, 'echo one >> /data/log; echo first speaks']
      - { command: [sh, -c, 'echo $$WORD >> /data/log; exit $$(cat /data/code || echo 0)'], environment: { WORD: two } }
volumes: { data: {} }
";

#[test]
fn pre_start_runs_once_before_the_first_start_and_its_output_is_shown() {
    if lacks_root() {
        return;
    }
    let host = Host::with("hooked", HOOKED);
    host.motet(&["up", "-d", "--scale", "web=2"]).success();
    assert_eq!(host.shell("web", "cat /data/log"), "one\ntwo");
    checks::only_these_run(&host, &["hooked-web-1", "hooked-web-2"]);
    // While one runs, a second one starts without them.
    host.motet(&["stop", "-t", "0"]).success();
    host.motet(&["start"]).success();
    assert_eq!(host.shell("web", "cat /data/log"), "one\ntwo\none\ntwo");
    host.motet(&["up", "-d", "--scale", "web=3"]).success();
    assert_eq!(host.shell("web", "cat /data/log"), "one\ntwo\none\ntwo");
    host.motet(&["down", "-v", "-t", "0"]).success();
    host.write("compose.yaml", &HOOKED.replace("; sleep 1000", ""));
    let printed = host.motet(&["up"]).success();
    assert!(printed.stdout.contains("web pre_start[0] ->"), "{}", printed.stdout);
    assert!(printed.stdout.contains("| first speaks"), "{}", printed.stdout);
    assert!(printed.stdout.contains("| started after"), "{}", printed.stdout);
    host.motet(&["down", "-v"]).success();
    host.must_be_clean();
}

#[test]
fn a_pre_start_hook_that_fails_keeps_the_service_from_starting_and_leaves_nothing() {
    if lacks_root() {
        return;
    }
    let host = Host::with("unhooked", &HOOKED.replace("cat /data/code || echo 0", "echo 3"));
    let failed = host.motet(&["up", "-d"]).failure();
    assert_eq!(failed.code, 7);
    failed.names(&["pre_start[1] of service `web` failed: it ended with exit code 3"]);
    checks::nothing_is_there(&host);
    host.motet(&["down", "-v"]).success();
    host.must_be_clean();
}

#[test]
fn an_external_link_names_a_container_of_another_project() {
    if lacks_root() {
        return;
    }
    let host = Host::with(
        "linked",
        "
services:
  web:
    image: stand-in:1
    command: sleep 1000
    init: true
    networks: [shared]
    external_links: ['linked-other:database', linked-other]
networks: { shared: { external: true, name: linked-shared } }
",
    );
    host.motet(&["network", "create", "linked-shared"]).success();
    let other = ["container", "run", "-d", "--init", "--name", "linked-other", "--network", "linked-shared"];
    host.motet(&[&other[..], &["stand-in:1", "sleep", "1000"]].concat()).success();
    host.motet(&["up", "-d"]).success();
    let address = |name: &str| host.shell("web", &format!("nslookup {name} | grep -A1 -i '{name}$' | tail -n1"));
    let (alias, own) = (address("database"), address("linked-other"));
    assert!(alias.contains("Address"), "{alias}");
    assert_eq!(alias, own);
    // The alias is this container's alone.
    host.motet(&["container", "exec", "linked-other", "nslookup", "database"]).failure();
    host.motet(&["down"]).success();
    host.motet(&["container", "rm", "-f", "linked-other"]).success();
    host.motet(&["network", "rm", "linked-shared"]).success();
}

engines! {
    embedded: [
        a_provider_gives_its_dependants_variables_and_is_taken_down_with_the_project: "it was not tried on a Docker Engine yet",
        a_provider_that_fails_or_is_not_there_fails_up_and_nothing_is_made: "it was not tried on a Docker Engine yet",
        a_model_is_made_ready_by_dockers_runner_and_its_users_are_told_where_it_is: "it was not tried on a Docker Engine yet",
        pre_start_runs_once_before_the_first_start_and_its_output_is_shown: "it was not tried on a Docker Engine yet",
        a_pre_start_hook_that_fails_keeps_the_service_from_starting_and_leaves_nothing: "it was not tried on a Docker Engine yet",
        an_external_link_names_a_container_of_another_project: "it was not tried on a Docker Engine yet",
    ],
}
