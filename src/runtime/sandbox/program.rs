//! The last steps before a program runs, the same for a sandbox's first process and for one that joins it: the user, its
//! streams, its rights, and exec.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags};
use rustix::process::{Gid, Uid};
use rustix::thread::CapabilitySet;

use crate::sandbox::error::{LaunchError, Step};
use crate::sandbox::launch::Stdio;
use crate::sandbox::rlimits;
use crate::sandbox::seccomp::Filter;
use crate::sandbox::spec::CapabilitySets;
use crate::sandbox::user::{self, Ids, UserError};
use crate::state::container::ProcessRecord;
use crate::sys::fd::{self, Missing};
use crate::sys::{bpf, process, signal, terminal};

/// Where programs are looked for when the environment does not say; Docker's.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const SYS_ADMIN: u64 = 1 << 21;

/// What a program may do.
pub(super) struct Rights<'a> {
    pub capabilities: u64,
    /// Instead of what `capabilities` gives.
    pub sets: Option<CapabilitySets>,
    pub filter: Option<Filter>,
    pub no_new_privileges: bool,
    pub rlimits: &'a BTreeMap<String, (i64, i64)>,
}

/// A program that is ready to run: nothing of the image is read any more, but its file.
pub(super) struct Ready {
    args: Vec<CString>,
    env: Vec<CString>,
    path: String,
    ids: Ids,
}

/// Finds the user and the working directory, and completes the environment. Inside the container's root.
pub(super) fn prepare(
    process: &ProcessRecord,
    hostname: Option<&str>,
    missing_folder: Missing,
) -> Result<Ready, LaunchError> {
    let root = fd::open_directory(Path::new("/")).map_err(|error| LaunchError::io(Step::User, "/", &error))?;
    let ids = user::lookup(root.as_fd(), &process.user, &process.additional_groups).map_err(user_failure(process))?;
    enter_working_directory(root.as_fd(), &process.cwd, missing_folder)?;
    let env = environment(process, hostname, &ids.home);
    let path = env.iter().rev().find_map(|line| line.strip_prefix("PATH=")).unwrap_or(PATH).to_owned();
    let strings = |list: Vec<String>| {
        list.into_iter()
            .map(|text| CString::new(text).map_err(|_| LaunchError::new(Step::Exec, libc::EINVAL, &*process.args[0])))
            .collect::<Result<Vec<_>, _>>()
    };
    if process.args.is_empty() {
        return Err(LaunchError::new(Step::Find, 0, ""));
    }
    Ok(Ready { args: strings(process.args.clone())?, env: strings(env)?, path, ids })
}

fn user_failure(process: &ProcessRecord) -> impl Fn(UserError) -> LaunchError + '_ {
    |error| match error {
        UserError::NoUser { name } | UserError::NoGroup { name } => LaunchError::new(Step::User, libc::ENOENT, name),
        UserError::OutOfRange { id } => LaunchError::new(Step::User, libc::ERANGE, id),
        UserError::Empty { text } => LaunchError::new(Step::User, libc::EINVAL, text),
        UserError::File { path, source } => LaunchError::io(Step::User, format!("{} in {path}", process.user), &source),
    }
}

/// What Docker adds: PATH, HOSTNAME, TERM with a terminal, HOME.
fn environment(process: &ProcessRecord, hostname: Option<&str>, home: &str) -> Vec<String> {
    let has = |key: &str| process.env.iter().any(|line| line.split('=').next() == Some(key));
    let mut env = Vec::with_capacity(process.env.len() + 4);
    if !has("PATH") {
        env.push(format!("PATH={PATH}"));
    }
    if let Some(hostname) = hostname
        && !has("HOSTNAME")
    {
        env.push(format!("HOSTNAME={hostname}"));
    }
    if process.tty && !has("TERM") {
        env.push("TERM=xterm".to_owned());
    }
    env.extend(process.env.iter().cloned());
    if !has("HOME") {
        env.push(format!("HOME={home}"));
    }
    env
}

/// Enters the working directory, made where it is missing if `missing` says so; it must be inside the root
/// (CVE-2024-21626).
fn enter_working_directory(root: BorrowedFd<'_>, path: &str, missing: Missing) -> Result<(), LaunchError> {
    let path = if path.is_empty() { "/" } else { path };
    let failed = |error: io::Error| LaunchError::io(Step::WorkingDirectory, path, &error);
    let location = fd::locate(root, Path::new(path), missing).map_err(failed)?;
    rustix::process::fchdir(&location).map_err(|error| failed(error.into()))?;
    let inside = rustix::process::getcwd(Vec::new()).is_ok_and(|path| path.as_bytes().starts_with(b"/"));
    if inside { Ok(()) } else { Err(failed(io::Error::from_raw_os_error(libc::EXDEV))) }
}

