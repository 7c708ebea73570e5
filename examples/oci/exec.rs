//! Further programs in a container that is there.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;

use runtime::cgroup::group::Group;
use runtime::sandbox::join::{self, Target};
use runtime::sandbox::launch::{Launched, Stdio};
use runtime::state::container::{ProcessRecord, SeccompRecord};
use rustix::process::{WaitId, WaitIdOptions};

use crate::config::{Capabilities, Config, Hook, Process};
use crate::failure::{Failure, cannot, failed};
use crate::state::{Place, State, Status};
use crate::{sandbox, terminal};

/// A program to run, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The whole process, as in a bundle's `config.json`
    #[arg(short, long, value_name = "FILE")]
    process: Option<PathBuf>,
    /// `KEY=VALUE`
    #[arg(short, long, value_name = "KEY=VALUE")]
    env: Vec<String>,
    /// Working directory
    #[arg(long, value_name = "PATH")]
    cwd: Option<String>,
    /// `UID[:GID]`
    #[arg(short, long, value_name = "UID[:GID]")]
    user: Option<String>,
    /// More groups
    #[arg(short = 'g', long, value_name = "GID")]
    additional_gids: Vec<u32>,
    /// A capability beside those of the container
    #[arg(short, long, value_name = "CAP")]
    cap: Vec<String>,
    /// A terminal
    #[arg(short, long)]
    tty: bool,
    /// Don't wait for its end
    #[arg(short, long)]
    detach: bool,
    /// No new privileges
    #[arg(long)]
    no_new_privs: bool,
    /// Where its number is written
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// Who takes its terminal
    #[arg(long, value_name = "SOCKET")]
    console_socket: Option<PathBuf>,
    /// The container
    id: String,
    /// The program, with its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Runs a program in a container; returns its exit code, 0 when it is not waited for.
pub(crate) fn exec(root: &std::path::Path, args: &Args) -> Result<i32, Failure> {
    let state = Place::of(root, &args.id)?.read(&args.id)?;
    match state.status() {
        Status::Running | Status::Created => {}
        other => return Err(failed(format!("cannot exec in container `{}`: it is {}", args.id, other.name()))),
    }
    let config = config(&state)?;
    let process = process(args, &config)?;
    let target = target(&state, &config, &process)?;
    let (ours, stdio) = streams(args, &process)?;
    let launched = join::join(&target, &sandbox::record(&process), stdio, false)
        .map_err(|error| failed(format!("cannot exec in container `{}`: {error}", args.id)))?;
    if let Some(path) = &args.pid_file {
        std::fs::write(path, launched.pid.to_string()).map_err(cannot(format!("write `{}`", path.display())))?;
    }
    if args.detach {
        return Ok(0);
    }
    if let Some(ours) = ours {
        terminal::join(&ours).map_err(cannot("join the terminal"))?;
    }
    wait(&launched)
}

/// Waits for a program and returns its exit code.
pub(crate) fn wait(launched: &Launched) -> Result<i32, Failure> {
    loop {
        match rustix::process::waitid(WaitId::PidFd(launched.pidfd.as_fd()), WaitIdOptions::EXITED) {
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(cannot("wait for the program")(error)),
            Ok(status) => {
                let code = status
                    .and_then(|status| status.exit_status().or(status.terminating_signal().map(|signal| 128 + signal)));
                return Ok(code.unwrap_or(255));
            }
        }
    }
}

fn streams(args: &Args, process: &Process) -> Result<(Option<OwnedFd>, Stdio), Failure> {
    if !process.terminal {
        return Ok((None, terminal::own_streams().map_err(cannot("take the streams"))?));
    }
    let (ours, stdio) = terminal::open(process.console_size).map_err(cannot("make a terminal"))?;
    match &args.console_socket {
        Some(socket) => terminal::hand_over(&ours, socket).map(|()| (None, stdio)),
        None if args.detach => Err(failed("a terminal that nobody waits at needs `--console-socket`")),
        None => Ok((Some(ours), stdio)),
    }
}

