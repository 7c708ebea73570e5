//! Caches that were carried here in a folder (`type=local`): BuildKit reads them of us, as a content store of the session
//! (github.com/containerd/containerd, `api/services/content/v1`; github.com/moby/buildkit, `session/content`).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use orchestrator::engine::progress::{Progress, ProgressSink};
use runtime::image::digest::Digest;
use runtime::image::manifest::Document;
use tokio::sync::mpsc;

use crate::docker::build::grpc::{Reply, Status};
use crate::docker::build::wire::{Fields, Message};
use crate::docker::fault::chain;

/// Asks whether a blob is there, and for its size.
pub(super) const INFO: &str = "/containerd.services.content.v1.Content/Info";
/// Asks for a blob, or a part of it.
pub(super) const READ: &str = "/containerd.services.content.v1.Content/Read";
/// The header that says which store is meant.
pub(super) const STORE: &str = "buildkit-attachable-store-id";
/// Bytes of a message.
const PIECE: usize = 1 << 20;

/// A cache as BuildKit is told of it: its type and its options.
pub(super) type Entry = (String, BTreeMap<String, String>);

/// Reads `type=registry,ref=x`, or the reference alone.
pub(super) fn entry(cache: &str) -> Entry {
    if !cache.contains('=') {
        return ("registry".to_owned(), BTreeMap::from([("ref".to_owned(), cache.to_owned())]));
    }
    let mut options: BTreeMap<String, String> = cache
        .split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect();
    let kind = options.remove("type").unwrap_or_else(|| "registry".to_owned());
    (kind, options)
}

/// Caches to import, and the folders that are read for it, by the ids of their stores.
#[derive(Debug, Default)]
pub(super) struct Imports {
    pub(super) entries: Vec<Entry>,
    pub(super) stores: BTreeMap<String, PathBuf>,
}

/// Reads all `cache_from`. What is in no folder is told of and left out: a cache helps or it does not.
pub(super) fn imports(caches: &[String], progress: &ProgressSink) -> Result<Imports, String> {
    let mut imports = Imports::default();
    for cache in caches {
        let (kind, mut options) = entry(cache);
        if kind == "local" {
            let folder = options.get("src").ok_or_else(|| format!("the cache `{cache}` needs a `src=FOLDER`"))?;
            let path = std::path::absolute(folder).map_err(|error| format!("`{folder}` is no path: {error}"))?;
            let name = options.get("digest").or_else(|| options.get("tag"));
            match find(&path, name.map(String::as_str)) {
                Ok(digest) => {
                    imports.stores.insert(format!("local:{folder}"), path);
                    options.insert("digest".to_owned(), digest.to_string());
                }
                Err(why) => {
                    progress.report(Progress::Note(format!("no cache from `{folder}`: {why}")));
                    continue;
                }
            }
        }
        imports.entries.push((kind, options));
    }
    Ok(imports)
}

/// Finds what a folder in OCI's image layout has under a tag or a digest; `latest`, or the first, unless said.
fn find(folder: &Path, name: Option<&str>) -> Result<Digest, String> {
    let Document::Index(index) = document(&folder.join("index.json"))? else {
        return Err("its `index.json` is no index".to_owned());
    };
    let found = index.named(name).ok_or_else(|| format!("it has no `{}`", name.unwrap_or("latest")))?.digest;
    // An engine that misses a blob in the middle of its build asks for it again and again, for minutes.
    let named = match document(&blob(folder, &found))? {
        Document::Index(index) => index.manifests,
        Document::Manifest(manifest) => [manifest.layers, vec![manifest.config]].concat(),
    };
    match named.iter().map(|one| one.digest).find(|digest| !blob(folder, digest).is_file()) {
        Some(missing) => Err(format!("`{missing}` is not in it")),
        None => Ok(found),
    }
}

fn blob(folder: &Path, digest: &Digest) -> PathBuf {
    folder.join("blobs/sha256").join(digest.hex())
}

fn document(file: &Path) -> Result<Document, String> {
    let text = std::fs::read(file).map_err(|error| format!("`{}`: {error}", file.display()))?;
    Document::parse(&text).map_err(|error| format!("`{}`: {}", file.display(), chain(&error)))
}

/// A blob, or a part of it.
struct Part {
    file: File,
    digest: String,
    offset: u64,
    size: u64,
}

/// Opens what a question is about: its digest, where to begin, and how much of it; 0: all of it.
fn open(folder: &Path, asked: &[u8]) -> Result<Part, Status> {
    let (mut digest, mut offset, mut size) = (String::new(), 0, 0);
    for (field, value) in Fields(asked) {
        match field {
            1 => digest = value.text(),
            2 => offset = value.number(),
            3 => size = value.number(),
            _ => {}
        }
    }
    let parsed: Digest = digest.parse().map_err(|_| Status::not_found(format!("`{digest}` is no digest")))?;
    let path = blob(folder, &parsed);
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Status::not_found(format!("`{}` is not in the cache", path.display())),
        _ => Status::failed(format!("`{}`: {error}", path.display())),
    };
    let mut file = File::open(&path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let rest = length.saturating_sub(offset);
    Ok(Part { file, digest, offset, size: if size == 0 { rest } else { size.min(rest) } })
}

