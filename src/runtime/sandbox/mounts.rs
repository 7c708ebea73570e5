//! What is mounted over the root: `/proc`, `/dev`, `/sys` as Docker has them, then the caller's own.
//!
//! Every target is found inside the root by descriptor (`sys::fd`), and every mount is made detached and moved there.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType};

use crate::sandbox::error::{LaunchError, Step};
use crate::sandbox::spec::{Masks, Namespace, SandboxMount, SandboxSpec};
use crate::sandbox::{devices, masks, relabel};
use crate::sys::fd::{self, Missing};
use crate::sys::mount::{self, Attributes, Change, Propagation};
use crate::sys::namespace;

/// nosuid, nodev, noexec.
const INERT: Attributes =
    Attributes::MOUNT_ATTR_NOSUID.union(Attributes::MOUNT_ATTR_NODEV).union(Attributes::MOUNT_ATTR_NOEXEC);

/// The mounts that the sandbox makes itself; the descriptors are proof that a path below is of that file system.
pub(super) struct Own {
    pub proc: OwnedFd,
    pub dev: OwnedFd,
    pub sys: OwnedFd,
    /// The SELinux label of the files on what is made later.
    pub label: Option<String>,
}

/// A mount's source, opened on the host before its mounts are let go of.
pub(super) enum Source {
    /// `part`: only this of it, which can be taken once it is mounted.
    Tree {
        tree: OwnedFd,
        folder: bool,
        part: Option<String>,
    },
    None,
}

/// Opens the sources of the caller's mounts. Before anything is made private, so that a shared one can stay shared.
pub(super) fn sources(spec: &SandboxSpec) -> Result<Vec<Source>, LaunchError> {
    spec.mounts.iter().map(|mount| source(mount, label(spec))).collect()
}

/// Opens what is mounted, detached; `None`: it is made anew for each run. `scratch` is a folder to mount on for a
/// moment, in a mount namespace of the caller's own.
pub(crate) fn detached(mount: &SandboxMount, scratch: BorrowedFd<'_>) -> Result<Option<OwnedFd>, LaunchError> {
    match source(mount, None)? {
        Source::None => Ok(None),
        Source::Tree { tree, part: None, .. } => Ok(Some(tree)),
        Source::Tree { tree, part: Some(part), .. } => {
            let copy = part_of(&tree, &part, scratch);
            copy.map(Some).map_err(|error| LaunchError::io(Step::Source, part, &error))
        }
    }
}

/// The SELinux label of files, with an empty folder of the host that helps to put it on layers.
fn label(spec: &SandboxSpec) -> Option<(&str, &Path)> {
    spec.file_label.as_deref().map(|label| (label, &*spec.mount_point))
}

fn source(mount: &SandboxMount, label: Option<(&str, &Path)>) -> Result<Source, LaunchError> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |error: io::Error| LaunchError::io(Step::Source, path, &error)
    };
    let set = |read_only: bool| if read_only { Attributes::MOUNT_ATTR_RDONLY.bits().into() } else { 0 };
    let (path, tree, change) = match mount {
        SandboxMount::Bind { source, propagation, recursive, read_only, attributes, .. } => {
            let propagation = Some(propagation_of(propagation.as_deref()));
            let set = set(*read_only) | u64::from(attributes.bits());
            let change = Change { set, propagation, recursive: *recursive };
            (source.clone(), mount::clone_tree(CWD, source, *recursive), change)
        }
        SandboxMount::Within { folder, subpath, read_only, .. } => {
            let part = fd::open_directory(folder).and_then(|folder| fd::beneath(folder.as_fd(), Path::new(subpath)));
            let tree = part.and_then(|part| mount::clone_of(part.as_fd(), true));
            let propagation = Some(Propagation::Private);
            (folder.join(subpath), tree, Change { set: set(*read_only), propagation, recursive: true })
        }
        SandboxMount::Layers { layers, subpath, .. } => return stacked(layers, subpath.as_deref(), label),
        SandboxMount::Tmpfs { .. } => return Ok(Source::None),
    };
    let tree = tree.map_err(failed(&path))?;
    mount::change(tree.as_fd(), change).map_err(failed(&path))?;
    let stat = rustix::fs::fstat(&tree).map_err(|error| failed(&path)(error.into()))?;
    let folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    Ok(Source::Tree { tree, folder, part: None })
}

