//! A read-only look at stacked layers without mounting them: lookups, symbolic links kept inside the root, listings.
//!
//! COPY needs to read another stage, and to know what its destination looks like; a mount would cost a process.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Component, Path, PathBuf};

/// Layer directories, lowest first. One directory alone is a view too: a build context.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct View {
    /// Lowest first.
    pub layers: Vec<PathBuf>,
}

/// A file of a view.
#[derive(Debug, Clone)]
pub struct Found {
    /// Where it really lies.
    pub real: PathBuf,
    /// What it is, a symbolic link not followed.
    pub metadata: Metadata,
    /// Place of its layer among the view's.
    pub layer: usize,
}

/// The folders of layers that one folder of a view is merged from, highest first, each with its layer's place.
pub type Stack = Vec<(usize, PathBuf)>;

impl View {
    /// Looks at `layers`, lowest first.
    pub fn new(layers: Vec<PathBuf>) -> Self {
        Self { layers }
    }

    /// Finds what is at `path` (absolute or relative to the root, no `..`); a symbolic link is not followed, here or on the way.
    pub fn find(&self, path: &Path) -> io::Result<Option<Found>> {
        let relative = path.strip_prefix("/").unwrap_or(path);
        for (at, layer) in self.layers.iter().enumerate().rev() {
            match locate(at, layer, relative)? {
                Located::There { found, .. } => return Ok(Some(found)),
                Located::Hidden => return Ok(None),
                Located::Missing => {}
            }
        }
        Ok(None)
    }

    /// Returns what a folder is merged from: empty where there is no such folder.
    pub fn stack(&self, path: &Path) -> io::Result<Stack> {
        let relative = path.strip_prefix("/").unwrap_or(path);
        let mut stack = Stack::new();
        for (at, layer) in self.layers.iter().enumerate().rev() {
            let (folder, last) = match locate(at, layer, relative)? {
                Located::There { found, last } if found.metadata.is_dir() => (found.real, last),
                // A file hides what lower layers have.
                Located::There { .. } | Located::Hidden => break,
                Located::Missing => continue,
            };
            let opaque = is_opaque(&folder);
            stack.push((at, folder));
            if last || opaque {
                break;
            }
        }
        Ok(stack)
    }

    /// Lists a folder: names with what they are, sorted.
    pub fn list(&self, path: &Path) -> io::Result<BTreeMap<OsString, Found>> {
        let mut names = BTreeMap::new();
        let mut gone: BTreeSet<OsString> = BTreeSet::new();
        for (layer, folder) in self.stack(path)? {
            for entry in std::fs::read_dir(&folder)? {
                let entry = entry?;
                let name = entry.file_name();
                if gone.contains(&name) || names.contains_key(&name) {
                    continue;
                }
                let metadata = entry.metadata()?;
                if is_whiteout(&metadata) {
                    gone.insert(name);
                } else {
                    names.insert(name, Found { real: entry.path(), metadata, layer });
                }
            }
        }
        Ok(names)
    }

    /// Resolves symbolic links of `path` inside the root, the last one too; what does not exist is taken as it is.
    pub fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        let mut pending: Vec<OsString> = components(path);
        pending.reverse();
        let mut done = PathBuf::from("/");
        let mut links = 0;
        while let Some(name) = pending.pop() {
            if name == ".." {
                done.pop();
                continue;
            }
            let next = done.join(&name);
            match self.find(&next)? {
                Some(found) if found.metadata.is_symlink() => {
                    links += 1;
                    if links > 40 {
                        return Err(io::Error::from_raw_os_error(libc::ELOOP));
                    }
                    let target = std::fs::read_link(&found.real)?;
                    if target.is_absolute() {
                        done = PathBuf::from("/");
                    }
                    pending.extend(components(&target).into_iter().rev());
                }
                Some(_) | None => done = next,
            }
        }
        Ok(done)
    }
}

