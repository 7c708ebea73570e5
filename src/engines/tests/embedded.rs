//! The embedded engine for real, as root: networks, names, published ports, streams and exec. This binary is also the
//! keeper of its containers, so it has a main of its own.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test with a main of its own: it fails by panic, says so itself, and hands on its keepers' codes"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use engines::{EmbeddedOptions, open_embedded};
use orchestrator::engine::Engine;
use orchestrator::engine::container::{
    ContainerId, ContainerSpec, ContainerState, Endpoint, Health, Healthcheck, NetworkMode, PortBinding, StopOptions,
};
use orchestrator::engine::error::ErrorKind;
use orchestrator::engine::exec::{ExecIo, ExecSpec};
use orchestrator::engine::log::LogQuery;
use orchestrator::engine::network::NetworkSpec;
use orchestrator::engine::occurrence::OccurrenceQuery;
use runtime::Runtime;
use runtime::image::config::{ContainerConfig, ImageConfig};
use runtime::image::reference::Reference;
use runtime::image::store;
use runtime::snapshot::unpack;
use runtime::state::layout::Layout;

/// Longer than anything takes that works.
const LIMIT: Duration = Duration::from_secs(30);

fn main() {
    let args: Vec<std::ffi::OsString> = std::env::args_os().skip(1).collect();
    if let Some(code) = runtime::hidden(&args) {
        std::process::exit(code);
    }
    let words: Vec<String> = args.iter().filter_map(|arg| arg.to_str().map(Into::into)).collect();
    const NAME: &str = "a_project_lives_from_its_network_to_its_end";
    if words.iter().any(|word| word == "--list") {
        if !words.iter().any(|word| word == "--ignored") {
            println!("{NAME}: test");
        }
        return;
    }
    if words.iter().any(|word| !word.starts_with('-') && !NAME.contains(word.as_str())) {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(a_project_lives_from_its_network_to_its_end());
    println!("test {NAME} ... ok");
}

struct Project {
    engine: Arc<dyn Engine>,
    network: String,
    labels: BTreeMap<String, String>,
    root: tempfile::TempDir,
}

impl Project {
    fn new() -> Self {
        let root = tempfile::tempdir_in("/var/tmp").unwrap();
        let rt = Runtime::open(Layout::under(root.path())).unwrap();
        let layer = unpack::unpack(&rt, &*archive(), None).unwrap();
        let mut image = ImageConfig::empty();
        image.rootfs.diff_ids = vec![layer.diff_id];
        image.config = ContainerConfig { env: vec!["PATH=/bin".into()], ..ContainerConfig::default() };
        store::put(&rt, &image.to_json(), &[Reference::parse("box").unwrap()]).unwrap();
        let engine = open_embedded(Layout::under(root.path()), EmbeddedOptions::default()).unwrap();
        let labels = BTreeMap::from([("project".to_owned(), "shop".to_owned())]);
        Self { engine, network: "shop_default".into(), labels, root }
    }

    fn spec(&self, name: &str, line: &str) -> ContainerSpec {
        ContainerSpec {
            name: format!("shop-{name}-1"),
            image: "box".into(),
            labels: self.labels.clone(),
            command: Some(["sh", "-c", line].map(Into::into).to_vec()),
            network: NetworkMode::Networks(vec![Endpoint {
                network: self.network.clone(),
                aliases: vec![name.into()],
                ..Endpoint::default()
            }]),
            ..ContainerSpec::default()
        }
    }

    /// Waits until the container is as wanted.
    async fn until(&self, id: &ContainerId, wanted: impl Fn(&ContainerState) -> bool) -> ContainerState {
        let mut states = self.engine.watch_container(id).await.unwrap();
        let waiting = async {
            loop {
                let state = states.recv().await.expect("the stream goes on");
                if wanted(&state) {
                    return state;
                }
            }
        };
        match tokio::time::timeout(LIMIT, waiting).await {
            Ok(state) => state,
            Err(_) => panic!("still {:?}", self.engine.inspect_container(&id.0).await),
        }
    }

    async fn lines(&self, id: &ContainerId) -> Vec<String> {
        let mut receiver = self.engine.container_logs(id, LogQuery::default()).await.unwrap();
        let mut lines = Vec::new();
        while let Some(line) = receiver.recv().await {
            lines.push(String::from_utf8_lossy(&line.bytes).into_owned());
        }
        lines
    }
}

async fn a_project_lives_from_its_network_to_its_end() {
    let project = Project::new();
    let engine = &project.engine;
    let network = NetworkSpec {
        name: project.network.clone(),
        ipv4: true,
        labels: project.labels.clone(),
        ..NetworkSpec::default()
    };
    engine.create_network(&network).await.unwrap();
    engine.create_network(&network).await.unwrap();
    let mut news = engine.watch_containers(&["project=shop".into()]).await.unwrap();

    // A free port of the host, found by taking one.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = ContainerSpec {
        ports: vec![PortBinding {
            host_ip: Some([127, 0, 0, 1].into()),
            host_ports: Some((port, port)),
            container_port: 80,
            protocol: "tcp".into(),
        }],
        healthcheck: Some(Healthcheck {
            test: Some(["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1/seed"].map(Into::into).to_vec()),
            ..Healthcheck::default()
        }),
        ..project.spec("server", "exec httpd -f -p 80 -h /srv")
    };
    assert!(engine.check_ports(std::slice::from_ref(&server)).await.is_empty());
    let server_id = engine.create_container(&server).await.unwrap();
    assert_eq!(tokio::time::timeout(LIMIT, news.recv()).await.unwrap().unwrap().name, "shop-server-1");
    engine.start_container(&server_id).await.unwrap();
    engine.start_container(&server_id).await.unwrap();
    project
        .until(&server_id, |state| matches!(state, ContainerState::Running { health: Some(Health::Healthy), .. }))
        .await;
    let again = engine.create_container(&server).await.unwrap_err();
    assert_eq!(again.kind, ErrorKind::Conflict);
    let own = engine.check_ports(std::slice::from_ref(&server)).await;
    assert!(own.is_empty(), "what its own keeper holds is no stranger's: {own:?}");
    let other = ContainerSpec { name: "shop-other-1".into(), ..server.clone() };
    let [taken] = &engine.check_ports(std::slice::from_ref(&other)).await[..] else { panic!("{port} is taken") };
    assert_eq!(taken.kind, ErrorKind::Conflict);
    assert!(taken.message.contains("shop-server-1"), "{taken:?}");

    let summary = engine.inspect_container("shop-server-1").await.unwrap();
    assert_eq!(summary.ports.iter().filter(|open| open.host == Some(([127, 0, 0, 1].into(), port))).count(), 1);
    assert_eq!(summary.networks[&project.network].len(), 1);
    let answer = tokio::task::spawn_blocking(move || get(port)).await.unwrap();
    assert!(answer.ends_with("seed\n"), "{answer}");

    let client = project.spec("client", "wget -q -O - http://server/seed; cat /etc/hosts; exit 3");
    let client_id = engine.create_container(&client).await.unwrap();
    engine.start_container(&client_id).await.unwrap();
    let state = project.until(&client_id, |state| matches!(state, ContainerState::Exited { .. })).await;
    assert!(matches!(state, ContainerState::Exited { exit_code: 3, .. }), "{:?}", project.lines(&client_id).await);
    assert_eq!(project.lines(&client_id).await[0], "seed");

    let (mut written, stdout) = std::io::pipe().unwrap();
    let io = ExecIo { stdin: None, stderr: stdout.try_clone().unwrap().into(), stdout: stdout.into(), size: None };
    let command = ["sh", "-c", "echo $A; exit 5"].map(Into::into).to_vec();
    let environment = [("A".to_owned(), "given".to_owned())].into();
    let exec = ExecSpec { command, environment, ..ExecSpec::default() };
    assert_eq!(engine.exec(&server_id, &exec, io).await.unwrap(), 5);
    let mut output = String::new();
    written.read_to_string(&mut output).unwrap();
    assert_eq!(output, "given\n");
    on_a_terminal(engine, &server_id).await;
    frozen_restarted_and_counted(&project, &server_id).await;

    let mut states = engine.watch_container(&server_id).await.unwrap();
    engine.stop_container(&server_id, StopOptions::default()).await.unwrap();
    let error = engine.kill_container(&server_id, "SIGHUP").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
    for id in [&server_id, &client_id] {
        engine.remove_container(id, true).await.unwrap();
        engine.remove_container(id, true).await.unwrap();
    }
    let mut last = None;
    while let Some(state) = tokio::time::timeout(LIMIT, states.recv()).await.unwrap() {
        last = Some(state);
    }
    assert_eq!(last, Some(ContainerState::Removed));
    engine.remove_network(&project.network).await.unwrap();
    engine.remove_network(&project.network).await.unwrap();
    assert!(engine.list_containers(&[]).await.unwrap().is_empty());
    let networks = engine.list_networks(&[]).await.unwrap();
    assert_eq!(networks.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["bridge", "host", "none"]);
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(project.root.path().to_str().unwrap()), "a mount is left");
}

