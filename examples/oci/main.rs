//! A small OCI runtime over the runtime crate: `create`, `start`, `state`, `kill`, `delete`, `exec`, `run` on a bundle, so that
//! conformance suites, and engines that call a runtime, can be pointed at it. Its flags are those of runc.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line: it prints, and its exit code is the program's"
)]

mod config;
mod exec;
mod failure;
mod hold;
mod hooks;
mod sandbox;
mod state;
mod terminal;

use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use runtime::cgroup::group::Group;
use runtime::container::signal;
use runtime::sys::termination::Termination;
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

use failure::{Failure, cannot, failed};
use hold::Making;
use state::{Place, Status};

/// Runs containers of OCI bundles.
#[derive(Debug, Parser)]
#[command(name = "oci", version)]
struct Cli {
    /// Where the state of containers is kept
    #[arg(long, global = true, value_name = "FOLDER", default_value = "/run/motet-oci")]
    root: PathBuf,
    /// Where errors are written, beside standard error
    #[arg(long, global = true, value_name = "FILE")]
    log: Option<PathBuf>,
    /// `text` or `json`
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    log_format: String,
    /// Taken for the sake of callers
    #[arg(long, global = true, hide = true)]
    debug: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a container whose program waits for `start`
    Create(MakeArgs),
    /// Have the program of a created container run
    Start { id: String },
    /// Create, start, wait for the end and delete
    Run {
        #[command(flatten)]
        make: MakeArgs,
        /// Don't wait
        #[arg(short, long)]
        detach: bool,
        /// Leave the ended container there
        #[arg(long)]
        keep: bool,
    },
    /// Print a container's state
    State { id: String },
    /// Send a signal to a container's program
    Kill {
        /// To all of its processes
        #[arg(short, long)]
        all: bool,
        id: String,
        #[arg(default_value = "SIGTERM")]
        signal: String,
    },
    /// Remove what is left of a container that has ended
    Delete {
        /// One that runs, too; one that is not there is no failure
        #[arg(short, long)]
        force: bool,
        id: String,
    },
    /// Run one more program in a container
    Exec(exec::Args),
    /// Freeze a container
    Pause { id: String },
    /// Let a frozen container go on
    Resume { id: String },
    /// List a container's processes
    Ps {
        id: String,
        /// `json` or `table`
        #[arg(short, long, default_value = "table")]
        format: String,
    },
    /// List containers
    List {
        /// `json` or `table`
        #[arg(short, long, default_value = "table")]
        format: String,
        /// Only ids
        #[arg(short, long)]
        quiet: bool,
    },
    /// Print what the runtime can do
    Features,
}

#[derive(Debug, clap::Args)]
struct MakeArgs {
    /// The bundle
    #[arg(short, long, value_name = "FOLDER", default_value = ".")]
    bundle: PathBuf,
    /// Where the number of its first process is written
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// Who takes its terminal
    #[arg(long, value_name = "SOCKET")]
    console_socket: Option<PathBuf>,
    /// The container
    id: String,
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|verb| verb == "__hold") {
        std::process::exit(hold::hold(&args[1..]));
    }
    let cli = Cli::parse();
    let code = match act(&cli) {
        Ok(code) => code,
        Err(failure) => {
            tell(&cli, &failure);
            if matches!(cli.verb, Verb::Exec(_)) { 255 } else { 1 }
        }
    };
    std::process::exit(code);
}

/// Callers read the log: engines look for the last error in it.
fn tell(cli: &Cli, failure: &Failure) {
    eprintln!("error: {failure}");
    let Some(path) = &cli.log else { return };
    let line = match cli.log_format.as_str() {
        "json" => serde_json::json!({ "level": "error", "msg": failure.to_string() }).to_string(),
        _ => format!("level=error msg={:?}", failure.to_string()),
    };
    let log = std::fs::File::options().create(true).append(true).open(path);
    if let Err(error) = log.and_then(|mut log| writeln!(log, "{line}")) {
        eprintln!("error: cannot write `{}`: {error}", path.display());
    }
}

