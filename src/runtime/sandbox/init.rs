//! The child's half of a launch: the ordered steps up to exec. No tracing here; a failure goes to the parent over a pipe.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::Mode;

use crate::sandbox::again::Kept;
use crate::sandbox::confine::Confinement;
use crate::sandbox::error::{LaunchError, Step};
use crate::sandbox::launch::Stdio;
use crate::sandbox::mounts::{self, Own, Shared};
use crate::sandbox::program::{self, Ready, Rights};
use crate::sandbox::seccomp::Filter;
use crate::sandbox::spec::{Namespace, SandboxSpec};
use crate::sandbox::{devices, reaper, report, root};
use crate::sys::{fd, mount, namespace, process, signal};

/// What the child has from its parent.
pub(super) struct Child<'a> {
    pub spec: &'a SandboxSpec,
    pub stdio: &'a Stdio,
    pub filter: Option<Filter>,
    /// The overlay that the parent has begun for it.
    pub overlay: Option<BorrowedFd<'a>>,
    /// Namespaces of others to enter, with their kind.
    pub join: Vec<(OwnedFd, i32)>,
    /// Where to run it instead of in a sandbox of its own.
    pub kept: Option<&'a Kept>,
    /// It tells when all is mounted, and lives on without its parent.
    pub is_held: bool,
    /// A byte comes when the preparation is done.
    pub gate: OwnedFd,
    /// Where a failure goes; closed by exec.
    pub report: OwnedFd,
}

impl Child<'_> {
    /// Sets up the sandbox and runs its program; returns an exit code where that failed, or when the reaper is done.
    pub(super) fn run(mut self) -> i32 {
        let code = match self.steps() {
            Ok(code) => code,
            Err(error) => {
                report::send(self.report.as_fd(), &error);
                error.exit_code()
            }
        };
        // The process ends here; a reaper has closed what these own already.
        std::mem::forget(self);
        code
    }

    fn steps(&mut self) -> Result<i32, LaunchError> {
        let spec = self.spec;
        signal::reset();
        let failed = |step, error: std::io::Error| LaunchError::io(step, "", &error);
        process::close_on_exec_from_3().map_err(|error| failed(Step::Session, error))?;
        // Modes below are meant as written.
        rustix::process::umask(Mode::empty());
        rustix::process::setsid().map_err(|error| failed(Step::Session, error.into()))?;
        let confinement = Confinement::open(spec.apparmor.as_deref(), spec.label.as_deref())?;
        // Kernels may have no key rings, or the user's quota of them be used up: then it keeps ours, which holds none.
        drop(process::new_session_keyring());
        if let Some(kept) = self.kept {
            return self.steps_again(kept, &confinement);
        }
        for (fd, kind) in self.join.drain(..) {
            namespace::enter(fd.as_fd(), kind).map_err(|error| failed(Step::Namespace, error))?;
        }

        // Sources are opened while the host's mounts are there, and still share what they share.
        let sources = mounts::sources(spec)?;
        let shared = Shared { memory: mounts::shared_memory(spec)?, terminals: self.stdio.devpts.as_ref() };
        mount::make_all_private().map_err(|error| failed(Step::Propagation, error))?;
        let root = root::mount(spec, self.overlay)?;
        let own = mounts::own(spec, root.as_fd(), shared)?;
        devices::elsewhere(spec, root.as_fd())?;
        mounts::callers(spec, &sources, root.as_fd())?;
        drop(sources);
        if let Some(terminal) = &self.stdio.terminal {
            let is_own = self.stdio.devpts.is_some();
            mounts::console(&own, terminal.as_fd(), is_own).map_err(|error| failed(Step::Console, error))?;
        }
        settings(spec, &own)?;
        mounts::protect(spec, &own, root.as_fd())?;

        // The groups' namespace is rooted where the process is: it must be there first.
        if let Some(group) = &spec.cgroup {
            group.add_self().map_err(|error| LaunchError::ungrouped(&group.name, error))?;
        }
        if spec.namespaces.cgroup == Namespace::New {
            namespace::unshare(libc::CLONE_NEWCGROUP).map_err(|error| failed(Step::Namespace, error))?;
        }
        mounts::cgroups(spec, &own)?;
        mounts::freeze_root(spec, root.as_fd())?;
        mount::pivot(&root).map_err(|error| failed(Step::Pivot, error))?;
        drop((root, own));
        rustix::process::umask(Mode::from_raw_mode(0o022));

        let hostname = Some(&*spec.hostname).filter(|name| !name.is_empty());
        let ready = program::prepare(&spec.process, hostname, fd::Missing::Directory)?;
        if self.is_held {
            report::tell_mounted(self.report.as_fd());
        }
        report::pass(self.gate.as_fd(), Step::Ready)?;
        self.finish(&ready, &confinement)
    }

    /// The same in a place that is set up already.
    fn steps_again(&self, kept: &Kept, confinement: &Confinement) -> Result<i32, LaunchError> {
        if let Some(group) = &self.spec.cgroup {
            group.add_self().map_err(|error| LaunchError::ungrouped(&group.name, error))?;
        }
        kept.enter(self.spec)?;
        rustix::process::umask(Mode::from_raw_mode(0o022));
        let ready = program::prepare(&self.spec.process, Some(&self.spec.hostname), fd::Missing::Directory)?;
        report::pass(self.gate.as_fd(), Step::Ready)?;
        self.finish(&ready, confinement)
    }

    /// Runs the program, as process 1 or as the child of our own.
    fn finish(&self, ready: &Ready, confinement: &Confinement) -> Result<i32, LaunchError> {
        let rights = Rights {
            capabilities: self.spec.capabilities,
            sets: self.spec.capability_sets,
            filter: self.filter.clone(),
            no_new_privileges: self.spec.no_new_privileges,
            rlimits: &self.spec.rlimits,
        };
        let program = || -> Result<std::convert::Infallible, LaunchError> {
            program::hand_over_streams(self.stdio, ready)?;
            rights.take(ready)?;
            if !self.is_held {
                self.die_with_parent();
            }
            Err(ready.run(self.spec.label.as_deref()))
        };
        if !self.spec.init {
            return program().map(|never| match never {});
        }
        signal::block_all();
        let child = || match self.session_and(&program) {
            Ok(never) => match never {},
            Err(error) => {
                report::send(self.report.as_fd(), &error);
                error.exit_code()
            }
        };
        let (pid, pidfd) = process::clone(0, None, child).map_err(|error| LaunchError::io(Step::Reaper, "", &error))?;
        reaper::be_called(&self.spec.process.args);
        // The pipe must end with the program's exec, and the streams with the program.
        confinement.enter_profile()?;
        rights.take_for_reaper(ready)?;
        confinement.enter_label()?;
        self.die_with_parent();
        reaper::close_all(&pidfd).map_err(|error| LaunchError::io(Step::Reaper, "", &error))?;
        Ok(reaper::stay(pid, pidfd))
    }

    /// A sandbox whose parent is killed must not live on where nobody takes it over. After the change of user, which takes
    /// this back (prctl(2)). A parent that died just before is noticed at the gate.
    fn die_with_parent(&self) {
        if !self.spec.outlives_parent {
            // It fails for no signal that exists.
            let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
        }
    }

    /// The program of a reaper is a session of its own, so that the terminal is its, not the reaper's.
    fn session_and(
        &self,
        program: &dyn Fn() -> Result<std::convert::Infallible, LaunchError>,
    ) -> Result<std::convert::Infallible, LaunchError> {
        rustix::process::setsid().map_err(|error| LaunchError::io(Step::Session, "", &error.into()))?;
        program()
    }
}

