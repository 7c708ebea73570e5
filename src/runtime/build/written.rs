//! Files of a layer that is yet to be made, remembered for the layer that the same instruction makes next.

use std::path::{Path, PathBuf};

use crate::Runtime;
use crate::build::reuse::{Kept, Reuse};
use crate::image::digest::Digest;
use crate::image::layers::Layer;
use crate::snapshot::diff::{self, DiffError};

/// Files of a layer that is yet to get its name.
#[derive(Debug)]
pub(super) struct Written {
    /// What the instruction made last.
    pub reuse: Reuse,
    /// Digests and places of the files.
    pub files: Vec<(Digest, PathBuf)>,
    /// Bytes of the files.
    pub bytes: u64,
}

/// From so many files on the archive of a layer is kept: below, reading them all again is nothing.
const MANY: usize = 500;
/// Up to so many bytes of files: the disk has them twice.
const MUCH: u64 = 256 << 20;
/// While all but this part of the files are in the archive of before, it is kept instead of a new one.
const NEW_PART: usize = 10;

impl Written {
    /// Makes the files, which are in `top`, a layer, and remembers them for the next one.
    pub fn commit(mut self, rt: &Runtime, top: &Path, aside: &Path) -> Result<Layer, DiffError> {
        if self.files.len() < MANY || self.bytes > MUCH {
            let layer = diff::commit(rt, top)?;
            self.save(rt, &layer, Kept::Own(&[]));
            return Ok(layer);
        }
        let earlier = self.reuse.earlier();
        let known = earlier.as_ref().map_or(&[][..], |earlier| &earlier.pieces);
        if known.len() >= self.files.len() - self.files.len() / NEW_PART {
            let (layer, _) = diff::commit_with_archive(rt, top, earlier.as_ref(), None)?;
            self.save(rt, &layer, Kept::Before(known));
            return Ok(layer);
        }
        let (layer, pieces) = diff::commit_with_archive(rt, top, earlier.as_ref(), Some(aside))?;
        self.save(rt, &layer, Kept::Own(&pieces));
        Ok(layer)
    }

    /// Without the record the next build copies what it could share.
    fn save(&mut self, rt: &Runtime, layer: &Layer, kept: Kept<'_>) {
        if let Err(error) = self.reuse.save(rt, &layer.diff_id, &mut self.files, kept) {
            tracing::warn!(%error, "cannot remember the files of a layer");
        }
    }
}