/// Makes the streams descriptors 0 to 2, and lets the user open them again by `/dev/stdout`.
pub(super) fn hand_over_streams(stdio: &Stdio, ids: &Ready) -> Result<(), LaunchError> {
    use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
    let failed = |error: io::Error| LaunchError::io(Step::Stdio, "", &error);
    let (stdin, stdout, stderr) = match &stdio.terminal {
        Some(terminal) => {
            terminal::make_controlling(terminal.as_fd()).map_err(|error| LaunchError::io(Step::Console, "", &error))?;
            (terminal, terminal, terminal)
        }
        None => (&stdio.stdin, &stdio.stdout, &stdio.stderr),
    };
    // One of ours may itself be 0, 1 or 2: copies above them are not overwritten on the way.
    let above =
        |fd: &std::os::fd::OwnedFd| rustix::io::fcntl_dupfd_cloexec(fd, 3).map_err(|error| failed(error.into()));
    let (stdin, stdout, stderr) = (above(stdin)?, above(stdout)?, above(stderr)?);
    dup2_stdin(&stdin)
        .and_then(|()| dup2_stdout(&stdout))
        .and_then(|()| dup2_stderr(&stderr))
        .map_err(|error| failed(error.into()))?;
    for fd in [&stdin, &stdout, &stderr] {
        let stat = rustix::fs::fstat(fd).map_err(|error| failed(error.into()))?;
        let device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
        if stat.st_uid == ids.ids.uid || device && stat.st_rdev == rustix::fs::makedev(1, 3) {
            continue;
        }
        match rustix::fs::fchown(fd, Some(Uid::from_raw(ids.ids.uid)), None) {
            // Sockets of some kinds, read-only file systems: as they are.
            Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::PERM | rustix::io::Errno::ROFS) => {}
            Err(error) => return Err(failed(error.into())),
        }
    }
    Ok(())
}

impl Rights<'_> {
    /// Becomes the user with these rights. Last of all, since from here on little is allowed.
    pub(super) fn take(&self, ready: &Ready) -> Result<(), LaunchError> {
        rlimits::set(self.rlimits)?;
        drop_bounding_set(self.sets.map_or(self.capabilities, |sets| sets.bounding))?;
        let ids = &ready.ids;
        let failed = |error: rustix::io::Errno| LaunchError::new(Step::Ids, error.raw_os_error(), ids.uid.to_string());
        let groups: Vec<Gid> = ids.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
        let (uid, gid) = (Uid::from_raw(ids.uid), Gid::from_raw(ids.gid));
        rustix::thread::set_thread_groups(&groups).map_err(failed)?;
        rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(failed)?;
        // Kept past the change of user: a filter needs CAP_SYS_ADMIN where privileges may still be gained.
        rustix::thread::set_keep_capabilities(true).map_err(failed)?;
        rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(failed)?;
        let own = self.sets.unwrap_or_else(|| of_user(if ids.uid == 0 { self.capabilities } else { 0 }));
        let for_filter = if self.filter.is_some() && !self.no_new_privileges { SYS_ADMIN } else { 0 };
        set_capabilities(CapabilitySets {
            effective: own.effective | for_filter,
            permitted: own.permitted | for_filter,
            ..own
        })?;
        if self.no_new_privileges {
            rustix::thread::set_no_new_privs(true)
                .map_err(|error| LaunchError::new(Step::Capabilities, error.raw_os_error(), ""))?;
        }
        if let Some(filter) = &self.filter {
            bpf::filter_system_calls(filter).map_err(|error| LaunchError::io(Step::Seccomp, "", &error))?;
        }
        // Exec takes CAP_SYS_ADMIN away: it is not in the bounding set, nor inheritable (capabilities(7)).
        Ok(())
    }

    /// What process 1 of our own keeps: enough to signal whoever runs beside it.
    pub(super) fn take_for_reaper(&self, ready: &Ready) -> Result<(), LaunchError> {
        const KILL: u64 = 1 << 5;
        drop_bounding_set(self.capabilities)?;
        let ids = &ready.ids;
        let failed = |error: rustix::io::Errno| LaunchError::new(Step::Reaper, error.raw_os_error(), "");
        let (uid, gid) = (Uid::from_raw(ids.uid), Gid::from_raw(ids.gid));
        rustix::thread::set_thread_groups(&[gid]).map_err(failed)?;
        rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(failed)?;
        rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(failed)?;
        set_capabilities(of_user(if ids.uid == 0 { self.capabilities & KILL } else { 0 }))?;
        rustix::thread::set_no_new_privs(true).map_err(failed)?;
        if let Some(filter) = &self.filter {
            bpf::filter_system_calls(filter).map_err(|error| LaunchError::io(Step::Seccomp, "", &error))?;
        }
        Ok(())
    }
}

