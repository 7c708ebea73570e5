//! Gives files of the host an SELinux label, all that lies below a path: what is mounted into a labelled container.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, FileType, Mode, OFlags, XattrFlags};
use rustix::io::Errno;

use crate::state::layout::Layout;

const ATTRIBUTE: &str = "security.selinux";

/// What the host lives by, and must not become a container's. What lies below may be relabelled.
const SYSTEM: [&str; 29] = [
    "/",
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/etc/passwd",
    "/etc/pki",
    "/etc/shadow",
    "/etc/ssl",
    "/home",
    "/lib",
    "/lib64",
    "/media",
    "/opt",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/srv",
    "/sys",
    "/tmp",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/lib64",
    "/usr/sbin",
    "/var",
    "/var/lib",
    "/var/log",
];

/// The kernel's: nothing below them is anybody's to relabel.
const KERNEL: [&str; 2] = ["/proc", "/sys"];

/// Why something was not relabelled.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum RelabelError {
    #[error("`{path}` can't get an SELinux label by `z` or `Z`: the host would be kept from its own files")]
    System { path: PathBuf },
    #[error("cannot give `{path}` the SELinux label `{label}`")]
    Io {
        path: PathBuf,
        label: String,
        #[source]
        source: io::Error,
    },
}

/// Fails where the host itself needs what lies at a path, wherever its links lead.
pub fn check(path: &Path, layout: &Layout) -> Result<(), RelabelError> {
    check_real(path, &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()), layout)
}

fn check_real(path: &Path, real: &Path, layout: &Layout) -> Result<(), RelabelError> {
    let is_system = SYSTEM.iter().any(|system| real == Path::new(system))
        || KERNEL.iter().any(|kernel| real.starts_with(kernel))
        // All containers' files, and more.
        || [&layout.lib, &layout.run].iter().any(|root| root.starts_with(real));
    if is_system { Err(RelabelError::System { path: path.into() }) } else { Ok(()) }
}

/// Gives a label to a file, or to a folder with all that lies below it, itself last. Links are followed at the end of the
/// path alone.
pub fn relabel(path: &Path, label: &str) -> Result<(), RelabelError> {
    let top = open(path, label)?;
    all(top, path, label)
}

/// The same for what is not ours, and may be what the host lives by.
pub fn relabel_checked(path: &Path, label: &str, layout: &Layout) -> Result<(), RelabelError> {
    let top = open(path, label)?;
    // Of what is open: a link on the way may have been changed since it was looked at.
    let real = std::fs::read_link(format!("/proc/self/fd/{}", top.as_raw_fd()));
    let failed = |source| RelabelError::Io { path: path.into(), label: label.to_owned(), source };
    check_real(path, &real.map_err(failed)?, layout)?;
    all(top, path, label)
}

fn open(path: &Path, label: &str) -> Result<OwnedFd, RelabelError> {
    rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(|error| RelabelError::Io {
        path: path.into(),
        label: label.to_owned(),
        source: error.into(),
    })
}

fn all(top: OwnedFd, path: &Path, label: &str) -> Result<(), RelabelError> {
    below(top, path, label).map_err(|(path, source)| RelabelError::Io { path, label: label.to_owned(), source })
}

/// The same, unless it was done before: what lies below never changes.
pub fn relabel_once(path: &Path, label: &str) -> Result<(), RelabelError> {
    if has(path, label) { Ok(()) } else { relabel(path, label) }
}

fn below(here: OwnedFd, path: &Path, label: &str) -> Result<(), (PathBuf, io::Error)> {
    let failed = |error: Errno| (path.to_owned(), error.into());
    let stat = rustix::fs::fstat(&here).map_err(failed)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        for name in names(here.as_fd()).map_err(failed)? {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match rustix::fs::openat(&here, &*name, flags, Mode::empty()) {
                Ok(entry) => below(entry, &path.join(name.to_string_lossy().as_ref()), label)?,
                // It has just gone.
                Err(Errno::NOENT) => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
    set(here.as_fd(), label).map_err(|error| (path.to_owned(), error))
}

/// Read at once, so that the way down costs one descriptor a folder.
fn names(folder: BorrowedFd<'_>) -> rustix::io::Result<Vec<CString>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let names = Dir::new(rustix::fs::openat(folder, ".", flags, Mode::empty())?)?;
    let mut names: Vec<CString> =
        names.map(|entry| Ok(entry?.file_name().to_owned())).collect::<rustix::io::Result<_>>()?;
    names.retain(|name| ![c".", c".."].contains(&name.as_c_str()));
    Ok(names)
}

/// Gives one file a label, a link as well; a file system that has no labels is left as it is.
pub(super) fn set(file: BorrowedFd<'_>, label: &str) -> io::Result<()> {
    // A location's descriptor takes no attributes, and its name under /proc leads to it alone.
    let name = format!("/proc/self/fd/{}", file.as_raw_fd());
    if has(Path::new(&name), label) {
        return Ok(());
    }
    match rustix::fs::setxattr(&name, ATTRIBUTE, label.as_bytes(), XattrFlags::empty()) {
        Ok(()) | Err(Errno::NOTSUP | Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn has(path: &Path, label: &str) -> bool {
    let mut value = [0; 512];
    let Ok(length) = rustix::fs::getxattr(path, ATTRIBUTE, &mut value[..]) else { return false };
    // With a zero at the end, as a rule.
    value[..length].strip_suffix(b"\0").unwrap_or(&value[..length]) == label.as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(path: &str) -> bool {
        let layout = Layout::under(Path::new("/data/containers/motet"));
        matches!(check(Path::new(path), &layout), Err(RelabelError::System { .. }))
    }

    #[test]
    fn what_the_host_lives_by_is_not_relabelled() {
        for path in ["/", "/etc", "/etc/", "/usr", "/home", "/root", "/var", "/var/../etc", "/etc/passwd", "/proc/sys"]
        {
            assert!(is_refused(path), "{path}");
        }
        assert!(!is_refused("/home/somebody/site") && !is_refused("/srv/site"));
    }

    #[test]
    fn a_link_to_it_is_refused_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/usr", &link).unwrap();
        assert!(is_refused(link.to_str().unwrap()));
        let refused = relabel_checked(&link, "u:r:t", &Layout::under(Path::new("/data/motet")));
        assert!(matches!(refused, Err(RelabelError::System { .. })), "{refused:?}");
    }

    #[test]
    fn what_holds_all_containers_is_not_relabelled() {
        assert!(is_refused("/data/containers") && is_refused("/data/containers/motet/lib"));
        assert!(!is_refused("/data/site"));
    }

    #[test]
    fn all_below_is_relabelled_and_where_links_lead_is_not() {
        const LABEL: &str = "system_u:object_r:container_file_t:s0";
        // A kernel without SELinux keeps any value.
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let (top, outside) = (folder.path().join("top"), folder.path().join("outside"));
        std::fs::create_dir_all(top.join("in")).unwrap();
        std::fs::write(top.join("in/file"), "").unwrap();
        std::fs::write(&outside, "").unwrap();
        std::os::unix::fs::symlink(&outside, top.join("link")).unwrap();
        relabel(&top, LABEL).unwrap();
        for path in [&top, &top.join("in"), &top.join("in/file")] {
            assert!(has(path, LABEL), "{}", path.display());
        }
        let mut value = [0; 64];
        assert!(rustix::fs::lgetxattr(top.join("link"), ATTRIBUTE, &mut value[..]).is_ok());
        assert!(!has(&outside, LABEL));
    }
}
