//! Why a process could not be launched in a sandbox, or joined to one.

use std::{fmt, io};

use crate::cgroup::group::GroupError;

/// The steps of a launch, in their order. The child reports the number of the one that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Step {
    Prepare = 1,
    Clone,
    Namespace,
    Cgroup,
    Session,
    Source,
    Propagation,
    Root,
    Proc,
    Dev,
    Sys,
    Mount,
    MountPoint,
    Mask,
    Console,
    Pivot,
    Hostname,
    Sysctl,
    Loopback,
    Ready,
    Confine,
    Label,
    Rlimit,
    OomScore,
    User,
    Stdio,
    WorkingDirectory,
    Capabilities,
    Ids,
    Seccomp,
    Reaper,
    InitLabel,
    Find,
    Exec,
}

impl Step {
    /// Every step, so that a number can be made one again.
    const ALL: [Self; 34] = [
        Self::Prepare,
        Self::Clone,
        Self::Namespace,
        Self::Cgroup,
        Self::Session,
        Self::Source,
        Self::Propagation,
        Self::Root,
        Self::Proc,
        Self::Dev,
        Self::Sys,
        Self::Mount,
        Self::MountPoint,
        Self::Mask,
        Self::Console,
        Self::Pivot,
        Self::Hostname,
        Self::Sysctl,
        Self::Loopback,
        Self::Ready,
        Self::Confine,
        Self::Label,
        Self::Rlimit,
        Self::OomScore,
        Self::User,
        Self::Stdio,
        Self::WorkingDirectory,
        Self::Capabilities,
        Self::Ids,
        Self::Seccomp,
        Self::Reaper,
        Self::InitLabel,
        Self::Find,
        Self::Exec,
    ];

    /// Returns the step with this number.
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|step| *step as u8 == number)
    }

    /// What was attempted; `what` follows it in backticks.
    fn attempt(self) -> &'static str {
        match self {
            Self::Prepare => "prepare the sandbox",
            Self::Clone => "make the namespaces",
            Self::Namespace => "enter the namespace",
            Self::Cgroup => "enter the control group",
            Self::Session => "begin a session",
            Self::Source => "open the mount source",
            Self::Propagation => "detach from the host's mounts",
            Self::Root => "mount the root",
            Self::Proc => "mount /proc",
            Self::Dev => "set up /dev",
            Self::Sys => "mount /sys",
            Self::Mount => "mount",
            Self::MountPoint => "make the mount point",
            Self::Mask => "protect",
            Self::Console => "set up the terminal",
            Self::Pivot => "change the root",
            Self::Hostname => "set the host name",
            Self::Sysctl => "set the sysctl",
            Self::Loopback => "bring up the loopback link",
            Self::Ready => "finish the preparation",
            Self::Confine => "enter the AppArmor profile",
            Self::Label => "enter the SELinux label",
            Self::Rlimit => "set the limit",
            Self::OomScore => "set the OOM score",
            Self::User => "find the user",
            Self::Stdio => "hand over the standard streams",
            Self::WorkingDirectory => "enter the working directory",
            Self::Capabilities => "set the capabilities",
            Self::Ids => "become the user",
            Self::Seccomp => "filter the system calls",
            Self::Reaper => "start the program under init",
            Self::InitLabel => "have init enter (`dyntransition`) the SELinux label",
            Self::Find | Self::Exec => "run",
        }
    }
}

/// Why a process could not be launched.
#[derive(Debug)]
pub struct LaunchError {
    /// The step that failed.
    pub step: Step,
    /// What the kernel said; 0 where it was not the kernel.
    pub errno: i32,
    /// What it failed on: a path, a name.
    pub what: String,
    /// Why the caller's own preparation failed.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl LaunchError {
    /// Makes the error of a process that could not move itself into its groups.
    pub(super) fn ungrouped(name: &str, error: GroupError) -> Self {
        match error {
            GroupError::Io { source, .. } => Self::io(Step::Cgroup, name, &source),
            GroupError::Unsupported { .. }
            | GroupError::BlockDevice { .. }
            | GroupError::Parent { .. }
            | GroupError::Rule { .. } => Self::io(Step::Cgroup, name, &io::ErrorKind::Unsupported.into()),
        }
    }

    pub(crate) fn new(step: Step, errno: i32, what: impl Into<String>) -> Self {
        Self { step, errno, what: what.into(), source: None }
    }

    pub(crate) fn io(step: Step, what: impl Into<String>, error: &io::Error) -> Self {
        Self::new(step, error.raw_os_error().unwrap_or(0), what)
    }

    /// The exit code that people expect of a container that could not be run: 127 not found, 126 not executable, 125 else.
    pub fn exit_code(&self) -> i32 {
        match (self.step, self.errno) {
            (Step::Find, _) | (Step::Exec, libc::ENOENT) => 127,
            (Step::Exec, _) => 126,
            _ => 125,
        }
    }
}

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = &self.what;
        match (self.step, self.errno) {
            (Step::Find, _) => return write!(f, "cannot run `{what}`: no such program in the container's PATH"),
            (Step::Exec, libc::ENOENT) => {
                return write!(f, "cannot run `{what}`: no such file in the container, or its interpreter is missing");
            }
            (Step::Exec, libc::ENOEXEC) => {
                return write!(f, "cannot run `{what}`: neither a program for this machine nor a script with `#!`");
            }
            _ => {}
        }
        write!(f, "cannot {}", self.step.attempt())?;
        if !what.is_empty() {
            write!(f, " `{what}`")?;
        }
        match (self.step, self.errno) {
            (Step::Label | Step::InitLabel, libc::EINVAL) => write!(
                f,
                ": it is not in the loaded policy: its user, role, type or level is unknown, or they don't go together"
            ),
            (Step::Label | Step::InitLabel, libc::EACCES | libc::EPERM) => {
                write!(f, ": the policy does not allow it here; `ausearch -m avc -ts recent` shows what it denied")
            }
            (Step::User, libc::ENOENT) => write!(f, ": not in the container's /etc/passwd or /etc/group"),
            (_, 0) => Ok(()),
            (_, errno) => {
                let text = io::Error::from_raw_os_error(errno).to_string();
                let text = text.split(" (os error").next().unwrap_or_default().to_lowercase();
                write!(f, ": {text}")
            }
        }
    }
}

impl std::error::Error for LaunchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn std::error::Error + 'static))
    }
}
