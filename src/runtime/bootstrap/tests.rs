//! Real packages become real images, where the host has apt.

use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use crate::Runtime;
use crate::bootstrap::assemble::{AssembleError, LABEL, assemble};
use crate::bootstrap::host;
use crate::image::reference::Reference;
use crate::image::store;
use crate::progress::{Report, Reporter};
use crate::snapshot::overlay;
use crate::state::layout::Layout;

#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Reporter for Notes {
    fn report(&self, report: Report) {
        self.0.lock().unwrap().push(format!("{report:?}"));
    }
}

/// Runs a shell line in the image's root, with this host's resolver.
#[expect(clippy::disallowed_methods, reason = "a test enters the image as a person would")]
fn run_in(rt: &Runtime, diff_ids: &[crate::image::digest::Digest], folder: &Path, line: &str) -> (bool, String) {
    let [upper, work, merged] = ["upper", "work", "merged"].map(|name| {
        let path = folder.join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    });
    overlay::mount(&store::lower_directories(rt, diff_ids).unwrap(), &upper, &work, &merged).unwrap();
    let output = Command::new("chroot")
        .arg(&merged)
        .args(["/bin/sh", "-c", line])
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .output();
    overlay::unmount(&merged).unwrap();
    let output = output.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

fn scratch() -> Option<(tempfile::TempDir, Runtime)> {
    if host::look().is_none() {
        println!("skipped: this host has no apt and dpkg-deb of Debian or Ubuntu");
        return None;
    }
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let rt = Runtime::open(Layout::under(&folder.path().join("root"))).unwrap();
    Some((folder, rt))
}

#[test]
fn busybox_is_assembled_said_and_labelled() {
    let Some((folder, rt)) = scratch() else { return };
    let notes = Notes::default();
    let image = assemble(&rt, &Reference::parse("busybox").unwrap(), &notes).unwrap().unwrap();
    assert!(image.config.config.labels[LABEL].starts_with("busybox-static="));
    assert_eq!((image.references.clone(), image.diff_ids.len()), (vec!["busybox:latest".to_owned()], 1));
    let said = notes.0.lock().unwrap().join("\n");
    assert!(said.contains("busybox:latest: not pulled, assembled from this host's"), "{said}");
    let (ok, text) = run_in(&rt, &image.diff_ids, folder.path(), "ls / | tr '\n' ' '; id -un");
    assert!(ok && text.ends_with("root\n"), "{text}");
}

#[test]
fn python_has_tls_databases_pip_and_a_shell() {
    let Some((folder, rt)) = scratch() else { return };
    let image = assemble(&rt, &Reference::parse("python:3-slim").unwrap(), &Notes::default()).unwrap().unwrap();
    let line = "python3 -c 'import ssl, sqlite3; print(len(ssl.create_default_context().get_ca_certs()) > 50)' \
        && python --version && pip --version && id -un && dpkg -s python3 > /dev/null && apt-get --version | head -1";
    let (ok, text) = run_in(&rt, &image.diff_ids, folder.path(), line);
    assert!(ok && text.starts_with("True\nPython 3"), "{text}");
    // The system below is shared, and found again without a download.
    let host = host::look().unwrap();
    let name = if host.distribution == host::Distribution::Debian { "debian" } else { "ubuntu" };
    let system = Reference::parse(&format!("{name}:{}", host.version)).unwrap();
    let system = assemble(&rt, &system, &Notes::default()).unwrap().unwrap();
    assert_eq!(system.diff_ids, image.diff_ids[..1]);
}

#[test]
fn another_version_is_refused_by_its_number() {
    let Some((_folder, rt)) = scratch() else { return };
    let error = assemble(&rt, &Reference::parse("busybox:0.1").unwrap(), &Notes::default()).unwrap_err();
    assert!(matches!(error, AssembleError::Version { package: "busybox-static", .. }), "{error}");
    assert!(assemble(&rt, &Reference::parse("node:20").unwrap(), &Notes::default()).unwrap().is_none());
}
