//! A tar stream out of a container, unpacked on the host. Whoever wrote it is not trusted: nothing is written outside
//! of the target, neither by `..` nor through a link that the archive itself brought.

use std::fs::{File, FileTimes, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use tar::{Archive, Entry, EntryType};

/// Where an archive goes, and how.
#[derive(Debug, Clone)]
pub(crate) struct Unpacking {
    /// Takes the place of the first part of every entry's path.
    pub(crate) target: PathBuf,
    /// Keep the owners that the archive tells.
    pub(crate) keep_owners: bool,
    /// The first part of every path is the thing itself, which the target replaces; else all of it counts.
    pub(crate) strip: bool,
}

/// Unpacks it. Returns the kinds of things that were left out: devices, and what no host file system has.
pub(crate) fn unpack(unpacking: &Unpacking, archive: impl Read) -> io::Result<Vec<String>> {
    let mut archive = Archive::new(archive);
    let (mut left_out, mut folders) = (Vec::new(), Vec::new());
    for entry in archive.entries()? {
        let mut entry = entry?;
        let rest = inner_path(&entry.path()?, unpacking.strip)?;
        // Joined to nothing it would end with a slash, which no file's path may.
        let path = if rest.as_os_str().is_empty() { unpacking.target.clone() } else { unpacking.target.join(&rest) };
        check_parents(&unpacking.target, &rest)?;
        match entry.header().entry_type() {
            EntryType::Directory => {
                folder(&path)?;
                // Last of all: a folder that nobody may write to still has to be filled.
                folders.push((path.clone(), entry.header().mode()?, entry.header().mtime()?));
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => regular(&mut entry, &path)?,
            EntryType::Symlink => {
                let target = entry.link_name()?.ok_or_else(|| io::Error::other("a link without target"))?;
                make_room(&path)?;
                symlink(target, &path)?;
            }
            EntryType::Link => {
                let name = entry.link_name()?.ok_or_else(|| io::Error::other("a link without target"))?;
                let other = inner_path(&name, unpacking.strip)?;
                check_parents(&unpacking.target, &other)?;
                let other = unpacking.target.join(other);
                if !other.symlink_metadata()?.is_file() {
                    return Err(io::Error::other(format!("`{}` is linked to what is no file", path.display())));
                }
                make_room(&path)?;
                std::fs::hard_link(other, &path)?;
            }
            other => {
                left_out.push(format!("`{}` ({other:?})", path.display()));
                continue;
            }
        }
        if unpacking.keep_owners {
            let header = entry.header();
            let (uid, gid) = (u32::try_from(header.uid()?).ok(), u32::try_from(header.gid()?).ok());
            std::os::unix::fs::lchown(&path, uid, gid)?;
        }
    }
    for (path, mode, modified) in folders.into_iter().rev() {
        let folder = File::options().read(true).custom_flags(no_follow()).open(&path)?;
        folder.set_permissions(Permissions::from_mode(mode & 0o1777))?;
        folder.set_times(times(modified))?;
    }
    Ok(left_out)
}

/// Returns a path, or what is below its first part; it may have no part that leads up.
fn inner_path(path: &Path, strip: bool) -> io::Result<PathBuf> {
    let mut parts = path.components().filter(|part| !matches!(part, Component::CurDir | Component::RootDir));
    let mut inner = PathBuf::new();
    if strip && matches!(parts.next(), Some(Component::ParentDir)) {
        return Err(io::Error::other(format!("`{}` leads out of the archive", path.display())));
    }
    for part in parts {
        match part {
            Component::Normal(name) => inner.push(name),
            Component::CurDir | Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(io::Error::other(format!("`{}` leads out of the archive", path.display())));
            }
        }
    }
    Ok(inner)
}

/// Makes the folders above `rest` in `target`; one that is a link ends everything.
fn check_parents(target: &Path, rest: &Path) -> io::Result<()> {
    let mut path = target.to_owned();
    let Some(parent) = rest.parent() else { return Ok(()) };
    for part in [None].into_iter().chain(parent.components().map(Some)) {
        path.extend(part);
        match path.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) if part.is_none() => {}
            Ok(_) => return Err(io::Error::other(format!("`{}` is no folder", path.display()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound && part.is_some() => std::fs::create_dir(&path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn folder(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(io::Error::other(format!("`{}` is there and is no folder", path.display()))),
        Err(_) => std::fs::create_dir(path),
    }
}

fn regular(entry: &mut Entry<'_, impl Read>, path: &Path) -> io::Result<()> {
    let (mode, modified) = (entry.header().mode()?, entry.header().mtime()?);
    make_room(path)?;
    let mut file = File::options().write(true).create_new(true).mode(0o600).custom_flags(no_follow()).open(path)?;
    io::copy(entry, &mut file)?;
    // What gives rights on the host is nothing for a container to hand out.
    file.set_permissions(Permissions::from_mode(mode & 0o777))?;
    file.set_times(times(modified))
}

/// Takes away what is in the place of a file; a folder stays and is an error.
fn make_room(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => {
            Err(io::Error::other(format!("`{}` is a folder, and a file can't take its place", path.display())))
        }
        Ok(_) => std::fs::remove_file(path),
        Err(_) => Ok(()),
    }
}

fn times(modified: u64) -> FileTimes {
    let modified = UNIX_EPOCH.checked_add(Duration::from_secs(modified)).unwrap_or(UNIX_EPOCH);
    FileTimes::new().set_modified(modified)
}

fn no_follow() -> i32 {
    rustix::fs::OFlags::NOFOLLOW.bits().cast_signed()
}

#[cfg(test)]
mod tests {
    use tar::{Builder, Header};

    use super::*;

    struct Item(EntryType, &'static str, &'static str);

    fn archive(items: &[Item]) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for Item(kind, path, text) in items {
            let mut header = Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o4755);
            header.set_size(0);
            // As raw bytes: the library refuses to write what an attacker would.
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            if *kind == EntryType::Regular {
                header.set_size(text.len() as u64);
            } else if !text.is_empty() {
                header.as_old_mut().linkname[..text.len()].copy_from_slice(text.as_bytes());
            }
            header.set_cksum();
            let content = if *kind == EntryType::Regular { text.as_bytes() } else { b"" };
            builder.append(&header, content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn try_to(items: &[Item]) -> (io::Result<Vec<String>>, tempfile::TempDir) {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join("victim"), "safe").unwrap();
        let unpacking = Unpacking { target: scratch.path().join("out"), keep_owners: false, strip: true };
        let result = unpack(&unpacking, archive(items).as_slice());
        assert_eq!(std::fs::read_to_string(scratch.path().join("victim")).unwrap(), "safe");
        (result, scratch)
    }

    #[test]
    fn the_first_part_is_renamed_and_rights_over_the_host_are_dropped() {
        let (result, scratch) = try_to(&[
            Item(EntryType::Directory, "data/", ""),
            Item(EntryType::Regular, "data/a/b", "text"),
            Item(EntryType::Symlink, "data/l", "../victim"),
            Item(EntryType::Char, "data/null", ""),
        ]);
        assert_eq!(result.unwrap().len(), 1);
        let file = scratch.path().join("out/a/b");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "text");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o755);
        assert!(scratch.path().join("out/l").symlink_metadata().unwrap().is_symlink());
    }

    #[test]
    fn nothing_is_written_outside() {
        let file = |path| Item(EntryType::Regular, path, "PWN");
        assert!(try_to(&[file("../victim")]).0.is_err());
        assert!(try_to(&[file("x/../../victim")]).0.is_err());
        let folder = || Item(EntryType::Directory, "x", "");
        let link = |to| Item(EntryType::Symlink, "x/l", to);
        assert!(try_to(&[folder(), link(".."), file("x/l/victim")]).0.is_err());
        let hard = Item(EntryType::Link, "x/h", "x/l/victim");
        assert!(try_to(&[folder(), link(".."), hard]).0.is_err());
        let (result, scratch) = try_to(&[folder(), link("../victim"), file("x/l")]);
        result.unwrap();
        assert!(scratch.path().join("out/l").symlink_metadata().unwrap().is_file());
    }
}
