//! From a Compose file's text to what the engine is asked to create.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use compose::{LoadRequest, Project, ReadError, Reader};
use expect_test::expect;
use orchestrator::engine::container::{ContainerSpec, NetworkMode};
use orchestrator::operations::up::UpOptions;

use crate::support::{Bench, error_text};

/// One file, and nothing else.
struct OneFile(&'static str);

impl Reader for OneFile {
    fn exists(&self, path: &Path) -> bool {
        path == Path::new("/shop/compose.yaml")
    }

    fn fetch(&self, _reference: &str) -> Result<PathBuf, ReadError> {
        Err(ReadError::NotFound)
    }

    fn read(&self, path: &Path) -> Result<String, ReadError> {
        if path == Path::new("/shop/compose.yaml") { Ok(self.0.to_owned()) } else { Err(ReadError::NotFound) }
    }
}

fn load(text: &'static str) -> Project {
    load_with(text, "secret")
}

fn load_with(text: &'static str, token: &str) -> Project {
    let request = LoadRequest {
        files: vec![PathBuf::from("/shop/compose.yaml")],
        working_directory: PathBuf::from("/shop"),
        environment: BTreeMap::from([("TOKEN".to_owned(), token.to_owned())]),
        ..LoadRequest::default()
    };
    let loaded = compose::load(&request, &OneFile(text));
    loaded.project.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
}

#[tokio::test]
async fn a_full_service_becomes_a_container() {
    let project = load(
        r#"
services:
  web:
    image: app:1
    command: ["serve", "--port", "80"]
    environment: { DEBUG: "1", EMPTY: }
    ports: ["127.0.0.1:8080:80", "9000-9010:90/udp"]
    volumes: ["data:/data:ro", "./src:/src", "/cache"]
    tmpfs: ["/run:size=64m"]
    networks: { front: { aliases: [www], priority: 10 }, back: {} }
    depends_on: { db: { condition: service_healthy, restart: true } }
    links: ["db:database"]
    secrets: [token]
    configs: [{ source: motd, target: /etc/motd, mode: 0440 }]
    restart: on-failure:3
    stop_grace_period: 1m30s
    deploy: { resources: { limits: { cpus: "0.5", memory: 64M } } }
    ulimits: { nofile: { soft: 1024, hard: 2048 } }
    cap_add: [NET_ADMIN]
    extra_hosts: ["gate:host-gateway"]
    gpus: all
    healthcheck: { test: curl -f localhost, interval: 2s }
  db:
    image: pg
    networks: [back]
    healthcheck: { disable: true }
networks: { front: {}, back: { internal: true } }
volumes: { data: {} }
secrets: { token: { environment: TOKEN } }
configs: { motd: { content: hello } }
"#,
    );
    let bench = Bench::new(&project);
    bench.up(&project, &UpOptions { no_start: true, ..UpOptions::default() }).await;
    let mut spec = bench.engine.spec("shop-web-1").unwrap();
    // The hash is compose's to test.
    assert_eq!(spec.labels.remove("com.docker.compose.config-hash").map(|hash| hash.len()), Some(64));
    expect![[r#"
        com.docker.compose.container-number=1
        com.docker.compose.depends_on=db:service_healthy:true
        com.docker.compose.image=sha256:app:1
        com.docker.compose.oneoff=False
        com.docker.compose.project=shop
        com.docker.compose.project.config_files=/shop/compose.yaml
        com.docker.compose.project.working_dir=/shop
        com.docker.compose.service=web
        com.docker.compose.version=0.1.0
        motet.files-hash=f08b9d44c621d8532f1a36c34e752c3988dd2b6647e1354a6aff072b88bc0ece
        motet.made-from={"cap_add":["NET_ADMIN"],"command":["serve","--port","80"],"configs":[{"source":"motd","target":"/etc/motd","mode":"0440"}],"deploy":{"resources":{"limits":{"cpus":0.5,"memory":"67108864"}},"placement":{}},"entrypoint":null,"environment":{"DEBUG":"1","EMPTY":null},"extra_hosts":["gate=host-gateway"],"gpus":[{"count":-1}],"healthcheck":{"test":["CMD-SHELL","curl -f localhost"],"interval":"2s"},"image":"app:1","links":["db:database"],"networks":{"back":{},"front":{"aliases":["www"],"priority":10}},"ports":[{"mode":"ingress","host_ip":"127.0.0.1","target":80,"published":"8080","protocol":"tcp"},{"mode":"ingress","target":90,"published":"9000-9010","protocol":"udp"}],"restart":"on-failure:3","secrets":[{"source":"token","target":"/run/secrets/token"}],"stop_grace_period":"1m30s","tmpfs":["/run:size=64m"],"ulimits":{"nofile":{"soft":1024,"hard":2048}},"volumes":[{"type":"volume","source":"data","target":"/data","read_only":true,"volume":{}},{"type":"bind","source":"/shop/src","target":"/src","bind":{"create_host_path":true}},{"type":"volume","target":"/cache","volume":{}}]}
        DEBUG Some("1")
        EMPTY None
        Mount { source: Volume { name: "shop_data", nocopy: false, subpath: None }, target: "/data", read_only: true }
        Mount { source: Bind { path: "/shop/src", create: true, propagation: None, recursive: None, selinux: None }, target: "/src", read_only: false }
        Mount { source: Anonymous { name: None }, target: "/cache", read_only: false }
        Mount { source: Tmpfs { size: Some(67108864), mode: None, options: [] }, target: "/run", read_only: false }
        /etc/motd Inline([104, 101, 108, 108, 111]) Some(288)
        /run/secrets/token Inline([115, 101, 99, 114, 101, 116]) None
        PortBinding { host_ip: Some(127.0.0.1), host_ports: Some((8080, 8080)), container_port: 80, protocol: "tcp" }
        PortBinding { host_ip: None, host_ports: Some((9000, 9010)), container_port: 90, protocol: "udp" }
        shop_front ["shop-web-1", "web", "www"]
        shop_back ["shop-web-1", "web"]
        Some(["serve", "--port", "80"]) OnFailure(Some(3)) Some(90s)
        Some(Healthcheck { test: Some(["CMD-SHELL", "curl -f localhost"]), interval: Some(2s), timeout: None, retries: None, start_period: None, start_interval: None })
        Some(67108864) Some(500000000)
        {"nofile": (1024, 2048)} ["NET_ADMIN"] [("gate", "host-gateway")] []
    "#]].assert_eq(&fields(&spec));
    let db = bench.engine.spec("shop-db-1").unwrap();
    expect![[r#"
        Networks([Endpoint { network: "shop_back", aliases: ["shop-db-1", "db", "database"], ipv4_address: None, ipv6_address: None, mac_address: None, driver_opts: {}, interface_name: None, link_local_ips: [], priority: 0, gw_priority: 0, links: [] }])
        Some(["NONE"])
    "#]].assert_eq(&format!("{:?}\n{:?}\n", db.network, db.healthcheck.and_then(|check| check.test)));
}

/// Returns what a spec asks for, a line each.
fn fields(spec: &ContainerSpec) -> String {
    let mut lines: Vec<String> = spec.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    lines.extend(spec.environment.iter().map(|(key, value)| format!("{key} {value:?}")));
    lines.extend(spec.mounts.iter().map(|mount| format!("{mount:?}")));
    lines.extend(spec.files.iter().map(|file| format!("{} {:?} {:?}", file.target, file.content, file.mode)));
    lines.extend(spec.ports.iter().map(|port| format!("{port:?}")));
    if let NetworkMode::Networks(endpoints) = &spec.network {
        lines.extend(endpoints.iter().map(|endpoint| format!("{} {:?}", endpoint.network, endpoint.aliases)));
    }
    lines.push(format!("{:?} {:?} {:?}", spec.command, spec.restart, spec.stop_grace_period));
    lines.push(format!("{:?}", spec.healthcheck));
    lines.push(format!("{:?} {:?}", spec.limits.memory, spec.limits.nano_cpus));
    lines.push(format!("{:?} {:?} {:?} {:?}", spec.ulimits, spec.cap_add, spec.extra_hosts, spec.unsupported));
    lines.join("\n") + "\n"
}

#[tokio::test]
async fn namespaces_volumes_and_order_follow_the_services_they_name() {
    let project = load(
        r#"
services:
  app: { image: "app:1", volumes: ["data:/data"] }
  debug: { image: "app:1", network_mode: "service:app", pid: "service:app", volumes_from: ["app:ro"] }
volumes: { data: {} }
"#,
    );
    let bench = Bench::new(&project);
    bench
        .plan(
            &project,
            &UpOptions::default(),
            expect![[r#"
                #1 create network shop_default (missing)
                #2 create volume shop_data (missing)
                #3 create container shop-app-1 (missing) after #1, #2
                #4 start container shop-app-1 (created) after #3
                #5 create container shop-debug-1 (missing) after #2, #3
                #6 start container shop-debug-1 (created) after #4, #5
            "#]],
        )
        .await;
    bench.up(&project, &UpOptions::default()).await;
    let spec = bench.engine.spec("shop-debug-1").unwrap();
    expect![[r#"
        (
            Container(
                "shop-app-1",
            ),
            Some(
                "container:shop-app-1",
            ),
            [
                Mount {
                    source: Volume {
                        name: "shop_data",
                        nocopy: false,
                        subpath: None,
                    },
                    target: "/data",
                    read_only: true,
                },
            ],
            [],
        )
    "#]]
    .assert_debug_eq(&(spec.network, spec.pid, spec.mounts, spec.unsupported));
}

#[tokio::test]
async fn a_hash_changes_with_the_file_and_not_with_scale_or_order() {
    let before = load("services: { web: { image: 'app:1', environment: { A: '1', B: '2' } } }");
    let bench = Bench::new(&before);
    bench.up(&before, &UpOptions::default()).await;
    let same =
        load("services: { web: { image: 'app:1', scale: 1, environment: { B: '2', A: '1' }, pull_policy: missing } }");
    bench
        .plan(
            &same,
            &UpOptions::default(),
            expect![[r#"
        nothing to do
    "#]],
        )
        .await;
    let other = load("services: { web: { image: 'app:1', environment: { A: '1', B: '3' } } }");
    bench
        .plan(
            &other,
            &UpOptions::default(),
            expect![[r#"
                #1 create container shop-web-1 as 000000000001_shop-web-1 (environment.B 2 -> 3)
                #2 stop container shop-web-1 (replaced) after #1
                #3 remove container shop-web-1 (replaced) after #2
                #4 rename container shop-web-1 (replaced) after #3
                #5 start container shop-web-1 (created) after #4
            "#]],
        )
        .await;
}

#[tokio::test]
async fn what_can_not_be_given_is_said_with_its_place() {
    let project = load(
        r#"
services:
  web: { image: "app:1", secrets: [token], restart: allways }
secrets: { token: { environment: NOT_THERE } }
"#,
    );
    let bench = Bench::new(&project);
    let error = bench.try_up(&project, &UpOptions::default()).await.0.expect_err("it must fail");
    expect![[r#"
        error: secret `token` needs the variable `NOT_THERE`, which is not set
          path: services.web.secrets[0]
        error: restart policy `allways` is unknown
          path: services.web.restart
          hint: use `no`, `always`, `unless-stopped`, `on-failure` or `on-failure:3`
    "#]]
    .assert_eq(&error_text(&error));
}

#[tokio::test]
async fn a_namespace_of_a_service_that_is_left_alone_is_that_of_its_container() {
    let project = load(
        r#"
services:
  app: { image: "app:1" }
  debug: { image: "app:1", network_mode: "service:app" }
"#,
    );
    let bench = Bench::new(&project);
    let alone = UpOptions { services: vec!["debug".to_owned()], no_deps: true, ..UpOptions::default() };
    bench
        .plan(
            &project,
            &alone,
            expect![[r#"
        error: service `debug` shares namespaces with `app`, which has no container
          path: services.debug.network_mode
          hint: bring `app` up too: it may be scaled to 0, or left out by `--no-deps`
    "#]],
        )
        .await;
    bench.up(&project, &UpOptions { services: vec!["app".to_owned()], ..UpOptions::default() }).await;
    bench.up(&project, &alone).await;
    expect![[r#"
        Container(
            "shop-app-1",
        )
    "#]]
    .assert_debug_eq(&bench.engine.spec("shop-debug-1").unwrap().network);
}

#[tokio::test]
async fn a_new_secret_reaches_its_container_and_a_host_file_is_mounted_as_it_is() {
    let text = r#"
services: { web: { image: "app:1", secrets: [token, key, { source: key, target: own, mode: 0400 }] } }
secrets: { token: { environment: TOKEN }, key: { file: ./key } }
"#;
    let project = load(text);
    let bench = Bench::new(&project);
    bench.up(&project, &UpOptions::default()).await;
    let spec = bench.engine.spec("shop-web-1").unwrap();
    expect![[r#"
        [
            Mount {
                source: Bind {
                    path: "/shop/key",
                    create: false,
                    propagation: None,
                    recursive: None,
                    selinux: None,
                },
                target: "/run/secrets/key",
                read_only: true,
            },
        ]
    "#]]
    .assert_debug_eq(&spec.mounts);
    let copied: Vec<_> = spec.files.iter().map(|file| file.target.as_str()).collect();
    assert_eq!(copied, ["/run/secrets/token", "/run/secrets/own"]);
    bench
        .plan(
            &project,
            &UpOptions::default(),
            expect![[r#"
        nothing to do
    "#]],
        )
        .await;
    bench
        .plan(
            &load_with(text, "another"),
            &UpOptions::default(),
            expect![[r#"
        #1 create container shop-web-1 as 000000000001_shop-web-1 (a config or secret changed)
        #2 stop container shop-web-1 (replaced) after #1
        #3 remove container shop-web-1 (replaced) after #2
        #4 rename container shop-web-1 (replaced) after #3
        #5 start container shop-web-1 (created) after #4
    "#]],
        )
        .await;
}

#[tokio::test]
async fn what_only_windows_has_is_told_to_the_engine_by_its_path() {
    let project = load(
        "services: { web: { image: 'app:1', credential_spec: { file: my.json }, isolation: hyperv, cpu_count: 2 } }",
    );
    let bench = Bench::new(&project);
    bench.up(&project, &UpOptions::default()).await;
    let spec = bench.engine.spec("shop-web-1").unwrap();
    assert_eq!(spec.unsupported, ["services.web.cpu_count", "services.web.credential_spec", "services.web.isolation"]);
}
