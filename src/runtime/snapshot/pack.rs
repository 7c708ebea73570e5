//! A layer's directory becomes the archive that registries take. What came from a registry or a file is kept as it came.

use std::io;
use std::path::PathBuf;

use crate::Runtime;
use crate::image::digest::Digest;
use crate::image::layers;
use crate::image::packed::{self, Compression, Packed};
use crate::image::staging;
use crate::image::store::StoreError;
use crate::snapshot::archive_writer::Counting;
use crate::snapshot::diff::{self, DiffError};
use crate::snapshot::gzip::ParallelGzip;
use crate::snapshot::unpack::Digesting;

/// Why a layer can't be packed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum PackError {
    #[error(transparent)]
    Diff(#[from] DiffError),
    #[error("cannot write the archive of layer `{diff_id}`")]
    Write {
        diff_id: Digest,
        #[source]
        source: io::Error,
    },
    #[error(
        "layer `{diff_id}` can't be written out again as it was: its archive was not kept; pull or load the image again"
    )]
    Lost { diff_id: Digest },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Returns the layer's archive, made where none is kept.
pub fn pack(rt: &Runtime, diff_id: &Digest) -> Result<Packed, PackError> {
    let kept = packed::find(rt, diff_id);
    let plain = match kept {
        Some(packed) if packed::compression(rt, &packed.digest) != Compression::None => return Ok(packed),
        Some(packed) => Some(packed::path(rt, &packed.digest)),
        None => None,
    };
    let from_plain = plain.as_ref().map(|plain| pack_from(rt, diff_id, Some(plain)));
    match from_plain {
        // A machine that lost its power may have damaged the archive, and the folder is still there.
        Some(Err(PackError::Lost { .. })) | None => pack_from(rt, diff_id, None),
        Some(other) => other,
    }
}

/// Packs the layer, from its archive that is not compressed or from its folder.
fn pack_from(rt: &Runtime, diff_id: &Digest, plain: Option<&PathBuf>) -> Result<Packed, PackError> {
    let failed = |source| PackError::Write { diff_id: *diff_id, source };
    let staged = staging::create(rt).map_err(failed)?;
    let path = staged.path.join("layer");
    let file = std::fs::File::create_new(&path).map_err(failed)?;
    let mut gzip = ParallelGzip::new(Counting::new(file)).map_err(failed)?;
    let found = match plain {
        Some(plain) => {
            let mut digesting = Digesting::new(std::fs::File::open(plain).map_err(failed)?);
            io::copy(&mut digesting, &mut gzip).map_err(failed)?;
            digesting.finish()
        }
        None => diff::tar(&layers::directory(rt, diff_id), &mut gzip)?.diff_id,
    };
    if found != *diff_id {
        return Err(PackError::Lost { diff_id: *diff_id });
    }
    let (digest, size) = gzip.finish().map_err(failed)?.finish();
    let packed = Packed { digest, size, media_type: "application/vnd.oci.image.layer.v1.tar+gzip".to_owned() };
    packed::keep(rt, &path, diff_id, &packed)?;
    // The same bytes twice would be waste.
    if let Some(plain) = plain {
        std::fs::remove_file(plain).map_err(failed)?;
    }
    Ok(packed)
}
