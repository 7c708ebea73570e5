//! The parent's half of a launch, with its handshake.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::process::{WaitId, WaitIdOptions};

use crate::cgroup::group::Group;
use crate::sandbox::again::Kept;
use crate::sandbox::init::Child;
use crate::sandbox::mounts;
use crate::sandbox::report;
use crate::sandbox::seccomp::{self, Filter};
use crate::sandbox::spec::{Namespace, Root, SandboxSpec};
use crate::state::container::SeccompRecord;
use crate::sys::{mount, namespace, process, terminal};

pub use crate::sandbox::error::{LaunchError, Step};

/// The standard streams of a contained process.
#[derive(Debug)]
pub struct Stdio {
    /// Descriptor 0.
    pub stdin: OwnedFd,
    /// Descriptor 1.
    pub stdout: OwnedFd,
    /// Descriptor 2.
    pub stderr: OwnedFd,
    /// The subordinate end of a pseudo-terminal: then it is all three, and the controlling terminal.
    pub terminal: Option<OwnedFd>,
    /// The file system of terminals that it is of, which is to be the sandbox's `/dev/pts`; `None`: a new one.
    pub devpts: Option<OwnedFd>,
}

impl Stdio {
    /// Makes a pseudo-terminal in a file system of its own, where the program finds it by its name: our end, and the
    /// program's streams. `label` is the SELinux label of it.
    pub fn on_terminal(label: Option<&str>) -> io::Result<(OwnedFd, Self)> {
        let devpts = mounts::terminals(label)?;
        let (ours, theirs) = terminal::open_in(devpts.as_fd())?;
        let copy = || theirs.try_clone();
        let (stdin, stdout, stderr) = (copy()?, copy()?, copy()?);
        Ok((ours, Self { stdin, stdout, stderr, terminal: Some(theirs), devpts: Some(devpts) }))
    }
}

/// A child that sets up its sandbox and has not run its program yet.
#[derive(Debug)]
pub struct Born {
    /// Its number in our pid namespace.
    pub pid: i32,
    /// Itself.
    pub pidfd: OwnedFd,
}

impl Born {
    /// Opens the network namespace of the child.
    pub fn network_namespace(&self) -> io::Result<OwnedFd> {
        Ok(File::open(format!("/proc/{}/ns/net", self.pid))?.into())
    }
}

/// A contained process that runs its program.
#[derive(Debug)]
pub struct Launched {
    /// Its number in our pid namespace.
    pub pid: i32,
    /// Itself.
    pub pidfd: OwnedFd,
    /// Its root file system: the end of the sandbox's mounts is not that of this while it is open, so that the program's
    /// end does not wait for the disk (an overlay syncs the file system that it writes to). `None`: the sandbox's mounts
    /// alone hold it.
    pub root: Option<OwnedFd>,
}

/// What the caller does to a child while that mounts: attach the network.
pub type Prepare<'a> = &'a mut dyn FnMut(&Born) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Launches a sandbox and returns once its program runs.
///
/// The child mounts while `prepare` runs. Call it from a process with one thread.
pub fn launch(spec: &SandboxSpec, stdio: Stdio, prepare: Prepare<'_>) -> Result<Launched, LaunchError> {
    launch_in(spec, stdio, None, prepare)
}

/// Launches a sandbox, or runs its program anew in one whose namespaces were kept.
pub fn launch_in(
    spec: &SandboxSpec,
    stdio: Stdio,
    kept: Option<&Kept>,
    prepare: Prepare<'_>,
) -> Result<Launched, LaunchError> {
    launch_held(spec, stdio, Plan { kept, is_held: false }, prepare, &mut |_| Ok(()))
}

/// Launches a sandbox whose program waits, when all is mounted and prepared, until `leave` returns. It lives on without
/// its parent, from the moment that its program runs.
pub fn launch_waiting(
    spec: &SandboxSpec,
    stdio: Stdio,
    prepare: Prepare<'_>,
    leave: Prepare<'_>,
) -> Result<Launched, LaunchError> {
    launch_held(spec, stdio, Plan { kept: None, is_held: true }, prepare, leave)
}

/// How a sandbox is launched.
#[derive(Clone, Copy)]
struct Plan<'a> {
    kept: Option<&'a Kept>,
    is_held: bool,
}