/// Names, sysctls and the loopback link of new namespaces. Sysctls go through our own mount of /proc, whatever the image is.
fn settings(spec: &SandboxSpec, own: &Own) -> Result<(), LaunchError> {
    if spec.namespaces.uts == Namespace::New && !spec.hostname.is_empty() {
        rustix::system::sethostname(spec.hostname.as_bytes())
            .map_err(|error| LaunchError::io(Step::Hostname, spec.hostname.clone(), &error.into()))?;
    }
    if spec.namespaces.uts == Namespace::New
        && let Some(domain) = &spec.domainname
    {
        rustix::system::setdomainname(domain.as_bytes())
            .map_err(|error| LaunchError::io(Step::Hostname, domain.clone(), &error.into()))?;
    }
    if spec.namespaces.network == Namespace::New {
        namespace::loopback_up().map_err(|error| LaunchError::io(Step::Loopback, "", &error))?;
        // As Docker: ports below 1024 and ping need no privilege. A kernel without the setting needs none for it.
        drop(fd::write_at(own.proc.as_fd(), "sys/net/ipv4/ip_unprivileged_port_start", "0"));
        drop(fd::write_at(own.proc.as_fd(), "sys/net/ipv4/ping_group_range", "0 2147483647"));
    }
    for (name, value) in &spec.sysctls {
        let path = format!("sys/{}", name.replace('.', "/"));
        let allowed = !path.split('/').any(|part| part == ".." || part.is_empty());
        allowed
            .then_some(())
            .ok_or_else(|| std::io::Error::from_raw_os_error(libc::EINVAL))
            .and_then(|()| fd::write_at(own.proc.as_fd(), &path, value))
            .map_err(|error| LaunchError::io(Step::Sysctl, name.clone(), &error))?;
    }
    if let Some(score) = spec.oom_score_adj {
        fd::write_at(own.proc.as_fd(), "self/oom_score_adj", &score.to_string())
            .map_err(|error| LaunchError::io(Step::OomScore, score.to_string(), &error))?;
    }
    Ok(())
}