async fn frozen_restarted_and_counted(project: &Project, id: &ContainerId) {
    let engine = &project.engine;
    let query = OccurrenceQuery { labels: vec!["project=shop".into()], since: None, until: None };
    let mut told = engine.occurrences(query).await.unwrap();
    let before = engine.inspect_container(&id.0).await.unwrap();
    engine.pause_container(id).await.unwrap();
    let state = engine.inspect_container(&id.0).await.unwrap().state;
    assert!(matches!(state, ContainerState::Paused { .. }), "{state:?}");
    engine.unpause_container(id).await.unwrap();
    engine.restart_container(id, StopOptions { grace: Some(Duration::ZERO), signal: None }).await.unwrap();
    project.until(id, |state| matches!(state, ContainerState::Running { health: Some(Health::Healthy), .. })).await;
    let after = engine.inspect_container(&id.0).await.unwrap();
    assert_eq!((&before.networks, &before.ports), (&after.networks, &after.ports), "it is where it was");
    let port = after.ports.iter().find_map(|port| port.host).unwrap().1;
    let answer = tokio::task::spawn_blocking(move || get(port)).await.unwrap();
    assert!(answer.ends_with("seed\n"), "{answer}");
    let described = engine.describe_container(&id.0).await.unwrap();
    assert_eq!(described["Name"], "/shop-server-1");
    assert_eq!(
        (&described["State"]["Status"], &described["State"]["Health"]["Status"]),
        (&"running".into(), &"healthy".into())
    );
    assert_eq!(described["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"], port.to_string());
    let address = &described["NetworkSettings"]["Networks"][&project.network]["IPAddress"];
    let network = engine.describe_network(&project.network).await.unwrap();
    assert!(network["Containers"][&id.0]["IPv4Address"].as_str().unwrap().starts_with(address.as_str().unwrap()));
    assert_eq!(engine.describe_volume("nothing").await.unwrap_err().kind, ErrorKind::NotFound);
    let mut counters = engine.container_statistics(id).await.unwrap();
    let first = tokio::time::timeout(LIMIT, counters.recv()).await.unwrap().unwrap();
    let second = tokio::time::timeout(LIMIT, counters.recv()).await.unwrap().unwrap();
    // Its probe may run at this moment, too.
    assert!(first.network.0 > 0 && (1..=2).contains(&first.processes) && first.memory > 0, "{first:?}");
    assert!(second.read > first.read && second.cpu_nanos >= first.cpu_nanos);
    let table = engine.container_processes(id, &[]).await.unwrap();
    assert!(table.rows.iter().any(|row| row.last().is_some_and(|command| command.starts_with("httpd"))), "{table:?}");
    for wanted in ["pause", "unpause", "kill", "kill", "die", "stop", "start", "restart"] {
        let found = loop {
            let one = tokio::time::timeout(LIMIT, told.recv()).await.unwrap().unwrap();
            if !one.action.starts_with("health_status") && !one.action.starts_with("exec") {
                break one;
            }
        };
        assert_eq!((found.action.as_str(), found.kind.as_str(), &found.id), (wanted, "container", &id.0));
    }
}

