//! What our binary does when it re-executes itself: keep a container, enter one, run a build step.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;

use rustix::process::{WaitId, WaitIdOptions};

use crate::Runtime;
use crate::build::step::run_step_main;
use crate::container::exec::{self, ExecFailure, ExecOrder};
use crate::container::remove::{self, RemoveRequest};
use crate::keeper::diary;
use crate::keeper::succession::{self, Beginning, Orders};
use crate::sandbox::join::{self, Target};
use crate::sandbox::launch::{LaunchError, Stdio};
use crate::state::layout::Layout;

/// Does what a hidden verb asks for and returns the exit code; `None`: the arguments are a person's.
///
/// `args` are without the program's own name. Must be called before any thread exists.
pub fn hidden(args: &[OsString]) -> Option<i32> {
    let verb = args.first()?.to_str()?;
    let rest = &args[1..];
    match verb {
        "__keep" => Some(keep(rest)),
        "__exec" => Some(enter(rest)),
        "__run" => Some(run_step_main()),
        _ => None,
    }
}

/// `__keep LIB RUN ID start|adopt`; standard input is the lock of the act of starting, standard output the pipe to who
/// started us, standard error the keeper's log.
fn keep(args: &[OsString]) -> i32 {
    let [lib, run, id, beginning] = args else { return 125 };
    let beginning = match beginning.to_str() {
        Some("start") => Beginning::Start,
        Some("adopt") => Beginning::Adopt,
        Some(_) | None => return 125,
    };
    let (Some(id), Ok((act, ready))) = (id.to_str(), detach()) else { return 125 };
    diary::begin();
    let layout = Layout { lib: PathBuf::from(lib), run: PathBuf::from(run) };
    let rt = Runtime { layout: layout.into(), registry: std::sync::Arc::default() };
    let remove = || {
        // Whoever waited for the end may have been faster.
        if let Err(error) = remove::remove(&rt, id, RemoveRequest { force: false, volumes: true })
            && rt.layout.bundle(id).lib.is_dir()
        {
            tracing::error!(error = &error as &dyn std::error::Error, "cannot remove the container");
        }
    };
    succession::keep(&rt, id, beginning, Orders { act, ready }, &remove)
}

/// Leaves the terminal's session, so that no key press there reaches us, and takes the lock from standard input
/// and the pipe from standard output.
fn detach() -> io::Result<(OwnedFd, OwnedFd)> {
    // Fails only where we lead a group already.
    let _ = rustix::process::setsid();
    // It runs from a descriptor, whose number ps(1) would show as its name.
    let _ = rustix::thread::set_name(c"motet-keeper");
    // Here rather than by who starts us: with a folder of its own to begin in a child costs a copy of its parent's memory.
    rustix::process::chdir("/")?;
    let ready = rustix::io::fcntl_dupfd_cloexec(io::stdout().as_fd(), 3)?;
    rustix::stdio::dup2_stdout(io::stderr().as_fd())?;
    let act = rustix::io::fcntl_dupfd_cloexec(io::stdin().as_fd(), 3)?;
    rustix::stdio::dup2_stdin(&File::open("/dev/null")?)?;
    // Whatever a container is given must come from its record, not from who started it.
    rustix::process::umask(rustix::fs::Mode::WGRP | rustix::fs::Mode::WOTH);
    Ok((act, ready))
}

/// `__exec FD`: enters the container of the order at that descriptor, and waits for the program's end.
fn enter(args: &[OsString]) -> i32 {
    let [number] = args else { return 125 };
    let path = PathBuf::from("/proc/self/fd").join(number);
    let Ok(mut order) = File::options().read(true).write(true).open(path) else { return 125 };
    match run_order(&mut order) {
        Ok(code) => code,
        Err(failure) => {
            let text = serde_json::to_vec(&failure).unwrap_or_default();
            let _ = order.set_len(0).and_then(|()| order.rewind()).and_then(|()| order.write_all(&text));
            failure.exit_code
        }
    }
}

fn run_order(file: &mut File) -> Result<i32, ExecFailure> {
    let failed = |error: &dyn std::error::Error| ExecFailure { message: error.to_string(), exit_code: 125 };
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(|error| failed(&error))?;
    let order: ExecOrder = serde_json::from_str(&text).map_err(|error| failed(&error))?;
    // Gone once it is read: nothing of it may be found in what runs next.
    file.set_len(0).map_err(|error| failed(&error))?;
    let target = Target {
        init: order.init,
        capabilities: order.capabilities,
        capability_sets: None,
        seccomp: order.seccomp.clone(),
        apparmor: order.apparmor.clone(),
        label: order.label.clone(),
        no_new_privileges: order.no_new_privileges,
        group: Some(exec::group(&order)),
        env: order.env.clone(),
        rlimits: order.rlimits.clone(),
    };
    let stdio = stdio(order.process.tty).map_err(|error| failed(&error))?;
    let launched = join::join(&target, &order.process, stdio, order.privileged)
        .map_err(|error: LaunchError| ExecFailure { message: error.to_string(), exit_code: error.exit_code() })?;
    let status = rustix::process::waitid(WaitId::PidFd(launched.pidfd.as_fd()), WaitIdOptions::EXITED)
        .map_err(|error| failed(&io::Error::from(error)))?;
    Ok(status
        .and_then(|status| status.exit_status().or(status.terminating_signal().map(|signal| 128 + signal)))
        .unwrap_or(255))
}

/// Our own standard streams become the program's; ours are let go, so that a pipe ends when the program ends.
fn stdio(tty: bool) -> io::Result<Stdio> {
    let take = |fd: std::os::fd::BorrowedFd<'_>| rustix::io::fcntl_dupfd_cloexec(fd, 3);
    let (stdin, stdout, stderr) =
        (take(io::stdin().as_fd())?, take(io::stdout().as_fd())?, take(io::stderr().as_fd())?);
    let terminal = if tty { Some(stdin.try_clone()?) } else { None };
    let null = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(Stdio { stdin, stdout, stderr, terminal, devpts: None })
}
