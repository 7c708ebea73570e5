//! From the kernel's events to batches of real changes, on a thread of its own: the first complete save goes out at
//! once, a file that is still being written waits for its end, a storm ends in one rescan and one batch.

use std::collections::{BTreeSet, HashMap};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RemoveKind};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::operations::watch::rules::Rule;
use crate::operations::watch::tree::{Change, Interest, Tree};

/// How long a file must rest that nobody has closed (a link, a file written through a mapping).
const REST: Duration = Duration::from_millis(10);
/// How long a file may be written to before its state so far counts.
const LONGEST_WRITE: Duration = Duration::from_millis(100);
/// More paths at once than this are a storm.
const STORM: usize = 1_000;
/// How long it must be quiet after a storm, and how long a storm may last.
const CALM: Duration = Duration::from_millis(100);
const LONGEST_STORM: Duration = Duration::from_secs(10);
/// How long version control may hold its lock before saves no longer wait for it.
const LONGEST_LOCK: Duration = Duration::from_secs(10);
/// How often folders are looked at that have no events.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What has come in and is not yet looked at.
#[derive(Default)]
struct Pending {
    /// Path to whether its save is complete, and since when it waits.
    paths: HashMap<PathBuf, (bool, Instant)>,
    last: Option<Instant>,
    /// Events were lost, or are too many to keep.
    overflow: bool,
    closed: bool,
}

/// Pending events, shared between the kernel's side and the thread.
#[derive(Default)]
struct Inbox {
    pending: Mutex<Pending>,
    news: Condvar,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_in(&self, event: notify::Result<notify::Event>) {
        let now = Instant::now();
        let mut pending = self.lock();
        match event {
            Ok(event) if event.need_rescan() => pending.overflow = true,
            Ok(event) => {
                let Some(is_complete) = completeness(event.kind) else { return };
                for path in event.paths {
                    let entry = pending.paths.entry(path).or_insert((is_complete, now));
                    entry.0 |= is_complete;
                }
            }
            Err(_) => pending.overflow = true,
        }
        if pending.paths.len() > STORM {
            pending.overflow = true;
            pending.paths = HashMap::new();
        }
        pending.last = Some(now);
        drop(pending);
        self.news.notify_one();
    }
}

/// Says whether an event ends a change (`true`) or is in the middle of one; `None`: nothing changed.
fn completeness(kind: EventKind) -> Option<bool> {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Create(CreateKind::Folder)
        | EventKind::Modify(ModifyKind::Name(_) | ModifyKind::Metadata(_))
        | EventKind::Remove(RemoveKind::Any | RemoveKind::File | RemoveKind::Folder | RemoveKind::Other) => Some(true),
        EventKind::Access(_) => None,
        EventKind::Create(_) | EventKind::Modify(_) | EventKind::Any | EventKind::Other => Some(false),
    }
}

/// What the thread tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// These changed; `storm`: so many at once that the disk was compared with what was known.
    Changes { changes: Vec<Change>, at: Instant, storm: bool },
    /// Something that the person should know.
    Note(String),
}

/// Gathers until it is dropped.
pub struct Gatherer {
    inbox: Arc<Inbox>,
    /// Number of folders with a watch.
    pub folders: usize,
    /// Number of files and folders below the watched paths.
    pub entries: usize,
}

impl Drop for Gatherer {
    fn drop(&mut self) {
        self.inbox.lock().closed = true;
        self.inbox.news.notify_all();
    }
}

/// The rules' wishes, and the kernel's watches.
struct Watches {
    rules: Arc<Vec<Rule>>,
    watcher: Option<RecommendedWatcher>,
    folders: BTreeSet<PathBuf>,
    /// Why there are no events for everything.
    trouble: Option<String>,
}

impl Interest for Watches {
    fn prunes(&self, folder: &Path) -> bool {
        self.rules.iter().all(|rule| rule.prunes(folder))
    }