/// Tells of a blob.
pub(super) fn info(folder: &Path, asked: &[u8]) -> Result<Message, Status> {
    let asked = Fields(asked).find(|(field, _)| *field == 1).map(|(_, value)| value.text()).unwrap_or_default();
    let part = open(folder, &Message::default().text(1, &asked).0)?;
    Ok(Message::default().message(1, &Message::default().text(1, &part.digest).number(2, part.size)))
}

/// Sends a blob in pieces.
pub(super) async fn read(folder: &Path, asked: &[u8], reply: &Reply) -> Result<(), Status> {
    let Part { mut file, digest, mut offset, size } = open(folder, asked)?;
    let (sender, mut pieces) = mpsc::channel::<io::Result<Vec<u8>>>(2);
    let reading = tokio::task::spawn_blocking(move || {
        let mut left = size;
        while left > 0 {
            let mut piece = Vec::with_capacity(PIECE);
            let result = file.by_ref().take(left.min(PIECE as u64)).read_to_end(&mut piece);
            left -= piece.len() as u64;
            let is_end = piece.is_empty() || result.is_err();
            if sender.blocking_send(result.map(|_| piece)).is_err() || is_end {
                return;
            }
        }
    });
    while let Some(piece) = pieces.recv().await {
        let piece = piece.map_err(|error| Status::failed(format!("`{digest}`: {error}")))?;
        if !reply.send(&Message::default().number(1, offset).bytes(2, &piece).0).await {
            break;
        }
        offset += piece.len() as u64;
    }
    drop(pieces);
    let _ = reading.await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};

    use super::*;

    /// A folder with these blobs; `latest` is the last one.
    fn layout(blobs: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("blobs/sha256")).unwrap();
        for text in blobs {
            std::fs::write(blob(folder.path(), &Digest::of(text.as_bytes())), text).unwrap();
        }
        let tagged = |text: &&str| {
            let mut entry = described(text);
            if Some(text) == blobs.last() {
                entry["annotations"] = json!({"org.opencontainers.image.ref.name": "latest"});
            }
            entry
        };
        let index = json!({"manifests": blobs.iter().map(tagged).collect::<Vec<_>>()});
        std::fs::write(folder.path().join("index.json"), index.to_string()).unwrap();
        folder
    }

    fn described(text: &str) -> Value {
        json!({"mediaType": "x", "digest": Digest::of(text.as_bytes()).to_string(), "size": text.len()})
    }

    #[test]
    fn a_cache_is_a_reference_or_has_a_type_and_options() {
        assert_eq!(entry("r.example/x:1").1["ref"], "r.example/x:1");
        let (kind, options) = entry("type=inline,mode=max");
        assert_eq!((kind.as_str(), options["mode"].as_str()), ("inline", "max"));
    }

    #[test]
    fn a_folder_is_told_of_by_the_digest_that_its_index_names() {
        let of = |layer: &str| json!({"manifests": [described(layer)]}).to_string();
        let (cache, broken) = (of("layer"), of("not there"));
        let folder = layout(&["layer", &broken, &cache]);
        let (cache, broken) = (Digest::of(cache.as_bytes()), Digest::of(broken.as_bytes()));
        let notes = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&notes);
        let progress = ProgressSink::new(move |told| kept.lock().unwrap().push(told));
        let place = folder.path().display().to_string();
        let caches = ["", ",tag=none", &format!(",digest={cache}"), &format!(",digest={broken}")]
            .map(|more| format!("type=local,src={place}{more}"));
        let caches = [caches.as_slice(), &["type=local,src=/no/such".to_owned(), "x:1".to_owned()]].concat();
        let found = imports(&caches, &progress).unwrap();
        let digests: Vec<_> = found.entries.iter().map(|(_, options)| options.get("digest").cloned()).collect();
        assert_eq!(digests, [Some(cache.to_string()), Some(cache.to_string()), None]);
        assert_eq!(found.stores, BTreeMap::from([(format!("local:{place}"), folder.path().to_owned())]));
        assert_eq!(notes.lock().unwrap().len(), 3, "{notes:?}");
        assert!(imports(&["type=local".to_owned()], &progress).unwrap_err().contains("src=FOLDER"));
    }

    #[test]
    fn blobs_are_found_by_their_digest_alone() {
        let folder = layout(&["content"]);
        let digest = Digest::of(b"content").to_string();
        let asked = Message::default().text(1, &digest).number(2, 3).number(3, 9);
        let part = open(folder.path(), &asked.0).unwrap();
        assert_eq!((part.offset, part.size), (3, 4));
        let expected = Message::default().message(1, &Message::default().text(1, &digest).number(2, 7));
        assert_eq!(info(folder.path(), &asked.0).unwrap().0, expected.0, "of the whole");
        let other = Digest::of(b"other").to_string();
        for wrong in [other.as_str(), "sha256:../../index.json", ""] {
            assert_eq!(info(folder.path(), &Message::default().text(1, wrong).0).unwrap_err().code, 5, "{wrong}");
        }
    }
}
