//! Files of the host as a tar stream, under a name of their own.

use std::fs::File;
use std::io;
use std::path::Path;

use tar::Builder;

/// What of the host goes into the archive.
#[derive(Debug, Clone)]
pub(crate) struct Packing<'a> {
    /// A file or folder.
    pub(crate) source: &'a Path,
    /// What its entries begin with; `None`: only what is in the folder, without itself.
    pub(crate) name: Option<&'a str>,
    /// Take what a link points to, if `source` is one.
    pub(crate) follow_link: bool,
}

/// Writes the archive; a reader that goes away is an error like any other.
pub(crate) fn pack(packing: &Packing<'_>, out: File) -> io::Result<()> {
    let source = match packing.follow_link {
        true => packing.source.canonicalize()?,
        false => packing.source.to_owned(),
    };
    let mut builder = Builder::new(io::BufWriter::with_capacity(1 << 17, out));
    builder.follow_symlinks(false);
    match packing.name {
        Some(name) => append(&mut builder, &source, name)?,
        None => {
            for child in std::fs::read_dir(&source)? {
                let child = child?;
                let name = child.file_name();
                append(&mut builder, &child.path(), &name.to_string_lossy())?;
            }
        }
    }
    let buffered = builder.into_inner()?;
    buffered.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok(())
}

fn append(builder: &mut Builder<impl io::Write>, path: &Path, name: &str) -> io::Result<()> {
    if path.symlink_metadata()?.is_dir() {
        builder.append_dir_all(name, path)
    } else {
        builder.append_path_with_name(path, name)
    }
}
