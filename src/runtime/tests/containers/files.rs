//! Files in and out of containers, what they changed, and images made of them.

use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;

use runtime::container::changes::{self, ChangeKind};
use runtime::container::commit::{self, CommitRequest};
use runtime::container::copy::{self, CopyIn};
use runtime::container::request::{ContainerRequest, MountRequest, MountSourceRequest};
use runtime::container::{start, stop};
use runtime::image::store;
use runtime::state::container::Status;

use crate::scratch::Scratch;

/// An archive of files by path; a content that begins with `->` makes a link.
fn archive(files: &[(&str, &str)]) -> OwnedFd {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o640);
        header.set_uid(1234);
        header.set_gid(77);
        if let Some(target) = content.strip_prefix("->") {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            archive.append_link(&mut header, path, target).unwrap();
        } else if path.ends_with('/') {
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(0o755);
            header.set_size(0);
            archive.append_data(&mut header, path, &b""[..]).unwrap();
        } else {
            header.set_size(content.len() as u64);
            archive.append_data(&mut header, path, content.as_bytes()).unwrap();
        }
    }
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&archive.into_inner().unwrap()).unwrap();
    file.rewind().unwrap();
    file.into()
}

/// What an archive holds: mode, owner and content by path.
fn contents(write: impl FnOnce(OwnedFd)) -> BTreeMap<String, (u32, u64, String)> {
    let mut file = tempfile::tempfile().unwrap();
    write(file.try_clone().unwrap().into());
    file.rewind().unwrap();
    let mut found = BTreeMap::new();
    for entry in tar::Archive::new(file).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        let link = entry.link_name().unwrap().map(|link| format!("->{}", link.display()));
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let content = String::from_utf8_lossy(&content).into_owned();
        let (mode, uid) = (entry.header().mode().unwrap(), entry.header().uid().unwrap());
        found.insert(path, (mode, uid, link.unwrap_or(content)));
    }
    found
}

fn volume(target: &str) -> MountRequest {
    let source = MountSourceRequest::Volume { name: "data".into(), nocopy: false, subpath: None };
    MountRequest { source, target: target.into(), read_only: false }
}

