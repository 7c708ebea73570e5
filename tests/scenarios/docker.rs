//! A Docker Engine as the engine: the same commands, beside Docker Compose, and what is said when it does not answer.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::checks;
use crate::support::dockerd;
use crate::support::engines::engines;
use crate::support::host::{Host, Outcome, finish, free_port, http, until, workspace};

const TWO: &str = "
services:
  web:
    image: stand-in:1
    command: [sh, -c, 'mkdir /www; echo hi > /www/index.html; echo hello; exec httpd -f -p 80 -h /www']
    init: true
    ports: ['PORT:80']
    volumes: ['data:/data', /anonymous]
    networks: [front, back]
    depends_on: { db: { condition: service_healthy } }
  db:
    image: stand-in:1
    command: sleep 1000
    init: true
    networks: { back: { aliases: [store] } }
    healthcheck: { test: 'true', interval: 1s }
networks: { front: {}, back: {} }
volumes: { data: {} }
";

fn two(name: &str) -> (Host, u16) {
    let port = free_port();
    (Host::with(name, &TWO.replace("PORT", &port.to_string())), port)
}

fn up_logs_exec_scale_and_down_work_on_a_docker_engine() {
    let (host, port) = two("on-docker");
    host.motet(&["up", "-d"]).success();
    checks::only_these_run(&host, &["on-docker-db-1", "on-docker-web-1"]);
    let page = || http(&format!("127.0.0.1:{port}"), "GET /index.html HTTP/1.0\r\n\r\n");
    until("the page is served", || page().as_deref() == Some("hi\n"));
    assert_eq!(host.motet(&["logs", "--no-log-prefix", "web"]).success().stdout, "hello\n");
    assert!(host.shell("web", "nslookup store 127.0.0.11 2>&1 || true").contains("Name:"), "the alias has an address");
    assert_eq!(host.motet(&["exec", "-T", "web", "sh", "-c", "exit 7"]).code, 7);
    let before = host.ps();
    host.motet(&["up", "-d"]).success();
    checks::same_containers(&before, &host.ps());
    host.motet(&["up", "-d", "--scale", "db=2"]).success();
    checks::only_these_run(&host, &["on-docker-db-1", "on-docker-db-2", "on-docker-web-1"]);
    host.motet(&["down", "-v", "-t", "1"]).success();
    checks::nothing_is_there(&host);
    checks::port_is_closed(&format!("127.0.0.1:{port}"));
}

/// Runs the program with one more variable.
fn with(host: &Host, args: &[&str], name: &str, value: &str) -> Outcome {
    let mut command = host.command(args);
    command.env(name, value).stdout(Stdio::piped()).stderr(Stdio::piped());
    finish(command.spawn().unwrap(), &format!("{name}={value} motet {}", args.join(" ")))
}

fn the_classic_builder_builds_and_names_the_line_that_fails() {
    let host = Host::with("classic", "services: { web: { build: ., command: sleep 1000, init: true } }");
    host.write(".dockerignore", "secret\n");
    host.write("secret", "1");
    host.write("seen", "2");
    host.write("Dockerfile", "FROM stand-in:1\nCOPY . /src\nRUN echo made > /made\n");
    with(&host, &["up", "-d"], "DOCKER_BUILDKIT", "0").success();
    assert_eq!(host.shell("web", "cat /made; ls /src"), "made\nDockerfile\ncompose.yaml\nseen");
    host.write("Dockerfile", "FROM stand-in:1\nRUN echo why it fails && exit 3\n");
    with(&host, &["build"], "DOCKER_BUILDKIT", "0").failure().names(&["Dockerfile:2", "why it fails"]);
    host.write("Dockerfile", "FROM stand-in:1\nRUNN x\n");
    with(&host, &["build"], "DOCKER_BUILDKIT", "0").failure().names(&["Dockerfile:2", "RUNN"]);
}