async fn on_a_terminal(engine: &Arc<dyn Engine>, id: &ContainerId) {
    let (mut written, stdout) = std::io::pipe().unwrap();
    let (stdin, mut typed) = std::io::pipe().unwrap();
    let (_sender, size) = tokio::sync::watch::channel((33, 99));
    let io = ExecIo {
        stdin: Some(stdin.into()),
        stderr: stdout.try_clone().unwrap().into(),
        stdout: stdout.into(),
        size: Some(size),
    };
    let command = ["sh", "-c", "stty size; read line; echo got $line"].map(Into::into).to_vec();
    let exec = ExecSpec { command, tty: true, ..ExecSpec::default() };
    typed.write_all(b"word\n").unwrap();
    assert_eq!(engine.exec(id, &exec, io).await.unwrap(), 0);
    let mut output = String::new();
    written.read_to_string(&mut output).unwrap();
    assert!(output.contains("33 99") && output.contains("got word"), "{output:?}");
}

fn get(port: u16) -> String {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(b"GET /seed HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A layer with a static busybox, and something to serve.
fn archive() -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |path: &str, kind: tar::EntryType, mode: u32, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        if kind == tar::EntryType::Symlink {
            header.set_size(0);
            archive.append_link(&mut header, path, std::str::from_utf8(content).unwrap()).unwrap();
        } else {
            header.set_size(content.len() as u64);
            archive.append_data(&mut header, path, content).unwrap();
        }
    };
    for folder in ["bin", "etc", "srv", "tmp"] {
        add(folder, tar::EntryType::Directory, 0o755, b"");
    }
    add("srv/seed", tar::EntryType::Regular, 0o644, b"seed\n");
    add("etc/passwd", tar::EntryType::Regular, 0o644, b"root:x:0:0::/root:/bin/sh\n");
    add("bin/busybox", tar::EntryType::Regular, 0o755, &fs::read("/bin/busybox").unwrap());
    for name in "sh echo cat wget httpd stty".split(' ') {
        add(&format!("bin/{name}"), tar::EntryType::Symlink, 0o777, b"busybox");
    }
    archive.into_inner().unwrap()
}
