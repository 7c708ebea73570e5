//! Mounts by descriptor: made detached, configured, then moved to where they belong.
#![expect(unsafe_code, reason = "mount_setattr has no safe form in rustix")]

use std::fmt::Write as _;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

/// `MOUNT_ATTR_*`, as for fsmount(2).
pub type Attributes = MountAttrFlags;

/// The option with the SELinux label of all files of a file system, whatever labels it keeps itself (mount(8)).
pub const LABEL: &str = "context";

/// The longest value that fsconfig(2) takes, with its end.
const LONGEST_VALUE: usize = 256;

/// How events pass between a mount and its peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of mount_namespaces(7)")]
pub enum Propagation {
    Private,
    Slave,
    Shared,
    Unbindable,
}

impl Propagation {
    fn flag(self) -> u64 {
        match self {
            Self::Private => libc::MS_PRIVATE,
            Self::Slave => libc::MS_SLAVE,
            Self::Shared => libc::MS_SHARED,
            Self::Unbindable => libc::MS_UNBINDABLE,
        }
    }
}

/// What to change about a mount.
#[derive(Debug, Clone, Copy, Default)]
pub struct Change {
    /// Attributes to set.
    pub set: u64,
    /// Propagation to give it.
    pub propagation: Option<Propagation>,
    /// All mounts below, too.
    pub recursive: bool,
}

/// `struct mount_attr` of linux/mount.h.
#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Makes a new, detached mount of a file system. A key without a value is a flag.
pub fn new(kind: &str, options: &[(&str, Option<&str>)], attributes: Attributes) -> io::Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        match value {
            Some(value) => fsconfig_set_string(context.as_fd(), *key, *value)?,
            None => fsconfig_set_flag(context.as_fd(), *key)?,
        }
    }
    fsconfig_create(context.as_fd())?;
    Ok(fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

/// Makes a new, detached mount whose files all have an SELinux label, where one is given.
pub fn labelled(
    kind: &str,
    options: &[(&str, Option<&str>)],
    attributes: Attributes,
    label: Option<&str>,
) -> io::Result<OwnedFd> {
    let mut options = options.to_vec();
    options.extend(label.map(|label| (LABEL, Some(label))));
    new(kind, &options, attributes)
}

/// Begins an overlay, for [`overlay_of`]. As long as this is open, the overlay outlives its mounts.
pub fn overlay_context() -> io::Result<OwnedFd> {
    Ok(fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?)
}

/// Stacks layers, lowest first, under a writable directory; returns the detached mount. `label`: the SELinux label that all
/// of its files are to have.
pub fn overlay(lower: &[PathBuf], writable: Option<(&Path, &Path)>, label: Option<&str>) -> io::Result<OwnedFd> {
    overlay_of(overlay_context()?.as_fd(), lower, writable, label)
}

/// The same of an overlay that has begun.
pub fn overlay_of(
    context: BorrowedFd<'_>,
    lower: &[PathBuf],
    writable: Option<(&Path, &Path)>,
    label: Option<&str>,
) -> io::Result<OwnedFd> {
    if let Some(label) = label {
        fsconfig_set_string(context, LABEL, label)?;
    }
    // Held open until the mount is made: their names under /proc stand for paths too long for fsconfig(2).
    let mut open = Vec::new();
    let mut short = |path: &Path| -> io::Result<PathBuf> {
        if path.as_os_str().len() < LONGEST_VALUE {
            return Ok(path.into());
        }
        open.push(crate::sys::fd::open_directory(path)?);
        Ok(format!("/proc/self/fd/{}", open.last().map_or(-1, |fd| fd.as_raw_fd())).into())
    };
    // The topmost comes first (overlayfs.rst).
    for (index, layer) in lower.iter().rev().enumerate() {
        match fsconfig_set_string(context, "lowerdir+", short(layer)?) {
            Ok(()) => {}
            // Before Linux 6.8 there is only the list in one value, and with it the old call.
            Err(rustix::io::Errno::INVAL) if index == 0 => return overlay_by_list(lower, writable, label),
            Err(error) => return Err(error.into()),
        }
    }
    if let Some((upper, work)) = writable {
        fsconfig_set_string(context, "upperdir", short(upper)?)?;
        fsconfig_set_string(context, "workdir", short(work)?)?;
    }
    // The writable directory must be a layer by itself, for whoever turns it into one.
    for (key, value) in [("index", "off"), ("redirect_dir", "nofollow"), ("metacopy", "off")] {
        match fsconfig_set_string(context, key, value) {
            // A kernel built without the feature does not know its option.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    match fsconfig_create(context) {
        Ok(()) => {}
        // Before Linux 6.5 every option is taken at first, and what is not understood is told only here.
        Err(rustix::io::Errno::INVAL) => return overlay_by_list(lower, writable, label),
        Err(error) => return Err(error.into()),
    }
    Ok(fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, Attributes::empty())?)
}

/// The same through mount(2), mounted in a private place and taken from there. Needs a mount namespace of its own.
fn overlay_by_list(lower: &[PathBuf], writable: Option<(&Path, &Path)>, label: Option<&str>) -> io::Result<OwnedFd> {
    // Names under /proc keep any number of layers below the one page that mount(2) takes.
    let mut open = Vec::new();
    let mut short = |path: &Path| -> io::Result<i32> {
        let fd = crate::sys::fd::open_directory(path)?;
        let number = fd.as_raw_fd();
        open.push(fd);
        Ok(number)
    };
    let mut options = String::from("lowerdir=");
    for (index, layer) in lower.iter().rev().enumerate() {
        let colon = if index == 0 { "" } else { ":" };
        let _ = write!(options, "{colon}/proc/self/fd/{}", short(layer)?);
    }
    let Some((upper, work)) = writable else {
        let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        if let Some(label) = label {
            fsconfig_set_string(context.as_fd(), LABEL, label)?;
        }
        // One value holds some fifteen of them.
        fsconfig_set_string(context.as_fd(), "lowerdir", options.trim_start_matches("lowerdir="))?;
        fsconfig_create(context.as_fd())?;
        return Ok(fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, Attributes::empty())?);
    };
    let _ = write!(options, ",upperdir=/proc/self/fd/{},workdir=/proc/self/fd/{}", short(upper)?, short(work)?);
    options.push_str(",index=off");
    if let Some(label) = label {
        // There are commas in it.
        let _ = write!(options, ",{LABEL}=\"{label}\"");
    }
    // Over the work directory's parent entry: nobody looks there, and it is hidden only in this namespace.
    let options = std::ffi::CString::new(options)?;
    rustix::mount::mount("overlay", work, "overlay", MountFlags::empty(), Some(options.as_c_str()))?;
    let tree = clone_tree(CWD, work, false);
    rustix::mount::unmount(work, UnmountFlags::DETACH)?;
    tree
}