fn buildkit_is_given_folders_secrets_agents_and_a_dockerfile_that_is_no_file() {
    let file = "
services:
  web:
    build:
      context: ./app
      dockerfile_inline: |
        FROM stand-in:1 AS unneeded
        RUN exit 1
        FROM stand-in:1
        ARG NAME
        RUN --mount=type=secret,id=token --mount=type=ssh cat /run/secrets/token > /token; test -S $$SSH_AUTH_SOCK
        COPY . /src
        RUN echo $$NAME > /name; grep -c 192.0.2.7 /etc/hosts
      args: { NAME: Ada }
      secrets: [token]
      ssh: [default]
      extra_hosts: ['far:192.0.2.7']
      cache_to: ['type=inline']
      labels: { mine: '1' }
      tags: ['kitted:2']
    command: sleep 1000
    init: true
secrets: { token: { file: ./token } }
";
    let host = Host::with("kitted", file);
    host.write("token", "s3cret");
    host.write("app/.dockerignore", "*.log\nskipped\n!skipped/kept\n");
    host.write("app/a.log", "no");
    host.write("app/skipped/kept", "yes");
    host.write("app/skipped/other", "no");
    host.write("app/deep/file", "x");
    std::os::unix::fs::symlink("deep/file", host.folder.join("app/link")).unwrap();
    let agent = host.root.with_file_name("agent.sock");
    let _listener = UnixListener::bind(&agent).unwrap();
    let build = || with(&host, &["--progress", "plain", "build"], "SSH_AUTH_SOCK", agent.to_str().unwrap()).success();
    build();
    let again = build().stderr;
    assert!(again.contains("[kitted-web 4/4] RUN echo") && again.matches("CACHED").count() >= 3, "{again}");
    host.motet(&["up", "-d", "--no-build"]).success();
    let seen =
        host.shell("web", "cat /token; echo; cat /name; cd /src; ls -d .dockerignore * skipped/* deep/*; cat link");
    let files = ".dockerignore\ndeep\ndeep/file\nlink\nskipped\nskipped/kept";
    assert_eq!(seen, format!("s3cret\nAda\n{files}\nx"));
    host.write("app/deep/file", "changed");
    build();
    host.motet(&["up", "-d"]).success();
    assert_eq!(host.shell("web", "cat /src/deep/file"), "changed");
    let label = host.motet(&["image", "inspect", "-f", "{{.Config.Labels.mine}}", "kitted:2"]).success().stdout;
    assert_eq!(label, "1\n");
    let mut without = host.command(&["build"]);
    without.env_remove("SSH_AUTH_SOCK").stdout(Stdio::piped()).stderr(Stdio::piped());
    finish(without.spawn().unwrap(), "build").failure().names(&["ssh agent `default`", "SSH_AUTH_SOCK"]);
    host.motet(&["image", "rm", "kitted:2"]).success();
}

fn what_the_engines_api_is_too_old_for_is_refused_with_both_versions() {
    let host = Host::with("old", "services: { web: { image: 'stand-in:1', command: 'true', annotations: { a: b } } }");
    with(&host, &["up", "-d"], "DOCKER_API_VERSION", "1.41")
        .failure()
        .names(&["`annotations` needs API 1.43, this engine has 1.41"]);
    checks::nothing_is_there(&host);
}

