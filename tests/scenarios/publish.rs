//! `publish`: the project's files in a real registry, in Docker Compose's form; `bridge`: transformations are run.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::engines::engines;
use crate::support::host::{Host, finish, free_port, http, lacks_root, until};

/// Debian's registry on a port of its own; it ends with this.
struct Registry {
    child: Child,
    address: String,
}

impl Registry {
    /// `None`, and why is said: there is none on this machine.
    fn start(host: &Host) -> Option<Self> {
        let address = format!("127.0.0.1:{}", free_port());
        let storage = host.folder.parent().unwrap().join("registry");
        let config = format!(
            "version: 0.1\nlog: {{ level: error }}\nstorage: {{ filesystem: {{ rootdirectory: {} }} }}\nhttp: {{ addr: {address} }}\n",
            storage.display()
        );
        let file = host.folder.parent().unwrap().join("registry.yml");
        std::fs::write(&file, config).unwrap();
        let mut registry = Command::new("docker-registry");
        registry.arg("serve").arg(file).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(child) = registry.spawn() else {
            println!("skipped: no docker-registry on this machine");
            return None;
        };
        until("the registry answers", || http(&address, "GET /v2/ HTTP/1.0\r\n\r\n").is_some());
        Some(Self { child, address })
    }

    fn get(&self, path: &str) -> String {
        let accept = "application/vnd.oci.image.manifest.v1+json";
        let request = format!("GET /v2/{path} HTTP/1.0\r\nHost: {}\r\nAccept: {accept}\r\n\r\n", self.address);
        http(&self.address, &request).unwrap()
    }

