//! Pushes to the real registry and pulls back: with a login, with TLS, and through a proxy that misbehaves.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::Runtime;
use crate::image::config::ImageConfig;
use crate::image::digest::Digest;
use crate::image::manifest::Platform;
use crate::image::reference::Reference;
use crate::image::store::{self, Image};
use crate::image::{collect, staging};
use crate::progress::Silent;
use crate::registry::client::Settings;
use crate::registry::credentials::Credential;
use crate::registry::error::PullError;
use crate::registry::login::{self, LoginError};
use crate::registry::pull::{self, pull};
use crate::registry::push::{PushError, push};
use crate::registry::tests::peers::{Fault, Peer, proxy};
use crate::snapshot::diff;
use crate::state::layout::Layout;

fn scratch() -> (tempfile::TempDir, Runtime) {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let rt = Runtime::open(Layout::under(folder.path())).unwrap();
    (folder, rt)
}

/// Bytes that hardly compress.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 7_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

/// An image made here, of two layers, one of them longer than a piece of an upload.
fn made(rt: &Runtime, name: &str) -> Image {
    let layer = |file: &str, content: &[u8]| {
        let staged = staging::create(rt).unwrap();
        std::fs::write(staged.path.join(file), content).unwrap();
        diff::commit(rt, &staged.path).unwrap().diff_id
    };
    let mut config = ImageConfig::empty();
    config.rootfs.diff_ids = vec![layer("small", b"text"), layer("big", &noise(18 << 20))];
    store::put(rt, &config.to_json(), &[Reference::parse(name).unwrap()]).unwrap()
}

fn pulled(rt: &Runtime, name: &str, settings: &Arc<Settings>) -> Result<Image, PullError> {
    pull(rt, &Reference::parse(name).unwrap(), &Platform::host(), settings, &Silent)
}

fn pushed(rt: &Runtime, name: &str) -> Result<Digest, PushError> {
    push(rt, &Reference::parse(name).unwrap(), &Silent)
}

#[test]
fn what_is_pushed_pulled_and_pushed_on_keeps_its_digests() {
    let Some(peer) = Peer::start("") else { return };
    let (_folder, rt) = scratch();
    let name = format!("{}/me/app:1", peer.address);
    let image = made(&rt, &name);
    let digest = pushed(&rt, &name).unwrap();
    assert_eq!(pull::digest(&Reference::parse(&name).unwrap(), &Arc::default()).unwrap(), digest);
    let (_folder, other) = scratch();
    let back = pulled(&other, &name, &Arc::default()).unwrap();
    assert_eq!((back.id, back.digests), (image.id, vec![format!("{}/me/app@{digest}", peer.address)]));
    let big = store::lower_directories(&other, &back.diff_ids).unwrap()[1].join("big");
    assert_eq!(std::fs::read(big).unwrap(), noise(18 << 20));
    // On to another repository: its blobs are mounted there, and nothing is sent.
    let (front, seen) = proxy(&peer.address, |_, _| Fault::None);
    store::tag_pulled(&other, &back.id, &Reference::parse(&format!("{front}/me/app:1")).unwrap(), Some(&digest))
        .unwrap();
    let next = format!("{front}/you/app:2");
    store::tag(&other, &back.id, &Reference::parse(&next).unwrap()).unwrap();
    assert_eq!(pushed(&other, &next).unwrap(), digest);
    let seen = seen.lock().unwrap().join("\n");
    assert!(seen.contains("mount=sha256") && !seen.contains("\npatch "), "{seen}");
    // The image gone, nothing of it stays.
    for name in &store::find(&other, &image.id.to_string()).unwrap().unwrap().references {
        collect::remove(&other, name, false).unwrap();
    }
    for folder in [other.layout.packed(), other.layout.manifests(), other.layout.layers(), other.layout.partial()] {
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "{}", folder.display());
    }
}