    fn enters(&mut self, folder: &Path) {
        let Some(watcher) = &mut self.watcher else { return };
        match watcher.watch(folder, RecursiveMode::NonRecursive) {
            Ok(()) => {
                self.folders.insert(folder.to_path_buf());
            }
            Err(error) => {
                if matches!(error.kind, notify::ErrorKind::MaxFilesWatch) {
                    self.trouble.get_or_insert_with(|| {
                        "the kernel's limit of watches is reached: changed files are looked for every second \
                         (raise `fs.inotify.max_user_watches`)"
                            .to_owned()
                    });
                }
            }
        }
    }
}

impl Gatherer {
    /// Walks what the rules watch, then tells every change through `tell`.
    pub fn start(rules: Arc<Vec<Rule>>, tell: impl Fn(Told) + Send + 'static) -> std::io::Result<Self> {
        let inbox = Arc::new(Inbox::default());
        let ear = Arc::clone(&inbox);
        let watcher = notify::recommended_watcher(move |event| ear.take_in(event));
        let mut watches = Watches { rules: Arc::clone(&rules), watcher: None, folders: BTreeSet::new(), trouble: None };
        match watcher {
            Ok(watcher) => watches.watcher = Some(watcher),
            Err(error) => {
                watches.trouble = Some(format!("no file events ({error}): changes are looked for every second"))
            }
        }
        let roots: Vec<PathBuf> = rules.iter().map(|rule| rule.path.clone()).collect();
        for root in &roots {
            // Its folder tells when the root itself comes, goes or is replaced.
            if let Some(parent) = root.parent() {
                watches.enters(parent);
            }
        }
        let git = git_folder(&roots);
        if let Some(git) = &git {
            watches.enters(git);
        }
        let silent: Vec<&PathBuf> = roots.iter().filter(|root| has_no_events(root)).collect();
        if let (Some(first), None) = (silent.first(), &watches.trouble) {
            let path = first.display();
            watches.trouble =
                Some(format!("the file system of `{path}` has no events: changed files are looked for every second"));
        }
        let tree = Tree::new(roots, &mut watches);
        let (folders, entries) = (watches.folders.len(), tree.len());
        let worker = Worker { inbox: Arc::clone(&inbox), watches, tree, git, ignored_lock: None };
        std::thread::Builder::new().name("watch".to_owned()).spawn(move || worker.run(&tell))?;
        Ok(Self { inbox, folders, entries })
    }
}

struct Worker {
    inbox: Arc<Inbox>,
    watches: Watches,
    tree: Tree,
    git: Option<PathBuf>,
    /// A lock that was held for too long to wait for.
    ignored_lock: Option<u64>,
}

/// What to do next.
enum Next {
    Look(Vec<PathBuf>),
    Rescan,
    Poll,
    End,
}

impl Worker {
    fn run(mut self, tell: &dyn Fn(Told)) {
        let mut said = None;
        loop {
            if self.watches.trouble != said {
                said.clone_from(&self.watches.trouble);
                if let Some(text) = &said {
                    tell(Told::Note(text.clone()));
                }
            }
            let (changes, at, storm) = match self.wait() {
                Next::End => return,
                Next::Look(paths) => {
                    let at = Instant::now();
                    (self.tree.update(&paths, &mut self.watches), at, false)
                }
                Next::Rescan => (self.tree.rescan(&mut self.watches), Instant::now(), true),
                Next::Poll => (self.tree.rescan(&mut self.watches), Instant::now(), false),
            };
            if !changes.is_empty() {
                tell(Told::Changes { changes, at, storm });
            }
        }
    }

