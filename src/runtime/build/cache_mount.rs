//! The folders behind `RUN --mount=type=cache`: they outlive builds, and several steps may want one at once.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use patterns::clean;

use crate::Runtime;
use crate::build::error::Reason;
use crate::build::mounts::{self, Mount};
use crate::build::view::View;
use crate::image::digest::Digest;

/// A cache's folder while a step uses it.
#[derive(Debug)]
pub(super) struct CacheFolder {
    pub path: PathBuf,
    /// Shared with other steps, or not, as `sharing=` says.
    _lock: File,
}

/// Opens a cache; `space` keeps those of some builds apart (`BUILDKIT_CACHE_MOUNT_NS`).
pub(super) fn open(rt: &Runtime, mount: &Mount, space: &str) -> Result<CacheFolder, Reason> {
    let io = |source| Reason::Io { act: "open a cache mount".to_owned(), source };
    let caches = rt.layout.build_cache().join("mounts");
    std::fs::create_dir_all(&caches).map_err(io)?;
    let options = &mount.options;
    let id = options.id.clone().unwrap_or_else(|| mount.target.clone());
    // What it begins with is part of what it is.
    let mut origin =
        format!("{space}\n{id}\n{:?} {:?} {:?} {:?}", options.from, options.mode, options.uid, options.gid);
    if options.from.is_some() {
        origin.push_str(&format!(" {:?}", options.source));
    }
    let name = Digest::of(origin.as_bytes()).hex();
    let mut copy = 0;
    let (folder, lock) = loop {
        let name = if copy == 0 { name.clone() } else { format!("{name}.{copy}") };
        let lock = File::options().create(true).truncate(false).write(true).open(caches.join(format!("{name}.lock")));
        let lock = lock.map_err(io)?;
        match options.sharing.as_deref() {
            Some("locked") => lock.lock().map_err(io)?,
            Some("private") => match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    copy += 1;
                    continue;
                }
                Err(TryLockError::Error(error)) => return Err(io(error)),
            },
            Some(_) | None => lock.lock_shared().map_err(io)?,
        }
        // When it was used last: what a prune goes by.
        lock.set_modified(SystemTime::now()).map_err(io)?;
        break (caches.join(name), lock);
    };
    if !folder.is_dir() {
        begin(&folder, mount)?;
    }
    let path = match (&options.source, &options.from) {
        (Some(source), None) => inside(&folder, source).map_err(io)?,
        _ => folder,
    };
    Ok(CacheFolder { path, _lock: lock })
}

/// Makes a new cache, from what `from` shows or empty. Steps that share it may do so at once: one of them is first.
fn begin(folder: &Path, mount: &Mount) -> Result<(), Reason> {
    let io = |source| Reason::Io { act: "make a cache mount".to_owned(), source };
    let aside = folder.with_extension(format!("new-{}-{:?}", std::process::id(), std::thread::current().id()));
    match &mount.tree {
        None => {
            std::fs::create_dir(&aside).map_err(io)?;
            mounts::give(&aside, &mount.options, 0o755)?;
        }
        Some((tree, selected)) => {
            let parent = aside.parent().unwrap_or(Path::new("/"));
            let name = aside.file_name().unwrap_or_default().to_string_lossy();
            mounts::copy(tree, selected, parent, &name)?;
        }
    }
    match crate::image::staging::publish(&aside, folder).map_err(io)? {
        true => Ok(()),
        false => std::fs::remove_dir_all(&aside).map_err(io),
    }
}

/// Finds a folder of a cache; a link in it can't lead out of it.
fn inside(folder: &Path, source: &str) -> io::Result<PathBuf> {
    let path = View::new(vec![folder.to_owned()]).resolve(Path::new(&clean(&format!("/{source}"))))?;
    let path = folder.join(path.strip_prefix("/").unwrap_or(&path));
    std::fs::create_dir_all(&path)?;
    Ok(path)
}