fn act(cli: &Cli) -> Result<i32, Failure> {
    let place = |id: &str| Place::of(&cli.root, id);
    match &cli.verb {
        Verb::Create(args) => create(&cli.root, args)?,
        Verb::Start { id } => start(&place(id)?, id)?,
        Verb::Run { make, detach: true, .. } => {
            create(&cli.root, make)?;
            let place = place(&make.id)?;
            if let Err(failure) = start(&place, &make.id) {
                let _ = delete(&place, &make.id, true);
                return Err(failure);
            }
        }
        Verb::Run { make, keep, .. } => return run(&cli.root, make, *keep),
        Verb::State { id } => {
            let state = place(id)?.read(id)?;
            println!("{:#}", state.document(state.status()));
        }
        Verb::Kill { all, id, signal } => kill(&place(id)?, id, signal, *all)?,
        Verb::Delete { force, id } => delete(&place(id)?, id, *force)?,
        Verb::Exec(args) => return exec::exec(&cli.root, args),
        Verb::Pause { id } => freeze(&place(id)?, id, true)?,
        Verb::Resume { id } => freeze(&place(id)?, id, false)?,
        Verb::Ps { id, format } => {
            let pids = Group::open(&place(id)?.read(id)?.group).processes();
            match format.as_str() {
                "json" => println!("{}", serde_json::json!(pids)),
                _ => pids.iter().for_each(|pid| println!("{pid}")),
            }
        }
        Verb::List { format, quiet } => list(&cli.root, format, *quiet)?,
        Verb::Features => println!("{:#}", features()),
    }
    Ok(0)
}

fn create(root: &Path, args: &MakeArgs) -> Result<(), Failure> {
    let console = args.console_socket.as_deref().map(absolute).transpose()?;
    let pid = hold::start(&absolute(root)?, &args.id, &absolute(&args.bundle)?, console.as_deref())?;
    write_pid(args, pid)
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(cannot(format!("find `{}`", path.display())))
}

fn write_pid(args: &MakeArgs, pid: i32) -> Result<(), Failure> {
    let Some(path) = &args.pid_file else { return Ok(()) };
    std::fs::write(path, pid.to_string()).map_err(cannot(format!("write `{}`", path.display())))
}

fn start(place: &Place, id: &str) -> Result<(), Failure> {
    hold::let_run(place, id)?;
    let state = place.read(id)?;
    let config = exec::config(&state)?;
    hooks::run(&config.hooks.poststart, "poststart", &state.document(state.status()))
}

/// In the foreground: we are the parent of the program.
fn run(root: &Path, args: &MakeArgs, keep: bool) -> Result<i32, Failure> {
    let mut making = Making::begin(&absolute(root)?, &args.id, &args.bundle)?;
    let result = run_made(&mut making, args);
    if result.is_err() || !keep {
        delete(&making.place, &args.id, true)?;
    }
    result
}

fn run_made(making: &mut Making, args: &MakeArgs) -> Result<i32, Failure> {
    let process = making.config.process.clone().ok_or_else(|| failed("`process` is missing"))?;
    let (ours, stdio) = if process.terminal {
        let (ours, stdio) = terminal::open(process.console_size).map_err(cannot("make a terminal"))?;
        match &args.console_socket {
            Some(socket) => terminal::hand_over(&ours, socket).map(|()| (None, stdio))?,
            None => (Some(ours), stdio),
        }
    } else {
        (None, terminal::own_streams().map_err(cannot("take the streams"))?)
    };
    let launched = making.launch(stdio, &mut |_| Ok(()))?;
    write_pid(args, launched.pid)?;
    let poststart = hooks::run(&making.config.hooks.poststart, "poststart", &making.state.document(Status::Running));
    if let Err(failure) = poststart {
        eprintln!("error: {failure}");
    }
    if let Some(ours) = ours {
        terminal::join(&ours).map_err(cannot("join the terminal"))?;
    } else {
        pass_on_termination(&launched.pidfd)?;
    }
    exec::wait(&launched)
}

/// Passes on what asks us to end, until the program has ended.
fn pass_on_termination(pidfd: &std::os::fd::OwnedFd) -> Result<(), Failure> {
    let termination = Termination::listen().map_err(cannot("listen for signals"))?;
    loop {
        let mut fds = [
            PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(termination.as_fd(), PollFlags::IN),
        ];
        match rustix::event::poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other.map_err(cannot("wait for the program"))?,
        };
        if !fds[0].revents().is_empty() {
            return Ok(());
        }
        if termination.arrived() {
            let _ = rustix::process::pidfd_send_signal(pidfd, Signal::TERM);
        }
    }
}

fn kill(place: &Place, id: &str, name: &str, all: bool) -> Result<(), Failure> {
    let number = signal::parse(name).map_err(|error| failed(error.to_string()))?;
    let state = place.read(id)?;
    let init = state.init.filter(|init| init.is_running());
    if all {
        for pid in Group::open(&state.group).processes() {
            // One that has ended just now needs none.
            let _ = runtime::sys::signal::send(pid, number);
        }
        return Ok(());
    }
    let init = init.ok_or_else(|| failed(format!("container `{id}` does not run")))?;
    let pidfd = open(init.pid).map_err(cannot(format!("signal container `{id}`")))?;
    runtime::sys::process::signal(pidfd.as_fd(), number).map_err(cannot(format!("signal container `{id}`")))
}

