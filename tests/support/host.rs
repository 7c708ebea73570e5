//! A scratch machine for one scenario: its own state root, its own project folder, and a clean end.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use crate::support::engines::{self, is_on_docker};
use crate::support::{dockerd, leaks};

/// Longest that anything in a scenario may take before it counts as hung.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A state root and a project folder that go when it is dropped, with everything that runs in them.
pub struct Host {
    /// `MOTET_ROOT`
    pub root: PathBuf,
    /// The folder of the project; its name is the project's name.
    pub folder: PathBuf,
    /// `MOTET_ENGINE`
    pub engine: &'static str,
    _name: engines::Name,
    _scratch: tempfile::TempDir,
}

/// What a command did.
pub struct Outcome {
    /// Exit code; 128 and the signal when killed.
    pub code: i32,
    /// Data.
    pub stdout: String,
    /// All else.
    pub stderr: String,
}

impl Outcome {
    fn of(output: &Output) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        let code = output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code, stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Fails the scenario unless the command succeeded.
    #[track_caller]
    pub fn success(self) -> Self {
        assert_eq!(self.code, 0, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Fails the scenario if the command succeeded, panicked, or printed an escape byte.
    #[track_caller]
    pub fn failure(self) -> Self {
        assert_ne!(self.code, 0, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        assert!(!self.stderr.contains('\u{1b}'), "no escape byte on a pipe: {:?}", self.stderr);
        self
    }

    /// Fails the scenario unless the error names all of `parts`.
    #[track_caller]
    pub fn names(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.stderr.contains(part), "`{part}` is not named in:\n{}", self.stderr);
        }
        self
    }
}

/// Says why a scenario that needs root can't run here; `true`: return from it.
pub fn lacks_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        println!("skipped: containers need root on this host");
    }
    !is_root
}

impl Host {
    /// A fresh host with this Compose file, and the stand-in image already loaded.
    pub fn with(name: &str, compose: &str) -> Self {
        let host = Self::empty(name);
        host.write("compose.yaml", compose);
        let archive = crate::support::image::stand_in();
        host.motet(&["load", "-i", archive.to_str().unwrap()]).success();
        host
    }

    /// A fresh host with an empty project folder, on the engine that the scenario is run for.
    pub fn empty(name: &str) -> Self {
        let reserved = engines::name(name);
        // Not below /tmp: overlayfs can't stack on a tmpfs without extended attributes, or on another overlay.
        let scratch = tempfile::Builder::new().prefix("motet-test-").tempdir_in("/var/tmp").unwrap();
        let (root, folder) = (scratch.path().join("root"), scratch.path().join(name));
        std::fs::create_dir(&folder).unwrap();
        let engine = if is_on_docker() { "docker" } else { "embedded" };
        Self { root, folder, engine, _name: reserved, _scratch: scratch }
    }