/// A certificate that is its own authority, and a login `me` with `secret`.
#[expect(clippy::disallowed_methods, reason = "certificates are made by the usual program")]
fn guarded(folder: &Path) -> bool {
    let hash = "$2b$05$I.8nfC3RP9cDJHVXu6A7h.CtnYGtdUZWt6mTwz7FgM4DxmZmtpHO.";
    std::fs::write(folder.join("htpasswd"), format!("me:{hash}\n")).unwrap();
    let mut command = Command::new("openssl");
    command.args(
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=here -addext subjectAltName=IP:127.0.0.1".split(' '),
    );
    command.arg("-keyout").arg(folder.join("key.pem")).arg("-out").arg(folder.join("ca.crt"));
    command.output().is_ok_and(|output| output.status.success())
}

#[test]
fn a_registry_with_tls_and_logins_lets_in_who_it_knows() {
    let more = "TLSauth: {htpasswd: {realm: here, path: FOLDER/htpasswd}}\n";
    let Some(peer) = Peer::start_with(more, guarded) else { return };
    let (folder, rt) = scratch();
    // Docker's own folder of certificates.
    let certificates = folder.path().join("certs.d");
    std::fs::create_dir_all(certificates.join(&peer.address)).unwrap();
    let authority = certificates.join(&peer.address).join("ca.crt");
    std::fs::copy(peer.folder.path().join("ca.crt"), &authority).unwrap();
    let settings = Arc::new(Settings {
        docker_config: Some(folder.path().join("config.json")),
        certificates: vec![certificates],
        ..Settings::default()
    });
    let rt = rt.with_registry((*settings).clone());
    let name = format!("{}/me/app:1", peer.address);
    made(&rt, &name);
    let error = pushed(&rt, &name).unwrap_err();
    assert!(matches!(error, PushError::Registry(PullError::Permission { login: false, .. })), "{error}");
    assert!(error.hint().unwrap().contains("motet login"));
    let credential = |password: &str| Credential::Login { username: "me".into(), password: password.into() };
    let refused = login::check(&settings, &peer.address, Some(credential("wrong"))).unwrap_err();
    assert!(matches!(refused, LoginError::Refused { .. }), "{refused}");
    login::check(&settings, &peer.address, Some(credential("secret"))).unwrap();
    login::keep(&settings, &peer.address, "me", "secret").unwrap();
    let digest = pushed(&rt, &name).unwrap();
    let (_folder, other) = scratch();
    assert_eq!(pulled(&other, &name, &settings).unwrap().digests.len(), 1);
    assert_eq!(pull::digest(&Reference::parse(&name).unwrap(), &settings).unwrap(), digest);
    // Another authority's word is not enough.
    std::fs::write(&authority, std::fs::read("/etc/ssl/certs/ca-certificates.crt").unwrap_or_default()).unwrap();
    let error = pulled(&other, &name, &settings).unwrap_err();
    assert!(matches!(error, PullError::Tls { .. }), "{error}");
}

#[test]
fn a_mirror_is_asked_first_and_the_registry_when_it_fails() {
    let Some(peer) = Peer::start("") else { return };
    let (folder, rt) = scratch();
    let name = format!("{}/library/app:1", peer.address);
    let image = made(&rt, &name);
    pushed(&rt, &name).unwrap();
    let files = vec![folder.path().join("motet.json")];
    let settings = |registry: &str, mirror: &str| {
        let text = serde_json::json!({"registry-mirrors": [mirror], "registries": {registry: {"mirrors": [mirror]}}});
        std::fs::write(&files[0], text.to_string()).unwrap();
        Arc::new(Settings { files: files.clone(), ..Settings::default() })
    };
    let (_folder, other) = scratch();
    let of_hub = pulled(&other, "app:1", &settings("x", &format!("http://{}", peer.address))).unwrap();
    assert_eq!((of_hub.id, of_hub.references), (image.id, vec!["app:1".to_owned()]));
    let (broken, seen) = proxy(&peer.address, |_, _| Fault::Close);
    let (_folder, third) = scratch();
    assert_eq!(pulled(&third, &name, &settings(&peer.address, &broken)).unwrap().id, image.id);
    assert!(!seen.lock().unwrap().is_empty());
}

