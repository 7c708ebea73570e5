//! Makes what becomes `/`: layers stacked, or a folder as it is. Third step of `sandbox::init`.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::CWD;

use crate::sandbox::error::{LaunchError, Step};
use crate::sandbox::spec::{Root, SandboxSpec};
use crate::sys::{fd, mount};

/// Mounts the root at the spec's mount point, where only this mount namespace sees it; returns it.
///
/// `begun` is the overlay that the parent has begun, where there is to be one.
pub(super) fn mount(spec: &SandboxSpec, begun: Option<BorrowedFd<'_>>) -> Result<OwnedFd, LaunchError> {
    let label = spec.file_label.as_deref();
    let tree = match &spec.root {
        Root::Overlay { lower, upper, work } => match begun {
            Some(context) => mount::overlay_of(context, lower, Some((upper, work)), label),
            None => mount::overlay(lower, Some((upper, work)), label),
        },
        Root::Directory(path) => mount::clone_tree(CWD, path, true),
    };
    let named = || match &spec.root {
        Root::Overlay { upper, .. } => upper.display().to_string(),
        Root::Directory(path) => path.display().to_string(),
    };
    let tree = tree.map_err(|error| LaunchError::io(Step::Root, named(), &error))?;
    let here = |error: &std::io::Error| LaunchError::io(Step::Root, spec.mount_point.display().to_string(), error);
    let place = fd::open_directory(&spec.mount_point).map_err(|error| here(&error))?;
    mount::attach(tree.as_fd(), place.as_fd()).map_err(|error| here(&error))?;
    Ok(tree)
}