pub fn files_go_in_and_out_running_or_not(scratch: &Scratch) {
    let rt = &scratch.rt;
    let id = scratch.create_with(ContainerRequest {
        mounts: vec![volume("/srv/data")],
        ..scratch.shell("copied", "echo ready; cat /srv/data/sub/file; sleep 1000")
    });
    let keep = CopyIn { keep_owners: true, replace_types: false };
    // Into a volume of one that has never run.
    copy::copy_in(rt, &id, "/srv/data", archive(&[("sub/", ""), ("sub/file", "inside\n")]), keep).unwrap();
    start::start(rt, &id).unwrap();
    scratch.until_line(&id, "inside");
    let out = contents(|archive| copy::copy_out(rt, &id, "/srv/data/sub", archive).unwrap());
    assert_eq!(out["sub/file"], (0o640, 1234, "inside\n".to_owned()));
    assert_eq!(out.len(), 2, "{out:?}");
    copy::copy_in(rt, &id, "/tmp", archive(&[("new", "x"), ("link", "->new")]), CopyIn::default()).unwrap();
    let stat = copy::stat(rt, &id, "/tmp/link").unwrap();
    assert_eq!((stat.name.as_str(), stat.link_target.as_deref()), ("link", Some("/tmp/new")));
    assert_eq!(copy::stat(rt, &id, "/tmp/new").unwrap().size, 1);
    assert_eq!(copy::stat(rt, &id, "/").unwrap().name, "/");
    stop::stop(rt, &id, stop::StopRequest { grace_ms: Some(0), ..Default::default() }).unwrap();
    let out = contents(|archive| copy::copy_out(rt, &id, "/tmp/", archive).unwrap());
    assert_eq!(out["./new"], (0o640, 0, "x".to_owned()), "{out:?}");
    assert_eq!(out["./link"].2, "->new");
    let missing = copy::stat(rt, &id, "/nothing/there").unwrap_err();
    assert!(
        matches!(missing, runtime::container::act::ActError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
    );
    let file_over_folder = copy::copy_in(rt, &id, "/srv", archive(&[("data", "x")]), CopyIn::default());
    assert!(file_over_folder.is_err());
    start::start(rt, &id).unwrap();
}

pub fn no_link_of_a_container_leads_out(scratch: &Scratch) {
    let rt = &scratch.rt;
    let canary = tempfile::tempdir_in("/var/tmp").unwrap();
    std::fs::write(canary.path().join("file"), "host").unwrap();
    let host = canary.path().to_str().unwrap();
    let line = format!("ln -s {host} /tmp/out; ln -s ../../../../../../..{host} /tmp/up; echo ready; sleep 1000");
    let id = scratch.create_with(scratch.shell("hostile", &line));
    start::start(rt, &id).unwrap();
    scratch.until_line(&id, "ready");
    for _ in 0..2 {
        for link in ["/tmp/out", "/tmp/up"] {
            assert!(copy::stat(rt, &id, &format!("{link}/file")).is_err());
            let nowhere = copy::copy_in(rt, &id, link, archive(&[("file", "changed")]), CopyIn::default());
            assert!(nowhere.is_err(), "{link}");
        }
        // A link that the archive brings itself, and then a file through it.
        let through = archive(&[("evil", &format!("->{host}")), ("evil/file", "changed")]);
        drop(copy::copy_in(rt, &id, "/tmp", through, CopyIn { keep_owners: false, replace_types: true }));
        assert_eq!(std::fs::read_to_string(canary.path().join("file")).unwrap(), "host");
        let out = contents(|archive| copy::copy_out(rt, &id, "/tmp/out", archive).unwrap());
        assert_eq!(out["out"].2, format!("->{host}"));
        // The same when it does not run.
        stop::stop(rt, &id, stop::StopRequest { grace_ms: Some(0), ..Default::default() }).unwrap();
    }
    assert_eq!(std::fs::read_dir(canary.path()).unwrap().count(), 1);
}

pub fn changes_are_told_exported_and_committed(scratch: &Scratch) {
    let rt = &scratch.rt;
    let line = "echo more > /tmp/new; rm /srv/data/seed; chmod 600 /etc/passwd; mkdir /opt; echo x > /opt/y; \
                echo no > /dev/shm/mounted; echo ready; sleep 1000";
    let id = scratch.create("changed", line);
    start::start(rt, &id).unwrap();
    scratch.until_line(&id, "ready");
    let mut told = Vec::new();
    for _ in 0..2 {
        let found = changes::changes(rt, &id).unwrap();
        told.push(found.iter().map(|change| (change.path.as_str().to_owned(), change.kind)).collect::<Vec<_>>());
        let all = contents(|archive| copy::export(rt, &id, archive).unwrap());
        assert_eq!(all["opt/y"].2, "x\n");
        assert!(all.contains_key("bin/busybox") && !all.contains_key("srv/data/seed"));
        assert!(!all.keys().any(|path| path.starts_with("dev/shm/") || path.starts_with("proc/1")));
        stop::stop(rt, &id, stop::StopRequest { grace_ms: Some(0), ..Default::default() }).unwrap();
    }
    let expected = [
        ("/etc", ChangeKind::Modified),
        ("/etc/passwd", ChangeKind::Modified),
        ("/opt", ChangeKind::Added),
        ("/opt/y", ChangeKind::Added),
        ("/srv", ChangeKind::Modified),
        ("/srv/data", ChangeKind::Modified),
        ("/srv/data/seed", ChangeKind::Deleted),
        ("/tmp", ChangeKind::Modified),
        ("/tmp/new", ChangeKind::Added),
    ];
    let expected: Vec<_> = expected.map(|(path, kind)| (path.to_owned(), kind)).to_vec();
    assert_eq!(told, [expected.clone(), expected], "running, and not");
    let request = CommitRequest {
        reference: Some("made:1".into()),
        message: Some("why".into()),
        changes: vec!["CMD [\"cat\", \"/opt/y\"]".into(), "ENV A=1".into(), "WORKDIR /opt".into()],
        pause: true,
        created: "2026-01-01T00:00:00Z".into(),
        ..CommitRequest::default()
    };
    let made = commit::commit(rt, &id, &request).unwrap();
    let image = store::find(rt, "made:1").unwrap().unwrap();
    assert_eq!((image.id.to_string(), image.config.config.working_dir.as_str()), (made, "/opt"));
    assert!(image.config.config.env.contains(&"A=1".to_owned()));
    let bad = CommitRequest { changes: vec!["RUN true".into()], ..request };
    assert!(commit::commit(rt, &id, &bad).is_err());
    let again = scratch.create_with(ContainerRequest { image: "made:1".into(), ..scratch.request("again") });
    start::start(rt, &again).unwrap();
    assert!(matches!(scratch.wait(&again), Status::Exited { exit_code: 0, .. }));
    assert_eq!(scratch.lines(&again), ["x"]);
}
