//! Fills volumes at their first use with what the image has in their place.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags};

use crate::Runtime;
use crate::keeper::spec;
use crate::snapshot::overlay;
use crate::state::container::{ContainerRecord, MountRecord, MountSourceRecord};
use crate::volume::{self, VolumeError};

/// Fills each volume of a container that has never been used.
///
/// `mount_point` is an empty folder to look at the image's root through, mounted only where that is needed.
pub fn populate(rt: &Runtime, record: &ContainerRecord, mount_point: &Path) -> Result<(), VolumeError> {
    let mut root = None;
    for mount in &record.mounts {
        if let Some(name) = to_fill(mount) {
            volume::populate(rt, name, &mut || {
                if root.is_none() {
                    root = open_root(rt, record, mount_point)?;
                }
                root.as_ref().map_or(Ok(None), |root| folder(root, &mount.target))
            })?;
        }
    }
    Ok(())
}

/// Volumes into which a part of another one is mounted are as their owner made them.
fn to_fill(mount: &MountRecord) -> Option<&str> {
    match &mount.source {
        MountSourceRecord::Volume { name, nocopy: false, subpath: None, .. } => Some(name),
        MountSourceRecord::Volume { .. }
        | MountSourceRecord::Bind { .. }
        | MountSourceRecord::Tmpfs { .. }
        | MountSourceRecord::File { .. }
        | MountSourceRecord::Image { .. } => None,
    }
}

/// Opens the image's root. It stays mounted, out of sight, as long as the descriptor is open.
fn open_root(rt: &Runtime, record: &ContainerRecord, mount_point: &Path) -> io::Result<Option<OwnedFd>> {
    if record.layers.is_empty() {
        return Ok(None);
    }
    overlay::mount_read_only(&spec::layers(rt, &record.layers), mount_point).map_err(|error| error.source)?;
    let root = rustix::fs::open(mount_point, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    overlay::unmount(mount_point).map_err(|error| error.source)?;
    Ok(Some(root?))
}

/// Opens a folder of the image; links in it lead to places in it.
fn folder(root: &OwnedFd, target: &str) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(root, target, flags, Mode::empty(), resolve) {
        Ok(folder) => Ok(Some(folder)),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