/// Takes what is not in the set away for good, from whatever is run from here on.
fn drop_bounding_set(keep: u64) -> Result<(), LaunchError> {
    for number in 0..64 {
        if keep & (1 << number) != 0 {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)) {
            Ok(()) => {}
            // Past the last one that this kernel has.
            Err(rustix::io::Errno::INVAL) => break,
            Err(error) => return Err(LaunchError::new(Step::Capabilities, error.raw_os_error(), "")),
        }
    }
    Ok(())
}

/// The sets that these make: nothing is inheritable (CVE-2022-24769), so nothing is ambient either.
fn of_user(bits: u64) -> CapabilitySets {
    CapabilitySets { effective: bits, permitted: bits, ..CapabilitySets::default() }
}

/// Sets all but the bounding set.
fn set_capabilities(sets: CapabilitySets) -> Result<(), LaunchError> {
    let failed = |error: rustix::io::Errno| LaunchError::new(Step::Capabilities, error.raw_os_error(), "");
    // Not more than we have ourselves: whoever runs us may have taken some away.
    let have = rustix::thread::capabilities(None).map_err(failed)?.permitted;
    let set = |bits: u64| CapabilitySet::from_bits_retain(bits) & have;
    let wanted = rustix::thread::CapabilitySets {
        effective: set(sets.effective),
        permitted: set(sets.permitted),
        inheritable: set(sets.inheritable),
    };
    rustix::thread::set_capabilities(None, wanted).map_err(failed)?;
    if sets.ambient == 0 {
        return Ok(());
    }
    let ambient = set(sets.ambient) & wanted.permitted & wanted.inheritable;
    for one in ambient.iter() {
        rustix::thread::configure_capability_in_ambient_set(one, true).map_err(failed)?;
    }
    Ok(())
}

impl Ready {
    /// Runs the program, under the SELinux label that this process is about to enter; returns only why not.
    pub(super) fn run(&self, label: Option<&str>) -> LaunchError {
        if let Err(error) = process::close_on_exec_from_3() {
            return LaunchError::io(Step::Exec, "", &error);
        }
        signal::reset();
        let Some(name) = self.args.first() else { return LaunchError::new(Step::Find, 0, "") };
        let text = name.to_string_lossy().into_owned();
        if name.as_bytes().contains(&b'/') {
            let error = process::execve(name, &self.args, &self.env);
            return refused_label(name, &error, label).unwrap_or_else(|| LaunchError::io(Step::Exec, text, &error));
        }
        // As execvp(3): a file that may not be run does not end the search, but is what is told if nothing else is found.
        let mut refused = None;
        for folder in self.path.split(':').filter(|_| !name.is_empty()) {
            let folder = if folder.is_empty() { "." } else { folder };
            let Ok(path) = CString::new([folder.as_bytes(), b"/", name.as_bytes()].concat()) else { continue };
            let error = process::execve(&path, &self.args, &self.env);
            if let Some(error) = refused_label(&path, &error, label) {
                return error;
            }
            match error.raw_os_error() {
                Some(libc::ENOENT) if is_file(&path) => {
                    return LaunchError::io(Step::Exec, path.to_string_lossy(), &error);
                }
                Some(libc::ENOENT | libc::ENOTDIR) => {}
                Some(libc::EACCES) => refused = Some(LaunchError::io(Step::Exec, path.to_string_lossy(), &error)),
                _ => return LaunchError::io(Step::Exec, path.to_string_lossy(), &error),
            }
        }
        refused.unwrap_or_else(|| LaunchError::new(Step::Find, 0, text))
    }
}

/// Tells the refusal of a label from that of a file, which may be run under the label that we have.
fn refused_label(path: &CString, error: &io::Error, label: Option<&str>) -> Option<LaunchError> {
    let label = label.filter(|_| matches!(error.raw_os_error(), Some(libc::EACCES | libc::EPERM)))?;
    let may_be_run = rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS).is_ok();
    may_be_run.then(|| LaunchError::io(Step::Label, label, error))
}

fn is_file(path: &CString) -> bool {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, OsStr::from_bytes(path.as_bytes()), flags, Mode::empty()).is_ok()
}
