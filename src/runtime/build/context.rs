//! What COPY and ADD read: the build context behind its ignore file, or the files of another stage or image.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use patterns::{Ignore, Matched, clean, matches_glob};

use crate::build::cache::Key;
use crate::build::hashes::Hashes;
use crate::build::view::{Found, View};
use crate::image::digest::Digest;

/// A tree to copy from.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Its files.
    pub view: View,
    /// What is not seen of it.
    pub ignore: Ignore,
    /// Owners and capabilities count; a context's files become root's.
    pub keep_owners: bool,
}

/// A source that was found.
#[derive(Debug, Clone)]
pub struct Selected {
    /// Its name in a destination folder.
    pub name: PathBuf,
    /// Where it is in the tree, links resolved: absolute.
    pub path: PathBuf,
}

/// One file below a source, in the order of a walk: folders before what they hold.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Relative to the source; empty is the source itself.
    pub relative: PathBuf,
    /// Where it lies and what it is.
    pub found: Found,
    /// Digest of a file's bytes, where it was asked for.
    pub digest: Option<Digest>,
}

/// Why a source can't be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum SelectError {
    #[error("{source_path:?}: not found in the build context{}", name_near(.near))]
    Missing { source_path: String, near: Vec<String> },
    #[error("{source_path:?}: not found: it is in the build context, but excluded by the ignore file")]
    Ignored { source_path: String },
    #[error("{0}")]
    Pattern(String),
    #[error("cannot read `{path}`")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

