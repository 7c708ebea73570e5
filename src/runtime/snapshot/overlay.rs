//! Layers stacked by overlayfs, mounted by descriptors through the new mount API where the kernel has it whole.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, move_mount,
};

/// Why layers can't be mounted.
#[derive(Debug, thiserror::Error)]
#[error("cannot {act} `{target}`")]
pub struct OverlayError {
    /// `mount an overlay on`, `unmount`.
    pub act: &'static str,
    /// Where.
    pub target: PathBuf,
    /// What the kernel said.
    #[source]
    pub source: io::Error,
}

/// The writable part of a stack.
#[derive(Clone, Copy)]
struct Upper<'a> {
    directory: &'a Path,
    work: &'a Path,
}

/// An upper directory becomes a layer: it must hold whole files under their own names.
const OPTIONS: [&str; 3] = ["redirect_dir", "metacopy", "index"];

/// Mounts `lower` (lowest first) with a writable directory on top at `target`.
pub fn mount(lower: &[PathBuf], upper: &Path, work: &Path, target: &Path) -> Result<(), OverlayError> {
    let error = |source| OverlayError { act: "mount an overlay on", target: target.into(), source };
    match lower {
        // Overlayfs wants something below: without layers, the writable directory is the whole root.
        [] => rustix::mount::mount_bind(upper, target).map_err(|e| error(e.into())),
        _ => stack(lower, Some(Upper { directory: upper, work }), target).map_err(error),
    }
}

/// Mounts `lower` (lowest first, at least one) so that nothing can be written.
pub fn mount_read_only(lower: &[PathBuf], target: &Path) -> Result<(), OverlayError> {
    let error = |source| OverlayError { act: "mount an overlay on", target: target.into(), source };
    match lower {
        // Overlayfs wants two.
        [only] => {
            let flags = MountFlags::BIND | MountFlags::RDONLY;
            rustix::mount::mount_bind(only, target)
                .and_then(|()| rustix::mount::mount_remount(target, flags, ""))
                .map_err(|e| error(e.into()))
        }
        _ => stack(lower, None, target).map_err(error),
    }
}

/// Opens the tree of `lower` (lowest first, two at least), which nobody else sees; `place` is an empty folder where the kernel
/// needs one to mount it on for a moment.
pub fn open_read_only(lower: &[PathBuf], place: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match by_descriptor(lower, None) {
        // A mount's own descriptor names a place, and can't be read.
        Ok(tree) => Ok(rustix::fs::openat(&tree, ".", flags, Mode::empty())?),
        Err(Errno::INVAL | Errno::NOSYS) => {
            by_text(lower, None, place)?;
            let tree = rustix::fs::open(place, flags, Mode::empty());
            rustix::mount::unmount(place, UnmountFlags::DETACH)?;
            Ok(tree?)
        }
        Err(error) => Err(error.into()),
    }
}

/// Unmounts at once; what still uses it keeps it.
pub fn unmount(target: &Path) -> Result<(), OverlayError> {
    let error = |source: Errno| OverlayError { act: "unmount", target: target.into(), source: source.into() };
    rustix::mount::unmount(target, UnmountFlags::DETACH).map_err(error)
}

fn stack(lower: &[PathBuf], upper: Option<Upper<'_>>, target: &Path) -> io::Result<()> {
    match by_descriptor(lower, upper) {
        Ok(tree) => Ok(move_mount(tree, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?),
        // Before Linux 6.7 there is no `lowerdir+`, before 5.2 no descriptor.
        Err(Errno::INVAL | Errno::NOSYS) => by_text(lower, upper, target),
        Err(error) => Err(error.into()),
    }
}

fn by_descriptor(lower: &[PathBuf], upper: Option<Upper<'_>>) -> rustix::io::Result<OwnedFd> {
    let fs = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for directory in lower.iter().rev() {
        fsconfig_set_string(&fs, "lowerdir+", directory)?;
    }
    if let Some(upper) = upper {
        fsconfig_set_string(&fs, "upperdir", upper.directory)?;
        fsconfig_set_string(&fs, "workdir", upper.work)?;
    }
    for option in OPTIONS {
        fsconfig_set_string(&fs, option, "off")?;
    }
    fsconfig_create(&fs)?;
    fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
}

/// The old way, whose option text is cut at a page: directories are named by descriptor, which is short and needs no escapes.
fn by_text(lower: &[PathBuf], upper: Option<Upper<'_>>, target: &Path) -> io::Result<()> {
    let open = |path: &Path| {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from)
    };
    let name = |fd: &OwnedFd| format!("/proc/self/fd/{}", fd.as_raw_fd());
    let lower = lower.iter().rev().map(|path| open(path)).collect::<io::Result<Vec<_>>>()?;
    let mut options = format!("lowerdir={}", lower.iter().map(name).collect::<Vec<_>>().join(":"));
    let upper = upper.map(|it| Ok::<_, io::Error>((open(it.directory)?, open(it.work)?))).transpose()?;
    if let Some((directory, work)) = &upper {
        options += &format!(",upperdir={},workdir={}", name(directory), name(work));
    }
    options.extend(OPTIONS.map(|option| format!(",{option}=off")));
    let options = CString::new(options)?;
    Ok(rustix::mount::mount("overlay", target, "overlay", MountFlags::empty(), Some(options.as_c_str()))?)
}