fn open(pid: i32) -> rustix::io::Result<std::os::fd::OwnedFd> {
    pidfd_open(Pid::from_raw(pid).ok_or(rustix::io::Errno::SRCH)?, PidfdFlags::empty())
}

fn delete(place: &Place, id: &str, force: bool) -> Result<(), Failure> {
    let state = match place.read(id) {
        Ok(state) => state,
        Err(_) if force => {
            // One whose making was broken off has no record.
            let _ = std::fs::remove_dir_all(&place.folder);
            return Ok(());
        }
        Err(failure) => return Err(failure),
    };
    let status = state.status();
    if matches!(status, Status::Running | Status::Paused) && !force {
        return Err(failed(format!("cannot delete container `{id}`: it is {}", status.name())));
    }
    let group = Group::open(&state.group);
    if let Some(init) = state.init.filter(|init| init.is_running())
        && let Ok(pidfd) = open(init.pid)
    {
        let _ = group.thaw();
        let _ = rustix::process::pidfd_send_signal(&pidfd, Signal::KILL);
        let mut fds = [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
        rustix::event::poll(&mut fds, None).map_err(cannot("wait for the program"))?;
    }
    group.remove().map_err(cannot(format!("remove the groups of `{id}`")))?;
    std::fs::remove_dir_all(&place.folder).map_err(cannot(format!("remove `{}`", place.folder.display())))?;
    if let Ok(config) = exec::config(&state)
        && let Err(failure) = hooks::run(&config.hooks.poststop, "poststop", &state.document(Status::Stopped))
    {
        // The specification: told, and no failure of the act.
        eprintln!("warning: {failure}");
    }
    Ok(())
}

fn freeze(place: &Place, id: &str, is_frozen: bool) -> Result<(), Failure> {
    let mut state = place.read(id)?;
    let status = state.status();
    let wanted = if is_frozen { Status::Running } else { Status::Paused };
    if status != wanted {
        return Err(failed(format!("container `{id}` is {}, not {}", status.name(), wanted.name())));
    }
    let group = Group::open(&state.group);
    let done = if is_frozen { group.freeze() } else { group.thaw() };
    done.map_err(cannot(format!("{} container `{id}`", if is_frozen { "pause" } else { "resume" })))?;
    state.is_paused = is_frozen;
    place.write(&state)
}

fn list(root: &Path, format: &str, quiet: bool) -> Result<(), Failure> {
    let mut ids = Vec::new();
    match std::fs::read_dir(root) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        other => {
            for entry in other.map_err(cannot(format!("read `{}`", root.display())))? {
                let entry = entry.map_err(cannot(format!("read `{}`", root.display())))?;
                ids.extend(entry.file_name().into_string().ok());
            }
        }
    }
    ids.sort();
    let states: Vec<_> = ids.iter().filter_map(|id| Place::of(root, id).ok()?.read(id).ok()).collect();
    let documents: Vec<_> = states.iter().map(|state| state.document(state.status())).collect();
    match (quiet, format) {
        (true, _) => states.iter().for_each(|state| println!("{}", state.id)),
        (false, "json") => println!("{}", serde_json::Value::from(documents)),
        (false, _) => {
            println!("{:<24}{:<12}{:<12}BUNDLE", "ID", "PID", "STATUS");
            for (state, document) in states.iter().zip(&documents) {
                let pid = document["pid"].to_string();
                println!("{:<24}{pid:<12}{:<12}{}", state.id, state.status().name(), state.bundle.display());
            }
        }
    }
    Ok(())
}

/// What the runtime can do, as the specification's `features.md` has it.
fn features() -> serde_json::Value {
    serde_json::json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": "1.2.0",
        "hooks": ["prestart", "createRuntime", "startContainer", "poststart", "poststop"],
        "mountOptions": ["bind", "rbind", "ro", "rw", "nosuid", "suid", "nodev", "dev", "noexec", "exec", "noatime",
            "nosymfollow", "private", "rprivate", "shared", "rshared", "slave", "rslave", "size", "mode", "uid", "gid"],
        "linux": {
            "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "uts"],
            "capabilities": runtime::sandbox::capabilities::names(),
            "cgroup": { "v1": true, "v2": true, "systemd": false, "systemdUser": false, "rdma": false },
            "seccomp": {
                "enabled": true,
                "actions": ["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS",
                    "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG", "SCMP_ACT_TRAP"],
                "operators": ["SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT",
                    "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE"],
            },
            "apparmor": { "enabled": true },
            "selinux": { "enabled": false },
        },
    })
}