fn name_near(names: &[String]) -> String {
    match names {
        [] => String::new(),
        names => format!("; near it: {}", names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
    }
}

impl Tree {
    /// Finds what a source of COPY names: a path, or a pattern with any number of matches.
    pub fn select(&self, source: &str) -> Result<Vec<Selected>, SelectError> {
        let cleaned = clean(&format!("/{source}"));
        if is_pattern(&cleaned) {
            let found = self.matching(Path::new("/"), cleaned.trim_start_matches('/'), false)?;
            return found.into_iter().map(|path| self.selected(path)).collect();
        }
        let path = self.view.resolve(Path::new(&cleaned)).map_err(io_error(Path::new(&cleaned)))?;
        let found = self.view.find(&path).map_err(io_error(&path))?;
        let relative = path.to_string_lossy();
        let relative = relative.trim_start_matches('/');
        let hidden = !relative.is_empty() && self.ignore.is_ignored(relative);
        match found {
            // An ignored folder may hold files that are seen again.
            Some(found) if !hidden || (found.metadata.is_dir() && self.ignore.has_exceptions()) => {
                let name = Path::new(&cleaned).file_name().map(PathBuf::from).unwrap_or_default();
                Ok(vec![Selected { name, path }])
            }
            Some(_) => Err(SelectError::Ignored { source_path: cleaned }),
            None => Err(SelectError::Missing { source_path: cleaned, near: self.near(&path) }),
        }
    }

    /// Finds what a source of COPY --parents names, and of each match the path below the pivot `/./`, which is kept.
    /// `**` stands for any number of folders.
    pub fn select_parents(&self, source: &str) -> Result<Vec<(Selected, PathBuf)>, SelectError> {
        let (before, after) = match source.strip_prefix("./").unwrap_or(source).split_once("/./") {
            Some((before, after)) => (clean(&format!("/{before}")), clean(&format!("/{after}"))),
            None => ("/".to_owned(), clean(&format!("/{source}"))),
        };
        if !is_pattern(&before) && !is_pattern(&after) {
            let whole = if before == "/" { after.clone() } else { format!("{before}{after}") };
            let selected = self.select(&whole)?;
            return Ok(selected.into_iter().map(|it| (it, relative(&after))).collect());
        }
        let mut found = Vec::new();
        for base in self.matching(Path::new("/"), before.trim_start_matches('/'), true)? {
            let base = self.view.resolve(&base).map_err(io_error(&base))?;
            for path in self.matching(&base, after.trim_start_matches('/'), true)? {
                let kept = path.strip_prefix(&base).unwrap_or(&path).to_owned();
                found.push((self.selected(path)?, kept));
            }
        }
        Ok(found)
    }

    fn selected(&self, path: PathBuf) -> Result<Selected, SelectError> {
        let name = path.file_name().map(PathBuf::from).unwrap_or_default();
        let path = self.view.resolve(&path).map_err(io_error(&path))?;
        Ok(Selected { name, path })
    }

    /// Returns `folder` and every folder below it.
    fn folders_below(&self, folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), SelectError> {
        found.push(folder.to_owned());
        for (name, entry) in self.view.list(folder).map_err(io_error(folder))? {
            if entry.metadata.is_dir() {
                self.folders_below(&folder.join(name), found)?;
            }
        }
        Ok(())
    }

    /// Matches name by name below `start`, as Go's `filepath.Match` does; `**` only where it is `deep`.
    fn matching(&self, start: &Path, pattern: &str, deep: bool) -> Result<Vec<PathBuf>, SelectError> {
        let mut folders = vec![start.to_owned()];
        let names: Vec<&str> = pattern.split('/').filter(|name| !name.is_empty()).collect();
        for (at, name) in names.iter().enumerate() {
            let last = at + 1 == names.len();
            let mut next = Vec::new();
            if deep && *name == "**" && !last {
                for folder in &folders {
                    self.folders_below(folder, &mut next)?;
                }
                next.sort();
                next.dedup();
                folders = next;
                continue;
            }
            let name = if *name == "**" { "*" } else { name };
            for folder in &folders {
                let real = self.view.resolve(folder).map_err(io_error(folder))?;
                for (entry, _) in self.view.list(&real).map_err(io_error(&real))? {
                    let text = entry.to_string_lossy();
                    if !matches_glob(name, &text).map_err(SelectError::Pattern)? {
                        continue;
                    }
                    let path = real.join(&entry);
                    let relative = path.to_string_lossy();
                    if last && self.ignore.is_ignored(relative.trim_start_matches('/')) {
                        continue;
                    }
                    next.push(path);
                }
            }
            folders = next;
        }
        Ok(folders)
    }

    /// Names of the same folder that look like what was asked for.
    fn near(&self, path: &Path) -> Vec<String> {
        let Some((folder, name)) = path.parent().zip(path.file_name()) else { return Vec::new() };
        let name = name.to_string_lossy().to_lowercase();
        let listed = self.view.list(folder).unwrap_or_default();
        let mut names: Vec<(usize, String)> = listed
            .into_keys()
            .map(|entry| entry.to_string_lossy().into_owned())
            .map(|entry| (strsim::damerau_levenshtein(&name, &entry.to_lowercase()), entry))
            .filter(|(distance, entry)| *distance <= 2.max(entry.len() / 3))
            .collect();
        names.sort();
        let prefix = folder.to_string_lossy();
        let prefix = prefix.trim_start_matches('/');
        let join = |name: String| if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        names.into_iter().take(3).map(|(_, name)| join(name)).collect()
    }

    /// Walks a source, in the order of names; `exclude` is relative to it.
    pub fn walk(&self, selected: &Selected, exclude: &Ignore) -> Result<Vec<Entry>, SelectError> {
        let path = &selected.path;
        let missing = || SelectError::Missing { source_path: path.display().to_string(), near: Vec::new() };
        let found = self.view.find(path).map_err(io_error(path))?.ok_or_else(missing)?;
        let folder = found.metadata.is_dir();
        let mut entries = vec![Entry { relative: PathBuf::new(), found, digest: None }];
        if folder {
            let mut parent = Matched::default();
            let text = path.to_string_lossy().into_owned();
            let text = text.trim_start_matches('/');
            for (at, _) in text.match_indices('/').chain([(text.len(), "")]).filter(|(at, _)| *at > 0) {
                parent = self.ignore.step(&text[..at], &parent).1;
            }
            let walk = Walk { tree: self, exclude };
            walk.folder(path, Path::new(""), &parent, &Matched::default(), &mut entries)?;
        }
        Ok(entries)
    }

    /// Walks a source, with the digests of its files.
    pub fn entries(&self, selected: &Selected, exclude: &Ignore, hashes: &Hashes) -> Result<Vec<Entry>, SelectError> {
        let mut entries = self.walk(selected, exclude)?;
        hashes.fill(&mut entries).map_err(|(path, source)| SelectError::Io { path, source })?;
        Ok(entries)
    }

    /// Adds to `key` all of a source that a copy of it carries over, but no modification time.
    pub fn key(&self, key: Key, selected: &Selected, exclude: &Ignore, hashes: &Hashes) -> Result<Key, SelectError> {
        self.key_of(key, selected, &self.entries(selected, exclude, hashes)?)
    }

    /// As `key`, of a source that was walked.
    pub fn key_of(&self, mut key: Key, selected: &Selected, entries: &[Entry]) -> Result<Key, SelectError> {
        key = key.with(selected.name.as_os_str().as_bytes());
        for entry in entries {
            let Found { real, metadata, .. } = &entry.found;
            let kind = metadata.file_type();
            key = key.with(entry.relative.as_os_str().as_bytes());
            if kind.is_symlink() {
                let target = std::fs::read_link(real).map_err(io_error(real))?;
                key = key.with("link").with(target.as_os_str().as_bytes());
                continue;
            }
            key = key.with((metadata.mode() & 0o7777).to_le_bytes());
            if self.keep_owners {
                key = key.with(metadata.uid().to_le_bytes()).with(metadata.gid().to_le_bytes());
                key = key.with(capability(real).unwrap_or_default());
            }
            key = if kind.is_dir() {
                key.with("folder")
            } else if kind.is_file() {
                key.with("file").with(entry.digest.as_ref().map_or_else(String::new, Digest::hex))
            } else if kind.is_socket() {
                key.with("socket")
            } else {
                key.with("device").with(metadata.rdev().to_le_bytes())
            };
        }
        Ok(key)
    }
}

/// Returns the file capabilities of `path`, raw.
pub(super) fn capability(path: &Path) -> Option<Vec<u8>> {
    let mut value = [0_u8; 64];
    let length = rustix::fs::lgetxattr(path, "security.capability", &mut value).ok()?;
    Some(value[..length].to_vec())
}

struct Walk<'a> {
    tree: &'a Tree,
    exclude: &'a Ignore,
}

