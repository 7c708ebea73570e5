//! Archives in, images out; and what is refused.

use std::io::Cursor;

use crate::Runtime;
use crate::acquire::{AcquireError, AcquireOptions, acquire, load_from};
use crate::image::collect;
use crate::image::config::ImageConfig;
use crate::image::digest::Digest;
use crate::image::layers;
use crate::image::reference::Reference;
use crate::image::store::{self, StoreError};
use crate::progress::Silent;
use crate::registry::error::PullError;
use crate::state::layout::Layout;

fn scratch() -> (tempfile::TempDir, Runtime) {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let rt = Runtime::open(Layout::under(folder.path())).unwrap();
    (folder, rt)
}

fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in members {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        builder.append_data(&mut header, name, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn config(layers: &[&[u8]]) -> Vec<u8> {
    let mut config = ImageConfig::empty();
    config.rootfs.diff_ids = layers.iter().map(|layer| Digest::of(layer)).collect();
    config.to_json()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, bytes).unwrap();
    gzip.finish().unwrap()
}

fn docker(layers: &[&[u8]], tag: &str) -> Vec<u8> {
    let config = config(layers);
    let names: Vec<String> = (0..layers.len()).map(|n| format!("{n}/layer.tar")).collect();
    let manifest = serde_json::json!([{"Config": "c.json", "RepoTags": [tag], "Layers": names}]).to_string();
    let mut members: Vec<(&str, &[u8])> = names.iter().map(String::as_str).zip(layers.iter().copied()).collect();
    members.extend([("c.json", &config[..]), ("manifest.json", manifest.as_bytes())]);
    archive(&members)
}

#[test]
fn docker_archives_load_plain_and_compressed() {
    let (_folder, rt) = scratch();
    let (a, b) = (archive(&[("a", b"1")]), archive(&[("b", b"22")]));
    let plain = docker(&[&a, &b], "app:1");
    let compressed = zstd::encode_all(&docker(&[&gzip(&a)[..]], "x")[..], 1).unwrap();
    let images = load_from(&rt, Cursor::new(plain), &Silent).unwrap();
    assert_eq!((images[0].references.clone(), images[0].size), (vec!["app:1".to_owned()], 3));
    let lower = store::lower_directories(&rt, &images[0].diff_ids).unwrap();
    assert_eq!(std::fs::read_to_string(lower[1].join("b")).unwrap(), "22");
    // A layer whose config names the compressed bytes is wrong: the digest is of the plain ones.
    assert!(load_from(&rt, Cursor::new(compressed), &Silent).is_err());
    assert_eq!(store::list(&rt).unwrap().len(), 1);
}

#[test]
fn oci_layouts_load_with_their_names() {
    let (_folder, rt) = scratch();
    let layer = archive(&[("a", b"1")]);
    let (config, packed) = (config(&[&layer]), gzip(&layer));
    let descriptor = |bytes: &[u8]| serde_json::json!({"digest": Digest::of(bytes).to_string(), "size": bytes.len()});
    let manifest = serde_json::json!({"config": descriptor(&config), "layers": [descriptor(&packed)]}).to_string();
    let mut entry = descriptor(manifest.as_bytes());
    entry["annotations"] = serde_json::json!({"io.containerd.image.name": "docker.io/library/app:2"});
    let index = serde_json::json!({"manifests": [entry]}).to_string();
    let blobs = [&config[..], &packed, manifest.as_bytes()];
    let names = blobs.map(|bytes| format!("blobs/sha256/{}", Digest::of(bytes).hex()));
    let mut members: Vec<(&str, &[u8])> = names.iter().map(String::as_str).zip(blobs).collect();
    members.push(("index.json", index.as_bytes()));
    let images = load_from(&rt, Cursor::new(archive(&members)), &Silent).unwrap();
    assert_eq!(images[0].references, ["app:2"]);
    assert_eq!(images[0].id, Digest::of(&config));
}

#[test]
fn archives_that_name_files_outside_are_refused() {
    let (folder, rt) = scratch();
    std::fs::write(folder.path().join("secret"), config(&[])).unwrap();
    let secret = folder.path().join("secret");
    let up = format!("{}{}", "../".repeat(20), secret.display());
    for path in [secret.to_str().unwrap(), &up] {
        let manifest = serde_json::json!([{"Config": path, "Layers": []}]).to_string();
        let bytes = archive(&[("manifest.json", manifest.as_bytes())]);
        assert!(load_from(&rt, Cursor::new(bytes), &Silent).is_err(), "{path}");
    }
    assert!(load_from(&rt, Cursor::new(archive(&[("x", b"")])), &Silent).is_err());
    assert!(store::list(&rt).unwrap().is_empty());
    assert_eq!(std::fs::read_dir(rt.layout.staging()).unwrap().count(), 0);
}

#[test]
fn an_image_goes_with_its_last_reference_and_shared_layers_stay() {
    let (_folder, rt) = scratch();
    let (a, b) = (archive(&[("a", b"1")]), archive(&[("b", b"22")]));
    let first = load_from(&rt, Cursor::new(docker(&[&a], "one")), &Silent).unwrap().remove(0);
    let second = load_from(&rt, Cursor::new(docker(&[&a, &b], "two")), &Silent).unwrap().remove(0);
    store::tag(&rt, &second.id, &Reference::parse("also:1").unwrap()).unwrap();
    assert_eq!(store::find(&rt, &second.id.hex()[..12]).unwrap().unwrap().references, ["also:1", "two:latest"]);
    let error = collect::remove(&rt, &second.id.hex()[..12], false).unwrap_err();
    assert!(matches!(error, StoreError::ManyReferences { .. }));
    assert_eq!(collect::remove(&rt, "two", false).unwrap().deleted, None);
    // While another command counts on layers, none goes.
    let lease = store::lease(&rt).unwrap();
    assert_eq!(collect::remove(&rt, "also:1", false).unwrap().deleted, Some(second.id));
    assert!(layers::find(&rt, &Digest::of(&b)).is_some());
    drop(lease);
    layers::pin(&rt, &Digest::of(&b)).unwrap();
    assert_eq!(collect::collect(&rt).unwrap(), 0);
    layers::unpin(&rt, &Digest::of(&b)).unwrap();
    // The layer's two bytes, and the archive that it came as.
    assert_eq!(collect::collect(&rt).unwrap(), 2 + b.len() as u64);
    assert!(layers::find(&rt, &Digest::of(&b)).is_none());
    assert!(store::lower_directories(&rt, &first.diff_ids).is_ok());
    assert!(matches!(collect::remove(&rt, "two", false), Err(StoreError::NoImage(_))));
}

#[test]
fn what_a_killed_process_staged_is_collected_and_what_a_living_one_stages_is_not() {
    let (_folder, rt) = scratch();
    let living = crate::image::staging::create(&rt).unwrap();
    std::fs::create_dir_all(rt.layout.staging().join("1-0/half/done")).unwrap();
    assert_eq!(crate::image::staging::collect(&rt).unwrap(), 1);
    assert!(living.path.exists());
    assert_eq!(std::fs::read_dir(rt.layout.staging()).unwrap().count(), 1);
}

#[test]
fn many_at_once_load_the_same_image() {
    let (_folder, rt) = scratch();
    let bytes = docker(&[&archive(&[("a", &[1; 50_000])]), &archive(&[("b", b"22")])], "app:1");
    let ids = std::thread::scope(|scope| {
        let load = || load_from(&rt, Cursor::new(&bytes), &Silent).unwrap()[0].id;
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(load)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(ids.windows(2).all(|pair| pair[0] == pair[1]));
    let image = store::find(&rt, "app:1").unwrap().unwrap();
    assert_eq!(image.size, 50_002);
    assert_eq!(std::fs::read_dir(rt.layout.staging()).unwrap().count(), 0);
    // Two layers and their two records, nothing half written.
    assert_eq!(std::fs::read_dir(rt.layout.layers()).unwrap().count(), 4);
}

#[test]
fn an_image_that_is_nowhere_says_why_and_what_to_do() {
    let (_folder, rt) = scratch();
    let error = acquire(&rt, "no-such-host.invalid/app", &AcquireOptions::default(), &Silent).unwrap_err();
    let AcquireError::Pull { source: PullError::Name { registry }, .. } = &error else { panic!("{error}") };
    assert_eq!(registry, "no-such-host.invalid");
    let hints = error.hints().join("\n");
    assert!(hints.contains("check the name") && hints.contains("cannot stand for it"), "{hints}");
    assert!(matches!(acquire(&rt, "Wrong", &AcquireOptions::default(), &Silent), Err(AcquireError::Reference(_))));
}
