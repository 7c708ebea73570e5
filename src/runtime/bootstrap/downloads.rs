//! Packages that were downloaded and are kept for the next image: how they are found and taken away.

use std::io;
use std::path::PathBuf;

use crate::Runtime;
use crate::image::staging;
use crate::state::record;

/// Returns the folder of packages, which may be missing.
pub fn folder(rt: &Runtime) -> PathBuf {
    rt.layout.bootstrap().join("cache/archives")
}

/// Removes what was downloaded; `false`: an image is being assembled of it.
pub fn remove(rt: &Runtime) -> io::Result<bool> {
    let lock = record::try_lock(&rt.layout.lock("bootstrap")).map_err(io::Error::other)?;
    if lock.is_none() {
        return Ok(false);
    }
    // Moved away at once, since a removal that is killed would leave half of it.
    let bin = staging::create(rt)?;
    std::fs::rename(folder(rt), bin.path.join("packages"))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::layout::Layout;

    #[test]
    fn packages_go_unless_an_image_is_being_assembled_of_them() {
        let root = tempfile::tempdir_in("/var/tmp").unwrap();
        let rt = Runtime::open(Layout::under(root.path())).unwrap();
        std::fs::create_dir_all(folder(&rt).join("partial")).unwrap();
        std::fs::write(folder(&rt).join("base.deb"), "x").unwrap();
        let busy = record::lock(&rt.layout.lock("bootstrap")).unwrap();
        assert!(!remove(&rt).unwrap());
        drop(busy);
        assert!(remove(&rt).unwrap());
        assert!(!folder(&rt).exists());
    }
}
