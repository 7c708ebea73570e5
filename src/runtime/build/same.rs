//! Takes out of a written layer what is there below just the same, as BuildKit's overlay differ does: a copy of an unchanged file,
//! a folder that was only passed through. What a folder hides as a whole is written out name by name.

use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps};

use crate::build::context::capability;
use crate::build::view::{Found, View, find_in, is_opaque, is_whiteout};

const OPAQUE: &str = "trusted.overlay.opaque";

/// Takes out of `upper` what `below` has too.
pub(super) fn drop_unchanged(upper: &Path, below: &View) -> io::Result<()> {
    folder(upper, Path::new("/"), below, false).map(drop)
}

/// Goes through one folder, whose lower namesake is hidden or not; says whether anything is left in it.
fn folder(place: &Path, path: &Path, below: &View, hides: bool) -> io::Result<bool> {
    let ours = std::fs::symlink_metadata(place)?;
    let mut names: Vec<OsString> =
        std::fs::read_dir(place)?.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<_, _>>()?;
    if hides {
        write_out(place, path, below, &names)?;
    }
    let mut left = false;
    let mut changed = hides;
    names.sort();
    let stack = below.stack(path)?;
    for name in names {
        let there = find_in(&stack, &name)?;
        let (place, path) = (place.join(&name), path.join(&name));
        if entry(&place, &path, (below, there), hides)? {
            left = true;
        } else {
            changed = true;
        }
    }
    if changed {
        set_time(place, &ours)?;
    }
    Ok(left || hides)
}

/// Says whether an entry stays.
fn entry(place: &Path, path: &Path, (below, there): (&View, Option<Found>), parent_hides: bool) -> io::Result<bool> {
    let ours = std::fs::symlink_metadata(place)?;
    if is_whiteout(&ours) {
        // Of what is not there nothing can be taken away.
        if there.is_none() {
            std::fs::remove_file(place)?;
        }
        return Ok(there.is_some());
    }
    if !ours.is_dir() {
        let same = match &there {
            Some(there) => same_file(place, &ours, there)?,
            None => false,
        };
        if same {
            std::fs::remove_file(place)?;
        }
        return Ok(!same);
    }
    let Some(there) = there.filter(|there| there.metadata.is_dir()) else {
        // A folder of its own: nothing below could be the same, and there is nothing that it hides.
        return Ok(true);
    };
    let left = folder(place, path, below, parent_hides || is_opaque(place))?;
    if left || !same_owner(&ours, &there.metadata) || capability(place) != capability(&there.real) {
        return Ok(true);
    }
    std::fs::remove_dir(place)?;
    Ok(false)
}

/// Marks every lower name that the folder hides, and lets it hide no more.
fn write_out(place: &Path, path: &Path, below: &View, names: &[OsString]) -> io::Result<()> {
    for name in below.list(path)?.into_keys().filter(|name| !names.contains(name)) {
        rustix::fs::mknodat(CWD, place.join(name), FileType::CharacterDevice, Mode::empty(), 0)?;
    }
    match rustix::fs::lremovexattr(place, OPAQUE) {
        Ok(()) | Err(rustix::io::Errno::NODATA) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn same_owner(a: &Metadata, b: &Metadata) -> bool {
    (a.mode(), a.uid(), a.gid(), a.rdev()) == (b.mode(), b.uid(), b.gid(), b.rdev())
}

/// Compares as containerd's differ does: a time without nanoseconds may have been cut, so then the bytes decide.
fn same_file(place: &Path, ours: &Metadata, there: &Found) -> io::Result<bool> {
    let theirs = &there.metadata;
    if !same_owner(ours, theirs)
        || ours.len() != theirs.len()
        || (ours.mtime(), ours.mtime_nsec()) != (theirs.mtime(), theirs.mtime_nsec())
        || capability(place) != capability(&there.real)
    {
        return Ok(false);
    }
    if ours.mtime_nsec() != 0 {
        return Ok(true);
    }
    if ours.is_symlink() {
        return Ok(std::fs::read_link(place)? == std::fs::read_link(&there.real)?);
    }
    Ok(!ours.is_file() || same_bytes(place, &there.real)?)
}

fn same_bytes(a: &Path, b: &Path) -> io::Result<bool> {
    use std::io::Read as _;
    let (mut a, mut b) = (std::fs::File::open(a)?, std::fs::File::open(b)?);
    let (mut ours, mut theirs) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        let read = a.read(&mut ours)?;
        if read == 0 {
            return Ok(b.read(&mut theirs[..1])? == 0);
        }
        if b.read_exact(&mut theirs[..read]).is_err() || ours[..read] != theirs[..read] {
            return Ok(false);
        }
    }
}

fn set_time(place: &Path, metadata: &Metadata) -> io::Result<()> {
    let time = Timespec { tv_sec: metadata.mtime(), tv_nsec: metadata.mtime_nsec() };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(rustix::fs::utimensat(CWD, PathBuf::from(place), &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_below_goes_and_what_differs_stays() {
        let scratch = tempfile::tempdir_in("/var/tmp").unwrap();
        let (lower, upper) = (scratch.path().join("lower"), scratch.path().join("upper"));
        for root in [&lower, &upper] {
            std::fs::create_dir_all(root.join("same/deep")).unwrap();
            std::fs::create_dir_all(root.join("other")).unwrap();
            for name in ["same/deep/f", "other/f"] {
                std::fs::write(root.join(name), "text").unwrap();
                std::fs::File::options()
                    .write(true)
                    .open(root.join(name))
                    .unwrap()
                    .set_modified(std::time::UNIX_EPOCH)
                    .unwrap();
            }
        }
        std::fs::write(upper.join("other/f"), "TEXT").unwrap();
        let before = std::fs::metadata(upper.join("other")).unwrap().modified().unwrap();
        drop_unchanged(&upper, &View::new(vec![lower])).unwrap();
        assert!(!upper.join("same").exists());
        assert_eq!(std::fs::read_to_string(upper.join("other/f")).unwrap(), "TEXT");
        assert_eq!(std::fs::metadata(upper.join("other")).unwrap().modified().unwrap(), before);
    }
}