/// Stacks the layers of an image.
fn stacked(layers: &[PathBuf], subpath: Option<&str>, label: Option<(&str, &Path)>) -> Result<Source, LaunchError> {
    let what = subpath.map_or_else(|| "the image".to_owned(), |subpath| format!("`{subpath}` of the image"));
    let failed = |error: io::Error| LaunchError::io(Step::Source, what.clone(), &error);
    let tree = match (layers, label) {
        // Nothing to stack.
        ([only], None) => mount::clone_tree(CWD, only, false),
        // An overlay, which takes a label, takes two.
        ([only], Some((label, empty))) => mount::overlay(&[empty.to_owned(), only.clone()], None, Some(label)),
        _ => mount::overlay(layers, None, label.map(|(label, _)| label)),
    }
    .map_err(failed)?;
    let set = Attributes::MOUNT_ATTR_RDONLY.bits().into();
    mount::change(tree.as_fd(), Change { set, propagation: Some(Propagation::Private), recursive: false })
        .map_err(failed)?;
    let Some(subpath) = subpath else { return Ok(Source::Tree { tree, folder: true, part: None }) };
    // A lookup works in a mount that is not attached; only the copying of a part must wait for that.
    let part = fd::beneath(tree.as_fd(), Path::new(subpath)).map_err(failed)?;
    let stat = rustix::fs::fstat(&part).map_err(|error| failed(error.into()))?;
    let folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    Ok(Source::Tree { tree, folder, part: Some(subpath.to_owned()) })
}

fn propagation_of(name: Option<&str>) -> Propagation {
    match name {
        Some("shared" | "rshared") => Propagation::Shared,
        Some("slave" | "rslave") => Propagation::Slave,
        Some(_) | None => Propagation::Private,
    }
}

/// What is there already and is only put in its place.
pub(super) struct Shared<'a> {
    /// Another's `/dev/shm`.
    pub memory: Option<OwnedFd>,
    /// The file system of the terminal that the program gets.
    pub terminals: Option<&'a OwnedFd>,
}

/// Makes a file system of terminals, with an SELinux label.
pub(super) fn terminals(label: Option<&str>) -> io::Result<OwnedFd> {
    let options = [("newinstance", None), ("ptmxmode", Some("0666")), ("mode", Some("0620")), ("gid", Some("5"))];
    mount::labelled("devpts", &options, Attributes::MOUNT_ATTR_NOSUID | Attributes::MOUNT_ATTR_NOEXEC, label)
}

/// Copies the mount of another's shared memory, which only from inside of its mount namespace can be done.
pub(super) fn shared_memory(spec: &SandboxSpec) -> Result<Option<OwnedFd>, LaunchError> {
    let Some(path) = &spec.shared_memory_of else { return Ok(None) };
    let failed = |error: io::Error| LaunchError::io(Step::Source, "/dev/shm", &error);
    let (home, there) = (File::open("/proc/self/ns/mnt"), File::open(path));
    let (home, there) = (home.map_err(failed)?, there.map_err(failed)?);
    namespace::enter(there.as_fd(), libc::CLONE_NEWNS).map_err(failed)?;
    let tree = mount::clone_tree(CWD, Path::new("/dev/shm"), false);
    namespace::enter(home.as_fd(), libc::CLONE_NEWNS).map_err(failed)?;
    tree.map(Some).map_err(failed)
}