/// The config of a container's bundle.
pub(crate) fn config(state: &State) -> Result<Config, Failure> {
    let path = state.bundle.join("config.json");
    let act = || format!("read `{}`", path.display());
    let text = std::fs::read(&path).map_err(cannot(act()))?;
    serde_json::from_slice(&text).map_err(cannot(act()))
}

fn process(args: &Args, config: &Config) -> Result<Process, Failure> {
    if let Some(path) = &args.process {
        let act = || format!("read `{}`", path.display());
        let text = std::fs::read(path).map_err(cannot(act()))?;
        let process: Process = serde_json::from_slice(&text).map_err(cannot(act()))?;
        return Ok(Process { terminal: process.terminal || args.tty, ..process });
    }
    let mut process = config.process.clone().ok_or_else(|| failed("`process` is missing"))?;
    if args.command.is_empty() {
        return Err(failed("no program is given"));
    }
    process.args.clone_from(&args.command);
    process.terminal = args.tty;
    process.env.extend(args.env.iter().cloned());
    process.no_new_privileges |= args.no_new_privs;
    process.cwd = args.cwd.clone().unwrap_or(process.cwd);
    process.user.additional_gids.extend(&args.additional_gids);
    if let Some(user) = &args.user {
        let (uid, gid) = user.split_once(':').unwrap_or((user, "0"));
        let number = |text: &str| text.parse().map_err(|_| failed(format!("`{text}` is no id")));
        (process.user.uid, process.user.gid) = (number(uid)?, number(gid)?);
    }
    let sets = process.capabilities.get_or_insert_with(Capabilities::default);
    for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted] {
        set.extend(args.cap.iter().cloned());
    }
    Ok(process)
}

fn target(state: &State, config: &Config, process: &Process) -> Result<Target, Failure> {
    let init = state.init.ok_or_else(|| failed(format!("container `{}` does not run", state.id)))?;
    let sets = process.capabilities.as_ref().map(sandbox::capability_sets).transpose()?.unwrap_or_default();
    Ok(Target {
        init,
        capabilities: sets.bounding,
        capability_sets: Some(sets),
        seccomp: match &config.linux.seccomp {
            Some(profile) => SeccompRecord::Profile(profile.to_string()),
            None => SeccompRecord::Unconfined,
        },
        apparmor: sandbox::profile(process),
        label: None,
        no_new_privileges: process.no_new_privileges,
        group: Some(Group::open(&state.group)),
        env: Vec::new(),
        rlimits: sandbox::rlimits(process)?,
    })
}

/// Runs a hook inside of a container, with the rights of its program, and waits for its end.
pub(crate) fn run_hook(state: &State, config: &Config, hook: &Hook) -> Result<(), Failure> {
    let what = format!("the startContainer hook `{}`", hook.path);
    let own = config.process.as_ref().ok_or_else(|| failed("`process` is missing"))?;
    let record = ProcessRecord {
        args: [std::slice::from_ref(&hook.path), hook.args.get(1..).unwrap_or_default()].concat(),
        env: hook.env.clone(),
        tty: false,
        ..sandbox::record(own)
    };
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(cannot("make a pipe"))?;
    let stdio = terminal::own_streams().map_err(cannot("take the streams"))?;
    let stdio = Stdio { stdin: reader, ..stdio };
    let launched = join::join(&target(state, config, own)?, &record, stdio, false)
        .map_err(|error| failed(format!("cannot run {what}: {error}")))?;
    // Smaller than what a pipe holds; a hook need not read it.
    let _ = rustix::io::write(&writer, state.document(Status::Created).to_string().as_bytes());
    drop(writer);
    match wait(&launched)? {
        0 => Ok(()),
        code => Err(failed(format!("{what} failed with {code}"))),
    }
}
