//! A Docker Engine of the suite's own: in network, mount and process namespaces of its own, so that it touches no
//! container, link or firewall rule of the machine, and nothing of it outlives the suite.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;

use crate::support::host::until;

/// Ends when its input does, whatever way the suite ended: kills all of the engine, then takes its folder and control
/// groups away. `unshare` has the new network namespace before it forks, so its pid names it.
///
/// Only one engine at a time holds the lock, so another folder with a pid in it is of a keeper that was killed.
const KEEP: &str = r#"
folder=$1 group=$2
clear_away() {
  for try in 1 2 3 4 5 6 7 8 9 10; do
    find /sys/fs/cgroup -depth -type d -path "*/$2*" -exec rmdir {} + 2>/dev/null
    [ -z "$(find /sys/fs/cgroup -maxdepth 3 -type d -name "$2")" ] && break
    sleep 0.2
  done
  rm -rf "$1"
}
exec 8>"$3" && flock 8
for stale in "${folder%-*}"-*/pid; do
  [ -e "$stale" ] || continue
  engine=$(cat "$stale") stale=${stale%/pid}
  grep -qaF "$stale" "/proc/$engine/cmdline" && kill -KILL "$engine"
  clear_away "$stale" "${stale##*/}"
done
unshare --mount --net --pid --fork --mount-proc --kill-child=KILL sh -c '
  ip link set lo up 2>/dev/null || busybox ip link set lo up
  while :; do
    dockerd --data-root "$1/data" --exec-root "$1/exec" --pidfile "$1/dockerd.pid" --cgroup-parent "/$2" \
      -H "unix://$1/docker.sock" & wait $!
    rm "$1/again" 2>/dev/null || exit
  done' sh "$folder" "$group" <&- 8<&- >"$folder/log" 2>&1 &
echo $! >"$folder/pid.new" && mv "$folder/pid.new" "$folder/pid"
cat >/dev/null
kill -KILL $! 2>/dev/null
wait
clear_away "$folder" "$group"
"#;

/// Held while an engine of a suite is there; who waits for it waits for the clearing away.
pub const LOCK: &str = "/var/tmp/motet-test-docker.lock";

/// The engine, and how it is reached.
pub struct Dockerd {
    /// Its socket.
    pub socket: PathBuf,
    /// Its network namespace, where published ports are.
    pub network: File,
    /// The keeper's input: closed by the end of the suite, however that comes.
    _input: ChildStdin,
}

impl Dockerd {
    /// Restarts the engine, and waits until it answers again; its containers are stopped by that.
    pub fn restart(&self) {
        let folder = self.socket.parent().unwrap();
        std::fs::write(folder.join("again"), "").unwrap();
        let named = format!("--data-root\0{}", folder.join("data").display());
        let pids = std::fs::read_dir("/proc").unwrap().flatten();
        let mut pids = pids.filter_map(|entry| entry.file_name().to_string_lossy().parse::<i32>().ok());
        let is_engine = |pid: &i32| {
            let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            arguments.starts_with(b"dockerd\0") && String::from_utf8_lossy(&arguments).contains(&named)
        };
        let pid = pids.find(is_engine).expect("the engine runs");
        crate::support::host::signal(pid, rustix::process::Signal::TERM);
        until("the engine has ended", || !folder.join("again").exists());
        until("the engine answers again", || answers(&self.socket));
    }

    /// Pid of a container's first process as this machine sees it: the engine's own word is of another namespace.
    pub fn init_pid(&self, id: &str) -> Option<i32> {
        let group = self.socket.parent()?.file_name()?.to_string_lossy().into_owned();
        let all = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"].map(|root| Path::new(root).join(&group));
        let groups = all.iter().filter_map(|path| std::fs::read_dir(path).ok()).flatten().flatten();
        let found = groups
            .map(|entry| entry.path())
            .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(id)))?;
        std::fs::read_to_string(found.join("cgroup.procs")).ok()?.lines().next()?.parse().ok()
    }
}

/// Returns the suite's engine, started by the first who asks; `None` after having said why there is none.
pub fn ours() -> Option<&'static Dockerd> {
    static OURS: OnceLock<Result<Dockerd, String>> = OnceLock::new();
    match OURS.get_or_init(start) {
        Ok(dockerd) => Some(dockerd),
        Err(why) => {
            println!("skipped: no Docker Engine: {why}");
            None
        }
    }
}

fn start() -> Result<Dockerd, String> {
    if !rustix::process::geteuid().is_root() {
        return Err("it needs root".to_owned());
    }
    for program in ["dockerd", "containerd", "runc", "iptables", "unshare", "flock"] {
        if !is_there(program) {
            return Err(format!("`{program}` is not installed (Debian: `apt-get install docker.io iptables`)"));
        }
    }
    let folder = tempfile::Builder::new().prefix("motet-test-docker-").tempdir_in("/var/tmp").unwrap().keep();
    let group = folder.file_name().unwrap().to_string_lossy().into_owned();
    let mut keeper = Command::new("sh");
    keeper.args(["-c", KEEP, "sh"]).arg(&folder).args([group.as_str(), LOCK]);
    keeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    // A Ctrl-C at the suite must reach the keeper as the end of its input only.
    std::os::unix::process::CommandExt::process_group(&mut keeper, 0);
    let mut keeper = keeper.spawn().map_err(|error| error.to_string())?;
    let input = keeper.stdin.take().unwrap();
    ready(&folder, &mut keeper, input)
}

/// Waits until the engine answers, or has ended.
fn ready(folder: &Path, keeper: &mut Child, input: ChildStdin) -> Result<Dockerd, String> {
    let socket = folder.join("docker.sock");
    let pid = folder.join("pid");
    until("the engine's keeper has begun", || pid.exists() || keeper.try_wait().unwrap().is_some());
    let pid = std::fs::read_to_string(pid).map_err(|error| format!("its keeper did not begin: {error}"))?;
    let process = format!("/proc/{}", pid.trim());
    until("the engine answers or ends", || answers(&socket) || !runs(&process));
    if !answers(&socket) {
        let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        let last = log.lines().rev().take(3).collect::<Vec<_>>().join(" | ");
        return Err(format!("it does not start here: {last}"));
    }
    let network = File::open(format!("{process}/ns/net")).map_err(|error| error.to_string())?;
    Ok(Dockerd { socket, network, _input: input })
}

fn answers(socket: &Path) -> bool {
    let Ok(mut stream) = std::os::unix::net::UnixStream::connect(socket) else { return false };
    let asked = stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n");
    let mut answer = [0; 12];
    asked.is_ok() && std::io::Read::read_exact(&mut stream, &mut answer).is_ok() && answer.ends_with(b" 200")
}

fn runs(process: &str) -> bool {
    let status = std::fs::read_to_string(format!("{process}/stat")).unwrap_or_default();
    !status.is_empty() && !status.contains(") Z ")
}

fn is_there(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&paths).chain(usual).any(|folder| folder.join(program).is_file())
}
