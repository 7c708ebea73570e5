//! What was written on top of an overlay becomes a layer, and a layer becomes an archive.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::Runtime;
use crate::image::layers::{self, Layer};
use crate::image::packed::{self, Packed};
use crate::image::store::StoreError;
use crate::snapshot::ahead;
use crate::snapshot::archive_writer::{Earlier, Pieces, Writer, cursor, names};
use crate::snapshot::place;

/// Why a layer can't be made or written out.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum DiffError {
    #[error("cannot read `{path}`")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot write the layer's archive")]
    Write(#[source] io::Error),
    #[error("`{path}` changed while it was read")]
    Changed { path: PathBuf },
    #[error("cannot make `{path}` a layer")]
    Publish {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes an overlay's unmounted upper directory, which must lie on the store's file system, a layer: digested, then moved into place.
/// Afterwards `upper` is gone.
pub fn commit(rt: &Runtime, upper: &Path) -> Result<Layer, DiffError> {
    let layer = tar(upper, io::sink())?;
    publish(rt, upper, layer)
}

/// As `commit`, with an archive that has some of the files already. Keeps the new one, too, through `archive`, a path beside
/// `upper`, and then returns where the files lie in it.
pub fn commit_with_archive(
    rt: &Runtime,
    upper: &Path,
    earlier: Option<&Earlier>,
    archive: Option<&Path>,
) -> Result<(Layer, Pieces), DiffError> {
    let Some(archive) = archive else {
        let (layer, pieces) = write_tar(upper, io::sink(), earlier, false)?;
        return Ok((publish(rt, upper, layer)?, pieces));
    };
    let file = BufWriter::with_capacity(256 << 10, File::create_new(archive).map_err(DiffError::Write)?);
    let (layer, pieces) = write_tar(upper, file, earlier, true)?;
    let layer = publish(rt, upper, layer)?;
    let size = std::fs::metadata(archive).map_err(DiffError::Write)?.len();
    let media_type = "application/vnd.oci.image.layer.v1.tar".to_owned();
    // Another process may have packed the very same layer meanwhile.
    if packed::find(rt, &layer.diff_id).is_none() {
        packed::keep(rt, archive, &layer.diff_id, &Packed { digest: layer.diff_id, size, media_type })?;
    }
    Ok((layer, pieces))
}

fn publish(rt: &Runtime, upper: &Path, layer: Layer) -> Result<Layer, DiffError> {
    layers::publish(rt, upper, layer)?;
    // It is still there when the store had the very same layer.
    match std::fs::remove_dir_all(upper) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(DiffError::Publish { path: upper.into(), source })
        }
        Ok(()) | Err(_) => Ok(layer),
    }
}

/// Writes a layer's directory as an archive with whiteouts in their archived form, and returns its digest and size.
pub fn tar(directory: &Path, out: impl Write) -> Result<Layer, DiffError> {
    Ok(write_tar(directory, out, None, false)?.0)
}

fn write_tar(
    directory: &Path,
    out: impl Write,
    earlier: Option<&Earlier>,
    noting: bool,
) -> Result<(Layer, Pieces), DiffError> {
    let read = |source: Errno| DiffError::Read { path: directory.into(), source: source.into() };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(directory, flags, Mode::empty()).map_err(read)?;
    let mut files = Vec::new();
    list_files(root.as_fd(), Path::new(""), &mut files)?;
    let mut taken_over = cursor(earlier);
    files.retain(|path| taken_over.find(path).is_none());
    ahead::reading(root.as_fd(), &files, |ahead| {
        let writer = Writer::new(out).reading(ahead).with_earlier(earlier);
        let mut writer = if noting { writer.noting() } else { writer };
        writer.directory(root.as_fd(), Path::new(""))?;
        writer.finish()
    })
}

/// Lists the regular files below a directory in the order of archives; what a file system does not tell the type of is left out.
fn list_files(directory: BorrowedFd<'_>, path: &Path, files: &mut Vec<PathBuf>) -> Result<(), DiffError> {
    for (name, kind) in names(directory, path)? {
        let name = Path::new(OsStr::from_bytes(&name));
        let path = path.join(name);
        match kind {
            FileType::RegularFile => files.push(path),
            FileType::Directory => {
                let read = |source: Errno| DiffError::Read { path: path.clone(), source: source.into() };
                let open = place::open_directory(directory, name).map_err(read)?;
                list_files(open.as_fd(), &path, files)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Writes all that is in a directory.
pub fn tar_tree(directory: BorrowedFd<'_>, out: impl Write) -> Result<Layer, DiffError> {
    let mut writer = Writer::new(out);
    writer.directory(directory, Path::new(""))?;
    Ok(writer.finish()?.0)
}

/// Writes what `name` names in a directory, with all that is in it; the directory itself is named `.`.
pub fn tar_member(parent: BorrowedFd<'_>, name: &Path, out: impl Write) -> Result<Layer, DiffError> {
    let mut writer = Writer::new(out);
    let read = |source: Errno| DiffError::Read { path: name.into(), source: source.into() };
    let stat = place::look(parent, name).map_err(read)?;
    let stat = stat.ok_or_else(|| read(Errno::NOENT))?;
    writer.member(parent, name, name, &stat)?;
    Ok(writer.finish()?.0)
}
