//! Between `create` and `start`: a process of ours that has made the sandbox and lets its program run when it is told to.
//! Then it ends, and the program is left to whoever adopts it, as those expect who call a runtime.

use std::error::Error;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use runtime::cgroup::group::Group;
use runtime::sandbox::launch::{Born, Launched, Stdio, launch_waiting};
use runtime::sandbox::spec::SandboxSpec;
use runtime::state::process::ProcessId;
use runtime::sys::fd::{self, Missing};
use rustix::event::{PollFd, PollFlags};
use rustix::fs::{FileType, Gid, Mode, Uid};
use rustix::io::FdFlags;

use crate::config::{Config, Device};
use crate::exec;
use crate::failure::{Failure, cannot, failed};
use crate::state::{Place, State, Status};
use crate::{hooks, sandbox, terminal};

/// A bundle whose container is made.
pub(crate) struct Making {
    pub(crate) place: Place,
    pub(crate) config: Config,
    pub(crate) state: State,
    spec: SandboxSpec,
}

impl Making {
    /// Reads a bundle and takes the id; makes the groups.
    pub(crate) fn begin(root: &Path, id: &str, bundle: &Path) -> Result<Self, Failure> {
        let bundle = bundle.canonicalize().map_err(cannot(format!("find the bundle `{}`", bundle.display())))?;
        let path = bundle.join("config.json");
        let text = std::fs::read(&path).map_err(cannot(format!("read `{}`", path.display())))?;
        let config: Config = serde_json::from_slice(&text).map_err(cannot(format!("read `{}`", path.display())))?;
        let place = Place::of(root, id)?;
        let mut spec = sandbox::of(&config, &bundle, place.mount_point())?;
        let resources = config.linux.resources.clone().unwrap_or_default();
        let group = match config.linux.cgroups_path.as_deref().map(|path| path.trim_matches('/')) {
            Some(path) if !path.is_empty() => path.to_owned(),
            Some(_) | None => format!("motet-oci/{id}"),
        };
        let limits = sandbox::limits(&resources)?;
        place.make(id)?;
        match Group::create(&group, &limits, &sandbox::devices(&resources)) {
            Ok(made) => spec.cgroup = Some(made),
            Err(error) => {
                let _ = std::fs::remove_dir_all(&place.folder);
                return Err(cannot("make the control groups")(error));
            }
        }
        let state = State::new(id, &config, &bundle, group);
        Ok(Self { place, config, state, spec })
    }

    /// Takes back what was made.
    pub(crate) fn undo(&self) {
        let _ = Group::open(&self.state.group).remove();
        let _ = std::fs::remove_dir_all(&self.place.folder);
    }

    /// Launches the program; it waits until `leave` returns.
    pub(crate) fn launch(
        &mut self,
        stdio: Stdio,
        leave: &mut dyn FnMut(&mut State) -> Result<(), Failure>,
    ) -> Result<Launched, Failure> {
        type Boxed = Box<dyn Error + Send + Sync>;
        let Self { place, config, state, spec } = self;
        let document = |state: &State, born: &Born, status| {
            State { init: ProcessId::of(born.pid), ..state.clone() }.document(status)
        };
        let before = state.clone();
        let mut prepare = |born: &Born| -> Result<(), Boxed> {
            let state = document(&before, born, Status::Creating);
            hooks::run(&config.hooks.prestart, "prestart", &state)?;
            Ok(hooks::run(&config.hooks.create_runtime, "createRuntime", &state)?)
        };
        let mut wait = |born: &Born| -> Result<(), Boxed> {
            make_devices(born.pid, &config.linux.devices)?;
            state.init = ProcessId::of(born.pid);
            place.write(state)?;
            leave(state)?;
            for hook in &config.hooks.start_container {
                exec::run_hook(state, config, hook)?;
            }
            Ok(())
        };
        let launched = launch_waiting(spec, stdio, &mut prepare, &mut wait).map_err(|error| {
            let mut text = error.to_string();
            let mut cause = error.source();
            while let Some(error) = cause {
                text = format!("{text}: {error}");
                cause = error.source();
            }
            failed(text)
        })?;
        state.is_started = true;
        place.write(state)?;
        Ok(launched)
    }
}