fn launch_held(
    spec: &SandboxSpec,
    stdio: Stdio,
    Plan { kept, is_held }: Plan<'_>,
    prepare: Prepare<'_>,
    leave: Prepare<'_>,
) -> Result<Launched, LaunchError> {
    let capabilities = spec.capability_sets.map_or(spec.capabilities, |sets| sets.bounding);
    let filter = filter_for(&spec.seccomp, capabilities, spec.privileged)?;
    let failed = |error: io::Error| LaunchError::io(Step::Clone, "", &error);
    let (reports, report) = report::pipe().map_err(failed)?;
    let (gate, opener) = report::pipe().map_err(failed)?;
    let mut namespaces = Namespaces::of(spec)?;
    if kept.is_some() {
        // Only that of the processes has ended with them.
        namespaces.new &= libc::CLONE_NEWPID;
        namespaces.join.clear();
    }
    let directory = spec.cgroup.as_ref().and_then(Group::unified_directory);
    let begins = kept.is_none() && matches!(spec.root, Root::Overlay { .. });
    // A kernel without the new calls has the child mount it in the old way.
    let overlay = if begins { mount::overlay_context().ok() } else { None };
    let child = Child {
        spec,
        stdio: &stdio,
        filter,
        overlay: overlay.as_ref().map(|overlay| overlay.as_fd()),
        join: namespaces.join,
        kept,
        is_held,
        gate,
        report,
    };
    let half = || {
        // A gate that the child holds open itself would never tell it that the parent is gone.
        process::close_copy(opener.as_fd());
        process::close_copy(reports.as_fd());
        child.run()
    };
    let clone = || process::clone(namespaces.new, directory.as_ref().map(|fd| fd.as_fd()), half);
    let (pid, pidfd) = match &namespaces.pid {
        Some(target) => in_pid_namespace(target.as_fd(), clone)?,
        None => clone().map_err(failed)?,
    };
    let born = Born { pid, pidfd };
    let mut prepared = prepare(&born).map_err(|error| caused(Step::Prepare, String::new(), error));
    if is_held && prepared.is_ok() {
        prepared = report::is_mounted(reports.as_fd())
            .and_then(|()| leave(&born).map_err(|error| caused(Step::Prepare, String::new(), error)));
    }
    if prepared.is_ok() {
        report::open(opener.as_fd());
    }
    if prepared.is_err() {
        drop(process::signal(born.pidfd.as_fd(), libc::SIGKILL));
    }
    drop(opener);
    // Where both failed, it is the child that tells why: without it the parent has nothing to prepare.
    match (report::receive(reports.as_fd()), prepared) {
        (None, Ok(())) => Ok(Launched { pid: born.pid, pidfd: born.pidfd, root: overlay }),
        (Some(error), _) | (None, Err(error)) => {
            let _ = rustix::process::waitid(WaitId::PidFd(born.pidfd.as_fd()), WaitIdOptions::EXITED);
            Err(error)
        }
    }
}

fn caused(step: Step, what: String, source: Box<dyn std::error::Error + Send + Sync>) -> LaunchError {
    LaunchError { step, errno: 0, what, source: Some(source) }
}

/// Returns the filter for a process, unless it is privileged.
pub(super) fn filter_for(
    record: &SeccompRecord,
    capabilities: u64,
    privileged: bool,
) -> Result<Option<Filter>, LaunchError> {
    if privileged {
        return Ok(None);
    }
    seccomp::filter(record, capabilities).map_err(|error| caused(Step::Seccomp, String::new(), Box::new(error)))
}

/// Which namespaces to make, and which to enter.
struct Namespaces {
    /// `CLONE_NEW*`
    new: i32,
    /// Entered by the child.
    join: Vec<(OwnedFd, i32)>,
    /// Entered by the parent while it clones: a process can't change its own.
    pid: Option<OwnedFd>,
}

impl Namespaces {
    fn of(spec: &SandboxSpec) -> Result<Self, LaunchError> {
        let mut these = Self { new: libc::CLONE_NEWNS, join: Vec::new(), pid: None };
        // The namespace of control groups is made later, by the child.
        for (namespace, kind, made_here) in [
            (&spec.namespaces.network, libc::CLONE_NEWNET, true),
            (&spec.namespaces.ipc, libc::CLONE_NEWIPC, true),
            (&spec.namespaces.uts, libc::CLONE_NEWUTS, true),
            (&spec.namespaces.pid, libc::CLONE_NEWPID, true),
            (&spec.namespaces.cgroup, libc::CLONE_NEWCGROUP, false),
        ] {
            match namespace {
                Namespace::New if made_here => these.new |= kind,
                Namespace::New | Namespace::Host => {}
                Namespace::Join(path) => {
                    let file = File::open(path)
                        .map_err(|error| LaunchError::io(Step::Namespace, path.display().to_string(), &error))?;
                    if kind == libc::CLONE_NEWPID {
                        these.pid = Some(file.into());
                    } else {
                        these.join.push((file.into(), kind));
                    }
                }
            }
        }
        Ok(these)
    }
}

/// Clones into another pid namespace, and comes back.
pub(super) fn in_pid_namespace<T>(
    target: BorrowedFd<'_>,
    clone: impl FnOnce() -> io::Result<T>,
) -> Result<T, LaunchError> {
    let failed = |error: io::Error| LaunchError::io(Step::Namespace, "pid", &error);
    let home = File::open("/proc/self/ns/pid").map_err(failed)?;
    namespace::enter(target, libc::CLONE_NEWPID).map_err(failed)?;
    let cloned = clone();
    namespace::enter(home.as_fd(), libc::CLONE_NEWPID).map_err(failed)?;
    cloned.map_err(|error| LaunchError::io(Step::Clone, "", &error))
}
