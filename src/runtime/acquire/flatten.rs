//! An image's files as one tree, without its layers.

use std::io::Write;
use std::os::fd::AsFd as _;

use crate::Runtime;
use crate::acquire::save::SaveError;
use crate::image::staging;
use crate::image::store::{self, StoreError};
use crate::snapshot::{diff, overlay};

/// Writes all files of the image that `reference` names as a tar archive.
pub fn flatten(rt: &Runtime, reference: &str, out: impl Write) -> Result<(), SaveError> {
    let _lease = store::lease(rt)?;
    let image = store::find(rt, reference)?.ok_or_else(|| StoreError::NoImage(reference.to_owned()))?;
    let mut layers = store::lower_directories(rt, &image.diff_ids)?;
    // Two at least, so that what a single layer hides is hidden too.
    let bottom = staging::create(rt).map_err(SaveError::Write)?;
    let other = staging::create(rt).map_err(SaveError::Write)?;
    layers.splice(0..0, [bottom.path.clone(), other.path.clone()]);
    let tree = overlay::open_read_only(&layers, &bottom.path).map_err(SaveError::Write)?;
    diff::tar_tree(tree.as_fd(), out)?;
    Ok(())
}
