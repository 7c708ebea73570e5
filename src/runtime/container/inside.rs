//! Does something inside a container's file system, running or not, on a thread whose root that is: no path of the
//! container's can lead out, whatever it changes meanwhile.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use crate::Runtime;
use crate::container::act::{self, ActError};
use crate::container::list::{self, Container, FindError};
use crate::keeper::spec;
use crate::sandbox;
use crate::sandbox::spec::SandboxMount;
use crate::snapshot::overlay;
use crate::state::record;
use crate::sys::fd::{self, Missing};
use crate::sys::mount::{self, Attributes, Change};
use crate::sys::namespace;

/// How much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// As its program sees it, through volumes and mounts.
    Whole,
    /// Its own files, without what is mounted on them.
    Own,
    /// What its image has, before it changed anything.
    Image,
}

/// Runs `job` on a thread whose root is the container's; the descriptor is that root.
///
/// One that does not run is mounted for as long, in a mount namespace that ends with the thread, and not started meanwhile.
pub fn inside<T: Send>(
    rt: &Runtime,
    name: &str,
    act: &'static str,
    view: View,
    job: impl FnOnce(BorrowedFd<'_>) -> io::Result<T> + Send,
) -> Result<T, ActError> {
    let id = list::find_id(rt, name)?;
    let bundle = rt.layout.bundle(&id);
    let failed = |source| ActError::Io { act, name: name.into(), source };
    let lock = record::lock(&bundle.act_lock()).map_err(FindError::Record)?;
    let container = list::read(rt, &id)?.ok_or_else(|| FindError::NotFound { name: name.into() })?;
    if let (Ok(init), View::Whole | View::Own) = (act::init(&container), view) {
        // Opened while we know who that is; held so, it can't become another's.
        let open = || Ok(std::fs::File::open(format!("/proc/{}/ns/mnt", init.pid))?.into());
        let namespace: OwnedFd = open().map_err(failed)?;
        if !init.is_running() {
            return Err(ActError::NotRunning { name: container.record.name });
        }
        drop(lock);
        return on_thread(|| enter(namespace, view), job).map_err(failed);
    }
    // Its keeper, and nobody else, may mount the same writable folder.
    let kept = if view == View::Image { None } else { Some(record::lock(&bundle.lock()).map_err(FindError::Record)?) };
    let done = on_thread(|| mount_apart(rt, &container, view), job);
    drop((kept, lock));
    done.map_err(failed)
}

/// Prepares a root on a thread of its own, and does the job there.
fn on_thread<T: Send>(
    prepare: impl FnOnce() -> io::Result<OwnedFd> + Send,
    job: impl FnOnce(BorrowedFd<'_>) -> io::Result<T> + Send,
) -> io::Result<T> {
    let work = || {
        let root = prepare()?;
        job(root.as_fd())
    };
    let done = std::thread::scope(|scope| {
        std::thread::Builder::new().name("inside".into()).spawn_scoped(scope, work).map(|thread| thread.join())
    })?;
    done.unwrap_or_else(|_| Err(io::Error::other("the thread inside it has panicked")))
}

/// Enters the mount namespace of a container that runs. Its root becomes this thread's.
fn enter(namespace: OwnedFd, view: View) -> io::Result<OwnedFd> {
    namespace::unshare(libc::CLONE_FS)?;
    namespace::enter(namespace.as_fd(), libc::CLONE_NEWNS)?;
    let root = fd::open_directory(Path::new("/"))?;
    // The copy of one mount has nothing mounted on it.
    if view == View::Own { mount::clone_of(root.as_fd(), false) } else { Ok(root) }
}

/// Mounts a container that does not run, out of everybody's sight.
fn mount_apart(rt: &Runtime, container: &Container, view: View) -> io::Result<OwnedFd> {
    let record = &container.record;
    let bundle = rt.layout.bundle(&record.id);
    namespace::unshare(libc::CLONE_FS | libc::CLONE_NEWNS)?;
    mount::make_all_private()?;
    let sources = match view {
        View::Whole => spec::mounts(rt, record, &bundle).map_err(io::Error::other)?,
        View::Own | View::Image => Vec::new(),
    };
    let scratch = fd::open_directory(&bundle.root())?;
    // Of what lay in memory nothing is left: that has ended with the container.
    let open = |source: &SandboxMount| -> io::Result<Option<(OwnedFd, String)>> {
        let tree = sandbox::detached(source, scratch.as_fd()).map_err(io::Error::other)?;
        Ok(tree.map(|tree| (tree, source.target().to_owned())))
    };
    let sources: Vec<_> = sources.iter().map(open).collect::<io::Result<_>>()?;
    let layers = spec::layers(rt, &record.layers);
    let mounted = match view {
        View::Image if layers.is_empty() => return Err(io::Error::other("it has no image")),
        View::Image => overlay::mount_read_only(&layers, &bundle.root()),
        View::Whole | View::Own => overlay::mount(&layers, &bundle.upper(), &bundle.work(), &bundle.root()),
    };
    mounted.map_err(|error| error.source)?;
    let root = fd::open_directory(&bundle.root())?;
    for (tree, target) in sources.into_iter().flatten() {
        let stat = rustix::fs::fstat(&tree)?;
        let is_folder = rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory;
        let missing = if is_folder { Missing::Directory } else { Missing::File };
        let place = fd::locate(root.as_fd(), Path::new(&target), missing)?;
        mount::attach(tree.as_fd(), place.as_fd())?;
    }
    if record.security.read_only {
        let set = Attributes::MOUNT_ATTR_RDONLY.bits().into();
        mount::change(root.as_fd(), Change { set, ..Change::default() })?;
    }
    // From here on every path begins in it.
    rustix::process::fchdir(&root)?;
    rustix::process::chroot(".")?;
    Ok(root)
}