    /// Writes a file of the project.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// The program, in the project folder, on this host's state root.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_motet"));
        command
            .args(args)
            .current_dir(&self.folder)
            .env("MOTET_ROOT", &self.root)
            .env("MOTET_ENGINE", self.engine)
            .stdin(Stdio::null());
        for (name, _) in
            std::env::vars().filter(|(name, _)| name.starts_with("COMPOSE_") || name.starts_with("DOCKER_"))
        {
            command.env_remove(name);
        }
        if self.engine == "docker"
            && let Some(dockerd) = dockerd::ours()
        {
            command.env("DOCKER_HOST", format!("unix://{}", dockerd.socket.display()));
        }
        command
    }

    /// Runs the program to its end.
    #[track_caller]
    pub fn motet(&self, args: &[&str]) -> Outcome {
        let child = self.spawn(args);
        finish(child, &format!("motet {}", args.join(" ")))
    }

    /// Runs the program with the words of this line, to its end.
    #[track_caller]
    pub fn does(&self, line: &str) -> Outcome {
        self.motet(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// Names of the containers in this state, sorted.
    #[track_caller]
    pub fn named(&self, state: &str) -> Vec<String> {
        let all = self.ps();
        let found = all.iter().filter(|container| container["State"] == state);
        let mut names: Vec<_> = found.map(|container| container["Name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }

    /// Runs a command that downloads and builds: minutes, not seconds.
    #[track_caller]
    pub fn motet_patiently(&self, args: &[&str]) -> Outcome {
        finish_within(self.spawn(args), &format!("motet {}", args.join(" ")), Duration::from_secs(600))
    }

    /// Starts the program and lets it run, both streams piped.
    pub fn spawn(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs a shell line in a service's first replica and returns what it printed.
    #[track_caller]
    pub fn shell(&self, service: &str, line: &str) -> String {
        self.motet(&["exec", "-T", service, "sh", "-c", line]).success().stdout.trim_end().to_owned()
    }

    /// Every container as `ps -a --format json` tells it.
    #[track_caller]
    pub fn ps(&self) -> Vec<serde_json::Value> {
        let printed = self.motet(&["ps", "-a", "--format", "json"]).success().stdout;
        printed.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    /// The one container of this name.
    #[track_caller]
    pub fn container(&self, name: &str) -> serde_json::Value {
        let all = self.ps();
        all.iter()
            .find(|container| container["Name"] == name)
            .unwrap_or_else(|| panic!("no `{name}` in {all:#?}"))
            .clone()
    }

    /// Pid of the first process of a container, as the host sees it; `None`: it does not run.
    #[track_caller]
    pub fn init_pid(&self, id: &str) -> Option<i32> {
        if self.engine == "docker" {
            return dockerd::ours().and_then(|dockerd| dockerd.init_pid(id));
        }
        let status = self.record(id, "status.json");
        let pid = status.pointer("/status/Running/init/pid").and_then(serde_json::Value::as_i64)?;
        Some(i32::try_from(pid).unwrap())
    }

    /// Pid of a container's keeper.
    #[track_caller]
    pub fn keeper_pid(&self, id: &str) -> i32 {
        let status = self.record(id, "status.json");
        let pid = status.pointer("/keeper/pid").and_then(serde_json::Value::as_i64);
        i32::try_from(pid.unwrap_or_else(|| panic!("no keeper: {status}"))).unwrap()
    }

    #[track_caller]
    fn record(&self, id: &str, file: &str) -> serde_json::Value {
        let containers = self.root.join("lib/containers");
        let folder = std::fs::read_dir(&containers)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.file_name().unwrap().to_string_lossy().starts_with(id))
            .unwrap_or_else(|| panic!("no container {id} in {}", containers.display()));
        serde_json::from_slice(&std::fs::read(folder.join(file)).unwrap()).unwrap()
    }

    /// Fails the scenario if anything of this host is left on the machine after `down`.
    ///
    /// What the kernel takes long to give back a process of its own lets go of: that may outlive the answer, but not long.
    #[track_caller]
    pub fn must_be_clean(&self) {
        let begin = Instant::now();
        loop {
            let mut found = leaks::of(&self.root);
            if self.engine == "docker" {
                found.extend(self.labelled("container", &["-a"]));
                found.extend(self.labelled("network", &[]));
            }
            if found.is_empty() {
                return;
            }
            assert!(begin.elapsed() < Duration::from_secs(10), "left behind:\n{}", found.join("\n"));
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }
}

impl Host {
    /// Names of this project's things of a kind.
    fn labelled(&self, kind: &str, more: &[&str]) -> Vec<String> {
        let project = self.folder.file_name().unwrap().to_string_lossy();
        let filter = format!("label=com.docker.compose.project={project}");
        let field = if kind == "container" { "{{.Names}}" } else { "{{.Name}}" };
        let args = [&[kind, "ls", "--filter", &filter, "--format", field][..], more].concat();
        let mut names: Vec<_> = self.motet(&args).success().stdout.lines().map(str::to_owned).collect();
        names.sort();
        names
    }

    /// What the scenario ended with, as far as both engines must agree on it.
    ///
    /// A file that is wrong, as that of a scenario about mistakes, has nothing to end with.
    fn ending(&self) -> serde_json::Value {
        if self.motet(&["config", "-q"]).code != 0 {
            return serde_json::Value::Null;
        }
        let folder = self.folder.to_string_lossy();
        let text = std::fs::read_to_string(self.folder.join("compose.yaml")).unwrap_or_default();
        let observed = |container| engines::observable(container, &folder, !text.contains("./"));
        let containers: Vec<_> = self.ps().iter().map(observed).collect();
        serde_json::json!({
            "containers": containers,
            "networks": self.labelled("network", &[]),
            "volumes": self.labelled("volume", &[]),
        })
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let is_project = self.folder.join("compose.yaml").exists();
        let ending = (is_project && !std::thread::panicking()).then(|| self.ending());
        // A failed scenario leaves its containers; the next ones must not suffer from them.
        let mut down = self.command(&["down", "-v", "--remove-orphans", "-t", "0"]);
        if self.engine == "docker" {
            // Its store is that of all scenarios.
            down.args(["--rmi", "local"]);
        }
        let _ = down.output();
        // The network of containers outside of any project stays where it was first wanted, as Docker's does.
        if self.root.join("lib").exists() {
            let _ = self.command(&["container", "prune", "-f"]).output();
            let _ = self.command(&["network", "prune", "-f"]).output();
        }
        leaks::force_away(&self.root);
        if let Some(ending) = ending {
            engines::compare(ending);
        }
    }
}

/// Waits for a child's end and returns what it did; one that hangs is killed and fails the scenario.
#[track_caller]
pub fn finish(child: Child, what: &str) -> Outcome {
    finish_within(child, what, PATIENCE)
}

#[track_caller]
fn finish_within(child: Child, what: &str, patience: Duration) -> Outcome {
    let pid = child.id();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _ = sender.send(child.wait_with_output());
    });
    match receiver.recv_timeout(patience) {
        Ok(output) => Outcome::of(&output.unwrap()),
        Err(_) => {
            let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            panic!("`{what}` did not end within {patience:?}");
        }
    }
}

/// Sends a signal to a child.
pub fn signal(pid: i32, signal: rustix::process::Signal) {
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// Looks again until `condition` holds; a scenario that waits in vain says for what.
///
/// Yields instead of sleeping: what is waited for is another process's work.
#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// One HTTP/1.0 request; the body of the answer, or `None` when nobody answers.
pub fn http(address: &str, request: &str) -> Option<String> {
    use std::io::{Read as _, Write as _};
    let address = address.parse().unwrap();
    let mut stream = std::net::TcpStream::connect_timeout(&address, Duration::from_secs(5)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    Some(answer.split_once("\r\n\r\n")?.1.to_owned())
}

/// A TCP port of the host that is free now, another one at each call: below those that the kernel gives to connections
/// (`net.ipv4.ip_local_port_range`).
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(17_000);
    loop {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(port < 32_000, "no port of the tests is left");
        if std::net::TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}

/// The workspace root.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
