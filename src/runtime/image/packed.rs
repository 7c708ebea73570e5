//! Layers as registries have them: archives by their own digest, kept beside the unpacked layer so that what is pushed or saved
//! has the digests that it came with.

use std::fs::{File, Permissions};
use std::io::Read as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD};

use crate::Runtime;
use crate::image::digest::Digest;
use crate::image::store::StoreError;
use crate::state::image::{LayerRecord, PackedRecord};
use crate::state::record;

/// A layer's archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Of the archive as it is kept.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    /// `application/vnd.oci.image.layer.v1.tar+gzip`
    pub media_type: String,
}

/// Returns the file that an archive has or would have.
pub fn path(rt: &Runtime, digest: &Digest) -> PathBuf {
    rt.layout.packed().join(digest.hex())
}

/// How an archive is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Compression {
    Gzip,
    Zstd,
    None,
}

/// Tells how a kept archive is packed, by its first bytes.
pub fn compression(rt: &Runtime, digest: &Digest) -> Compression {
    let mut start = [0; 4];
    let read = File::open(path(rt, digest)).and_then(|mut file| file.read_exact(&mut start));
    match (read, start) {
        (Ok(()), [0x1f, 0x8b, ..]) => Compression::Gzip,
        (Ok(()), [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18]) => Compression::Zstd,
        (Ok(()) | Err(_), _) => Compression::None,
    }
}

/// Finds the archive that is kept of a layer.
pub fn find(rt: &Runtime, diff_id: &Digest) -> Option<Packed> {
    let record: LayerRecord = record::read(&rt.layout.layer_record(&diff_id.hex())).ok()??;
    let PackedRecord { digest, size, media_type } = record.packed?;
    let digest = digest.parse().ok()?;
    is_whole(rt, &digest, size).then_some(Packed { digest, size, media_type })
}

/// Says whether an archive of this digest and size is kept.
pub fn is_whole(rt: &Runtime, digest: &Digest, size: u64) -> bool {
    std::fs::metadata(path(rt, digest)).is_ok_and(|file| file.len() == size)
}

/// Moves `file`, a whole and checked archive of the layer on the store's file system, to where it is kept.
pub fn keep(rt: &Runtime, file: &Path, diff_id: &Digest, packed: &Packed) -> Result<(), StoreError> {
    let target = path(rt, &packed.digest);
    std::fs::rename(file, &target).map_err(|source| StoreError::Io { act: "keep", path: target, source })?;
    note(rt, diff_id, packed)
}

/// Gives an open file, a whole and checked archive of the layer on the store's file system, a second name where archives are kept.
pub fn adopt(rt: &Runtime, file: &File, diff_id: &Digest, packed: &Packed) -> Result<(), StoreError> {
    let target = path(rt, &packed.digest);
    let nameless = format!("/proc/self/fd/{}", file.as_raw_fd());
    let linked = file.set_permissions(Permissions::from_mode(0o644)).and_then(|()| {
        match rustix::fs::linkat(CWD, &*nameless, CWD, &target, AtFlags::SYMLINK_FOLLOW) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    });
    linked.map_err(|source| StoreError::Io { act: "keep", path: target, source })?;
    note(rt, diff_id, packed)
}

/// Removes the archive of a layer, if it is one that can be written again from the layer's folder: not compressed.
pub fn drop_plain(rt: &Runtime, diff_id: &Digest) -> Result<(), StoreError> {
    let Some(packed) = find(rt, diff_id).filter(|packed| packed.digest == *diff_id) else { return Ok(()) };
    let path = path(rt, &packed.digest);
    match std::fs::remove_file(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::Io { act: "remove", path, source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Notes which archive is kept of a layer that is there.
pub fn note(rt: &Runtime, diff_id: &Digest, packed: &Packed) -> Result<(), StoreError> {
    let path = rt.layout.layer_record(&diff_id.hex());
    let Some(mut record) = record::read::<LayerRecord>(&path)? else { return Ok(()) };
    record.packed = Some(PackedRecord {
        digest: packed.digest.to_string(),
        size: packed.size,
        media_type: packed.media_type.clone(),
    });
    Ok(record::write(&path, &record)?)
}
