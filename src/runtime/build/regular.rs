//! Puts regular files into a layer, side by side: a second name of a file that another layer has, or a copy.

use std::fs::{File, Metadata};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use crate::build::context::capability;
use crate::build::owner::Owner;
use crate::build::parallel;
use crate::build::reuse::{Folder, Twin};

/// A larger file is copied within the kernel, which may share its blocks.
const SMALL: u64 = 64 << 10;

/// A file to be put somewhere.
#[derive(Debug)]
pub(super) struct Regular<'a> {
    pub source: &'a Path,
    pub metadata: &'a Metadata,
    /// The layer's folder.
    pub top: Folder,
    /// In it.
    pub place: PathBuf,
    pub owner: Owner,
    pub mode: u32,
    /// File capabilities come along.
    pub capability: bool,
    /// A file of a layer with the same bytes.
    pub twin: Option<Twin>,
    /// That file is known to have no extended attributes.
    pub plain: bool,
}

/// Puts all of them where they belong; their folders are there. Says of each whether it is its twin.
pub(super) fn put_all(files: &[Regular<'_>]) -> io::Result<Vec<bool>> {
    parallel::map(files, put)
}

/// Puts one; what an earlier source put at its place goes. Says whether it is its twin.
pub(super) fn put(file: &Regular<'_>) -> io::Result<bool> {
    if let Some(twin) = &file.twin
        && is_twin(file, twin)
    {
        let link = || rustix::fs::linkat(twin.at(), &twin.path, &file.top, &file.place, AtFlags::empty());
        match replacing(file, || Ok(link()?)) {
            Ok(()) => return Ok(true),
            // It has as many names as there can be, or lies elsewhere, or is gone: all but a full disk is mended by a copy.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => return Err(error),
            Err(_) => {}
        }
    }
    let mut from = File::options().read(true).custom_flags(libc::O_NOFOLLOW).open(file.source)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let create = || rustix::fs::openat(&file.top, &file.place, flags, Mode::from_raw_mode(0o600));
    let mut to = replacing(file, || Ok(File::from(create()?)))?;
    if file.metadata.len() <= SMALL {
        let mut bytes = Vec::with_capacity(usize::try_from(file.metadata.len()).unwrap_or_default() + 1);
        from.read_to_end(&mut bytes)?;
        to.write_all(&bytes)?;
    } else {
        io::copy(&mut from, &mut to)?;
    }
    rustix::fs::fchown(&to, Some(Uid::from_raw(file.owner.user)), Some(Gid::from_raw(file.owner.group)))?;
    rustix::fs::fchmod(&to, Mode::from_raw_mode(file.mode))?;
    if file.capability
        && let Some(value) = capability(file.source)
    {
        rustix::fs::fsetxattr(&to, "security.capability", &value, XattrFlags::empty())?;
    }
    let time = Timespec { tv_sec: file.metadata.mtime(), tv_nsec: file.metadata.mtime_nsec() };
    rustix::fs::futimens(&to, &Timestamps { last_access: time, last_modification: time })?;
    Ok(false)
}

/// Says whether a file of a layer is what a copy would be, to the last attribute.
fn is_twin(file: &Regular<'_>, twin: &Twin) -> bool {
    let Ok(there) = rustix::fs::statat(twin.at(), &twin.path, AtFlags::SYMLINK_NOFOLLOW) else { return false };
    let (ours, owner) = (file.metadata, file.owner);
    let time = (there.st_mtime, i64::try_from(there.st_mtime_nsec).unwrap_or(-1));
    let same = FileType::from_raw_mode(there.st_mode) == FileType::RegularFile
        && (there.st_mode & 0o7777, there.st_uid, there.st_gid) == (file.mode, owner.user, owner.group)
        && (there.st_size.unsigned_abs(), time) == (ours.len(), (ours.mtime(), ours.mtime_nsec()));
    if !same || file.plain {
        return same;
    }
    let mut names = [0_u8; 64];
    match rustix::fs::llistxattr(&twin.path, &mut names[..]) {
        Ok(0) | Err(Errno::NOTSUP) => true,
        Ok(length) => file.capability && &names[..length] == b"security.capability\0",
        Err(_) => false,
    }
}

/// Makes something, in place of a file that is there.
fn replacing<T>(file: &Regular<'_>, make: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match make() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            rustix::fs::unlinkat(&file.top, &file.place, AtFlags::empty())?;
            make()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_twin_is_shared_only_while_it_is_the_same_in_all() {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["source", "twin"] {
            std::fs::write(path(name), "text").unwrap();
            File::options().write(true).open(path(name)).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        }
        let metadata = std::fs::metadata(path("source")).unwrap();
        let owner = Owner { user: metadata.uid(), group: metadata.gid() };
        let (source, top) = (path("source"), Folder::open(folder.path()).unwrap());
        let mode = metadata.mode() & 0o7777;
        let put_with = |mode| {
            let twin = Some(Twin { folder: None, path: path("twin"), number: None });
            let (metadata, top, place) = (&metadata, top.clone(), PathBuf::from("place"));
            put(&Regular { source: &source, metadata, top, place, owner, mode, capability: false, twin, plain: false })
                .unwrap();
            std::fs::metadata(path("place")).unwrap()
        };
        let shared = put_with(mode);
        assert_eq!(shared.ino(), std::fs::metadata(path("twin")).unwrap().ino());
        let copied = put_with(0o600);
        assert_ne!(copied.ino(), shared.ino());
        assert_eq!((copied.mode() & 0o7777, copied.mtime()), (0o600, 0));
        assert_eq!(std::fs::metadata(path("twin")).unwrap().mode() & 0o7777, mode);
    }
}