#[test]
fn faults_on_the_way_are_overcome_or_told() {
    let Some(peer) = Peer::start("") else { return };
    let (_folder, rt) = scratch();
    let name = format!("{}/me/app:1", peer.address);
    let image = made(&rt, &name);
    let is_blob = |line: &str| line.starts_with("GET ") && line.contains("/blobs/");
    // Pushing through a proxy that fails every third request.
    let count = AtomicUsize::new(0);
    let faults = [Fault::Close, Fault::Status(503), Fault::Status(429), Fault::Half];
    let (front, _) = proxy(&peer.address, move |line, _| {
        let at = count.fetch_add(1, Ordering::Relaxed);
        if at % 3 == 2 && !line.starts_with("GET /v2/ ") { faults[at / 3 % faults.len()] } else { Fault::None }
    });
    let through = format!("{front}/me/app:1");
    store::tag(&rt, &image.id, &Reference::parse(&through).unwrap()).unwrap();
    let digest = pushed(&rt, &through).unwrap();
    assert_eq!(pull::digest(&Reference::parse(&name).unwrap(), &Arc::default()).unwrap(), digest);
    // Each fault once for every blob.
    for fault in [Fault::Half, Fault::Close, Fault::Status(500), Fault::Status(429), Fault::Slow] {
        let done = std::sync::Mutex::new(std::collections::HashSet::new());
        let (front, _) = proxy(&peer.address, move |line, _| {
            if is_blob(line) && done.lock().unwrap().insert(line.to_owned()) { fault } else { Fault::None }
        });
        let (_folder, other) = scratch();
        assert_eq!(pulled(&other, &format!("{front}/me/app:1"), &Arc::default()).unwrap().id, image.id, "{fault:?}");
    }
    // For ever: the cause is told, and nothing is half there.
    for (fault, expected) in [(Fault::Flip, "served"), (Fault::Status(429), "429"), (Fault::Status(404), "has no")] {
        let (front, _) = proxy(&peer.address, move |line, _| if is_blob(line) { fault } else { Fault::None });
        let (_folder, other) = scratch();
        let error = pulled(&other, &format!("{front}/me/app:1"), &Arc::default()).unwrap_err();
        assert!(error.to_string().contains(expected), "{fault:?}: {error}");
        assert!(store::list(&other).unwrap().is_empty());
        assert_eq!(std::fs::read_dir(other.layout.staging()).unwrap().count(), 0);
        assert_eq!(std::fs::read_dir(other.layout.partial()).unwrap().count(), 0, "{fault:?}");
    }
}

#[test]
fn a_pull_goes_on_where_an_earlier_process_was_killed() {
    let Some(peer) = Peer::start("") else { return };
    let (_folder, rt) = scratch();
    let name = format!("{}/me/app:1", peer.address);
    let image = made(&rt, &name);
    pushed(&rt, &name).unwrap();
    let (_folder, other) = scratch();
    let packed = crate::image::packed::find(&rt, &image.diff_ids[1]).unwrap();
    let bytes = std::fs::read(crate::image::packed::path(&rt, &packed.digest)).unwrap();
    let partial = other.layout.partial().join(packed.digest.hex());
    std::fs::write(&partial, &bytes[..10 << 20]).unwrap();
    let (front, seen) = proxy(&peer.address, |_, _| Fault::None);
    let through = format!("{front}/me/app:1");
    assert_eq!(pulled(&other, &through, &Arc::default()).unwrap().id, image.id);
    let seen = seen.lock().unwrap().join("\n");
    assert!(seen.contains("range: bytes=10485760-"), "{seen}");
    assert!(!partial.exists());
    // Wrong bytes left behind cost a second download, not the pull.
    let (_folder, third) = scratch();
    std::fs::write(third.layout.partial().join(packed.digest.hex()), noise(1000)).unwrap();
    assert_eq!(pulled(&third, &through, &Arc::default()).unwrap().id, image.id);
}