    /// Waits until something is ready to be looked at.
    fn wait(&mut self) -> Next {
        let inbox = Arc::clone(&self.inbox);
        let mut pending = inbox.lock();
        let mut storm_since = None;
        let mut lock_since = None;
        let begin = Instant::now();
        loop {
            if pending.closed {
                return Next::End;
            }
            let now = Instant::now();
            let wake = if pending.overflow {
                let since = *storm_since.get_or_insert(now);
                let calm = pending.last.map_or(now, |last| last + CALM);
                let is_over = now >= calm && self.lock_held().is_none();
                if is_over || now >= since + LONGEST_STORM {
                    *pending = Pending::default();
                    return Next::Rescan;
                }
                Some(calm.max(now + REST))
            } else if pending.paths.is_empty() {
                self.watches.trouble.as_ref().map(|_| begin + LOOK_EVERY)
            } else if let Some(inode) = self.lock_held() {
                if now >= *lock_since.get_or_insert(now) + LONGEST_LOCK {
                    self.ignored_lock = Some(inode);
                }
                // The lock's own end is an event of the folder that it lies in.
                Some(now + LONGEST_LOCK)
            } else {
                let ready = ready(&mut pending, now);
                if !ready.is_empty() {
                    return Next::Look(ready);
                }
                pending.paths.values().map(|(_, since)| *since + LONGEST_WRITE).min().map(|cap| {
                    let rest = pending.last.map_or(now, |last| last + REST);
                    cap.min(rest)
                })
            };
            pending = match wake {
                None => inbox.news.wait(pending).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    inbox.news.wait_timeout(pending, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
            let is_idle = pending.paths.is_empty() && !pending.overflow;
            if is_idle && self.watches.trouble.is_some() && begin.elapsed() >= LOOK_EVERY {
                return Next::Poll;
            }
        }
    }

    /// Returns the inode of version control's lock while it is held and worth waiting for.
    fn lock_held(&self) -> Option<u64> {
        let metadata = std::fs::symlink_metadata(self.git.as_ref()?.join("index.lock")).ok()?;
        Some(metadata.ino()).filter(|inode| Some(*inode) != self.ignored_lock)
    }
}

/// Takes out what is complete, or has waited long enough.
fn ready(pending: &mut Pending, now: Instant) -> Vec<PathBuf> {
    let rests = pending.last.is_none_or(|last| now >= last + REST);
    let is_ready = |complete: bool, since: Instant| complete || rests || now >= since + LONGEST_WRITE;
    let ready = pending.paths.extract_if(|_, (complete, since)| is_ready(*complete, *since));
    ready.map(|(path, _)| path).collect()
}

/// Finds the folder of version control that the roots lie in.
fn git_folder(roots: &[PathBuf]) -> Option<PathBuf> {
    let first = roots.first()?;
    first.ancestors().map(|folder| folder.join(".git")).find(|git| git.is_dir())
}

/// Says whether the file system of `path` tells nobody what others change.
fn has_no_events(path: &Path) -> bool {
    const NFS: u64 = 0x6969;
    const SMB: u64 = 0x517b;
    const SMB2: u64 = 0xfe53_4d42;
    const CIFS: u64 = 0xff53_4d42;
    const PLAN9: u64 = 0x0102_1997;
    const FUSE: u64 = 0x6573_5546;
    let kind = rustix::fs::statfs(path).map(|found| u64::try_from(found.f_type).unwrap_or(0) & 0xffff_ffff);
    kind.is_ok_and(|kind| [NFS, SMB, SMB2, CIFS, PLAN9, FUSE].contains(&kind))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::mpsc::{Receiver, channel};

    use compose::Project;
    use compose::model::develop::{Develop, WatchAction, WatchRule};
    use compose::model::service::Service;

    use super::*;
    use crate::operations::watch::rules::rules;
    use crate::operations::watch::tree::Now;

    fn gather(path: &Path, ignore: &[&str]) -> (Gatherer, Receiver<Told>) {
        let rule = WatchRule {
            path: path.display().to_string(),
            action: WatchAction::Sync,
            target: Some("/app".into()),
            ignore: ignore.iter().map(|it| (*it).to_owned()).collect(),
            include: Vec::new(),
            initial_sync: false,
            exec: None,
        };
        let service =
            Service { name: "web".into(), develop: Some(Develop { watch: vec![rule] }), ..Service::default() };
        let project = Project { services: [("web".to_owned(), service)].into(), ..Project::default() };
        let (told, hears) = channel();
        let gatherer = Gatherer::start(Arc::new(rules(&project, &[]).0), move |what| drop(told.send(what))).unwrap();
        (gatherer, hears)
    }

    /// Collects until `last` has been told.
    fn until(hears: &Receiver<Told>, last: &Path, now: Now) -> (Vec<Change>, bool) {
        let mut all = Vec::new();
        loop {
            match hears.recv_timeout(Duration::from_secs(20)).expect("the change is told") {
                Told::Changes { changes, storm, .. } => {
                    let is_last = changes.iter().any(|change| change.path == last && change.now == now);
                    all.extend(changes);
                    if is_last {
                        return (all, storm);
                    }
                }
                Told::Note(note) => panic!("{note}"),
            }
        }
    }

    #[test]
    fn saves_renames_and_deletes_are_told_and_ignored_folders_have_no_watch() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("node_modules/deep/deeper")).unwrap();
        let (gatherer, hears) = gather(root, &["node_modules"]);
        // The root and the folder that it lies in.
        assert_eq!(gatherer.folders, 2);

        fs::write(root.join("node_modules/deep/x"), "").unwrap();
        fs::write(root.join(".a.tmp"), "one").unwrap();
        fs::rename(root.join(".a.tmp"), root.join("a")).unwrap();
        let (changes, _) = until(&hears, &root.join("a"), Now::File);
        assert!(changes.iter().all(|change| !change.path.starts_with(root.join("node_modules"))));
        fs::remove_file(root.join("a")).unwrap();
        until(&hears, &root.join("a"), Now::Gone);
        fs::create_dir_all(root.join("new/inner")).unwrap();
        fs::write(root.join("new/inner/b"), "").unwrap();
        until(&hears, &root.join("new/inner/b"), Now::File);
        std::os::unix::fs::symlink("b", root.join("new/inner/link")).unwrap();
        until(&hears, &root.join("new/inner/link"), Now::File);
    }