/// Mounts `/proc`, `/dev` with what is below it, and `/sys`.
pub(super) fn own(spec: &SandboxSpec, root: BorrowedFd<'_>, shared: Shared<'_>) -> Result<Own, LaunchError> {
    let failed = |step, what: &str, error: io::Error| LaunchError::io(step, what, &error);
    let proc = proc(root).map_err(|error| failed(Step::Proc, "", error))?;

    let dev = devices::file_system(spec)?;
    let place = fd::locate(root, Path::new("/dev"), Missing::Directory).and_then(|place| {
        // A /dev that leads to the root itself would hide all of it.
        if fd::same_file(place.as_fd(), root)? { Err(io::Error::from_raw_os_error(libc::ELOOP)) } else { Ok(place) }
    });
    place.and_then(|place| mount::attach(dev.as_fd(), place.as_fd())).map_err(|error| failed(Step::Dev, "", error))?;
    below_dev(spec, dev.as_fd(), shared)?;

    let read_only = if spec.privileged { Attributes::empty() } else { Attributes::MOUNT_ATTR_RDONLY };
    let sys = mount::new("sysfs", &[], INERT | read_only).map_err(|error| failed(Step::Sys, "", error))?;
    attach_at_plain_folder(&sys, root, "sys").map_err(|error| failed(Step::Sys, "", error))?;
    Ok(Own { proc, dev, sys, label: spec.file_label.clone() })
}

/// Mounts `/proc` for the pid namespace that we are in.
pub(super) fn proc(root: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let proc = mount::new("proc", &[], INERT)?;
    // An image whose /proc or /sys leads elsewhere would have us protect the wrong paths: refused, as runc does.
    attach_at_plain_folder(&proc, root, "proc")?;
    Ok(proc)
}

/// Mounts at a folder directly below the root that is none but a folder.
fn attach_at_plain_folder(tree: &OwnedFd, root: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    use rustix::fs::{Mode, OFlags, mkdirat, openat};
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let place = match openat(root, name, flags, Mode::empty()) {
        Err(rustix::io::Errno::NOENT) => {
            mkdirat(root, name, Mode::from_raw_mode(0o755))?;
            openat(root, name, flags, Mode::empty())?
        }
        other => other?,
    };
    mount::attach(tree.as_fd(), place.as_fd())
}

/// Mounts the terminals, the shared memory and the message queues.
fn below_dev(spec: &SandboxSpec, dev: BorrowedFd<'_>, shared: Shared<'_>) -> Result<(), LaunchError> {
    let put = |name: &str, tree: io::Result<OwnedFd>| {
        tree.and_then(|tree| {
            let place = fd::locate(dev, Path::new(name), Missing::Fail)?;
            mount::attach(tree.as_fd(), place.as_fd())
        })
        .map_err(|error| LaunchError::io(Step::Dev, format!("/dev/{name}"), &error))
    };
    match &shared.terminals {
        Some(tree) => put("pts", tree.try_clone())?,
        None => put("pts", terminals(spec.file_label.as_deref()))?,
    }
    if spec.namespaces.ipc == Namespace::Host {
        for name in ["shm", "mqueue"] {
            // Not every host has both.
            if let Ok(tree) = mount::clone_tree(CWD, &Path::new("/dev").join(name), false) {
                put(name, Ok(tree))?;
            }
        }
        return Ok(());
    }
    let size = spec.shm_size.to_string();
    // Where the caller mounts something of its own, ours would only lie beneath.
    let covered = spec.mounts.iter().any(|mount| Path::new(mount.target()) == Path::new("/dev/shm"));
    if let Some(tree) = shared.memory.filter(|_| !covered) {
        put("shm", Ok(tree))?;
    } else if !covered && spec.shm_size > 0 {
        let options = [("source", Some("shm")), ("mode", Some("1777")), ("size", Some(&*size))];
        put("shm", mount::labelled("tmpfs", &options, INERT, spec.file_label.as_deref()))?;
    }
    match mount::new("mqueue", &[], INERT) {
        // A kernel without message queues.
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
        tree => put("mqueue", tree.and_then(|tree| labelled_queues(tree, spec))),
    }
}

/// The file system of an IPC namespace is older than its mount, which therefore takes no label.
fn labelled_queues(tree: OwnedFd, spec: &SandboxSpec) -> io::Result<OwnedFd> {
    if let Some(label) = &spec.file_label {
        relabel::set(tree.as_fd(), label)?;
    }
    Ok(tree)
}

