//! Files and file systems out of containers and into them: cp, commit, export.

use std::fs;
use std::process::Command;

use crate::support::engines::engines;
use crate::support::host::{Host, lacks_root};

const TWO: &str = "services: { web: { image: 'stand-in:1', command: sleep 1000, init: true, scale: 2 } }";

#[test]
fn cp_reaches_every_replica_and_takes_from_the_first() {
    if lacks_root() {
        return;
    }
    let host = Host::with("cp", TWO);
    host.does("up -d").success();
    let inside = |index: &str, line: &str| {
        host.motet(&["exec", "-T", "--index", index, "web", "sh", "-c", line]).success().stdout
    };
    host.write("file", "from the host");
    host.does("cp file web:/tmp/file").success();
    assert_eq!(inside("1", "cat /tmp/file") + &inside("2", "cat /tmp/file"), "from the hostfrom the host");
    host.write("file", "for the second");
    host.does("cp --index 2 file web:/tmp/file").success();
    assert_eq!(inside("1", "cat /tmp/file"), "from the host");
    assert_eq!(inside("2", "cat /tmp/file"), "for the second");
    host.does("cp web:/tmp/file out").success();
    assert_eq!(fs::read_to_string(host.folder.join("out")).unwrap(), "from the host");
    host.does("cp --index 2 web:/tmp/file out").success();
    assert_eq!(fs::read_to_string(host.folder.join("out")).unwrap(), "for the second");
    // Folders go with all that is in them, and `/.` names what is in one.
    host.write("folder/deep/er", "deep");
    host.does("cp folder web:/tmp").success();
    assert_eq!(inside("2", "cat /tmp/folder/deep/er"), "deep");
    host.does("cp web:/tmp/folder/. copy").success();
    assert_eq!(fs::read_to_string(host.folder.join("copy/deep/er")).unwrap(), "deep");
    host.does("cp web:/not-there out").failure().names(&["/not-there"]);
    host.does("down").success();
    host.must_be_clean();
}

#[test]
fn a_replica_becomes_an_image_with_an_author_changes_and_a_message() {
    if lacks_root() {
        return;
    }
    let host = Host::with("commit", TWO);
    host.does("up -d").success();
    for index in ["1", "2"] {
        host.motet(&["exec", "-T", "--index", index, "web", "sh", "-c", &format!("echo {index} > /who")]).success();
    }
    host.motet(&["commit", "-a", "An Author <a@b.c>", "-m", "why", "-c", "ENV WHO=me", "web", "motet-kept:1"])
        .success();
    host.does("commit --index 2 web motet-kept:2").success();
    let look = |image: &str, template: &str| {
        host.motet(&["image", "inspect", "--format", template, image]).success().stdout.trim().to_owned()
    };
    assert_eq!(look("motet-kept:1", "{{.Author}} {{.Comment}}"), "An Author <a@b.c> why");
    assert!(look("motet-kept:1", "{{json .Config.Env}}").contains("WHO=me"));
    for index in ["1", "2"] {
        let image = format!("motet-kept:{index}");
        let seen = host.motet(&["container", "run", "--rm", "--network", "none", &image, "cat", "/who"]).success();
        assert_eq!(seen.stdout.trim(), index);
    }
    host.does("down").success();
    host.does("image rm motet-kept:1 motet-kept:2").success();
    host.must_be_clean();
}

#[test]
fn export_writes_the_file_system_of_the_replica_asked_for() {
    if lacks_root() {
        return;
    }
    let host = Host::with("export", TWO);
    host.does("up -d").success();
    host.motet(&["exec", "-T", "--index", "2", "web", "touch", "/of-the-second"]).success();
    host.does("export -o first.tar web").success();
    host.does("export --index 2 -o second.tar web").success();
    let listed = |name: &str| {
        let output = Command::new("tar").arg("-tf").arg(host.folder.join(name)).output().unwrap();
        String::from_utf8_lossy(&output.stdout).lines().any(|line| line.trim_start_matches("./") == "of-the-second")
    };
    assert_eq!((listed("first.tar"), listed("second.tar")), (false, true));
    host.does("down").success();
    host.must_be_clean();
}

engines! {
    both: [
        cp_reaches_every_replica_and_takes_from_the_first,
        a_replica_becomes_an_image_with_an_author_changes_and_a_message,
        export_writes_the_file_system_of_the_replica_asked_for,
    ],
}
