//! Enters a running sandbox and runs another program in it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::Mode;
use rustix::process::{
    DumpableBehavior, Pid, PidfdFlags, WaitId, WaitIdOptions, dumpable_behavior, pidfd_open, set_dumpable_behavior,
};

use crate::cgroup::group::Group;
use crate::sandbox::capabilities;
use crate::sandbox::confine::Confinement;
use crate::sandbox::error::{LaunchError, Step};
use crate::sandbox::launch::{Launched, Stdio, filter_for, in_pid_namespace};
use crate::sandbox::program::{self, Rights};
use crate::sandbox::report;
use crate::sandbox::seccomp::Filter;
use crate::sandbox::spec::CapabilitySets;
use crate::state::container::{ProcessRecord, SeccompRecord};
use crate::state::process::ProcessId;
use crate::sys::{fd, namespace, process as child_process, signal};

/// The sandbox to enter.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Its process 1.
    pub init: ProcessId,
    /// As of the sandbox.
    pub capabilities: u64,
    /// As of the sandbox; of no account where it is entered with every capability.
    pub capability_sets: Option<CapabilitySets>,
    /// As of the sandbox.
    pub seccomp: SeccompRecord,
    /// As of the sandbox.
    pub apparmor: Option<String>,
    /// As of the sandbox.
    pub label: Option<String>,
    /// As of the sandbox.
    pub no_new_privileges: bool,
    /// The sandbox's groups.
    pub group: Option<Group>,
    /// `KEY=value`, under the process's own.
    pub env: Vec<String>,
    /// As of the sandbox.
    pub rlimits: BTreeMap<String, (i64, i64)>,
}

/// What is entered all at once; the pid namespace is its child's affair.
const NAMESPACES: i32 =
    libc::CLONE_NEWNS | libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | libc::CLONE_NEWCGROUP;

/// A child that is about to run a program in the sandbox.
#[derive(Debug)]
pub struct Joining {
    pid: i32,
    pidfd: OwnedFd,
    reports: OwnedFd,
}

impl AsFd for Joining {
    /// What is ready when it is known whether the program runs.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reports.as_fd()
    }
}

impl Joining {
    /// Waits until the program runs, or why it does not.
    pub fn finish(self) -> Result<Launched, LaunchError> {
        let Self { pid, pidfd, reports } = self;
        match report::receive(reports.as_fd()) {
            None => Ok(Launched { pid, pidfd, root: None }),
            Some(error) => {
                let _ = rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
                Err(error)
            }
        }
    }
}

/// Runs a program in a running sandbox; privileged: with every capability and no filter.
///
/// Call it from a process with one thread.
pub fn join(target: &Target, process: &ProcessRecord, stdio: Stdio, privileged: bool) -> Result<Launched, LaunchError> {
    begin(target, process, stdio, privileged)?.finish()
}

/// The same without waiting until the program runs.
pub fn begin(target: &Target, process: &ProcessRecord, stdio: Stdio, privileged: bool) -> Result<Joining, LaunchError> {
    let sets = target.capability_sets.filter(|_| !privileged);
    let filter = filter_for(&target.seccomp, sets.map_or(target.capabilities, |sets| sets.bounding), privileged)?;
    let capabilities = if privileged { capabilities::ALL } else { target.capabilities };
    let init = open_init(target.init)?;
    let failed = |error: io::Error| LaunchError::io(Step::Clone, "", &error);
    let (reports, report) = report::pipe().map_err(failed)?;
    let directory = target.group.as_ref().and_then(Group::unified_directory);
    let joiner = Joiner {
        target,
        process: with_environment(process, target),
        stdio: &stdio,
        capabilities,
        sets,
        filter,
        report,
    };
    let half = || {
        child_process::close_copy(reports.as_fd());
        joiner.run(init.as_fd())
    };
    // Before it is in the pid namespace, where others may look for it: nobody may trace the child, or open its files, until
    // it has let go of ours (CVE-2016-9962). Exec ends that.
    let before = dumpable_behavior().map_err(|error| failed(error.into()))?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|error| failed(error.into()))?;
    let cloned = in_pid_namespace(init.as_fd(), || {
        child_process::clone(0, directory.as_ref().map(|directory| directory.as_fd()), half)
    });
    set_dumpable_behavior(before).map_err(|error| failed(error.into()))?;
    let (pid, pidfd) = cloned?;
    Ok(Joining { pid, pidfd, reports })
}

