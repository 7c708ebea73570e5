//! The files below what is watched, as they were seen last: what tells a real change from a mere event, and what finds
//! changes whose events were lost.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs::Metadata;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Something that is different now.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Absolute path.
    pub path: PathBuf,
    /// What is there now.
    pub now: Now,
}

/// What is at a changed path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Now {
    /// A file, or a link.
    File,
    /// A folder that was not there before.
    Folder,
    /// Nothing.
    Gone,
}

/// Says of a folder whether anybody wants to know about it, and is told of each that is entered.
pub trait Interest {
    /// Whether nothing below `folder` matters.
    fn prunes(&self, folder: &Path) -> bool;
    /// A folder is entered; events of it are wanted from now on.
    fn enters(&mut self, folder: &Path);
}

/// A name in a folder. The mark stands for its time, size, inode and mode; a folder's for its inode.
#[derive(Debug)]
struct Entry {
    name: Box<OsStr>,
    mark: u64,
}

/// The files below some roots.
#[derive(Debug, Default)]
pub struct Tree {
    roots: Vec<PathBuf>,
    /// Each folder's entries, by name.
    folders: HashMap<Box<Path>, Vec<Entry>>,
}

/// What a look found to be different.
#[derive(Default)]
struct Found {
    quiet: bool,
    changes: BTreeMap<PathBuf, Now>,
}

impl Found {
    fn insert(&mut self, path: PathBuf, now: Now) {
        if !self.quiet {
            self.changes.insert(path, now);
        }
    }

    fn list(self) -> Vec<Change> {
        self.changes.into_iter().map(|(path, now)| Change { path, now }).collect()
    }
}

/// The bit of a folder's mark.
const FOLDER: u64 = 1 << 63;

fn mark(metadata: &Metadata) -> u64 {
    let mut hasher = DefaultHasher::new();
    if metadata.is_dir() {
        // What is in it is compared by itself.
        metadata.ino().hash(&mut hasher);
        return hasher.finish() | FOLDER;
    }
    (metadata.mtime(), metadata.mtime_nsec(), metadata.size(), metadata.ino(), metadata.mode()).hash(&mut hasher);
    hasher.finish() & !FOLDER
}

fn is_folder(mark: u64) -> bool {
    mark & FOLDER != 0
}

impl Tree {
    /// Walks the roots; of those that lie in one another the outer one is enough.
    pub fn new(mut roots: Vec<PathBuf>, interest: &mut dyn Interest) -> Self {
        roots.sort();
        roots.dedup();
        let outer = roots.clone();
        roots.retain(|root| !outer.iter().any(|other| other != root && root.starts_with(other)));
        let mut tree = Self { roots, folders: HashMap::new() };
        // The first look finds everything; nobody wants to hear of it.
        let mut first = Found { quiet: true, changes: BTreeMap::new() };
        for root in tree.roots.clone() {
            tree.look(&root, interest, &mut first, true);
        }
        tree
    }

    /// Number of files and folders that are known.
    pub fn len(&self) -> usize {
        self.folders.values().map(Vec::len).sum()
    }

    /// Compares everything with the disk and returns what is different.
    pub fn rescan(&mut self, interest: &mut dyn Interest) -> Vec<Change> {
        let mut changes = Found::default();
        for root in self.roots.clone() {
            self.look(&root, interest, &mut changes, true);
        }
        changes.list()
    }