/// Finds a name in a merged folder.
pub(super) fn find_in(stack: &Stack, name: &OsStr) -> io::Result<Option<Found>> {
    for (layer, folder) in stack {
        let real = folder.join(name);
        match std::fs::symlink_metadata(&real) {
            Ok(metadata) if is_whiteout(&metadata) => return Ok(None),
            Ok(metadata) => return Ok(Some(Found { real, metadata, layer: *layer })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// What one layer has at a path.
#[expect(clippy::large_enum_variant, reason = "one lives for the length of a lookup")]
enum Located {
    /// Something; `last`: an opaque parent hides what lower layers have.
    There { found: Found, last: bool },
    /// Nothing, and lower layers do not count either.
    Hidden,
    /// Nothing.
    Missing,
}

/// Goes name by name: the kernel would follow a symbolic link on the way out of the layer.
fn locate(at: usize, layer: &Path, relative: &Path) -> io::Result<Located> {
    let mut real = layer.to_owned();
    let mut metadata = std::fs::symlink_metadata(&real)?;
    let mut last = false;
    for name in relative.components() {
        if !metadata.is_dir() {
            return Ok(Located::Hidden);
        }
        last |= is_opaque(&real);
        real.push(name);
        metadata = match std::fs::symlink_metadata(&real) {
            Ok(metadata) if is_whiteout(&metadata) => return Ok(Located::Hidden),
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound && last => return Ok(Located::Hidden),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Located::Missing),
            Err(error) => return Err(error),
        };
    }
    Ok(Located::There { found: Found { real, metadata, layer: at }, last })
}

fn components(path: &Path) -> Vec<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsString::from("..")),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

/// Overlayfs marks a file that is gone with a 0:0 character device.
pub(super) fn is_whiteout(metadata: &Metadata) -> bool {
    metadata.file_type().is_char_device() && metadata.rdev() == 0
}

/// Overlayfs marks a directory that hides the ones below it.
pub(super) fn is_opaque(path: &Path) -> bool {
    let mut value = [0_u8; 1];
    matches!(rustix::fs::lgetxattr(path, "trusted.overlay.opaque", &mut value), Ok(1) if value[0] == b'y')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(count: usize) -> (tempfile::TempDir, View) {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let layers: Vec<PathBuf> = (0..count).map(|n| folder.path().join(n.to_string())).collect();
        layers.iter().for_each(|layer| std::fs::create_dir(layer).unwrap());
        (folder, View::new(layers))
    }

    #[test]
    fn a_higher_layer_hides_and_adds_files() {
        let (_folder, view) = layers(2);
        std::fs::create_dir(view.layers[0].join("d")).unwrap();
        std::fs::create_dir(view.layers[1].join("d")).unwrap();
        std::fs::write(view.layers[0].join("d/a"), "low").unwrap();
        std::fs::write(view.layers[0].join("d/b"), "low").unwrap();
        std::fs::write(view.layers[1].join("d/a"), "high").unwrap();
        std::fs::write(view.layers[1].join("d/c"), "high").unwrap();
        let names: Vec<_> = view.list(Path::new("/d")).unwrap().into_keys().collect();
        assert_eq!(names, ["a", "b", "c"]);
        let found = view.find(Path::new("/d/a")).unwrap().unwrap();
        assert_eq!(std::fs::read(found.real).unwrap(), b"high");
        assert!(view.find(Path::new("/d/b")).unwrap().is_some());
    }

    #[test]
    fn whiteouts_and_opaque_folders_hide_what_is_below() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: whiteouts need root");
            return;
        }
        let (_folder, view) = layers(2);
        for layer in &view.layers {
            std::fs::create_dir(layer.join("d")).unwrap();
            std::fs::create_dir(layer.join("o")).unwrap();
        }
        std::fs::write(view.layers[0].join("d/gone"), "").unwrap();
        std::fs::write(view.layers[0].join("o/hidden"), "").unwrap();
        let mark = view.layers[1].join("d/gone");
        let device = rustix::fs::FileType::CharacterDevice;
        rustix::fs::mknodat(rustix::fs::CWD, &mark, device, rustix::fs::Mode::empty(), 0).unwrap();
        let opaque = view.layers[1].join("o");
        rustix::fs::lsetxattr(&opaque, "trusted.overlay.opaque", b"y", rustix::fs::XattrFlags::empty()).unwrap();
        assert!(view.find(Path::new("/d/gone")).unwrap().is_none());
        assert!(view.list(Path::new("/d")).unwrap().is_empty());
        assert!(view.find(Path::new("/o/hidden")).unwrap().is_none());
        assert!(view.list(Path::new("/o")).unwrap().is_empty());
    }

    #[test]
    fn links_stay_inside_the_root() {
        let (_folder, view) = layers(1);
        std::os::unix::fs::symlink("/etc/../../../real", view.layers[0].join("link")).unwrap();
        std::fs::create_dir(view.layers[0].join("real")).unwrap();
        assert_eq!(view.resolve(Path::new("/link/x/../y")).unwrap(), Path::new("/real/y"));
    }
}