/// Makes the nodes that a bundle asks for, inside of the root.
fn make_devices(pid: i32, devices: &[Device]) -> Result<(), Failure> {
    for device in devices {
        let act = || format!("make the device `{}`", device.path);
        let root = fd::open_directory(Path::new(&format!("/proc/{pid}/root"))).map_err(cannot(act()))?;
        let path = Path::new(&device.path);
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(failed(format!("`{}` is no path of a device", device.path)));
        };
        let kind = match device.kind.as_str() {
            "c" | "u" => FileType::CharacterDevice,
            "b" => FileType::BlockDevice,
            "p" => FileType::Fifo,
            other => return Err(failed(format!("`{other}` is no kind of device"))),
        };
        let folder = fd::locate(root.as_fd(), folder, Missing::Directory).map_err(cannot(act()))?;
        let mode = Mode::from_raw_mode(device.file_mode.unwrap_or(0o666) & 0o7777);
        let number = rustix::fs::makedev(device.major, device.minor);
        match rustix::fs::mknodat(&folder, name, kind, mode, number) {
            // One of the usual ones.
            Err(rustix::io::Errno::EXIST) => {}
            other => other.map_err(cannot(act()))?,
        }
        let (uid, gid) = (device.uid.map(Uid::from_raw), device.gid.map(Gid::from_raw));
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::chownat(&folder, name, uid, gid, flags).map_err(cannot(act()))?;
    }
    Ok(())
}

/// Starts the holder of a new container and waits until all is mounted; returns its first process.
pub(crate) fn start(root: &Path, id: &str, bundle: &Path, console: Option<&Path>) -> Result<i32, Failure> {
    let (reader, writer) = rustix::pipe::pipe().map_err(cannot("make a pipe"))?;
    rustix::io::fcntl_setfd(&reader, FdFlags::CLOEXEC).map_err(cannot("make a pipe"))?;
    let text = |path: &Path| {
        path.to_str().map(str::to_owned).ok_or_else(|| failed(format!("`{}` is not UTF-8", path.display())))
    };
    let (root, bundle) = (text(root)?, text(bundle)?);
    let console = console.map(text).transpose()?.unwrap_or_default();
    let number = writer.as_raw_fd().to_string();
    let mut holder = runtime::sys::self_exe::command(&["__hold", &root, id, &bundle, &console, &number])
        .spawn()
        .map_err(cannot("start the holder"))?;
    drop(writer);
    let mut told = String::new();
    // A line, not the end of the pipe: the holder lives on.
    BufReader::new(File::from(reader)).read_line(&mut told).map_err(cannot("hear of the container"))?;
    let told = told.trim_end().to_owned();
    match told.parse() {
        Ok(pid) => Ok(pid),
        Err(_) => {
            let _ = holder.wait();
            Err(failed(if told.is_empty() { "the holder ended without a word".to_owned() } else { told }))
        }
    }
}

/// The holder: `__hold ROOT ID BUNDLE CONSOLE FD`.
pub(crate) fn hold(args: &[String]) -> i32 {
    let [root, id, bundle, console, number] = args else { return 125 };
    let Ok(mut teller) = File::options().write(true).open(format!("/proc/self/fd/{number}")) else { return 125 };
    let _ = rustix::process::setsid();
    match hold_one(Path::new(root), id, Path::new(bundle), console, &mut teller) {
        Ok(()) => 0,
        Err(failure) => {
            let _ = writeln!(teller, "{}", failure.to_string().replace('\n', " "));
            1
        }
    }
}

fn hold_one(root: &Path, id: &str, bundle: &Path, console: &str, teller: &mut File) -> Result<(), Failure> {
    let mut making = Making::begin(root, id, bundle)?;
    let result = hold_made(&mut making, console, teller);
    if let Err((failure, is_told)) = result {
        if !is_told {
            making.undo();
        }
        return Err(failure);
    }
    Ok(())
}