impl Walk<'_> {
    fn folder(
        &self,
        path: &Path,
        relative: &Path,
        ignored_by: &Matched,
        excluded_by: &Matched,
        entries: &mut Vec<Entry>,
    ) -> Result<(), SelectError> {
        for (name, found) in self.tree.view.list(path).map_err(io_error(path))? {
            let path = path.join(&name);
            let relative = relative.join(&name);
            let text = path.to_string_lossy();
            let (ignored, ignored_by) = self.tree.ignore.step(text.trim_start_matches('/'), ignored_by);
            let (excluded, excluded_by) = self.exclude.step(&relative.to_string_lossy(), excluded_by);
            let folder = found.metadata.is_dir();
            let hidden = ignored || excluded;
            let exceptions = self.tree.ignore.has_exceptions() || self.exclude.has_exceptions();
            if hidden && !(folder && exceptions) {
                continue;
            }
            let before = entries.len();
            entries.push(Entry { relative: relative.clone(), found, digest: None });
            if folder {
                self.folder(&path, &relative, &ignored_by, &excluded_by, entries)?;
                // A hidden folder is there only for the sake of what is seen in it.
                if hidden && entries.len() == before + 1 {
                    entries.truncate(before);
                }
            }
        }
        Ok(())
    }
}

fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