    #[test]
    fn a_file_that_is_never_closed_is_told_while_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let (_gatherer, hears) = gather(folder.path(), &[]);
        let path = folder.path().join("log");
        let mut file = fs::File::create(&path).unwrap();
        std::io::Write::write_all(&mut file, b"line\n").unwrap();
        until(&hears, &path, Now::File);
        drop(file);
    }

    #[test]
    fn a_storm_ends_in_one_batch_and_nothing_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let (_gatherer, hears) = gather(folder.path(), &[]);
        for number in 0..1_500 {
            let sub = folder.path().join(format!("d{}", number % 40));
            if number < 40 {
                fs::create_dir(&sub).unwrap();
            }
            fs::write(sub.join(number.to_string()), "x").unwrap();
        }
        fs::write(folder.path().join("z-last"), "x").unwrap();
        let (changes, _) = until(&hears, &folder.path().join("z-last"), Now::File);
        let files: BTreeSet<&PathBuf> =
            changes.iter().filter(|change| change.now == Now::File).map(|change| &change.path).collect();
        assert_eq!(files.len(), 1_501);
    }

    #[test]
    fn a_root_that_is_replaced_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("src");
        fs::create_dir(&root).unwrap();
        let (_gatherer, hears) = gather(&root, &[]);
        fs::rename(&root, folder.path().join("old")).unwrap();
        fs::create_dir(&root).unwrap();
        fs::write(root.join("a"), "").unwrap();
        until(&hears, &root.join("a"), Now::File);
        fs::write(root.join("b"), "").unwrap();
        until(&hears, &root.join("b"), Now::File);
    }

    #[test]
    fn saves_wait_while_version_control_works() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join(".git")).unwrap();
        let (_gatherer, hears) = gather(root, &[]);
        fs::write(root.join(".git/index.lock"), "").unwrap();
        fs::write(root.join("a"), "").unwrap();
        assert!(hears.recv_timeout(Duration::from_millis(300)).is_err(), "the checkout goes on");
        fs::write(root.join("b"), "").unwrap();
        fs::remove_file(root.join(".git/index.lock")).unwrap();
        let (changes, _) = until(&hears, &root.join("b"), Now::File);
        assert!(changes.iter().any(|change| change.path.ends_with("a")), "all in one batch");
    }
}
