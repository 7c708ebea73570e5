//! Files in and out of a container, as tar streams.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{FileType, Stat};

use crate::Runtime;
use crate::container::act::ActError;
use crate::container::inside::{View, inside};
use crate::container::list;
use crate::keeper::ready::sentence;
use crate::snapshot::archive::Archive;
use crate::snapshot::diff;
use crate::snapshot::extract::{self, Rules};
use crate::snapshot::place;
use crate::state::occurrence;
use crate::sys::fd::{self, Missing};

/// Something at a path of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathStat {
    /// Last part of the path.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Type and permission bits as in `st_mode`.
    pub mode: u32,
    /// When its content last changed.
    pub modified: SystemTime,
    /// Where a symbolic link points, from the container's root.
    pub link_target: Option<String>,
}

/// How an archive is put into a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CopyIn {
    /// Keep the owners that the archive tells; otherwise all belongs to the container's root.
    pub keep_owners: bool,
    /// A folder may take the place of a file and a file that of a folder.
    pub replace_types: bool,
}

/// A path of a container: the folder that it is in, and its name there; no name: the folder itself is meant.
fn split(path: &str) -> (PathBuf, Option<PathBuf>) {
    let is_folder = path.is_empty() || path.ends_with('/') || path.ends_with("/.") || path == ".";
    let path = Path::new("/").join(path);
    match path.components().next_back() {
        Some(Component::Normal(name)) if !is_folder => {
            (path.parent().map_or_else(|| PathBuf::from("/"), Path::to_path_buf), Some(name.into()))
        }
        _ => (path, None),
    }
}

/// Opens the folder, and looks at what is named there; a link at the end is not followed.
fn look(root: BorrowedFd<'_>, path: &str) -> io::Result<(OwnedFd, Option<PathBuf>, Stat)> {
    let (folder, name) = split(path);
    let parent = fd::locate(root, &folder, Missing::Fail)?;
    let stat = match &name {
        Some(name) => place::look(parent.as_fd(), name)?.ok_or(io::ErrorKind::NotFound)?,
        None => {
            let stat = rustix::fs::fstat(&parent)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            stat
        }
    };
    Ok((parent, name, stat))
}

/// Looks at a path in a container, running or not; the last link is not followed.
pub fn stat(rt: &Runtime, container: &str, path: &str) -> Result<PathStat, ActError> {
    inside(rt, container, "look into", View::Whole, |root| {
        let (parent, name, stat) = look(root, path)?;
        let link_target = match &name {
            Some(name) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {
                let link = rustix::fs::readlinkat(&parent, name, Vec::new())?;
                let link = Path::new(std::ffi::OsStr::from_bytes(link.as_bytes()));
                Some(clean(&split(path).0.join(link)))
            }
            Some(_) | None => None,
        };
        let last = split(path).1.or_else(|| Path::new(path).file_name().map(PathBuf::from));
        let seconds = u64::try_from(stat.st_mtime).unwrap_or(0);
        let nanos = u32::try_from(stat.st_mtime_nsec).unwrap_or(0);
        Ok(PathStat {
            name: last.map_or_else(|| "/".to_owned(), |name| name.to_string_lossy().into_owned()),
            size: stat.st_size.unsigned_abs(),
            mode: stat.st_mode,
            modified: UNIX_EPOCH + Duration::new(seconds, nanos),
            link_target,
        })
    })
}

/// Takes `.` and `..` out of an absolute path.
fn clean(path: &Path) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => parts.push(name.to_string_lossy().into_owned()),
            Component::ParentDir => drop(parts.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    format!("/{}", parts.join("/"))
}

/// Writes what is at a path as a tar whose entries begin with the path's last part; those of a folder that is named
/// with a `/` or `/.` at the end begin with `.`.
pub fn copy_out(rt: &Runtime, container: &str, path: &str, archive: OwnedFd) -> Result<(), ActError> {
    inside(rt, container, "copy out of", View::Whole, |root| {
        let (parent, name, _) = look(root, path)?;
        let mut out = BufWriter::with_capacity(128 << 10, File::from(archive));
        let name = name.unwrap_or_else(|| PathBuf::from("."));
        diff::tar_member(parent.as_fd(), &name, &mut out).map_err(io::Error::other)?;
        out.flush()
    })?;
    tell(rt, container, "archive-path", path);
    Ok(())
}

/// Unpacks a tar into a folder of a container, running or not.
pub fn copy_in(rt: &Runtime, container: &str, path: &str, archive: OwnedFd, options: CopyIn) -> Result<(), ActError> {
    inside(rt, container, "copy into", View::Whole, |root| {
        let folder = fd::locate(root, &Path::new("/").join(path), Missing::Fail)?;
        if FileType::from_raw_mode(rustix::fs::fstat(&folder)?.st_mode) != FileType::Directory {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let mut archive = Archive::new(BufReader::with_capacity(128 << 10, File::from(archive)));
        let rules = Rules {
            keep_links: true,
            keep_types: !options.replace_types,
            owner: if options.keep_owners { None } else { Some((0, 0)) },
            ..Rules::default()
        };
        extract::extract(folder.as_fd(), &mut archive, rules).map_err(|error| io::Error::other(sentence(&error)))?;
        // Whoever writes it must not meet a closed pipe for what follows the end mark.
        io::copy(&mut archive.into_inner(), &mut io::sink()).map(|_| ())
    })?;
    tell(rt, container, "extract-to-dir", path);
    Ok(())
}

/// Removes absolute paths of a container, folders with all in them; what is not there is no error.
pub fn remove(rt: &Runtime, container: &str, paths: &[String]) -> Result<(), ActError> {
    // The thread's root is the container's: no link leads out of it.
    inside(rt, container, "remove files in", View::Whole, |_| paths.iter().try_for_each(|path| remove_one(path)))
}

fn remove_one(path: &str) -> io::Result<()> {
    let path = Path::new("/").join(path);
    let removed = match std::fs::symlink_metadata(&path) {
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(&path),
        Ok(_) => std::fs::remove_file(&path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(()),
        other => other,
    }
}

/// Writes all of a container's own files as a tar, without what is mounted.
pub fn export(rt: &Runtime, container: &str, archive: OwnedFd) -> Result<(), ActError> {
    inside(rt, container, "export", View::Own, |root| {
        let mut out = BufWriter::with_capacity(128 << 10, File::from(archive));
        // What is only a location can't be read.
        let root = place::open_directory(root, Path::new("."))?;
        diff::tar_tree(root.as_fd(), &mut out).map_err(io::Error::other)?;
        out.flush()
    })?;
    tell(rt, container, "export", "/");
    Ok(())
}

fn tell(rt: &Runtime, container: &str, action: &str, path: &str) {
    if let Ok(container) = list::find(rt, container) {
        occurrence::of_container(&rt.layout, &container.record, action, &[("path", path.to_owned())]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_folder_and_a_name_unless_it_names_the_folder_itself() {
        let check = |path: &str, folder: &str, name: Option<&str>| {
            assert_eq!(split(path), (PathBuf::from(folder), name.map(PathBuf::from)), "{path}");
        };
        check("/a/b", "/a", Some("b"));
        check("a", "/", Some("a"));
        check("/a/b/", "/a/b/", None);
        check("/a/.", "/a/.", None);
        check("/", "/", None);
        check("/a/..", "/a/..", None);
        assert_eq!(clean(Path::new("/a/b/../../../c/./d")), "/c/d");
    }
}