/// The error says, too, whether `create` has succeeded before.
fn hold_made(making: &mut Making, console: &str, teller: &mut File) -> Result<(), (Failure, bool)> {
    let stdio = streams(making, console).map_err(|failure| (failure, false))?;
    let socket = making.place.socket();
    let mut asker: Option<UnixStream> = None;
    let mut is_told = false;
    let mut leave = |state: &mut State| {
        let listener = listen(&socket)?;
        let init = state.init.ok_or_else(|| failed("the container has ended"))?;
        writeln!(teller, "{}", init.pid).map_err(cannot("tell of the container"))?;
        is_told = true;
        asker = Some(wait_for_start(&listener, init.pid)?);
        Ok(())
    };
    let launched = making.launch(stdio, &mut leave);
    let _ = std::fs::remove_file(&socket);
    if let Some(mut asker) = asker {
        let answer = launched.as_ref().err().map_or_else(|| "started".to_owned(), ToString::to_string);
        let _ = asker.write_all(answer.as_bytes());
        let _ = asker.shutdown(Shutdown::Both);
    }
    launched.map(drop).map_err(|failure| (failure, is_told))
}

fn streams(making: &Making, console: &str) -> Result<Stdio, Failure> {
    let wants_terminal = making.config.process.as_ref().is_some_and(|process| process.terminal);
    match (wants_terminal, console.is_empty()) {
        (false, true) => terminal::own_streams().map_err(cannot("take the streams")),
        (false, false) => Err(failed("a console socket is given, but `process.terminal` is not set")),
        (true, true) => Err(failed("`process.terminal` is set, but no console socket is given")),
        (true, false) => {
            let size = making.config.process.as_ref().and_then(|process| process.console_size);
            let (ours, stdio) = terminal::open(size).map_err(cannot("make a terminal"))?;
            terminal::hand_over(&ours, Path::new(console))?;
            Ok(stdio)
        }
    }
}

/// Names of sockets are short: it is made by way of its folder.
fn listen(socket: &Path) -> Result<UnixListener, Failure> {
    let act = || format!("listen at `{}`", socket.display());
    let (_folder, path) = short(socket).map_err(cannot(act()))?;
    UnixListener::bind(path).map_err(cannot(act()))
}

fn short(socket: &Path) -> std::io::Result<(OwnedFd, PathBuf)> {
    runtime::keeper::control::short_path(socket)
}

/// Waits for somebody who wants the program to run, as long as the container is there.
fn wait_for_start(listener: &UnixListener, pid: i32) -> Result<UnixStream, Failure> {
    let gone = || failed("the container has ended before its start");
    let pid = rustix::process::Pid::from_raw(pid).ok_or_else(gone)?;
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).map_err(|_| gone())?;
    loop {
        let mut fds = [
            PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN),
        ];
        match rustix::event::poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other.map_err(cannot("wait for the start"))?,
        };
        if !fds[0].revents().is_empty() {
            return Err(gone());
        }
        if let Ok((stream, _)) = listener.accept() {
            return Ok(stream);
        }
    }
}

/// Has the program of a container run that is created.
pub(crate) fn let_run(place: &Place, id: &str) -> Result<(), Failure> {
    let state = place.read(id)?;
    let status = state.status();
    if status != Status::Created {
        return Err(failed(format!("container `{id}` can't be started: it is {}", status.name())));
    }
    let act = || format!("start container `{id}`");
    let (_folder, path) = short(&place.socket()).map_err(cannot(act()))?;
    let mut stream = UnixStream::connect(path).map_err(cannot(act()))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(cannot(act()))?;
    match answer.as_str() {
        "started" => Ok(()),
        "" => Err(failed(format!("cannot start container `{id}`: it has ended"))),
        other => Err(failed(format!("cannot start container `{id}`: {other}"))),
    }
}