/// Copies the mount at a path of the host, or all below it, as a detached one.
pub fn clone_tree(directory: BorrowedFd<'_>, path: &Path, recursive: bool) -> io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    if path.as_os_str().is_empty() {
        flags |= OpenTreeFlags::AT_EMPTY_PATH;
    }
    Ok(open_tree(directory, path.as_os_str().as_bytes(), flags)?)
}

/// Copies the mount that a descriptor is on, from there down.
pub fn clone_of(location: BorrowedFd<'_>, recursive: bool) -> io::Result<OwnedFd> {
    clone_tree(location, Path::new(""), recursive)
}

/// Puts a detached mount at a location.
pub fn attach(mount: BorrowedFd<'_>, location: BorrowedFd<'_>) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(move_mount(mount, "", location, "", flags)?)
}

/// Takes away the mount at a path, with all below it, at once; whoever uses it still may. Follows no link at the end.
pub fn detach(path: &Path) -> io::Result<()> {
    let flags = UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
    Ok(rustix::mount::unmount(path, flags)?)
}

/// Takes the mount away that a descriptor is the root of.
pub fn detach_root(mount: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::mount::unmount(format!("/proc/self/fd/{}", mount.as_raw_fd()), UnmountFlags::DETACH)?)
}

/// Changes a mount that a descriptor is the root of.
pub fn change(mount: BorrowedFd<'_>, change: Change) -> io::Result<()> {
    let attr = MountAttr {
        attr_set: change.set,
        attr_clr: 0,
        propagation: change.propagation.map_or(0, Propagation::flag),
        userns_fd: 0,
    };
    let mut flags = libc::AT_EMPTY_PATH;
    if change.recursive {
        flags |= libc::AT_RECURSIVE;
    }
    // SAFETY: the path is an empty C string, `attr` lives through the call, and the size is its own.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes every mount of this namespace private: what is mounted from here on does not appear elsewhere, nor the other way.
pub fn make_all_private() -> io::Result<()> {
    use rustix::mount::{MountPropagationFlags, mount_change};
    Ok(mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?)
}

/// Makes the mount at `root` the root of this mount namespace, and lets go of the old one.
pub fn pivot(root: impl AsFd) -> io::Result<()> {
    rustix::process::fchdir(root.as_fd())?;
    // The old root is stacked on the new one, then taken off: no directory is needed for it (pivot_root(2), NOTES).
    match rustix::process::pivot_root(".", ".") {
        Ok(()) => {
            rustix::mount::unmount(".", UnmountFlags::DETACH)?;
        }
        // The root of an initramfs can't be pivoted away from: move over it instead.
        Err(rustix::io::Errno::INVAL) => {
            rustix::mount::mount_move(".", "/")?;
            rustix::process::chroot(".")?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(rustix::process::chdir("/")?)
}