fn relative(path: &str) -> PathBuf {
    PathBuf::from(path.trim_start_matches('/'))
}

fn io_error(path: &Path) -> impl Fn(io::Error) -> SelectError {
    let path = path.to_owned();
    move |source| SelectError::Io { path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Runtime;
    use crate::state::layout::Layout;

    fn tree(ignore: &str) -> (tempfile::TempDir, Tree, Hashes) {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let root = folder.path().join("context");
        std::fs::create_dir_all(root.join("src/deep")).unwrap();
        std::fs::write(root.join("app.py"), "app").unwrap();
        std::fs::write(root.join("src/a.txt"), "a").unwrap();
        std::fs::write(root.join("src/deep/b.txt"), "b").unwrap();
        let rt = Runtime::open(Layout::under(folder.path())).unwrap();
        let hashes = Hashes::load(&rt, &root);
        let ignore = Ignore::parse(ignore).unwrap();
        (folder, Tree { view: View::new(vec![root]), ignore, keep_owners: false }, hashes)
    }

    fn names(tree: &Tree, source: &str) -> Vec<String> {
        let mut names = Vec::new();
        for selected in tree.select(source).unwrap() {
            for entry in tree.walk(&selected, &Ignore::default()).unwrap() {
                names.push(selected.path.join(entry.relative).to_string_lossy().trim_end_matches('/').to_owned());
            }
        }
        names
    }

    fn key(tree: &Tree, hashes: &Hashes, source: &str) -> Digest {
        let selected = tree.select(source).unwrap();
        selected.iter().fold(Key::new("t"), |key, one| tree.key(key, one, &Ignore::default(), hashes).unwrap()).finish()
    }

    #[test]
    fn a_folder_is_walked_without_what_is_ignored() {
        let (_folder, tree, _) = tree("src/deep\n!src/deep/b.txt\napp.py");
        assert_eq!(names(&tree, "."), ["", "/src", "/src/a.txt", "/src/deep", "/src/deep/b.txt"]);
        let (_folder, tree, _) = self::tree("**/*.txt");
        assert_eq!(names(&tree, "src"), ["/src", "/src/deep"]);
    }

    #[test]
    fn a_pattern_matches_name_by_name_and_may_match_nothing() {
        let (_folder, tree, _) = tree("");
        assert_eq!(names(&tree, "*.py"), ["/app.py"]);
        assert_eq!(names(&tree, "s*/*.txt"), ["/src/a.txt"]);
        assert!(names(&tree, "*.rs").is_empty());
    }

    #[test]
    fn a_missing_source_is_named_with_what_is_near() {
        let (_folder, tree, _) = tree("app.py");
        let message = tree.select("src/a.text").unwrap_err().to_string();
        assert_eq!(message, "\"/src/a.text\": not found in the build context; near it: `src/a.txt`");
        let message = tree.select("app.py").unwrap_err().to_string();
        assert_eq!(message, "\"/app.py\": not found: it is in the build context, but excluded by the ignore file");
    }

    #[test]
    fn a_source_cannot_leave_the_context() {
        let (_folder, tree, _) = tree("");
        assert_eq!(names(&tree, "../../app.py"), ["/app.py"]);
        std::os::unix::fs::symlink("/etc/passwd", tree.view.layers[0].join("out")).unwrap();
        assert!(tree.select("out").is_err());
    }

    #[test]
    fn content_and_mode_count_but_not_the_time() {
        use std::os::unix::fs::PermissionsExt as _;
        let (_folder, tree, hashes) = tree("");
        let file = tree.view.layers[0].join("src/a.txt");
        let first = key(&tree, &hashes, "src");
        std::fs::File::options().write(true).open(&file).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(key(&tree, &hashes, "src"), first);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_ne!(key(&tree, &hashes, "src"), first);
        std::fs::create_dir(tree.view.layers[0].join("src/empty")).unwrap();
        assert_ne!(key(&tree, &hashes, "src"), first);
    }
}
