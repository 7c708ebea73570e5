//! ADD of a local archive: recognised by its content, unpacked below the destination, never outside the root.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use crate::build::error::Reason;
use crate::build::owner::Owner;
use crate::build::writer::Writer;

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    Plain,
    Gzip,
    Zstd,
    Bzip2,
    Xz,
}

/// Says whether a file is a tar archive, compressed or not. A compressed file that holds none is an ordinary file.
pub fn kind(path: &Path) -> io::Result<Option<Kind>> {
    let mut start = Vec::new();
    File::open(path)?.take(512).read_to_end(&mut start)?;
    let kind = match start.as_slice() {
        [0x1f, 0x8b, ..] => Kind::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Kind::Zstd,
        [b'B', b'Z', b'h', ..] => Kind::Bzip2,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Kind::Xz,
        start => return Ok(is_tar(start).then_some(Kind::Plain)),
    };
    let mut start = Vec::new();
    // Damaged compressed data is no archive: it is copied as it is.
    let readable = open(path, kind)?.take(512).read_to_end(&mut start).is_ok();
    Ok((readable && is_tar(&start)).then_some(kind))
}

fn is_tar(start: &[u8]) -> bool {
    start.len() == 512 && &start[257..262] == b"ustar"
}

/// Opens an archive as it is without its compression.
pub(super) fn decompress(path: &Path) -> io::Result<Box<dyn io::Read>> {
    open(path, kind(path)?.unwrap_or(Kind::Plain))
}

fn open(path: &Path, kind: Kind) -> io::Result<Box<dyn io::Read>> {
    let file = File::open(path)?;
    Ok(match kind {
        Kind::Gzip => Box::new(flate2::read::MultiGzDecoder::new(file)),
        Kind::Zstd => Box::new(zstd::stream::read::Decoder::new(file)?),
        Kind::Bzip2 => Box::new(bzip2::read::MultiBzDecoder::new(file)),
        Kind::Xz => Box::new(lzma_rust2::XzReader::new(file, true)),
        Kind::Plain => Box::new(file),
    })
}

/// Unpacks an archive at `destination`; its own owners are kept unless `owner` says otherwise.
pub fn unpack(
    path: &Path,
    kind: Kind,
    destination: &Path,
    writer: &mut Writer,
    owner: Option<Owner>,
) -> Result<(), Reason> {
    let io = |source| Reason::Io { act: format!("unpack `{}`", path.display()), source };
    let mut archive = tar::Archive::new(open(path, kind).map_err(io)?);
    for entry in archive.entries().map_err(io)? {
        let mut entry = entry.map_err(io)?;
        place(&mut entry, destination, writer, owner).map_err(io)?;
    }
    Ok(())
}

fn place(
    entry: &mut tar::Entry<'_, Box<dyn io::Read>>,
    destination: &Path,
    writer: &mut Writer,
    owner: Option<Owner>,
) -> io::Result<()> {
    let header = entry.header();
    let number = |value: u64| u32::try_from(value).unwrap_or(0);
    let own = Owner { user: number(header.uid()?), group: number(header.gid()?) };
    let owner = owner.unwrap_or(own);
    let mode = header.mode()? & 0o7777;
    let seconds = i64::try_from(header.mtime()?).unwrap_or(0);
    let kind = header.entry_type();
    let relative = inside(&entry.path()?);
    if relative.as_os_str().is_empty() {
        return Ok(());
    }
    // Links on the way are followed inside the root, the last name is not.
    let parent = destination.join(relative.parent().unwrap_or(Path::new("")));
    let parent = writer.view().resolve(&parent)?;
    writer.make_folders(&parent, Owner::default())?;
    let target = parent.join(relative.file_name().unwrap_or_default());
    match kind {
        tar::EntryType::Directory => writer.set_folder(&target, mode, owner, seconds),
        tar::EntryType::Symlink => {
            let link = entry.link_name()?.unwrap_or_default().into_owned();
            writer.symlink(&target, &link, owner, seconds)
        }
        tar::EntryType::Link => {
            let first = inside(&entry.link_name()?.unwrap_or_default());
            let first = writer.view().resolve(&destination.join(first))?;
            writer.hard_link(&target, &first)
        }
        tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
            writer.write(&target, entry, mode, owner, seconds)
        }
        // Devices, pipes and what we don't know are left out.
        _ => Ok(()),
    }
}

/// Takes away what would lead out of the destination.
fn inside(path: &Path) -> PathBuf {
    let mut result = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => result.push(name),
            Component::ParentDir => {
                result.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    result
}
