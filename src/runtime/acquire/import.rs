//! Makes an image of one layer from an archive of a whole file system.

use std::io::{self, BufReader, Read};
use std::os::fd::AsFd as _;

use crate::Runtime;
use crate::image::config::{History, ImageConfig};
use crate::image::reference::Reference;
use crate::image::staging;
use crate::image::store::{self, Image, StoreError};
use crate::snapshot::archive::{Archive, ArchiveError};
use crate::snapshot::diff::{self, DiffError};
use crate::snapshot::extract::{self, ExtractError, Rules};
use crate::snapshot::unpack;

/// Why an archive can't be imported.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum ImportError {
    #[error("cannot stage the archive")]
    Stage(#[source] io::Error),
    #[error(transparent)]
    Extract(#[from] ExtractError),
    #[error(transparent)]
    Diff(#[from] DiffError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Imports an archive, plain or compressed. `image` is its config without layers; `created` the time for its history.
pub fn import(
    rt: &Runtime,
    archive: impl Read,
    mut image: ImageConfig,
    comment: &str,
    tags: &[Reference],
) -> Result<Image, ImportError> {
    let _lease = store::lease(rt)?;
    let staged = staging::begin(rt).map_err(ImportError::Stage)?;
    let read = |error| ImportError::Extract(ExtractError::Archive(ArchiveError::Read(error)));
    let archive = BufReader::with_capacity(128 << 10, unpack::decompress(archive).map_err(read)?);
    // There is nothing below that a mark could hide: `.wh.` names are files like any other.
    extract::extract(staged.directory.as_fd(), &mut Archive::new(archive), Rules::default())?;
    // Written out anew, so that it can be pushed and saved although the archive is not kept.
    let layer = diff::commit(rt, &staged.path)?;
    image.rootfs.diff_ids = vec![layer.diff_id];
    image.history.push(History {
        created: image.created.clone(),
        comment: Some(comment.to_owned()),
        ..History::default()
    });
    Ok(store::put(rt, &image.to_json(), tags)?)
}