/// Opens the sandbox's first process, and makes sure that it is still that one.
fn open_init(init: ProcessId) -> Result<OwnedFd, LaunchError> {
    let gone = || LaunchError::new(Step::Namespace, libc::ESRCH, init.pid.to_string());
    let pid = Pid::from_raw(init.pid).ok_or_else(gone)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(|_| gone())?;
    if init.is_alive() { Ok(pidfd) } else { Err(gone()) }
}

/// The process with the sandbox's environment under its own.
fn with_environment(process: &ProcessRecord, target: &Target) -> ProcessRecord {
    let key = |line: &str| line.split('=').next().unwrap_or_default().to_owned();
    let own: Vec<String> = process.env.iter().map(|line| key(line)).collect();
    let mut env: Vec<String> = target.env.iter().filter(|line| !own.contains(&key(line))).cloned().collect();
    env.extend(process.env.iter().cloned());
    ProcessRecord { env, ..process.clone() }
}

/// The child's half.
struct Joiner<'a> {
    target: &'a Target,
    process: ProcessRecord,
    stdio: &'a Stdio,
    capabilities: u64,
    sets: Option<CapabilitySets>,
    filter: Option<Filter>,
    report: OwnedFd,
}

impl Joiner<'_> {
    fn run(self, init: BorrowedFd<'_>) -> i32 {
        let error = self.steps(init);
        report::send(self.report.as_fd(), &error);
        std::mem::forget(self);
        error.exit_code()
    }

    /// Returns only why the program does not run.
    fn steps(&self, init: BorrowedFd<'_>) -> LaunchError {
        match self.enter(init) {
            Ok(ready) => ready.run(self.target.label.as_deref()),
            Err(error) => error,
        }
    }

    fn enter(&self, init: BorrowedFd<'_>) -> Result<program::Ready, LaunchError> {
        let failed = |step, error: io::Error| LaunchError::io(step, "", &error);
        signal::reset();
        child_process::close_on_exec_from_3().map_err(|error| failed(Step::Session, error))?;
        rustix::process::setsid().map_err(|error| failed(Step::Session, error.into()))?;
        Confinement::open(self.target.apparmor.as_deref(), self.target.label.as_deref())?;
        drop(child_process::new_session_keyring());
        rustix::process::umask(Mode::from_raw_mode(0o022));
        if let Some(group) = &self.target.group {
            group.add_self().map_err(|error| LaunchError::ungrouped(&group.name, error))?;
        }
        self.take_oom_score();
        namespace::enter(init, NAMESPACES).map_err(|error| failed(Step::Namespace, error))?;
        let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let ready = program::prepare(&self.process, Some(&hostname), fd::Missing::Fail)?;
        program::hand_over_streams(self.stdio, &ready)?;
        let rights = Rights {
            capabilities: self.capabilities,
            sets: self.sets,
            filter: self.filter.clone(),
            no_new_privileges: self.target.no_new_privileges,
            rlimits: &self.target.rlimits,
        };
        rights.take(&ready)?;
        Ok(ready)
    }

    /// What is killed first for want of memory is the same for all of a sandbox.
    fn take_oom_score(&self) {
        let read = |path: &str| fs::read_to_string(path).ok();
        let theirs = read(&format!("/proc/{}/oom_score_adj", self.target.init.pid));
        if theirs != read("/proc/self/oom_score_adj")
            && let Some(score) = theirs
        {
            // Lowering it may be forbidden to us: then it keeps ours, which is killed sooner.
            drop(fs::write("/proc/self/oom_score_adj", score));
        }
    }
}
