//! The builder through the program: contexts of other services, caches that are carried, where what was built goes, platforms.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::dockerd;
use crate::support::engines::engines;
use crate::support::host::{Host, finish, lacks_root};
use crate::support::registry::Registry;

/// A folder with a Dockerfile, and the stand-in image.
fn host(name: &str, dockerfile: &str) -> Host {
    let host = Host::with(name, "services: {}");
    host.write("Dockerfile", dockerfile);
    host.write("a.txt", "one\n");
    host
}

/// Runs skopeo and returns what it printed; `None`, after saying so: it is not installed.
fn skopeo(args: &[&str]) -> Option<String> {
    let Ok(output) = Command::new("skopeo").args(args).output() else {
        println!("skipped: skopeo is not installed");
        return None;
    };
    assert!(output.status.success(), "skopeo {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_service_that_is_a_context_is_built_before_and_what_has_changed_in_it_arrives() {
    if lacks_root() {
        return;
    }
    let host = Host::with(
        "contexts",
        "services:
  web:
    command: sleep 1000
    init: true
    build: {context: ., dockerfile_inline: \"FROM base\\nCOPY --from=other /o /o\\n\", additional_contexts: {base: 'service:base', other: 'service:other'}}
  base: {build: {context: base}}
  other: {image: 'named:1', build: {context: other}}
",
    );
    for name in ["base", "other"] {
        host.write(&format!("{name}/Dockerfile"), &format!("FROM stand-in:1\nCOPY f /{}\n", &name[..1]));
        host.write(&format!("{name}/f"), "one\n");
    }
    // Only `web` is asked for, and only it runs.
    host.motet(&["up", "-d", "web"]).success();
    assert_eq!(host.shell("web", "cat /b /o"), "one\none");
    assert_eq!(host.ps().len(), 1);
    host.write("base/f", "two\n");
    host.motet(&["up", "-d", "--build", "web"]).success();
    assert_eq!(host.shell("web", "cat /b /o"), "two\none");
    host.motet(&["down"]).success();
    host.must_be_clean();
}

#[test]
fn a_cache_at_a_registry_and_one_in_an_image_spare_another_machine_the_work() {
    let (false, Some(registry)) = (lacks_root(), Registry::start()) else { return };
    let dockerfile = "FROM stand-in:1 AS maker\nRUN echo made > /made\nFROM stand-in:1\nCOPY --from=maker /made /made\nCOPY a.txt /\nRUN echo last > /last\n";
    let cache = format!("{}/cache:1", registry.address);
    let image = format!("{}/app:1", registry.address);
    let first = host("first", dockerfile);
    let to = format!("type=registry,ref={cache},mode=max");
    let build = ["image", "build", "-q", "-t", &image, "--push", "--cache-to", &to, "--cache-to", "type=inline", "."];
    let id = first.motet(&build).success().stdout;
    // Another machine, with the cache named in its Compose file.
    let second = host("second", dockerfile);
    second.write("compose.yaml", &format!("services: {{app: {{build: {{context: ., cache_from: ['{cache}']}}}}}}"));
    let told = second.motet(&["--progress", "plain", "build"]).success().stderr;
    assert_eq!(told.matches(" CACHED").count(), 4, "{told}");
    // A third one has the image alone: what the image's own stage did is spared.
    let third = host("third", dockerfile);
    let from = format!("type=registry,ref={image}");
    let build = "--progress plain image build -t third:1 --cache-to type=inline --cache-from";
    let outcome = third.motet(&build.split(' ').chain([&*from, "."]).collect::<Vec<_>>()).success();
    assert!(outcome.stderr.matches(" CACHED").count() >= 3, "{}", outcome.stderr);
    let made = third.does("image inspect -f {{.Id}} third:1").success().stdout;
    assert_eq!(made, id, "the same image, to the byte");
    // A cache that is not there is no failure; one of a kind that is not known is.
    third.motet(&["image", "build", "-q", "--cache-from", &format!("{}/none", registry.address), "."]).success();
    third.motet(&["image", "build", "--cache-from", "type=gha", "."]).failure().names(&["gha", "registry"]);
}

#[test]
fn what_was_built_goes_where_it_is_sent() {
    if lacks_root() {
        return;
    }
    let host = host("outputs", "FROM stand-in:1 AS tools\nFROM scratch\nCOPY a.txt /x/\nCOPY a.txt /y\n");
    let at = |name: &str| host.folder.join(name).display().to_string();
    // The files alone: nothing of it stays in the store.
    let before = host.motet(&["image", "ls", "-aq"]).success().stdout;
    host.motet(&["image", "build", "-o", &at("out"), "."]).success();
    assert_eq!(std::fs::read_to_string(host.folder.join("out/x/a.txt")).unwrap(), "one\n");
    host.motet(&["image", "build", "-o", &format!("type=tar,dest={}", at("out.tar")), "."]).success();
    let mut archive = tar::Archive::new(std::fs::File::open(at("out.tar")).unwrap());
    let names: Vec<String> =
        archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect();
    assert_eq!(names, ["x/", "x/a.txt", "y"]);
    assert_eq!(host.motet(&["image", "ls", "-aq"]).success().stdout, before);
    // Without `-q` nothing but what is told of the build, on standard error.
    let loud = host.motet(&["image", "build", "-t", "loud:1", "."]).success();
    assert!(loud.stdout.is_empty() && loud.stderr.contains("COPY a.txt"), "{}{}", loud.stdout, loud.stderr);
    host.motet(&["image", "rm", "loud:1"]).success();
    assert_eq!(host.motet(&["image", "build", "-f", "no-such-file", "."]).failure().code, 1);
    // An image, with what is told of it.
    let (id, told) = (at("id"), at("told.json"));
    let build = ["image", "build", "-q", "-t", "made:1", "--iidfile", &id, "--metadata-file", &told, "."];
    let printed = host.motet(&build).success().stdout;
    assert_eq!(std::fs::read_to_string(&id).unwrap(), printed.trim());
    assert_eq!(json(Path::new(&told))["image.name"], "made:1");
    assert_eq!(json(Path::new(&told))["containerimage.config.digest"], printed.trim());
    // As other programs read it.
    let archive = format!("type=docker,dest={}", at("image.tar"));
    let layout = format!("type=oci,dest={},tar=false", at("layout"));
    host.motet(&["image", "build", "-q", "-t", "made:1", "-o", &archive, "-o", &layout, "."]).success();
    for source in [format!("docker-archive:{}", at("image.tar")), format!("oci:{}:1", at("layout"))] {
        let Some(config) = skopeo(&["inspect", "--config", "--raw", &source]) else { return };
        use sha2::Digest as _;
        let digest = sha2::Sha256::digest(config.as_bytes());
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(format!("sha256:{hex}"), printed.trim(), "{source}");
    }
}

#[test]
fn a_dockerfile_and_a_context_come_from_the_standard_input() {
    if lacks_root() {
        return;
    }
    let host = host("stdin", "FROM scratch\nLABEL from=folder\n");
    let build = |args: &[&str], input: &[u8]| {
        let mut child =
            host.command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        finish(child, "image build").success();
        host.motet(&["image", "inspect", "-f", "{{.Config.Labels}}", "made:1"]).success().stdout
    };
    let text = b"FROM scratch\nLABEL from=stdin\nCOPY a.txt /\n";
    assert!(build(&["image", "build", "-q", "-t", "made:1", "-f", "-", "."], text).contains("stdin"));
    assert!(
        build(&["image", "build", "-q", "-t", "made:1", "-"], b"FROM scratch\nLABEL from=alone\n").contains("alone")
    );
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_path_with_name(host.folder.join("a.txt"), "a.txt").unwrap();
    host.write("other", "FROM scratch\nLABEL from=tar\nCOPY a.txt /\n");
    tar.append_path_with_name(host.folder.join("other"), "sub/Other").unwrap();
    let tar = tar.into_inner().unwrap();
    assert!(build(&["image", "build", "-q", "-t", "made:1", "-f", "sub/Other", "-"], &tar).contains("tar"));
    // A Dockerfile that is not in the context.
    host.write("context/a.txt", "a");
    assert!(build(&["image", "build", "-q", "-t", "made:1", "-f", "Dockerfile", "context"], b"").contains("folder"));
}

#[test]
fn a_failed_step_opens_a_shell_in_what_there_was_before() {
    if lacks_root() {
        return;
    }
    let host =
        host("debugged", "FROM stand-in:1\nARG WORD=given\nWORKDIR /srv\nCOPY a.txt .\nRUN echo half > half; exit 3\n");
    let before = host.motet(&["image", "ls", "-aq"]).success().stdout;
    let mut child = host
        .command(&["image", "build", "--debug", "."])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"pwd; ls; echo $WORD\n").unwrap();
    let outcome = finish(child, "image build --debug").failure();
    assert_eq!((outcome.stdout.as_str(), outcome.code), ("/srv\na.txt\ngiven\n", 5), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("Dockerfile:5"), "{}", outcome.stderr);
    assert_eq!(host.motet(&["image", "ls", "-aq"]).success().stdout, before);
    assert_eq!(host.motet(&["container", "ls", "-aq"]).success().stdout, "");
    host.motet(&["network", "prune", "-f"]);
}

#[test]
fn an_image_for_another_processor_is_copied_together_but_not_run() {
    let (false, Some(registry)) = (lacks_root(), Registry::start()) else { return };
    let dockerfile = "FROM --platform=$BUILDPLATFORM stand-in:1 AS maker\nARG TARGETPLATFORM TARGETVARIANT\nRUN echo $TARGETPLATFORM > /made\nFROM scratch\nCOPY --from=maker /made /made\n";
    let host = host("platforms", dockerfile);
    let image = format!("{}/multi:1", registry.address);
    let platforms = "linux/amd64,linux/arm64,linux/arm/v7";
    host.motet(&["image", "build", "-q", "-t", &image, "--platform", platforms, "--push", "."]).success();
    let Some(raw) = skopeo(&["inspect", "--raw", "--tls-verify=false", &format!("docker://{image}")]) else { return };
    let index: serde_json::Value = serde_json::from_str(&raw).unwrap();
    let entries = index["manifests"].as_array().unwrap();
    let told: Vec<String> = entries
        .iter()
        .map(|entry| {
            format!("{} {}", entry["platform"]["architecture"].as_str().unwrap(), entry["platform"]["variant"])
        })
        .collect();
    assert_eq!(told, ["amd64 null", "arm64 null", "arm \"v7\""]);
    // Those of other platforms have no name of their own, and are not without use for that.
    let listed = |args: &[&str]| host.motet(&[&["image", "ls", "-q"], args].concat()).success().stdout.lines().count();
    assert_eq!((listed(&[]), listed(&["-a"]), listed(&["-f", "dangling=true"])), (2, 4, 0));
    assert!(!host.motet(&["image", "prune", "-f"]).success().stdout.contains("deleted"));
    host.motet(&["image", "push", "-q", &image]).success();
    // Another machine pulls each of them.
    let other = Host::empty("elsewhere");
    for (platform, line) in [("linux/arm64", "linux/arm64\n"), ("linux/arm/v7", "linux/arm/v7\n")] {
        other.motet(&["image", "pull", "-q", "--platform", platform, &image]).success();
        let folder = other.folder.join("out");
        let from = format!("FROM {image}\n");
        other.write("Dockerfile", &from);
        let out = format!("type=local,dest={}", folder.display());
        other.motet(&["image", "build", "--platform", platform, "-o", &out, "."]).success();
        assert_eq!(std::fs::read_to_string(folder.join("made")).unwrap(), line);
    }
    host.write("Dockerfile", &format!("FROM {image}\nRUN [\"/made\"]\n"));
    if !Path::new("/proc/sys/fs/binfmt_misc/qemu-aarch64").exists() {
        let refused = host.motet(&["image", "build", "--platform", "linux/arm64", "."]).failure();
        refused.names(&["linux/arm64", "linux/amd64", "qemu-user-static", "Dockerfile:2"]);
    }
}

#[test]
fn a_private_key_file_is_an_agent_and_attestations_are_refused_unless_off() {
    if lacks_root() {
        return;
    }
    let dockerfile = "FROM stand-in:1\nRUN --mount=type=ssh,required test -S $SSH_AUTH_SOCK\n";
    let host = host("keys", dockerfile);
    let key = host.folder.join("key");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).output();
    if made.is_err() {
        println!("skipped: ssh-keygen is not installed");
        return;
    }
    let ssh = format!("default={}", key.display());
    let build = ["image", "build", "-q", "--ssh", &ssh, "--provenance=false", "--sbom=false", "."];
    host.motet(&build).success();
    host.motet(&["image", "build", "-q", "--ssh", &format!("default={}.pub", key.display()), "."])
        .failure()
        .names(&["key.pub", "is no private ssh key"]);
    for asked in ["--provenance=mode=max", "--sbom=true"] {
        host.motet(&["image", "build", "-q", asked, "."]).failure().names(&["embedded builder can't do"]);
    }
}

