//! Files that a layer takes over from one that an earlier build made by the same instruction: a second name instead of a copy.
//!
//! Layers never change once they are there, so they may share files. A record an instruction says which layer it made last and
//! what its files hold; a layer that is gone, or a file that is not as it must be, only costs a copy.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use crate::Runtime;
use crate::image::digest::Digest;
use crate::image::layers;

/// What may be taken over.
#[derive(Debug, Default)]
pub(super) struct Reuse {
    record: PathBuf,
    layer: PathBuf,
    known: HashMap<Digest, PathBuf>,
    taken: HashSet<PathBuf>,
}

impl Reuse {
    /// Loads what the instruction `signature` made last; layers of `below` are left alone: two names of one file in the same
    /// image would look like a hard link.
    pub fn load(rt: &Runtime, signature: &Digest, below: &[PathBuf]) -> Self {
        let record = rt.layout.build_cache().join("reuse").join(signature.hex());
        let found = std::fs::read(&record).ok().and_then(|bytes| parse(rt, &bytes));
        let (layer, known) = found.filter(|(layer, _)| !below.contains(layer)).unwrap_or_default();
        Self { record, layer, known, taken: HashSet::new() }
    }

    /// Returns a file with these bytes; each is given once, so that no two files of the new layer become one.
    pub fn take(&mut self, digest: &Digest) -> Option<PathBuf> {
        let path = self.known.get(digest)?;
        self.taken.insert(path.clone()).then(|| self.layer.join(path))
    }

    /// Remembers the files of the layer that the instruction has made now.
    pub fn save(&self, layer: &Digest, files: &[(Digest, PathBuf)]) -> io::Result<()> {
        let mut text = Vec::with_capacity(files.len() * 128);
        writeln!(text, "{}", layer.hex())?;
        for (digest, path) in files {
            let bytes = path.as_os_str().as_bytes();
            if bytes.contains(&b'\n') {
                continue;
            }
            write!(text, "{} ", digest.hex())?;
            text.extend_from_slice(bytes);
            text.push(b'\n');
        }
        let folder = self.record.parent().expect("the record lies in the cache's folder");
        std::fs::create_dir_all(folder)?;
        let aside = self.record.with_extension(format!("{}.new", std::process::id()));
        std::fs::write(&aside, text)?;
        std::fs::rename(&aside, &self.record)
    }
}

fn parse(rt: &Runtime, bytes: &[u8]) -> Option<(PathBuf, HashMap<Digest, PathBuf>)> {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let layer = Digest::from_hex(std::str::from_utf8(lines.next()?).ok()?).ok()?;
    layers::find(rt, &layer)?;
    let file = |line: &[u8]| {
        let (digest, path) = line.split_at_checked(64)?;
        let digest = Digest::from_hex(std::str::from_utf8(digest).ok()?).ok()?;
        Some((digest, PathBuf::from(std::ffi::OsString::from_vec(path.strip_prefix(b" ")?.to_vec()))))
    };
    // One that would lead out of the layer was not written by us.
    let inside =
        |(_, path): &(Digest, PathBuf)| path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    Some((layers::directory(rt, &layer), lines.filter_map(file).filter(inside).collect()))
}

/// Names an instruction: what it copies from where, not what that holds.
pub(super) fn signature(context: &Path, instruction: &str) -> Digest {
    Digest::of([context.as_os_str().as_bytes(), b"\0", instruction.as_bytes()].concat().as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::layers::Layer;
    use crate::state::layout::Layout;

    #[test]
    fn files_of_the_last_layer_are_given_once_and_those_of_a_lost_one_never() {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let rt = Runtime::open(Layout::under(folder.path())).unwrap();
        let (layer, content) = (Digest::of(b"layer"), Digest::of(b"content"));
        let made = folder.path().join("made");
        std::fs::create_dir(&made).unwrap();
        layers::publish(&rt, &made, Layer { diff_id: layer, size: 0 }).unwrap();
        let signature = signature(Path::new("/src"), "COPY . .");
        let files = [(content, PathBuf::from("app/a b")), (Digest::of(b"out"), PathBuf::from("../out"))];
        Reuse::load(&rt, &signature, &[]).save(&layer, &files).unwrap();
        let mut reuse = Reuse::load(&rt, &signature, &[]);
        let directory = layers::directory(&rt, &layer);
        assert_eq!(reuse.take(&content), Some(directory.join("app/a b")));
        assert_eq!(reuse.take(&content), None);
        assert_eq!(reuse.take(&Digest::of(b"out")), None);
        assert_eq!(Reuse::load(&rt, &signature, std::slice::from_ref(&directory)).take(&content), None);
        std::fs::remove_dir(&directory).unwrap();
        assert_eq!(Reuse::load(&rt, &signature, &[]).take(&content), None);
    }
}
