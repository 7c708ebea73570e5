//! Runs another program in a container: the keeper does it, or, where there is none, a child of ours with one thread, since
//! only such a one can enter.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{MemfdFlags, Mode, OFlags, ResolveFlags};
use rustix::net::RecvFlags;
use rustix::pty::OpenptFlags;
use serde::{Deserialize, Serialize};

use crate::Runtime;
use crate::cgroup::group::Group;
use crate::container::create;
use crate::container::list::{self, FindError};
use crate::keeper::control::{self, Order, Request, Told};
use crate::keeper::spec;
use crate::sandbox::apparmor::{self, AppArmorError};
use crate::sandbox::capabilities::{self, UnknownCapability};
use crate::sandbox::selinux;
use crate::state::container::{ContainerRecord, ProcessRecord, SeccompRecord, Status};
use crate::state::layout::{Bundle, Layout};
use crate::state::occurrence;
use crate::state::process::ProcessId;
use crate::sys::{process, rights, self_exe};

/// What to run; `None`: as the container's own program.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the attributes of a process under their usual names")]
pub struct ExecRequest {
    pub args: Vec<String>,
    /// `KEY=value`, over the container's.
    pub env: Vec<String>,
    pub user: Option<String>,
    pub cwd: Option<String>,
    pub privileged: bool,
    pub tty: bool,
}

/// Its standard streams; with a terminal, all three are its subordinate end.
#[derive(Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ExecStdio {
    pub stdin: OwnedFd,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
}

