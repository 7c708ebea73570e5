//! Paths of `/proc` and `/sys` that a container must not read, or not write: Docker's lists.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, fstat, openat};

use crate::sandbox::error::{LaunchError, Step};
use crate::sandbox::mounts::Own;
use crate::sys::fd::{self, Missing};
use crate::sys::mount::{self, Attributes, Change};

/// Hidden, below /proc.
const HIDDEN_PROC: [&str; 10] = [
    "acpi",
    "asound",
    "interrupts",
    "kcore",
    "keys",
    "latency_stats",
    "sched_debug",
    "scsi",
    "timer_list",
    "timer_stats",
];

/// Hidden, below /sys. The per-processor `thermal_throttle` folders are found there.
const HIDDEN_SYS: [&str; 2] = ["devices/virtual/powercap", "firmware"];

/// Not writable, below /proc.
const READ_ONLY_PROC: [&str; 5] = ["bus", "fs", "irq", "sys", "sysrq-trigger"];

/// Hides and write-protects; a path that this kernel does not have is left out.
pub(super) fn apply(own: &Own) -> Result<(), LaunchError> {
    let mut cover = Cover::open(own)?;
    cover_proc(&mut cover, own)?;
    for path in HIDDEN_SYS {
        cover.hide(own.sys.as_fd(), path).map_err(failed(format!("/sys/{path}")))?;
    }
    for number in 0.. {
        let folder = format!("devices/system/cpu/cpu{number}");
        if location(own.sys.as_fd(), &folder).map_err(failed(format!("/sys/{folder}")))?.is_none() {
            break;
        }
        let path = format!("{folder}/thermal_throttle");
        cover.hide(own.sys.as_fd(), &path).map_err(failed(format!("/sys/{path}")))?;
    }
    Ok(())
}

/// Does so in `/proc` alone.
pub(super) fn apply_to_proc(own: &Own) -> Result<(), LaunchError> {
    cover_proc(&mut Cover::open(own)?, own)
}

fn cover_proc(cover: &mut Cover, own: &Own) -> Result<(), LaunchError> {
    for path in HIDDEN_PROC {
        cover.hide(own.proc.as_fd(), path).map_err(failed(format!("/proc/{path}")))?;
    }
    for path in READ_ONLY_PROC {
        write_protect(own.proc.as_fd(), path).map_err(failed(format!("/proc/{path}")))?;
    }
    Ok(())
}

/// Does so for paths inside the root, links followed there; one that is missing is left out.
pub(super) fn apply_these(
    own: &Own,
    root: BorrowedFd<'_>,
    hidden: &[String],
    read_only: &[String],
) -> Result<(), LaunchError> {
    let find = |path: &str| match fd::locate(root, Path::new(path), Missing::Fail) {
        Ok(place) => Ok(Some(place)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path.to_owned())(error)),
    };
    let mut cover = Cover::open(own)?;
    for path in read_only {
        if let Some(place) = find(path)? {
            write_protect_place(&place).map_err(failed(path.clone()))?;
        }
    }
    for path in hidden {
        if let Some(place) = find(path)? {
            cover.put(&place).map_err(failed(path.clone()))?;
        }
    }
    Ok(())
}

fn failed(path: String) -> impl FnOnce(io::Error) -> LaunchError {
    move |error| LaunchError::io(Step::Mask, path, &error)
}

/// What is put over a path.
struct Cover {
    /// Over a file.
    null: OwnedFd,
    /// Over a folder; made at the first one and copied for the others.
    empty: Option<OwnedFd>,
    /// The SELinux label of what is made.
    label: Option<String>,
}

impl Cover {
    fn open(own: &Own) -> Result<Self, LaunchError> {
        Ok(Self { null: null(own).map_err(failed("/dev/null".to_owned()))?, empty: None, label: own.label.clone() })
    }

    fn hide(&mut self, base: BorrowedFd<'_>, path: &str) -> io::Result<()> {
        match location(base, path)? {
            Some(place) => self.put(&place),
            None => Ok(()),
        }
    }

    fn put(&mut self, place: &OwnedFd) -> io::Result<()> {
        if FileType::from_raw_mode(fstat(place)?.st_mode) != FileType::Directory {
            return mount::attach(mount::clone_of(self.null.as_fd(), false)?.as_fd(), place.as_fd());
        }
        if let Some(empty) = &self.empty {
            return mount::attach(mount::clone_of(empty.as_fd(), false)?.as_fd(), place.as_fd());
        }
        let empty =
            mount::labelled("tmpfs", &[("size", Some("0"))], Attributes::MOUNT_ATTR_RDONLY, self.label.as_deref())?;
        mount::attach(empty.as_fd(), place.as_fd())?;
        self.empty = Some(empty);
        Ok(())
    }
}

/// Opens the null device that we have made ourselves, and makes sure that it is one (CVE-2025-31133).
fn null(own: &Own) -> io::Result<OwnedFd> {
    let null = openat(&own.dev, "null", OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let stat = fstat(&null)?;
    let is_null =
        FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == rustix::fs::makedev(1, 3);
    if is_null { Ok(null) } else { Err(io::Error::from_raw_os_error(libc::ENODEV)) }
}

fn write_protect(base: BorrowedFd<'_>, path: &str) -> io::Result<()> {
    match location(base, path)? {
        Some(place) => write_protect_place(&place),
        None => Ok(()),
    }
}

fn write_protect_place(place: &OwnedFd) -> io::Result<()> {
    let tree = mount::clone_of(place.as_fd(), true)?;
    let set = Attributes::MOUNT_ATTR_RDONLY
        | Attributes::MOUNT_ATTR_NOSUID
        | Attributes::MOUNT_ATTR_NODEV
        | Attributes::MOUNT_ATTR_NOEXEC;
    mount::change(tree.as_fd(), Change { set: set.bits().into(), recursive: true, propagation: None })?;
    mount::attach(tree.as_fd(), place.as_fd())
}

/// Opens a path below a file system of the kernel's own, where no container makes links; `None`: there is none.
fn location(base: BorrowedFd<'_>, path: &str) -> io::Result<Option<OwnedFd>> {
    match openat(base, path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
        Ok(place) => Ok(Some(place)),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
