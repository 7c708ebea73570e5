//! A folder as BuildKit asks for it: names, sizes and times of all, and the contents of what it does not have yet
//! (`FileSync.DiffCopy`; the packets are those of github.com/tonistiigi/fsutil).

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Component, Path, PathBuf};

use patterns::Ignore;
use tokio::sync::mpsc;

use crate::docker::build::context::{Keep, walk};
use crate::docker::build::grpc::{Messages, Reply, Status};
use crate::docker::build::wire::{Fields, Message};

/// Bytes of a piece of a file.
const PIECE: usize = 32 << 10;

/// What is shared under a name.
#[derive(Debug, Clone)]
pub(super) enum Shared {
    /// A folder of the host.
    Folder(PathBuf),
    /// Files that are only here.
    Files(Vec<(String, Vec<u8>)>),
}

/// Which part of a folder is asked for.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// Paths that are needed, with what they link to; none: all.
    pub(super) paths: Vec<String>,
    /// As in `.dockerignore`.
    pub(super) excluded: Vec<String>,
}

const STAT: u64 = 0;
const REQUEST: u64 = 1;
const DATA: u64 = 2;
const FIN: u64 = 3;
const ERROR: u64 = 4;

/// Where the content of a file is.
enum Content {
    None,
    File(PathBuf),
    Bytes(Vec<u8>),
}

/// A file that was told of.
struct Told {
    stat: Message,
    content: Content,
}

/// Answers one call.
pub(super) async fn send(shared: Shared, wanted: Wanted, mut asked: Messages, reply: Reply) {
    let (told, mut tells) = mpsc::channel::<Result<Told, String>>(64);
    let walking = tokio::task::spawn_blocking(move || {
        if let Err(error) = tell(&shared, &wanted, &told) {
            let _ = told.blocking_send(Err(error.to_string()));
        }
    });
    let mut contents: Vec<Content> = Vec::new();
    let mut is_all_told = false;
    let result = loop {
        tokio::select! {
            next = tells.recv(), if !is_all_told => match next {
                Some(Ok(Told { stat, content })) => {
                    contents.push(content);
                    let packet = Message::default().number(1, STAT).message(2, &stat);
                    if !reply.send(&packet.0).await { break Ok(()) }
                }
                Some(Err(why)) => {
                    let packet = Message::default().number(1, ERROR).text(4, &why);
                    reply.send(&packet.0).await;
                    break Err(Status::failed(why));
                }
                None => {
                    is_all_told = true;
                    if !reply.send(&Message::default().number(1, STAT).0).await { break Ok(()) }
                }
            },
            packet = asked.next() => {
                let Ok(Some(packet)) = packet else { break Ok(()) };
                let (mut kind, mut id, mut data) = (STAT, 0, String::new());
                for (field, value) in Fields(&packet) {
                    match field {
                        1 => kind = value.number(),
                        3 => id = value.number(),
                        4 => data = value.text(),
                        _ => {}
                    }
                }
                match kind {
                    REQUEST => {
                        let content = usize::try_from(id).ok().and_then(|id| contents.get_mut(id));
                        let content = content.map_or(Content::None, |content| std::mem::replace(content, Content::None));
                        if let Err(why) = pour(content, id, &reply).await { break Err(Status::failed(why)) }
                    }
                    FIN => {
                        reply.send(&Message::default().number(1, FIN).0).await;
                        break Ok(());
                    }
                    ERROR => break Err(Status::failed(data)),
                    _ => {}
                }
            }
        }
    };
    drop(tells);
    let _ = walking.await;
    reply.end(result).await;
}

/// Sends what is in a file, and its end.
async fn pour(content: Content, id: u64, reply: &Reply) -> Result<(), String> {
    let packet = |data: &[u8]| Message::default().number(1, DATA).number(3, id).bytes(4, data);
    match content {
        Content::None => {}
        Content::Bytes(bytes) => {
            for piece in bytes.chunks(PIECE) {
                reply.send(&packet(piece).0).await;
            }
        }
        Content::File(path) => {
            let (sender, mut pieces) = mpsc::channel::<io::Result<Vec<u8>>>(8);
            let named = path.clone();
            let reading = tokio::task::spawn_blocking(move || {
                let read = || -> io::Result<()> {
                    let mut file = fs::File::open(&path)?;
                    let mut piece = vec![0; PIECE];
                    loop {
                        match file.read(&mut piece)? {
                            0 => return Ok(()),
                            length if sender.blocking_send(Ok(piece[..length].to_vec())).is_err() => return Ok(()),
                            _ => {}
                        }
                    }
                };
                if let Err(error) = read() {
                    let _ = sender.blocking_send(Err(error));
                }
            });
            while let Some(piece) = pieces.recv().await {
                let piece = piece.map_err(|error| format!("`{}`: {error}", named.display()))?;
                if !reply.send(&packet(&piece).0).await {
                    break;
                }
            }
            drop(pieces);
            let _ = reading.await;
        }
    }
    reply.send(&packet(&[]).0).await;
    Ok(())
}