/// Mounts the container's own control groups below `/sys/fs/cgroup`. After the process is in them and in its namespace.
pub(super) fn cgroups(spec: &SandboxSpec, own: &Own) -> Result<(), LaunchError> {
    let Ok(place) = fd::locate(own.sys.as_fd(), Path::new("fs/cgroup"), Missing::Fail) else {
        // A kernel without control groups.
        return Ok(());
    };
    let failed = |error: io::Error| LaunchError::io(Step::Cgroup, "/sys/fs/cgroup", &error);
    let read_only = if spec.privileged { Attributes::empty() } else { Attributes::MOUNT_ATTR_RDONLY };
    let hierarchies = spec.cgroup.as_ref().map(|group| group.hierarchies()).unwrap_or_default();
    if let [only] = hierarchies.as_slice()
        && only.is_whole()
    {
        let tree = mount::new("cgroup2", &[], INERT | read_only).map_err(failed)?;
        return mount::attach(tree.as_fd(), place.as_fd()).map_err(failed);
    }
    let options = [("mode", Some("755")), ("size", Some("64k"))];
    let folder = mount::labelled("tmpfs", &options, INERT, own.label.as_deref()).map_err(failed)?;
    for hierarchy in &hierarchies {
        use rustix::fs::{Mode, mkdirat};
        mkdirat(&folder, hierarchy.name(), Mode::from_raw_mode(0o755)).map_err(|error| failed(error.into()))?;
    }
    mount::attach(folder.as_fd(), place.as_fd()).map_err(failed)?;
    for hierarchy in &hierarchies {
        let place = fd::locate(folder.as_fd(), Path::new(hierarchy.name()), Missing::Fail).map_err(failed)?;
        let options: Vec<(&str, Option<&str>)> = hierarchy.mount_options().collect();
        let tree = mount::new(hierarchy.kind(), &options, INERT | read_only).map_err(failed)?;
        mount::attach(tree.as_fd(), place.as_fd()).map_err(failed)?;
    }
    let set = u64::from(read_only.bits());
    mount::change(folder.as_fd(), Change { set, ..Change::default() }).map_err(failed)
}

/// Mounts what the caller asked for, in its order.
pub(super) fn callers(spec: &SandboxSpec, sources: &[Source], root: BorrowedFd<'_>) -> Result<(), LaunchError> {
    for (mount, source) in spec.mounts.iter().zip(sources) {
        let target = mount.target();
        let missing =
            if matches!(source, Source::Tree { folder: false, .. }) { Missing::File } else { Missing::Directory };
        let failed = |step, error: io::Error| LaunchError::io(step, target, &error);
        let is_new = matches!(source, Source::None)
            && fd::locate(root, Path::new(target), Missing::Fail).is_err_and(|e| e.kind() == io::ErrorKind::NotFound);
        let place = fd::locate(root, Path::new(target), missing).map_err(|error| failed(Step::MountPoint, error))?;
        let at_root = fd::same_file(place.as_fd(), root).map_err(|error| failed(Step::MountPoint, error))?;
        if at_root {
            return Err(failed(Step::MountPoint, io::Error::from_raw_os_error(libc::EBUSY)));
        }
        let made;
        let tree = match source {
            Source::Tree { tree, part: None, .. } => tree,
            Source::Tree { tree, part: Some(part), .. } => {
                made = part_of(tree, part, root).map_err(|error| failed(Step::Mount, error))?;
                &made
            }
            Source::None => {
                let covers = (!is_new).then_some(place.as_fd());
                made = tmpfs(mount, covers, spec.file_label.as_deref()).map_err(|error| failed(Step::Mount, error))?;
                &made
            }
        };
        mount::attach(tree.as_fd(), place.as_fd()).map_err(|error| failed(Step::Mount, error))?;
    }
    Ok(())
}

/// Copies a part of a detached mount: it is mounted over the root for that moment, which nobody else sees.
fn part_of(tree: &OwnedFd, part: &str, root: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    mount::attach(tree.as_fd(), root)?;
    let copy = fd::beneath(tree.as_fd(), Path::new(part)).and_then(|part| mount::clone_of(part.as_fd(), false));
    mount::detach_root(tree.as_fd())?;
    copy
}

