//! Runs a program where another one has ended: in the namespaces and mounts that somebody kept. Only what dies with a
//! pid namespace, its `/proc`, is made anew.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use crate::sandbox::error::{LaunchError, Step};
use crate::sandbox::mounts::{self, Own};
use crate::sandbox::spec::{Namespace, SandboxSpec};
use crate::sys::{fd, mount, namespace};

/// The namespaces of a process, held open.
#[derive(Debug)]
pub struct Kept {
    /// Each with its kind, in the order in which they are entered: the mounts last.
    namespaces: Vec<(OwnedFd, i32)>,
}

impl Kept {
    /// Holds those of a process that runs.
    pub fn of(pid: i32) -> io::Result<Self> {
        let namespaces = [
            ("net", libc::CLONE_NEWNET),
            ("ipc", libc::CLONE_NEWIPC),
            ("uts", libc::CLONE_NEWUTS),
            ("cgroup", libc::CLONE_NEWCGROUP),
            ("mnt", libc::CLONE_NEWNS),
        ];
        let open = |(name, kind)| Ok((File::open(format!("/proc/{pid}/ns/{name}"))?.into(), kind));
        Ok(Self { namespaces: namespaces.into_iter().map(open).collect::<io::Result<_>>()? })
    }

    /// Enters them: `/` is the container's root from here on.
    pub(super) fn enter(&self, spec: &SandboxSpec) -> Result<(), LaunchError> {
        for (fd, kind) in &self.namespaces {
            namespace::enter(fd.as_fd(), *kind).map_err(|error| LaunchError::io(Step::Namespace, "", &error))?;
        }
        if spec.namespaces.pid == Namespace::New { self.renew_proc(spec) } else { Ok(()) }
    }

    fn renew_proc(&self, spec: &SandboxSpec) -> Result<(), LaunchError> {
        let failed = |error: io::Error| LaunchError::io(Step::Proc, "", &error);
        // All that lies on it goes with it.
        mount::detach(Path::new("/proc")).map_err(failed)?;
        let root = fd::open_directory(Path::new("/")).map_err(failed)?;
        let proc = mounts::proc(root.as_fd()).map_err(failed)?;
        let open = |path| fd::locate(root.as_fd(), Path::new(path), fd::Missing::Fail).map_err(failed);
        let own = Own { proc, dev: open("dev")?, sys: open("sys")?, label: spec.file_label.clone() };
        if let Some(score) = spec.oom_score_adj {
            fd::write_at(own.proc.as_fd(), "self/oom_score_adj", &score.to_string())
                .map_err(|error| LaunchError::io(Step::OomScore, score.to_string(), &error))?;
        }
        mounts::protect_proc(spec, &own)
    }
}
