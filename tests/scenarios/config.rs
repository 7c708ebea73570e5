//! `config`: where values come from, what is listed, and projects that a registry holds.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use sha2::{Digest as _, Sha256};

use crate::support::engines::engines;
use crate::support::host::{Host, Outcome, finish, free_port, until};

#[test]
fn origins_follow_env_files_overrides_and_variables_and_show_no_secret() {
    let host = Host::empty("origins");
    host.write(".env", "TAG=1\n");
    host.write("web.env", "# of web\nDEBUG=0\nDB_PASSWORD=hunter2\nLEVEL=${TAG}\nOWN=file\n");
    host.write("late.env", "LEVEL=late\n");
    host.write(
        "compose.yaml",
        "services:\n  web:\n    image: app:${TAG}\n    env_file: [web.env, late.env]\n    environment:\n      OWN: here\n",
    );
    host.write("compose.override.yaml", "services:\n  web:\n    image: other:${TAG}\n");
    let text = host.motet(&["config", "--origins", "web"]).success().stdout;
    for line in [
        "services.web.image: other:1  compose.override.yaml:3\n    TAG is set in .env:1\n    instead of app:${TAG}  compose.yaml:3\n",
        "services.web.environment.DEBUG: 0  web.env:2\n",
        "services.web.environment.DB_PASSWORD: ********  web.env:3\n",
        "services.web.environment.LEVEL: late  late.env:1\n    instead of LEVEL=${TAG}  web.env:4\n",
        "services.web.environment.OWN: here  compose.yaml:6\n    instead of OWN=file  web.env:5\n",
    ] {
        assert!(text.contains(line), "{line}\nis not in\n{text}");
    }
    assert!(!text.contains("hunter2"), "{text}");
    host.motet(&["config", "--origins", "--format", "json", "-o", "origins.json"]).success();
    let written = std::fs::read_to_string(host.folder.join("origins.json")).unwrap();
    assert!(!written.contains("hunter2"), "{written}");
    let origins: Vec<serde_json::Value> = serde_json::from_str(&written).unwrap();
    let level = origins.iter().find(|it| it["path"] == "services.web.environment.LEVEL").unwrap();
    assert_eq!((level["file"].as_str(), level["line"].as_u64()), (Some("late.env"), Some(1)));
    assert_eq!(level["instead_of"][0]["file"], "web.env");
    let image = origins.iter().find(|it| it["path"] == "services.web.image").unwrap();
    assert_eq!(image["variables"][0], serde_json::json!({ "name": "TAG", "setter": "is set in .env:1" }));
    assert_eq!(host.motet(&["config", "--origins", "-q"]).success().stdout, "");
}

#[test]
fn labels_of_files_count_in_hashes_and_container_names_keep_nothing_from_being_listed() {
    let host = Host::empty("labels");
    let hash = |labels: &str| {
        host.write("web.labels", labels);
        host.motet(&["config", "--hash", "web"]).success().stdout
    };
    host.write("compose.yaml", "services: { web: { image: app, label_file: web.labels } }\n");
    let one = hash("a=1\n");
    assert_ne!(one, hash("a=2\n"));
    host.write("compose.yaml", "services: { web: { image: app, labels: { a: '1' } } }\n");
    assert_eq!(one, host.motet(&["config", "--hash", "web"]).success().stdout);
    host.write("compose.yaml", "services: { web: { image: app, label_file: none.labels } }\n");
    host.motet(&["config", "--services"]).failure().names(&["none.labels", "compose.yaml:1:"]);

    let two = "services: { a: { image: x, container_name: same }, b: { image: x, container_name: same } }\n";
    host.write("compose.yaml", two);
    assert_eq!(host.motet(&["config", "--services"]).success().stdout, "a\nb\n");
    host.motet(&["config", "-q"]).failure().names(&["same container name", "`a`", "`b`"]);
}