    fn manifest(&self, name: &str, tag: &str) -> Value {
        serde_json::from_str(&self.get(&format!("{name}/manifests/{tag}"))).unwrap()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const SHOP: &str = "
services:
  web:
    image: stand-in:1
    env_file: [web.env, { path: absent.env, required: false }]
    extends: { file: base/base.yaml, service: base }
    volumes: ['./data:/data']
    environment: { OWN: '1' }
";

fn shop(name: &str) -> Host {
    let host = Host::empty(name);
    host.write("compose.yaml", SHOP);
    host.write("base/base.yaml", "services: { base: { command: sleep 1 } }\n");
    host.write("web.env", "MODE=fast\nID=AKIAIOSFODNN7EXAMPLE\n");
    host
}

#[test]
fn the_files_of_a_project_are_published_as_layers_under_names_that_tell_nothing() {
    if lacks_root() {
        return;
    }
    let host = shop("published");
    let Some(registry) = Registry::start(&host) else { return };
    let place = format!("{}/team/shop:1", registry.address);
    host.motet(&["publish", &place]).failure().names(&["service \"web\" has env_file declared", "--with-env"]);
    host.motet(&["publish", "--with-env", "-y", &place]).success();
    let manifest = registry.manifest("team/shop", "1");
    assert_eq!(manifest["artifactType"], "application/vnd.docker.compose.project");
    let layers = manifest["layers"].as_array().unwrap();
    let blob = |layer: &Value| registry.get(&format!("team/shop/blobs/{}", layer["digest"].as_str().unwrap()));
    assert_eq!(layers[0]["annotations"]["com.docker.compose.file"], "compose.yaml");
    let file = blob(&layers[0]);
    assert!(!file.contains("web.env") && !file.contains("base.yaml"), "{file}");
    let base = layers[1]["annotations"]["com.docker.compose.file"].as_str().unwrap();
    assert_eq!(layers[1]["annotations"]["com.docker.compose.extends"], "true");
    assert!(file.contains(base), "{base} in {file}");
    let variables = layers[2]["annotations"]["com.docker.compose.envfile"].as_str().unwrap();
    assert_eq!(layers[2]["mediaType"], "application/vnd.docker.compose.envfile");
    assert!(file.contains(variables) && blob(&layers[2]).starts_with("MODE=fast"));
    assert_eq!(layers.len(), 3);
    // What was published is a project like any other.
    let mut config = host.command(&["--allow-remote", "-f", &format!("oci://{place}"), "config"]);
    config.env("XDG_CACHE_HOME", host.folder.parent().unwrap().join("cache"));
    let config = config.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let read = finish(config, "config").success().stdout;
    assert!(read.contains("MODE: fast") && read.contains("- sleep"), "{read}");
    // The older form has no attribute for what it is.
    host.motet(&["publish", "--with-env", "-y", "--oci-version", "1.0", &place.replace("shop:1", "shop:old")])
        .success();
    let old = registry.manifest("team/shop", "old");
    assert_eq!(old["artifactType"], Value::Null);
    assert_eq!(old["config"]["mediaType"], "application/vnd.docker.compose.config.empty.v1+json");
}

#[test]
fn publish_asks_before_it_shows_what_others_should_not_see() {
    let host = shop("asked");
    let publish = |answers: &str| {
        let mut command = host.command(&["--dry-run", "publish", "--with-env", "registry.test/shop:1"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(answers.as_bytes()).unwrap();
        finish(child, "publish").success()
    };
    let refused = publish("n\n");
    assert!(refused.stdout.contains("you are about to publish bind mounts declaration"), "{}", refused.stdout);
    assert!(!refused.stderr.contains("publishing"), "{}", refused.stderr);
    let agreed = publish("y\ny\ny\n");
    assert!(agreed.stdout.contains("AWS Client ID\n\"ID\": AKIAIOSFODNN7EXAMPLE"), "{}", agreed.stdout);
    assert!(agreed.stdout.contains("Service/Config  web\nOWN=1"), "{}", agreed.stdout);
    assert!(agreed.stderr.contains("registry.test/shop:1  published"), "{}", agreed.stderr);
}

#[test]
fn what_others_could_not_use_is_not_published() {
    let host = Host::empty("unpublished");
    host.write("compose.yaml", "services: { web: { build: . } }\n");
    let build = host.motet(&["publish", "-y", "registry.test/shop:1"]).failure();
    build.names(&["cannot be published as it only contains a build section", "- \"web\""]);
    host.write("compose.yaml", "include: [other.yaml]\nservices: { web: { image: x } }\n");
    host.write("other.yaml", "services: { other: { image: y } }\n");
    host.motet(&["publish", "-y", "registry.test/shop:1"]).failure().names(&["local includes"]);
}

#[test]
fn bridge_runs_a_transformation_over_the_model() {
    if lacks_root() {
        return;
    }
    let host = Host::with("bridged", "services: { web: { image: 'stand-in:1', command: serve } }\n");
    let dockerfile = "FROM stand-in:1\nLABEL com.docker.compose.bridge=transformation\n\
                      ENTRYPOINT [\"sh\", \"-c\", \"grep -A1 command: /in/compose.yaml > /out/found; cat /templates/t >> /out/found\"]\n";
    host.write("transform/Dockerfile", dockerfile);
    host.write("templates/t", "mine\n");
    host.motet(&["image", "build", "-t", "my-transform:1", "transform"]).success();
    host.motet(&["bridge", "convert", "-t", "my-transform:1", "--templates", "templates", "-o", "made"]).success();
    let found = std::fs::read_to_string(host.folder.join("made/found")).unwrap();
    assert!(found.contains("- serve") && found.ends_with("mine\n"), "{found}");
    let list = host.motet(&["bridge", "transformations", "ls", "-q"]).success().stdout;
    assert_eq!(list.trim(), "my-transform:1");
    let absent = host.motet(&["bridge", "convert", "-t", "127.0.0.1:9/none:1"]).failure();
    absent.names(&["127.0.0.1:9", "--transformation"]);
}

engines! {
    embedded: [
        bridge_runs_a_transformation_over_the_model: "it was not tried on a Docker Engine yet",
    ],
    neither: [
        the_files_of_a_project_are_published_as_layers_under_names_that_tell_nothing,
        publish_asks_before_it_shows_what_others_should_not_see,
        what_others_could_not_use_is_not_published,
    ],
}