fn every_other_verb_works_on_a_docker_engine() {
    let file = "
services:
  web: { image: 'stand-in:1', command: [sh, -c, \"trap 'exit 3' TERM; echo begun; while :; do sleep 0.1; done\"] }
  reads: { image: 'stand-in:1', command: [sh, -c, 'read line; echo got $$line'], stdin_open: true }
";
    let host = Host::with("verbs", file);
    host.motet(&["up", "-d"]).success();
    until("it has begun", || host.motet(&["logs", "web"]).stdout.contains("begun"));
    assert!(host.motet(&["top", "web"]).success().stdout.contains("trap"), "its processes are listed");
    assert!(host.motet(&["stats", "--no-stream"]).success().stdout.contains("verbs-web-1"));
    host.motet(&["pause", "web"]).success();
    assert_eq!(host.container("verbs-web-1")["State"], "paused");
    host.motet(&["unpause", "web"]).success();
    let before = host.ps();
    host.motet(&["restart", "-t", "5", "web"]).success();
    checks::same_containers(&before, &host.ps());
    host.write("file", "text");
    host.motet(&["cp", "file", "web:/tmp/file"]).success();
    host.motet(&["cp", "web:/tmp/file", "back"]).success();
    assert_eq!(std::fs::read_to_string(host.folder.join("back")).unwrap(), "text");
    host.motet(&["commit", "web", "verbs-made:1"]).success();
    let made = host.motet(&["container", "run", "--rm", "verbs-made:1", "cat", "/tmp/file"]).success();
    assert_eq!(made.stdout, "text");
    host.motet(&["image", "rm", "verbs-made:1"]).success();
    host.motet(&["export", "-o", "out.tar", "web"]).success();
    let mut names = tar::Archive::new(std::fs::File::open(host.folder.join("out.tar")).unwrap());
    assert!(names.entries().unwrap().any(|entry| entry.unwrap().path().unwrap().ends_with("tmp/file")));
    assert!(host.motet(&["images"]).success().stdout.contains("stand-in"));
    assert!(host.motet(&["system", "df"]).success().stdout.contains("Images"));
    let mut attach = host.command(&["attach", "reads"]);
    let mut attach = attach.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut attach.stdin.take().unwrap(), b"a line\n").unwrap();
    finish(attach, "attach");
    until("the line is read", || host.motet(&["logs", "--no-log-prefix", "reads"]).stdout == "got a line\n");
    let waiting = host.spawn(&["wait", "web"]);
    host.motet(&["kill", "-s", "TERM", "web"]).success();
    assert!(finish(waiting, "wait").stdout.contains('3'));
    let events = host.motet(&["events", "--since", "1h", "--until", "0s", "--json"]).success().stdout;
    let told = ["\"pause\"", "\"unpause\"", "\"commit\"", "\"die\""];
    assert!(told.iter().all(|action| events.contains(action)), "{events}");
}

/// Docker Compose itself, where it is installed.
pub fn docker_compose() -> Option<PathBuf> {
    let named = std::env::var_os("DOCKER_COMPOSE").map(PathBuf::from);
    let usual = ["/usr/libexec/docker/cli-plugins", "/usr/local/lib/docker/cli-plugins", "/usr/local/bin", "/usr/bin"];
    let found = named.into_iter().chain(usual.map(|folder| Path::new(folder).join("docker-compose")));
    let found = found.into_iter().find(|path| path.is_file());
    if found.is_none() {
        println!("skipped: Docker Compose is not installed (DOCKER_COMPOSE names it)");
    }
    found
}

#[track_caller]
fn theirs(program: &Path, host: &Host, args: &[&str]) -> String {
    let output = Command::new(program)
        .args(args)
        .current_dir(&host.folder)
        .env("DOCKER_HOST", format!("unix://{}", dockerd::ours().unwrap().socket.display()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn a_project_of_docker_compose_is_taken_over_without_being_made_again() {
    let Some(program) = docker_compose() else { return };
    let (host, _) = two("theirs");
    theirs(&program, &host, &["up", "-d"]);
    let before = host.ps();
    assert_eq!(before.len(), 2, "{before:#?}");
    host.motet(&["up", "-d"]).success();
    checks::same_containers(&before, &host.ps());
    assert_eq!(host.motet(&["logs", "--no-log-prefix", "web"]).success().stdout, "hello\n");
    assert!(host.motet(&["ls"]).success().stdout.contains("theirs"));
    host.motet(&["up", "-d", "--scale", "db=2"]).success();
    assert_eq!(host.ps().len(), 3);
    host.motet(&["down", "-v", "-t", "1"]).success();
    assert_eq!(theirs(&program, &host, &["ps", "-aq"]), "");
}

fn docker_compose_takes_over_a_project_of_ours_without_making_it_again() {
    let Some(program) = docker_compose() else { return };
    let (host, _) = two("ours");
    host.motet(&["up", "-d"]).success();
    let before = host.ps();
    theirs(&program, &host, &["up", "-d"]);
    checks::same_containers(&before, &host.ps());
    assert!(theirs(&program, &host, &["logs", "web"]).contains("hello"));
    theirs(&program, &host, &["down", "-v", "-t", "1"]);
    checks::nothing_is_there(&host);
}

#[test]
fn every_scenario_says_on_which_engines_it_runs() {
    let folder = workspace().join("tests/scenarios");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let list = text.rsplit_once("\nengines! {").map(|(_, list)| list).unwrap_or_default();
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let name = lines.peek().and_then(|next| next.strip_prefix("fn ")).and_then(|next| next.split('(').next());
            if let (true, Some(name)) = (line == "#[test]", name) {
                let is_told = [format!(" {name},"), format!(" {name}:")].iter().any(|told| list.contains(told));
                assert!(
                    is_told,
                    "{}: say in `engines!` where `{name}` runs: `both`, `embedded` with a reason, ..",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn the_readme_lists_what_needs_a_newer_engine() {
    let readme = std::fs::read_to_string(workspace().join("README.md")).unwrap();
    let mut found = 0;
    for file in ["create.rs", "host_config.rs", "images.rs", "resources.rs"] {
        let source = std::fs::read_to_string(workspace().join("src/engines/docker").join(file)).unwrap();
        for (at, _) in source.match_indices("Version(1, ") {
            let line = source[..at].rsplit('\n').next().unwrap_or_default();
            let Some(attribute) =
                line.split('"').nth(1).filter(|_| line.contains("at_least") || line.contains("require"))
            else {
                continue;
            };
            let minor: String = source[at + 11..].chars().take_while(char::is_ascii_digit).collect();
            let attribute = attribute.replace("{word}", "writable");
            let row = readme.lines().find(|line| line.contains(&format!("`{attribute}`")));
            assert!(row.is_some_and(|row| row.contains(&format!("1.{minor}"))), "`{attribute}` 1.{minor}: {row:?}");
            found += 1;
        }
    }
    assert!(found >= 8, "{found}");
}

fn a_cache_in_a_folder_is_read_by_the_engine_s_buildkit() {
    let host = Host::with("carried", "services: {}");
    host.write("Dockerfile", "FROM stand-in:1\nRUN echo made > /made\nCOPY a.txt /\n");
    host.write("a.txt", "a\n");
    let build = "--progress plain image build -t carried:1 ";
    host.does(&format!("{build} --cache-to type=inline .")).success();
    // An image with its cache inline, as an archive in OCI's layout: the embedded engine writes those.
    host.does("image save -o carried.tar carried:1").success();
    for line in ["image load -q -i carried.tar", "image save -o layout.tar carried:1"] {
        let mut command = host.command(&line.split(' ').collect::<Vec<_>>());
        command.env("MOTET_ENGINE", "embedded").stdout(Stdio::piped()).stderr(Stdio::piped());
        finish(command.spawn().unwrap(), line).success();
    }
    let layout = std::fs::File::open(host.folder.join("layout.tar")).unwrap();
    tar::Archive::new(layout).unpack(host.folder.join("cache")).unwrap();
    let forget = || {
        host.does("image rm -f carried:1").success();
        let mut engine = UnixStream::connect(&dockerd::ours().unwrap().socket).unwrap();
        engine.write_all(b"POST /build/prune?all=1 HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        engine.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(" 200 OK"), "{answer}");
    };
    let cached = |line: &str| {
        let outcome = host.does(&format!("{build} {line} .")).success();
        let told = outcome.stdout + &outcome.stderr;
        (told.matches("CACHED").count(), told)
    };
    forget();
    let (count, told) = cached("--cache-from type=local,src=nowhere");
    assert!(count == 0 && told.contains("no cache from `nowhere`"), "{told}");
    forget();
    let (count, told) = cached("--cache-from type=local,src=cache");
    assert_eq!(count, 2, "{told}");
    let printed = host.does("container run --rm --network none carried:1 cat /made /a.txt").success().stdout;
    assert_eq!(printed, "made\na\n");
    host.does("image rm carried:1").success();
    host.does("image build --cache-to type=local,dest=cache .").failure().names(&["cache_to of type=local"]);
}

engines! {
    both: [
        up_logs_exec_scale_and_down_work_on_a_docker_engine,
        the_classic_builder_builds_and_names_the_line_that_fails,
        buildkit_is_given_folders_secrets_agents_and_a_dockerfile_that_is_no_file,
        what_the_engines_api_is_too_old_for_is_refused_with_both_versions,
        every_other_verb_works_on_a_docker_engine,
        a_project_of_docker_compose_is_taken_over_without_being_made_again,
        docker_compose_takes_over_a_project_of_ours_without_making_it_again,
    ],
    alone: [a_cache_in_a_folder_is_read_by_the_engine_s_buildkit],
    neither: [
        every_scenario_says_on_which_engines_it_runs,
        the_readme_lists_what_needs_a_newer_engine,
    ],
}