/// Makes a file system in memory with the caller's options. Where no mode is asked for it is that of the folder of the
/// image that it covers, else open to all, as with Docker.
fn tmpfs(mount: &SandboxMount, covers: Option<BorrowedFd<'_>>, label: Option<&str>) -> io::Result<OwnedFd> {
    let SandboxMount::Tmpfs { size, mode, options, read_only, .. } = mount else {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    };
    let mut attributes = INERT;
    attributes.set(Attributes::MOUNT_ATTR_RDONLY, *read_only);
    let mut keys: Vec<(&str, Option<&str>)> = vec![("source", Some("tmpfs"))];
    for option in options.iter().flat_map(|option| option.split(',')) {
        match option {
            "" | "rw" | "defaults" => {}
            "ro" => attributes.insert(Attributes::MOUNT_ATTR_RDONLY),
            "exec" => attributes.remove(Attributes::MOUNT_ATTR_NOEXEC),
            "suid" => attributes.remove(Attributes::MOUNT_ATTR_NOSUID),
            "dev" => attributes.remove(Attributes::MOUNT_ATTR_NODEV),
            "noexec" => attributes.insert(Attributes::MOUNT_ATTR_NOEXEC),
            "nosuid" => attributes.insert(Attributes::MOUNT_ATTR_NOSUID),
            "nodev" => attributes.insert(Attributes::MOUNT_ATTR_NODEV),
            "noatime" => attributes.insert(Attributes::MOUNT_ATTR_NOATIME),
            other => match other.split_once('=') {
                Some((key, value)) => keys.push((key, Some(value))),
                None => keys.push((other, None)),
            },
        }
    }
    let size = size.map(|size| size.to_string());
    if let Some(size) = &size {
        keys.push(("size", Some(size)));
    }
    let mode = match mode {
        Some(mode) => Some(format!("{mode:o}")),
        None if keys.iter().any(|(key, _)| *key == "mode") => None,
        None => match covers {
            Some(folder) => Some(format!("{:o}", rustix::fs::fstat(folder)?.st_mode & 0o7777)),
            None => Some("1777".to_owned()),
        },
    };
    if let Some(mode) = &mode {
        keys.push(("mode", Some(mode)));
    }
    // The caller may have given it one.
    let label = label.filter(|_| !keys.iter().any(|(key, _)| *key == mount::LABEL));
    mount::labelled("tmpfs", &keys, attributes, label)
}

/// Makes `/dev/console` the container's terminal, found in its own file system of terminals, else by its path on the host.
pub(super) fn console(own: &Own, terminal: BorrowedFd<'_>, is_own: bool) -> io::Result<()> {
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::CLOEXEC;
    let location = if is_own {
        let number = crate::sys::terminal::number(terminal)?;
        rustix::fs::openat(&own.dev, format!("pts/{number}"), flags, rustix::fs::Mode::empty())?
    } else {
        rustix::fs::open(crate::sys::terminal::path(terminal)?, flags, rustix::fs::Mode::empty())?
    };
    if !fd::same_file(location.as_fd(), terminal)? {
        return Err(io::Error::from_raw_os_error(libc::ENOTTY));
    }
    let tree = mount::clone_of(location.as_fd(), false)?;
    let place = fd::locate(own.dev.as_fd(), Path::new("console"), Missing::File)?;
    mount::attach(tree.as_fd(), place.as_fd())
}

/// Hides and write-protects paths of `/proc` and `/sys`.
pub(super) fn protect(spec: &SandboxSpec, own: &Own, root: BorrowedFd<'_>) -> Result<(), LaunchError> {
    match &spec.masks {
        Masks::Usual if !spec.privileged => masks::apply(own),
        Masks::Usual | Masks::None => Ok(()),
        Masks::These { hidden, read_only } => masks::apply_these(own, root, hidden, read_only),
    }
}

/// Hides and write-protects paths of a `/proc` that has been made anew.
pub(super) fn protect_proc(spec: &SandboxSpec, own: &Own) -> Result<(), LaunchError> {
    if spec.masks == Masks::Usual && !spec.privileged { masks::apply_to_proc(own) } else { Ok(()) }
}

/// Write-protects the root itself; what is mounted on it stays as it is.
pub(super) fn freeze_root(spec: &SandboxSpec, root: BorrowedFd<'_>) -> Result<(), LaunchError> {
    if !spec.read_only_root {
        return Ok(());
    }
    let set = Attributes::MOUNT_ATTR_RDONLY.bits().into();
    mount::change(root, Change { set, ..Change::default() }).map_err(|error| LaunchError::io(Step::Root, "/", &error))
}