    /// Compares these paths with the disk and returns what is different, whole folders that came or went included.
    pub fn update<'a>(
        &mut self,
        paths: impl IntoIterator<Item = &'a PathBuf>,
        interest: &mut dyn Interest,
    ) -> Vec<Change> {
        let mut changes = Found::default();
        for path in paths {
            if self.roots.iter().any(|root| path.starts_with(root)) {
                self.look(path, interest, &mut changes, false);
            }
        }
        changes.list()
    }

    /// Compares one path; a folder that is known is compared inside only when `deep`.
    fn look(&mut self, path: &Path, interest: &mut dyn Interest, changes: &mut Found, deep: bool) {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return };
        if path.ancestors().skip(1).take_while(|above| self.is_inside(above)).any(|above| interest.prunes(above)) {
            return;
        }
        let now = std::fs::symlink_metadata(path).ok();
        let entries = self.folders.entry(parent.into()).or_default();
        let known = entries.binary_search_by(|entry| (*entry.name).cmp(name));
        match (now, known) {
            (None, Err(_)) => {}
            (None, Ok(at)) => {
                let was_folder = is_folder(entries.remove(at).mark);
                changes.insert(path.to_path_buf(), Now::Gone);
                if was_folder {
                    self.forget(path);
                }
            }
            (Some(metadata), known) => {
                let mark = mark(&metadata);
                let before = match known {
                    Ok(at) => Some(std::mem::replace(&mut entries[at].mark, mark)),
                    Err(at) => {
                        entries.insert(at, Entry { name: name.into(), mark });
                        None
                    }
                };
                if metadata.is_dir() {
                    if interest.prunes(path) {
                        return;
                    }
                    if before.is_none_or(|before| !is_folder(before)) {
                        changes.insert(path.to_path_buf(), Now::Folder);
                    }
                    // Another folder of the same name has no watch yet, and other files.
                    if deep || before != Some(mark) || !self.folders.contains_key(path) {
                        self.compare(path, interest, changes);
                    }
                } else {
                    if before.is_some_and(is_folder) {
                        self.forget(path);
                    }
                    if before != Some(mark) {
                        changes.insert(path.to_path_buf(), Now::File);
                    }
                }
            }
        }
    }

    fn is_inside(&self, path: &Path) -> bool {
        self.roots.iter().any(|root| path.starts_with(root))
    }

    /// Compares all that is in a folder.
    fn compare(&mut self, folder: &Path, interest: &mut dyn Interest, changes: &mut Found) {
        // Events first, then the look: what comes in between is seen twice, never missed.
        interest.enters(folder);
        let Ok(found) = std::fs::read_dir(folder) else { return };
        let mut found: Vec<(Box<OsStr>, u64)> = found
            .filter_map(|entry| {
                let entry = entry.ok()?;
                Some((entry.file_name().into(), mark(&entry.metadata().ok()?)))
            })
            .collect();
        found.sort();
        let known = self.folders.remove(folder).unwrap_or_default();
        let mut known = known.into_iter().peekable();
        let mut inner = Vec::new();
        let mut entries = Vec::with_capacity(found.len());
        for (name, mark) in found {
            while let Some(gone) = known.next_if(|entry| entry.name < name) {
                self.drop_entry(&folder.join(&*gone.name), &gone, changes);
            }
            let before = known.next_if(|entry| entry.name == name);
            let path = folder.join(&*name);
            match (before, mark) {
                (before, mark) if is_folder(mark) => {
                    let is_new = before.as_ref().is_none_or(|before| !is_folder(before.mark));
                    if !interest.prunes(&path) {
                        if is_new {
                            changes.insert(path.clone(), Now::Folder);
                        }
                        inner.push(path);
                    }
                }
                (Some(before), mark) => {
                    if is_folder(before.mark) {
                        self.forget(&path);
                    }
                    if before.mark != mark {
                        changes.insert(path, Now::File);
                    }
                }
                (None, _) => {
                    changes.insert(path, Now::File);
                }
            }
            entries.push(Entry { name, mark });
        }
        for gone in known {
            self.drop_entry(&folder.join(&*gone.name), &gone, changes);
        }
        entries.shrink_to_fit();
        self.folders.insert(folder.into(), entries);
        for path in inner {
            self.compare(&path, interest, changes);
        }
    }

    fn drop_entry(&mut self, path: &Path, gone: &Entry, changes: &mut Found) {
        changes.insert(path.to_path_buf(), Now::Gone);
        if is_folder(gone.mark) {
            self.forget(path);
        }
    }

    /// Forgets a folder that is no longer there, with all below it.
    fn forget(&mut self, folder: &Path) {
        let Some(entries) = self.folders.remove(folder) else { return };
        for entry in entries.iter().filter(|entry| is_folder(entry.mark)) {
            self.forget(&folder.join(&*entry.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[derive(Default)]
    struct All {
        entered: BTreeSet<PathBuf>,
    }

    impl Interest for All {
        fn prunes(&self, folder: &Path) -> bool {
            folder.ends_with("node_modules")
        }

        fn enters(&mut self, folder: &Path) {
            self.entered.insert(folder.to_path_buf());
        }
    }

    fn told(root: &Path, changes: &[Change]) -> Vec<String> {
        let path = |change: &Change| change.path.strip_prefix(root).unwrap().display().to_string();
        changes.iter().map(|change| format!("{:?} {}", change.now, path(change))).collect()
    }

    #[test]
    fn what_is_different_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_path_buf();
        std::fs::create_dir_all(root.join("a/node_modules/x")).unwrap();
        std::fs::write(root.join("a/one"), "1").unwrap();
        let mut all = All::default();
        let mut tree = Tree::new(vec![root.clone(), root.join("a")], &mut all);
        assert_eq!(all.entered, BTreeSet::from([root.clone(), root.join("a")]), "ignored folders get no watch");
        assert!(tree.rescan(&mut all).is_empty());

        std::fs::write(root.join("a/one"), "22").unwrap();
        std::fs::create_dir_all(root.join("b/c")).unwrap();
        std::fs::write(root.join("b/c/two"), "2").unwrap();
        let paths = [root.join("a/one"), root.join("b"), root.join("a/node_modules/x/new")];
        let changes = tree.update(&paths, &mut all);
        assert_eq!(told(&root, &changes), ["File a/one", "Folder b", "Folder b/c", "File b/c/two"]);
        assert!(tree.update(&paths, &mut all).is_empty(), "an event without a change is none");

        std::fs::remove_dir_all(root.join("b")).unwrap();
        std::fs::remove_file(root.join("a/one")).unwrap();
        let changes = tree.rescan(&mut all);
        assert_eq!(told(&root, &changes), ["Gone a/one", "Gone b"]);
        assert!(tree.rescan(&mut all).is_empty());
    }

    #[test]
    fn a_file_may_take_the_place_of_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_path_buf();
        std::fs::create_dir_all(root.join("x/y")).unwrap();
        let mut all = All::default();
        let mut tree = Tree::new(vec![root.clone()], &mut all);
        std::fs::remove_dir_all(root.join("x")).unwrap();
        std::fs::write(root.join("x"), "file").unwrap();
        assert_eq!(told(&root, &tree.rescan(&mut all)), ["File x"]);
        std::fs::remove_file(root.join("x")).unwrap();
        std::fs::create_dir(root.join("x")).unwrap();
        std::fs::write(root.join("x/in"), "").unwrap();
        let paths = [root.join("x")];
        assert_eq!(told(&root, &tree.update(&paths, &mut all)), ["Folder x", "File x/in"]);
    }

    #[test]
    fn one_file_can_be_a_root() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("requirements.txt");
        std::fs::write(&root, "flask").unwrap();
        let mut all = All::default();
        let mut tree = Tree::new(vec![root.clone()], &mut all);
        std::fs::write(folder.path().join("other"), "").unwrap();
        std::fs::write(&root, "flask\nredis").unwrap();
        let paths = [root.clone(), folder.path().join("other")];
        assert_eq!(tree.update(&paths, &mut all), [Change { path: root, now: Now::File }]);
    }
}
