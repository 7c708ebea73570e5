//! Puts regular files into a layer, side by side: a second name of a file that another layer has, or a copy.

use std::fs::{File, Metadata};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};

use crate::build::context::capability;
use crate::build::owner::Owner;
use crate::build::parallel;

/// A larger file is copied within the kernel, which may share its blocks.
const SMALL: u64 = 64 << 10;

/// A file to be put somewhere.
#[derive(Debug)]
pub(super) struct Regular<'a> {
    pub source: &'a Path,
    pub metadata: &'a Metadata,
    pub place: PathBuf,
    pub owner: Owner,
    pub mode: u32,
    /// File capabilities come along.
    pub capability: bool,
    /// A file of a layer with the same bytes.
    pub twin: Option<PathBuf>,
    /// That file is known to have no extended attributes.
    pub plain: bool,
}

/// Puts all of them where they belong; their folders are there.
pub(super) fn put_all(files: &[Regular<'_>]) -> io::Result<()> {
    parallel::map(files, put).map(drop)
}

/// Puts one; what an earlier source put at its place goes.
pub(super) fn put(file: &Regular<'_>) -> io::Result<()> {
    if let Some(twin) = &file.twin
        && is_twin(file, twin)?
    {
        match replacing(&file.place, || std::fs::hard_link(twin, &file.place)) {
            Ok(()) => return Ok(()),
            // It has as many names as there can be, or lies elsewhere, or is gone: all but a full disk is mended by a copy.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => return Err(error),
            Err(_) => {}
        }
    }
    let mut from = File::options().read(true).custom_flags(libc::O_NOFOLLOW).open(file.source)?;
    let create = || File::options().write(true).create_new(true).mode(0o600).open(&file.place);
    let mut to = replacing(&file.place, create)?;
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
    Ok(rustix::fs::futimens(&to, &Timestamps { last_access: time, last_modification: time })?)
}

/// Says whether a file of a layer is what a copy would be, to the last attribute.
fn is_twin(file: &Regular<'_>, twin: &Path) -> io::Result<bool> {
    let Ok(there) = std::fs::symlink_metadata(twin) else { return Ok(false) };
    let (ours, owner) = (file.metadata, file.owner);
    let same = there.is_file()
        && (there.mode() & 0o7777, there.uid(), there.gid()) == (file.mode, owner.user, owner.group)
        && (there.len(), there.mtime(), there.mtime_nsec()) == (ours.len(), ours.mtime(), ours.mtime_nsec());
    if !same {
        return Ok(false);
    }
    if file.plain {
        return Ok(true);
    }
    let mut names = [0_u8; 64];
    match rustix::fs::llistxattr(twin, &mut names[..]) {
        Ok(0) | Err(rustix::io::Errno::NOTSUP) => Ok(true),
        Ok(length) => Ok(file.capability && &names[..length] == b"security.capability\0"),
        Err(_) => Ok(false),
    }
}

/// Makes something, in place of a file that is there.
fn replacing<T>(place: &Path, make: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match make() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            std::fs::remove_file(place)?;
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
        let (source, place) = (path("source"), path("place"));
        let mode = metadata.mode() & 0o7777;
        let put_with = |mode| {
            let twin = Some(path("twin"));
            let (metadata, place) = (&metadata, place.clone());
            put(&Regular { source: &source, metadata, place, owner, mode, capability: false, twin, plain: false })
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