#[test]
fn a_project_that_a_registry_holds_is_fetched_with_leave_and_pinned_by_its_digest() {
    let host = Host::empty("oci");
    let Some(registry) = Registry::start(&host) else { return };
    let manifest = registry.publish(&[
        ("application/vnd.docker.compose.file+yaml", "com.docker.compose.file", "compose.yaml", BASE),
        ("application/vnd.docker.compose.file+yaml", "com.docker.compose.file", "more.yaml", MORE),
        ("application/vnd.docker.compose.envfile", "com.docker.compose.envfile", "web.env", "LEVEL=info\n"),
    ]);
    let address = format!("oci://{}/team/shop:1", registry.address);
    host.write("compose.yaml", &format!("include:\n  - {address}\nservices: {{ own: {{ image: mine }} }}\n"));
    host.motet(&["config"]).failure().names(&["compose.yaml:2:5", "--allow-remote", "COMPOSE_EXPERIMENTAL_OCI_REMOTE"]);

    let text = remote(&host, &["config", "--format", "json"]).success().stdout;
    let project: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(project["services"]["own"]["image"], "mine");
    assert_eq!(project["services"]["web"]["image"], "app:2", "a file lies over the one before it");
    assert_eq!(project["services"]["web"]["environment"]["LEVEL"], "info");

    // As a file of its own; named by its digest it is there without the registry.
    let pinned = format!("oci://{}/team/shop@{manifest}", registry.address);
    let alone = remote(&host, &["-f", &pinned, "config", "--images"]).success().stdout;
    assert_eq!(alone, "app:2\n");
    drop(registry);
    assert_eq!(remote(&host, &["-f", &pinned, "config", "--images"]).success().stdout, "app:2\n");
    remote(&host, &["config"]).failure().names(&["compose.yaml:2:5", "cannot reach"]);
}

/// Runs the program with leave to fetch, and a cache of its own.
fn remote(host: &Host, args: &[&str]) -> Outcome {
    let mut command = host.command(&[&["--allow-remote"], args].concat());
    command.env("XDG_CACHE_HOME", host.folder.join("cache")).stdout(Stdio::piped()).stderr(Stdio::piped());
    finish(command.spawn().unwrap(), "a command that fetches")
}

const BASE: &str = "name: shop\nservices:\n  web:\n    image: app:1\n    env_file: web.env\n";
const MORE: &str = "services:\n  web:\n    image: app:2\n";

/// Debian's `docker-registry`, stopped when dropped.
struct Registry {
    process: Child,
    address: String,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Registry {
    fn start(host: &Host) -> Option<Self> {
        if !std::path::Path::new("/usr/bin/docker-registry").exists() {
            println!("skipped: Debian's package `docker-registry` is not installed");
            return None;
        }
        let address = format!("127.0.0.1:{}", free_port());
        let root = host.folder.join("registry");
        let config = host.folder.join("registry.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"{address}\"}}\n",
            root.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new("/usr/bin/docker-registry");
        command.arg("serve").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
        let registry = Self { process: command.spawn().unwrap(), address };
        until("the registry listens", || TcpStream::connect(&registry.address).is_ok());
        Some(registry)
    }

    /// Puts files there as Docker Compose publishes them, as `team/shop:1`; returns the digest of the manifest.
    fn publish(&self, files: &[(&str, &str, &str, &str)]) -> String {
        let empty = self.blob("{}");
        let layers: Vec<serde_json::Value> = files
            .iter()
            .map(|(kind, annotation, name, content)| {
                let mut layer = serde_json::json!({
                    "mediaType": kind, "digest": self.blob(content), "size": content.len(), "annotations": {},
                });
                layer["annotations"][*annotation] = serde_json::json!(name);
                layer
            })
            .collect();
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "artifactType": "application/vnd.docker.compose.project",
            "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": empty, "size": 2 },
            "layers": layers,
        });
        let manifest = manifest.to_string();
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let answer = self.request("PUT", "/v2/team/shop/manifests/1", kind, &manifest);
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        digest(&manifest)
    }

    fn blob(&self, content: &str) -> String {
        let begun = self.request("POST", "/v2/team/shop/blobs/uploads/", "text/plain", "");
        let location = begun.lines().find_map(|line| line.strip_prefix("Location: ")).unwrap();
        let path = location.trim().trim_start_matches("http://").trim_start_matches(&self.address);
        let path = format!("{path}&digest={}", digest(content));
        let answer = self.request("PUT", &path, "application/octet-stream", content);
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        digest(content)
    }

    fn request(&self, method: &str, path: &str, kind: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n",
            self.address
        );
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

fn digest(content: &str) -> String {
    let digest = Sha256::digest(content.as_bytes());
    format!("sha256:{}", digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

engines! {
    neither: [
        origins_follow_env_files_overrides_and_variables_and_show_no_secret,
        labels_of_files_count_in_hashes_and_container_names_keep_nothing_from_being_listed,
        a_project_that_a_registry_holds_is_fetched_with_leave_and_pinned_by_its_digest,
    ],
}
