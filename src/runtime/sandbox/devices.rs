//! `/dev`: a file system of its own, filled before it is mounted, so that nothing of the image is in its way.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, mkdirat, mknodat, symlinkat};

use crate::sandbox::error::{LaunchError, Step};
use crate::sandbox::spec::SandboxSpec;
use crate::state::container::DeviceRecord;
use crate::sys::fd::{self, Missing};
use crate::sys::mount::{self, Attributes};

/// Nodes that every program may expect: name, major and minor number (Linux' admin-guide/devices.rst).
const NODES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// Links that every program may expect: name and what it leads to.
const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
];

/// Names below the host's /dev that a privileged container does not get: they are its own.
const OWN: [&str; 6] = ["pts", "shm", "mqueue", "console", "fd", "ptmx"];

/// Makes the detached file system of `/dev`, with its nodes, links and empty mount points.
pub(super) fn file_system(spec: &SandboxSpec) -> Result<OwnedFd, LaunchError> {
    let failed = |what: &str, error: io::Error| LaunchError::io(Step::Dev, format!("/dev/{what}"), &error);
    let attributes = Attributes::MOUNT_ATTR_NOSUID | Attributes::MOUNT_ATTR_STRICTATIME;
    let options = [("mode", Some("755")), ("size", Some("65536k"))];
    let dev = mount::labelled("tmpfs", &options, attributes, spec.file_label.as_deref())
        .map_err(|error| failed("", error))?;
    for (name, major, minor) in NODES {
        node(dev.as_fd(), name, FileType::CharacterDevice, rustix::fs::makedev(major, minor), 0o666)
            .map_err(|error| failed(name, error))?;
    }
    for (name, target) in LINKS {
        symlinkat(target, &dev, name).map_err(|error| failed(name, error.into()))?;
    }
    for name in ["pts", "shm", "mqueue"] {
        mkdirat(&dev, name, Mode::from_raw_mode(0o755)).map_err(|error| failed(name, error.into()))?;
    }
    if spec.privileged {
        copy_folder(Path::new("/dev"), dev.as_fd(), "").map_err(|error| failed("", error))?;
    }
    for device in &spec.devices {
        if let Some(target) = device.target.strip_prefix("/dev/") {
            host_device(device, dev.as_fd(), target)?;
        }
    }
    Ok(dev)
}

/// Makes those of the spec's devices whose place is outside `/dev`.
pub(super) fn elsewhere(spec: &SandboxSpec, root: BorrowedFd<'_>) -> Result<(), LaunchError> {
    spec.devices
        .iter()
        .filter(|device| !device.target.starts_with("/dev/"))
        .try_for_each(|device| host_device(device, root, &device.target))
}

/// Makes a node like the host's, or all of a folder's, at a path below `base`.
fn host_device(device: &DeviceRecord, base: BorrowedFd<'_>, target: &str) -> Result<(), LaunchError> {
    let failed = |error: io::Error| LaunchError::io(Step::Dev, device.source.display().to_string(), &error);
    let stat = rustix::fs::stat(&device.source).map_err(|error| failed(error.into()))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => copy_folder(&device.source, base, target).map_err(failed),
        kind @ (FileType::CharacterDevice | FileType::BlockDevice) => {
            node(base, target, kind, stat.st_rdev, stat.st_mode & 0o777).map_err(failed)
        }
        _ => Err(failed(io::Error::from_raw_os_error(libc::ENODEV))),
    }
}

/// Makes the nodes of a host folder, and of those below it.
fn copy_folder(source: &Path, base: BorrowedFd<'_>, target: &str) -> io::Result<()> {
    for entry in std::fs::read_dir(source)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if target.is_empty() && OWN.contains(&name) {
            continue;
        }
        let path = if target.is_empty() { name.to_owned() } else { format!("{target}/{name}") };
        // Devices come and go: one that has just gone is none.
        let Ok(stat) = rustix::fs::lstat(entry.path()) else { continue };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => copy_folder(&entry.path(), base, &path)?,
            kind @ (FileType::CharacterDevice | FileType::BlockDevice) => {
                node(base, &path, kind, stat.st_rdev, stat.st_mode & 0o777)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Makes one node, with the folders on the way; one that is there already is left as it is.
fn node(base: BorrowedFd<'_>, path: &str, kind: FileType, number: u64, mode: u32) -> io::Result<()> {
    let (folder, name) = path.trim_matches('/').rsplit_once('/').unwrap_or(("", path.trim_matches('/')));
    if name.is_empty() || name == ".." || name == "." {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let made = if folder.is_empty() {
        mknodat(base, name, kind, Mode::from_raw_mode(mode), number)
    } else {
        let folder = fd::locate(base, Path::new(folder), Missing::Directory)?;
        mknodat(&folder, name, kind, Mode::from_raw_mode(mode), number)
    };
    match made {
        Err(rustix::io::Errno::EXIST) => Ok(()),
        other => Ok(other?),
    }
}