#[test]
fn images_go_through_podman_and_come_back_as_they_were() {
    if lacks_root() {
        return;
    }
    let host =
        host("podman", "FROM stand-in:1\nRUN ln /bin/busybox /bin/again && mkdir -m 1777 /t\nCOPY a.txt /\nENV A=b\n");
    let id = host.motet(&["image", "build", "-q", "-t", "made:1", "."]).success().stdout;
    let place = host.folder.join("podman");
    let podman = |args: &[&str]| {
        let storage = ["--storage-driver", "vfs", "--root"].map(str::to_owned);
        let mut command = Command::new("podman");
        command.args(storage).arg(place.join("root")).arg("--runroot").arg(place.join("run")).args(args);
        let output = command.output().ok()?;
        assert!(output.status.success(), "podman {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let at = |name: &str| host.folder.join(name).display().to_string();
    host.motet(&["image", "save", "-o", &at("saved.tar"), "made:1"]).success();
    if podman(&["load", "-q", "-i", &at("saved.tar")]).is_none() {
        println!("skipped: podman is not installed");
        return;
    }
    let listed = podman(&["images", "-q", "--no-trunc", "made"]).unwrap();
    assert_eq!(listed.trim(), id.trim(), "podman knows it by the same id");
    for format in ["docker-archive", "oci-archive"] {
        podman(&["save", "-q", "--format", format, "-o", &at(format), "docker.io/library/made:1"]);
        let other = Host::empty(format);
        let loaded = other.motet(&["image", "load", "-q", "-i", &at(format)]).success().stdout;
        let listed = other.motet(&["image", "ls", "-q", "--no-trunc"]).success().stdout;
        assert_eq!(listed, id, "{format}: {loaded}");
    }
    podman(&["rmi", "-a", "-f"]);
}

#[test]
fn images_go_through_docker_and_come_back_as_they_were() {
    if lacks_root() {
        return;
    }
    let Some(dockerd) = dockerd::ours() else { return };
    let host = host(
        "docker-trip",
        "FROM stand-in:1\nRUN echo x > /one && ln /one /two && mkdir -m 1777 /t\nCOPY a.txt /\nENV A=b\n",
    );
    let id = host.motet(&["image", "build", "-q", "-t", "docker-trip:1", "."]).success().stdout;
    let docker = |args: &[&str]| {
        let mut command = Command::new("docker");
        let output = command.arg("-H").arg(format!("unix://{}", dockerd.socket.display())).args(args).output().unwrap();
        assert!(output.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let at = |name: &str| host.folder.join(name).display().to_string();
    host.motet(&["image", "save", "-o", &at("saved.tar"), "docker-trip:1"]).success();
    docker(&["load", "-q", "-i", &at("saved.tar")]);
    assert_eq!(docker(&["images", "-q", "--no-trunc", "docker-trip"]), id, "docker knows it by the same id");
    assert_eq!(
        docker(&["run", "--rm", "--network", "none", "docker-trip:1", "stat", "-c", "%h %a", "/two", "/t"]),
        "2 644\n2 1777\n"
    );
    docker(&["save", "-o", &at("again.tar"), "docker-trip:1"]);
    let other = Host::empty("docker-trip-back");
    other.motet(&["image", "load", "-q", "-i", &at("again.tar")]).success();
    assert_eq!(other.motet(&["image", "ls", "-q", "--no-trunc"]).success().stdout, id);
    docker(&["rmi", "docker-trip:1"]);
}

#[test]
fn images_go_through_skopeo_and_come_back_as_they_were() {
    if lacks_root() {
        return;
    }
    let host =
        host("skopeo", "FROM stand-in:1\nRUN ln /bin/sh /bin/again && mkfifo /fifo || true\nCOPY a.txt /\nENV A=b\n");
    let id = host.motet(&["image", "build", "-q", "-t", "made:1", "."]).success().stdout;
    let at = |name: &str| host.folder.join(name).display().to_string();
    host.motet(&["image", "save", "-o", &at("saved.tar"), "made:1"]).success();
    let saved = at("saved.tar");
    for (way, source, target, again) in [
        ("docker", format!("docker-archive:{saved}"), format!("docker-archive:{}:made:1", at("d.tar")), at("d.tar")),
        ("oci", format!("oci-archive:{saved}:1"), format!("oci-archive:{}:made:1", at("o.tar")), at("o.tar")),
    ] {
        if skopeo(&["copy", "-q", &source, &target]).is_none() {
            return;
        }
        let other = Host::empty(way);
        other.motet(&["image", "load", "-q", "-i", &again]).success();
        assert_eq!(other.motet(&["image", "inspect", "-f", "{{.Id}}", "made:1"]).success().stdout, id, "{way}");
    }
}

#[test]
fn a_build_section_is_printed_as_a_bake_file_and_odd_flags_are_refused_by_name() {
    let host = Host::empty("bake");
    host.write("compose.yaml", "services: {app: {build: {context: ., ssh: [default]}}, db: {image: x}}");
    host.write("Dockerfile", "FROM scratch\nRUN true\n");
    let bake = host.motet(&["build", "--print", "--build-arg", "A=b"]).success().stdout;
    let bake: serde_json::Value = serde_json::from_str(&bake).unwrap();
    assert_eq!(bake["group"]["default"]["targets"], serde_json::json!(["app"]));
    assert_eq!(bake["target"]["app"]["args"]["A"], "b");
    assert_eq!(bake["target"]["app"]["tags"], serde_json::json!(["bake-app"]));
    host.motet(&["build", "--builder", "mine"]).failure().names(&["`mine`", "default"]);
}

engines! {
    embedded: [
        a_service_that_is_a_context_is_built_before_and_what_has_changed_in_it_arrives: "it is about the builder of our own runtime",
        a_cache_at_a_registry_and_one_in_an_image_spare_another_machine_the_work: "it is about the builder of our own runtime",
        what_was_built_goes_where_it_is_sent: "it is about the builder of our own runtime",
        a_dockerfile_and_a_context_come_from_the_standard_input: "it is about the builder of our own runtime",
        a_failed_step_opens_a_shell_in_what_there_was_before: "it is about the builder of our own runtime",
        an_image_for_another_processor_is_copied_together_but_not_run: "it is about the builder of our own runtime",
        images_go_through_skopeo_and_come_back_as_they_were: "it is about the builder of our own runtime",
        a_private_key_file_is_an_agent_and_attestations_are_refused_unless_off: "it is about the builder of our own runtime",
        images_go_through_docker_and_come_back_as_they_were: "it is about the builder of our own runtime",
        images_go_through_podman_and_come_back_as_they_were: "it is about the builder of our own runtime",
        a_build_section_is_printed_as_a_bake_file_and_odd_flags_are_refused_by_name: "it is about the builder of our own runtime",
    ],
}
