//! The store through the program: images come in from archives, have names, go out again, and hostile ones do nothing.

use std::path::Path;
use std::process::Command;

use crate::support::engines::engines;
use crate::support::host::{Host, lacks_root};
use crate::support::image::stand_in;
use crate::support::program;

/// What the store has, as `NAME:TAG ID` lines.
fn images(host: &Host) -> String {
    host.motet(&["image", "ls", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"]).success().stdout
}

#[test]
fn an_image_is_named_saved_removed_and_loaded_as_it_was() {
    if lacks_root() {
        return;
    }
    let host = Host::empty("images");
    let archive = stand_in();
    host.motet(&["image", "load", "-i", archive.to_str().unwrap()]).success();
    let before = images(&host);
    let (name, id) = before.lines().next().unwrap().split_once(' ').unwrap();
    host.motet(&["image", "tag", name, "r.example:5000/me/app:2"]).success();
    assert!(images(&host).contains(&format!("r.example:5000/me/app:2 {id}")));
    let saved = host.folder.join("saved.tar");
    host.motet(&["image", "save", "-o", saved.to_str().unwrap(), name, "r.example:5000/me/app"]).success();
    let whole = host.motet(&["image", "inspect", "-f", "{{.Id}} {{.RootFS.Layers}}", name]).success().stdout;
    let history = host.motet(&["image", "history", "--no-trunc", "--format", "json", name]).success().stdout;
    host.motet(&["image", "rm", id]).failure().names(&["r.example:5000/me/app:2"]);
    let removed = host.motet(&["image", "rm", "-f", id]).success().stdout;
    assert!(removed.contains("Untagged: r.example:5000/me/app:2") && removed.contains("Deleted: sha256:"), "{removed}");
    assert_eq!(images(&host), "");
    let loaded = host.motet(&["image", "load", "-i", saved.to_str().unwrap()]).success().stdout;
    assert!(loaded.contains("Loaded image: r.example:5000/me/app:2"), "{loaded}");
    let again = host.motet(&["image", "inspect", "-f", "{{.Id}} {{.RootFS.Layers}}", name]).success().stdout;
    assert_eq!(again, whole);
    assert_eq!(host.motet(&["image", "history", "--no-trunc", "--format", "json", name]).success().stdout, history);
    host.motet(&["image", "inspect", "no-such"]).failure().names(&["no-such"]);
}

#[test]
fn an_imported_file_system_takes_changes_and_prune_frees_what_df_shows() {
    if lacks_root() {
        return;
    }
    let host = Host::empty("import");
    std::fs::write(host.folder.join("hello"), "x".repeat(100_000)).unwrap();
    let tar = host.folder.join("fs.tar");
    let mut builder = tar::Builder::new(std::fs::File::create(&tar).unwrap());
    builder.append_path_with_name(host.folder.join("hello"), "hello").unwrap();
    builder.finish().unwrap();
    let import = ["image", "import", "-c", "ENV A=1", "-c", "CMD [\"/hello\"]", tar.to_str().unwrap(), "made:1"];
    host.motet(&import).success();
    let config = host.motet(&["image", "inspect", "-f", "{{.Config.Env}} {{.Config.Cmd}}", "made:1"]).success().stdout;
    assert_eq!(config, "[A=1] [/hello]\n");
    host.motet(&["image", "import", "-c", "RUN true", tar.to_str().unwrap()]).failure().names(&["RUN true"]);
    let shown = |kind: &str| {
        let rows = host.motet(&["system", "df", "--format", "{{.Type}}|{{.TotalCount}}|{{.Size}}"]).success().stdout;
        rows.lines().find(|row| row.starts_with(kind)).unwrap().to_owned()
    };
    assert_eq!(shown("Images"), "Images|1|100kB");
    // Nobody says yes.
    let asked = host.motet(&["image", "prune"]).success().stdout;
    let question = "WARNING! This will remove all dangling images.\nAre you sure you want to continue? [y/N] ";
    assert_eq!(asked, question);
    host.motet(&["image", "prune", "-f"]).success();
    assert_eq!(shown("Images"), "Images|1|100kB");
    let pruned = host.motet(&["image", "prune", "-af"]).success().stdout;
    assert!(pruned.contains("untagged: made:1") && pruned.contains("Total reclaimed space: 100kB"), "{pruned}");
    assert_eq!(shown("Images"), "Images|0|0B");
}

/// What the drivers of other people's test batteries call as `docker`: load, run and rmi.
const DOCKER: &str = r#"#!/usr/bin/env python3
import json, os, shutil, subprocess, sys, tempfile
motet, args = os.environ["MOTET"], sys.argv[1:]
if args[0] == "load": sys.exit(subprocess.run([motet] + args).returncode)
if args[0] == "rmi": sys.exit(subprocess.run([motet, "image", "rm"] + args[1:]).returncode)
rest = [arg for arg in args[1:] if arg not in ("--rm", "--network", "none")]
service = {"image": rest[0], "network_mode": "none"}
if rest[1:]: service["command"] = [word.replace("$", "$$") for word in rest[1:]]
folder = tempfile.mkdtemp()
json.dump({"services": {"x": service}}, open(folder + "/compose.yaml", "w"))
up = ["up", "--no-log-prefix", "--pull", "never", "--exit-code-from", "x"]
code = subprocess.run([motet, "--progress", "quiet"] + up, cwd=folder).returncode
subprocess.run([motet, "--progress", "quiet", "down", "-v", "-t", "0"], cwd=folder, capture_output=True)
shutil.rmtree(folder)
sys.exit(code)
"#;

#[test]
fn hostile_images_do_nothing_to_the_host() {
    let battery = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/adversarial/images.py");
    if lacks_root() {
        return;
    }
    if !battery.exists() {
        println!("skipped: the battery of hostile images is not beside the project: {}", battery.display());
        return;
    }
    let host = Host::empty("hostile");
    let docker = host.folder.join("docker");
    program::write(&docker, DOCKER);
    let mut command = Command::new("python3");
    command.arg(battery).arg(&docker).env("MOTET_ROOT", &host.root).env("MOTET", env!("CARGO_BIN_EXE_motet"));
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = text.lines().last().unwrap_or_default();
    assert!(
        last.ends_with(" 0 failed") && !last.contains(": 0 passed"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

engines! {
    embedded: [
        an_image_is_named_saved_removed_and_loaded_as_it_was: "it wants an empty store, the Docker Engine of the suite has images",
        an_imported_file_system_takes_changes_and_prune_frees_what_df_shows: "it wants an empty store",
        hostile_images_do_nothing_to_the_host: "images are unpacked by the Docker Engine, which is not ours",
    ],
}