/// Tells of all that is wanted, in the order of paths.
fn tell(shared: &Shared, wanted: &Wanted, told: &mpsc::Sender<Result<Told, String>>) -> io::Result<()> {
    let send = |told_of: Told| {
        told.blocking_send(Ok(told_of)).map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "nobody listens"))
    };
    match shared {
        Shared::Files(files) => {
            for (name, bytes) in files {
                let stat = Message::default().text(1, name).number(2, 0o644).number(5, bytes.len() as u64);
                send(Told { stat, content: Content::Bytes(bytes.clone()) })?;
            }
            Ok(())
        }
        Shared::Folder(root) => {
            let ignore = Ignore::from_patterns(&wanted.excluded).map_err(io::Error::other)?;
            let needed = (!wanted.paths.is_empty()).then(|| needed(root, &wanted.paths)).flatten();
            let mut folders = BTreeSet::new();
            walk(root, &ignore, &Keep::Nothing, &mut |relative, path, metadata| {
                if needed.as_ref().is_some_and(|needed| !is_needed(needed, relative)) {
                    return Ok(());
                }
                // The folder of an exception may itself be left out; the other side wants it first.
                for (end, _) in relative.match_indices('/') {
                    let folder = &relative[..end];
                    if folders.insert(folder.to_owned()) {
                        let metadata = fs::symlink_metadata(root.join(folder))?;
                        send(Told { stat: stat(folder, &metadata, ""), content: Content::None })?;
                    }
                }
                if metadata.is_dir() {
                    folders.insert(relative.to_owned());
                }
                let target = if metadata.is_symlink() {
                    fs::read_link(path)?.to_string_lossy().into_owned()
                } else {
                    String::new()
                };
                let content = if metadata.is_file() { Content::File(path.to_owned()) } else { Content::None };
                send(Told { stat: stat(relative, metadata, &target), content })
            })
        }
    }
}

/// Describes a file; everything is the root's, as in the contexts of the docker command.
fn stat(relative: &str, metadata: &Metadata, target: &str) -> Message {
    let size = if metadata.is_file() { metadata.size() } else { 0 };
    let time = metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec());
    let device = metadata.rdev();
    let is_device = metadata.file_type().is_block_device() || metadata.file_type().is_char_device();
    // Another system numbers devices in another width.
    let device = device as rustix::fs::Dev;
    let (major, minor) = if is_device { (rustix::fs::major(device), rustix::fs::minor(device)) } else { (0, 0) };
    Message::default()
        .text(1, relative)
        .number(2, u64::from(mode(metadata)))
        .number(5, size)
        .number(6, time.cast_unsigned())
        .text(7, target)
        .number(8, u64::from(major))
        .number(9, u64::from(minor))
}

/// The mode as Go's `fs.FileMode` has it.
fn mode(metadata: &Metadata) -> u32 {
    let (kind, bits) = (metadata.file_type(), metadata.mode());
    let of = |is: bool, bit: u32| if is { 1 << bit } else { 0 };
    (bits & 0o777)
        | of(kind.is_dir(), 31)
        | of(kind.is_symlink(), 27)
        | of(kind.is_block_device() || kind.is_char_device(), 26)
        | of(kind.is_fifo(), 25)
        | of(kind.is_socket(), 24)
        | of(bits & 0o4000 != 0, 23)
        | of(bits & 0o2000 != 0, 22)
        | of(kind.is_char_device(), 21)
        | of(bits & 0o1000 != 0, 20)
}

/// Makes the set of paths that are needed, links followed inside of the folder; `None`: all.
fn needed(root: &Path, paths: &[String]) -> Option<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut open: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
    // Each link is followed once; a ring of them ends.
    let mut steps = 0;
    while let Some(path) = open.pop() {
        let mut so_far = PathBuf::new();
        let mut parts = path.components();
        while let Some(part) = parts.next() {
            match part {
                Component::Normal(name) => so_far.push(name),
                Component::ParentDir => drop(so_far.pop()),
                Component::CurDir | Component::RootDir | Component::Prefix(_) => continue,
            }
            let text = so_far.to_str()?;
            if text.contains(['*', '?', '[', '\\']) {
                return None;
            }
            let is_link = fs::symlink_metadata(root.join(&so_far)).is_ok_and(|metadata| metadata.is_symlink());
            if is_link && steps < 256 {
                steps += 1;
                found.insert(text.to_owned());
                let target = fs::read_link(root.join(&so_far)).ok()?;
                let base = if target.is_absolute() { PathBuf::new() } else { so_far.parent()?.to_owned() };
                open.push(base.join(target.strip_prefix("/").unwrap_or(&target)).join(parts.as_path()));
                so_far = PathBuf::new();
                break;
            }
        }
        let text = so_far.to_str()?;
        if !text.is_empty() {
            found.insert(text.to_owned());
        } else if found.is_empty()
            || path.components().all(|part| part == Component::CurDir || part == Component::RootDir)
        {
            return None;
        }
    }
    Some(found)
}

/// Whether a path is one of those, leads to one, or lies below one.
fn is_needed(needed: &BTreeSet<String>, path: &str) -> bool {
    let below = |parent: &str, child: &str| child.strip_prefix(parent).is_some_and(|rest| rest.starts_with('/'));
    needed.iter().any(|one| one == path || below(one, path) || below(path, one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_is_followed_through_links() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("real/inner")).unwrap();
        fs::write(root.join("real/inner/file"), "x").unwrap();
        std::os::unix::fs::symlink("real", root.join("link")).unwrap();
        std::os::unix::fs::symlink("ring", root.join("ring")).unwrap();
        let of = |paths: &[&str]| {
            needed(root, &paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>())
                .map(|set| set.into_iter().collect::<Vec<_>>())
        };
        assert_eq!(of(&["link/inner"]), Some(vec!["link".to_owned(), "real/inner".to_owned()]));
        assert_eq!(of(&["real"]), Some(vec!["real".to_owned()]));
        assert_eq!(of(&["ring"]), Some(vec!["ring".to_owned()]));
        assert_eq!(of(&["."]), None);
        assert_eq!(of(&["*.py"]), None);
        let set = BTreeSet::from(["real/inner".to_owned()]);
        assert!(is_needed(&set, "real") && is_needed(&set, "real/inner/file") && !is_needed(&set, "realm"));
    }
}