/// Why a program could not be run in a container.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum ExecError {
    #[error(transparent)]
    Find(#[from] FindError),
    #[error("container `{name}` does not run")]
    NotRunning { name: String },
    #[error("container `{name}` is paused")]
    Paused { name: String },
    #[error(transparent)]
    Capability(#[from] UnknownCapability),
    #[error(transparent)]
    AppArmor(#[from] AppArmorError),
    /// The container's program could not be run, with the code a shell would give.
    #[error("{message}")]
    Program { message: String, exit_code: i32 },
    #[error("cannot run a program in container `{name}`")]
    Io {
        name: String,
        #[source]
        source: io::Error,
    },
}

/// What the child is told, in memory that it alone reads: environments hold secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields of `sandbox::join`")]
pub struct ExecOrder {
    pub init: ProcessId,
    pub capabilities: u64,
    pub seccomp: SeccompRecord,
    pub apparmor: Option<String>,
    pub label: Option<String>,
    pub no_new_privileges: bool,
    pub group: String,
    pub env: Vec<String>,
    pub rlimits: BTreeMap<String, (i64, i64)>,
    pub process: ProcessRecord,
    pub privileged: bool,
}

/// What the child leaves there when it could not run the program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ExecFailure {
    pub message: String,
    pub exit_code: i32,
}

/// A program that runs in a container.
#[derive(Debug)]
pub struct Execution {
    name: String,
    running: Running,
    layout: Arc<Layout>,
    container: Box<ContainerRecord>,
    id: String,
}

/// Whose child the program is.
#[derive(Debug)]
enum Running {
    /// The keeper's, who tells its end over the socket.
    Kept { keeper: BufReader<UnixStream>, pid: i32, pidfd: OwnedFd },
    /// That of our own child.
    Own { child: Child, order: File },
    /// It could not be run.
    Not { message: String, exit_code: i32 },
}

/// Starts a program in a running container.
pub fn exec(rt: &Runtime, name: &str, request: &ExecRequest, stdio: ExecStdio) -> Result<Execution, ExecError> {
    let container = list::find(rt, name)?;
    let record = container.record;
    let told = Box::new(record.clone());
    let init = match container.status.status {
        Status::Running { init, .. } => init,
        Status::Paused { .. } => return Err(ExecError::Paused { name: record.name }),
        Status::Created | Status::Restarting { .. } | Status::Exited { .. } | Status::Dead { .. } => {
            return Err(ExecError::NotRunning { name: record.name });
        }
    };
    let security = &record.security;
    let order = ExecOrder {
        init,
        capabilities: capabilities::resolve(&security.cap_add, &security.cap_drop, security.privileged)?,
        seccomp: security.seccomp.clone(),
        apparmor: apparmor::profile(&rt.layout, &security.apparmor, security.privileged)?,
        label: selinux::labels(&security.selinux).map(|labels| labels.process.clone()),
        no_new_privileges: security.no_new_privileges,
        group: spec::group_name(&record.id, record.limits.parent.as_deref()),
        env: record.process.env.clone(),
        rlimits: record.ulimits.clone(),
        process: ProcessRecord {
            args: request.args.clone(),
            env: request.env.clone(),
            cwd: request.cwd.clone().unwrap_or(record.process.cwd),
            user: request.user.clone().unwrap_or(record.process.user),
            additional_groups: record.process.additional_groups,
            tty: request.tty,
            stdin_open: true,
        },
        privileged: request.privileged || security.privileged,
    };
    let failed = |source| ExecError::Io { name: record.name.clone(), source };
    let running = match by_keeper(&rt.layout.bundle(&record.id), &record.name, &order, &stdio)? {
        Some(running) => running,
        None => spawn(container.status.keeper.map(|keeper| keeper.pid), &order, stdio).map_err(failed)?,
    };
    let id = create::new_id().map_err(|error| failed(io::Error::other(error)))?;
    let words = request.args.join(" ");
    for action in [format!("exec_create: {words}"), format!("exec_start: {words}")] {
        occurrence::of_container(&rt.layout, &told, &action, &[("execID", id.clone())]);
    }
    Ok(Execution { name: record.name, running, layout: Arc::clone(&rt.layout), container: told, id })
}

/// Says whether what runs in a container does so under an SELinux label, which may keep it from the caller's files.
pub fn is_labelled(rt: &Runtime, name: &str) -> bool {
    selinux::is_available()
        && list::find(rt, name).is_ok_and(|container| container.record.security.selinux.labels.is_some())
}

/// Writes an order down in memory.
fn write(order: &impl Serialize, flags: MemfdFlags) -> io::Result<File> {
    let mut file = File::from(rustix::fs::memfd_create("order", flags)?);
    file.write_all(&serde_json::to_vec(order)?)?;
    file.rewind()?;
    Ok(file)
}

/// Has the container's keeper run the program; `None`: there is none who can.
fn by_keeper(bundle: &Bundle, name: &str, order: &ExecOrder, stdio: &ExecStdio) -> Result<Option<Running>, ExecError> {
    let failed = |source| ExecError::Io { name: name.to_owned(), source };
    let Ok(Some(keeper)) = control::connect(bundle) else { return Ok(None) };
    let asked = Order { process: order.process.clone(), privileged: order.privileged };
    let file = write(&asked, MemfdFlags::CLOEXEC).map_err(failed)?;
    let mut line = serde_json::to_vec(&Request::Execute).map_err(|error| failed(error.into()))?;
    line.push(b'\n');
    let handed = [file.as_fd(), stdio.stdin.as_fd(), stdio.stdout.as_fd(), stdio.stderr.as_fd()];
    let answer = rights::send(keeper.as_fd(), &line, &handed).and_then(|_| answer_of(&keeper));
    match answer {
        Ok((Told::Started { pid }, Some(pidfd))) => {
            Ok(Some(Running::Kept { keeper: BufReader::new(keeper), pid, pidfd }))
        }
        Ok((Told::NotRun { message, exit_code }, _)) => Ok(Some(Running::Not { message, exit_code })),
        Ok(_) => Err(ExecError::NotRunning { name: name.to_owned() }),
        // It was read, and perhaps the program runs: not a second time.
        Err(error) if file.metadata().is_ok_and(|file| file.len() == 0) => Err(failed(error)),
        // One that was killed, or is of a version that does not know this.
        Err(_) => Ok(None),
    }
}

/// Reads the first answer, with the descriptor that may come beside it.
fn answer_of(keeper: &UnixStream) -> io::Result<(Told, Option<OwnedFd>)> {
    let (mut text, mut descriptors) = (Vec::new(), Vec::new());
    while !text.ends_with(b"\n") {
        let mut bytes = [0; 1024];
        match rights::receive(keeper.as_fd(), &mut bytes, RecvFlags::empty(), &mut descriptors) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => text.extend_from_slice(&bytes[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok((serde_json::from_slice(&text)?, descriptors.pop()))
}

fn spawn(keeper: Option<i32>, order: &ExecOrder, stdio: ExecStdio) -> io::Result<Running> {
    // Inherited under its number: exec closes nothing of it.
    let file = write(order, MemfdFlags::empty())?;
    let number = file.as_raw_fd().to_string();
    let child = {
        use std::os::unix::process::CommandExt as _;
        // A key press that interrupts us is not meant for it; a terminal of its own would pass it on.
        self_exe::command_beside(keeper, &["__exec", &number])
            .stdin(stdio.stdin)
            .stdout(stdio.stdout)
            .stderr(stdio.stderr)
            .env_clear()
            .process_group(0)
            .spawn()?
    };
    Ok(Running::Own { child, order: file })
}

impl Execution {
    /// Returns whether it is known already that the program could not be run: `wait` says why.
    pub fn has_failed(&self) -> bool {
        matches!(self.running, Running::Not { .. })
    }

    /// Waits for the program's end and returns its code.
    pub fn wait(self) -> Result<i32, ExecError> {
        let failed = |source| ExecError::Io { name: self.name.clone(), source };
        let code = match self.running {
            Running::Not { message, exit_code } => return Err(ExecError::Program { message, exit_code }),
            Running::Kept { keeper, pid, pidfd } => end_of_kept(keeper, pid, &pidfd).map_err(failed)?,
            Running::Own { mut child, mut order } => {
                let status = child.wait().map_err(failed)?;
                let mut left = String::new();
                order.rewind().and_then(|()| order.read_to_string(&mut left)).map_err(failed)?;
                if let Ok(ExecFailure { message, exit_code }) = serde_json::from_str(&left) {
                    return Err(ExecError::Program { message, exit_code });
                }
                use std::os::unix::process::ExitStatusExt as _;
                status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(255)
            }
        };
        let more = [("execID", self.id), ("exitCode", code.to_string())];
        occurrence::of_container(&self.layout, &self.container, "exec_die", &more);
        Ok(code)
    }
}

/// Waits for the end of a program that is the keeper's child. A keeper that is killed tells nothing: then the program's
/// end is still seen, and its code too, from Linux 6.15 on.
fn end_of_kept(mut keeper: BufReader<UnixStream>, pid: i32, pidfd: &OwnedFd) -> io::Result<i32> {
    let mut line = String::new();
    if keeper.read_line(&mut line).is_ok()
        && let Ok(Told::Ended { code }) = serde_json::from_str(&line)
    {
        return Ok(code);
    }
    let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
    while let Err(error) = rustix::event::poll(&mut fds, None) {
        if error != rustix::io::Errno::INTR {
            return Err(error.into());
        }
    }
    Ok(process::code_of_ended(pidfd.as_fd(), pid).unwrap_or(255))
}

/// Makes a pseudo-terminal of the container's own: our end, and the program's.
pub fn open_terminal(rt: &Runtime, name: &str) -> Result<(OwnedFd, OwnedFd), ExecError> {
    let container = list::find(rt, name)?;
    let Status::Running { init, .. } = container.status.status else {
        return Err(ExecError::NotRunning { name: container.record.name });
    };
    let name = container.record.name;
    terminal_of(init).map_err(|source| ExecError::Io { name, source })
}

fn terminal_of(init: ProcessId) -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(format!("/proc/{}/root", init.pid), flags, Mode::empty())?;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    // The container decides what lies there, but only /dev/ptmx (5:2) opens as one: a pipe would be waited for.
    let path = rustix::fs::openat2(&root, "dev/pts/ptmx", OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)?;
    let stat = rustix::fs::fstat(&path)?;
    if (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)) != (5, 2) {
        return Err(io::Error::other("the container's /dev/pts/ptmx is no terminal"));
    }
    let ours = rustix::fs::open(format!("/proc/self/fd/{}", path.as_raw_fd()), flags, Mode::empty())?;
    rustix::pty::unlockpt(&ours)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let theirs = rustix::pty::ioctl_tiocgptpeer(&ours, flags)?;
    Ok((ours, theirs))
}

/// Opens the groups that an order names.
pub fn group(order: &ExecOrder) -> Group {
    Group::open(&order.group)
}
