//! A runtime of a test's own: scratch state roots, an image of a static busybox, and nothing left behind.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::sync::mpsc;
use std::time::Duration;

use runtime::Runtime;
use runtime::container::exec::{self, ExecError, ExecRequest, ExecStdio};
use runtime::container::logs::{LogQuery, LogReader};
use runtime::container::remove::{self, RemoveRequest};
use runtime::container::request::{ContainerRequest, NetworkModeRequest};
use runtime::container::{create, list, watch};
use runtime::image::config::{ContainerConfig, ImageConfig};
use runtime::image::reference::Reference;
use runtime::image::store;
use runtime::snapshot::unpack;
use runtime::state::container::{Status, StatusRecord};
use runtime::state::layout::Layout;
use runtime::state::process::ProcessId;

/// Longer than anything takes that works.
const LIMIT: Duration = Duration::from_secs(60);

pub struct Scratch {
    pub rt: Runtime,
    _root: tempfile::TempDir,
}

impl Scratch {
    pub fn new() -> Self {
        let root = tempfile::tempdir_in("/var/tmp").unwrap();
        let rt = Runtime::open(Layout::under(root.path())).unwrap();
        let layer = unpack::unpack(&rt, &*archive(), None).unwrap();
        let mut image = ImageConfig::empty();
        image.rootfs.diff_ids = vec![layer.diff_id];
        image.config = ContainerConfig { env: vec!["PATH=/bin".into()], ..ContainerConfig::default() };
        store::put(&rt, &image.to_json(), &[Reference::parse("box").unwrap()]).unwrap();
        Self { rt, _root: root }
    }

    pub fn request(&self, name: &str) -> ContainerRequest {
        ContainerRequest {
            name: name.into(),
            image: "box".into(),
            network: NetworkModeRequest::None,
            ..ContainerRequest::default()
        }
    }

    /// A request to run a line of shell.
    pub fn shell(&self, name: &str, line: &str) -> ContainerRequest {
        let command = ["sh", "-c", line].map(Into::into).to_vec();
        ContainerRequest { command: Some(command), ..self.request(name) }
    }

    pub fn create(&self, name: &str, line: &str) -> String {
        self.create_with(self.shell(name, line))
    }

    pub fn create_with(&self, request: ContainerRequest) -> String {
        create::create(&self.rt, &request).unwrap()
    }

    pub fn status(&self, id: &str) -> StatusRecord {
        list::find(&self.rt, id).unwrap().status
    }

    /// Waits until the status is as wanted.
    pub fn until(&self, id: &str, wanted: impl Fn(&StatusRecord) -> bool) -> StatusRecord {
        let (told, changes) = mpsc::channel();
        let _subscription = watch::container(&self.rt, id, move || told.send(()).unwrap_or(())).unwrap();
        loop {
            let status = self.status(id);
            if wanted(&status) {
                return status;
            }
            if changes.recv_timeout(LIMIT).is_err() {
                let diary = fs::read_to_string(self.rt.layout.bundle(id).keeper_log()).unwrap_or_default();
                panic!("still {status:?}\n{diary}");
            }
        }
    }

    /// Waits until the container has ended.
    pub fn wait(&self, id: &str) -> Status {
        self.until(id, |status| matches!(status.status, Status::Exited { .. })).status
    }

    /// Waits until the container is not there any more.
    pub fn until_gone(&self, id: &str) {
        let (told, changes) = mpsc::channel();
        let _subscription = watch::containers(&self.rt, move || told.send(()).unwrap_or(())).unwrap();
        while list::find(&self.rt, id).is_ok() {
            changes.recv_timeout(LIMIT).unwrap();
        }
    }

    pub fn lines(&self, id: &str) -> Vec<String> {
        let mut lines = Vec::new();
        LogReader::open(&self.rt.layout.bundle(id).log(), &LogQuery::default())
            .unwrap()
            .read(&mut |line| {
                lines.push(String::from_utf8_lossy(line.bytes).into_owned());
                true
            })
            .unwrap();
        lines
    }

    /// Waits until the container has written a line.
    pub fn until_line(&self, id: &str, wanted: &str) {
        let (told, changes) = mpsc::channel();
        let _subscription = watch::log(&self.rt, id, move || told.send(()).unwrap_or(())).unwrap();
        while !self.lines(id).iter().any(|line| line == wanted) {
            changes.recv_timeout(LIMIT).unwrap();
        }
    }

    /// Waits until the container has written so many lines.
    pub fn until_lines(&self, id: &str, wanted: usize) {
        let (told, changes) = mpsc::channel();
        let _subscription = watch::log(&self.rt, id, move || told.send(()).unwrap_or(())).unwrap();
        while self.lines(id).len() < wanted {
            changes.recv_timeout(LIMIT).unwrap();
        }
    }

    /// What its keeper has written down.
    pub fn diary(&self, id: &str) -> String {
        fs::read_to_string(self.rt.layout.bundle(id).keeper_log()).unwrap_or_default()
    }

    pub fn exec(&self, id: &str, request: &ExecRequest, input: &str) -> (Result<i32, ExecError>, String) {
        let (stdin, mut typed) = std::io::pipe().unwrap();
        let (mut written, stdout) = std::io::pipe().unwrap();
        let stdio =
            ExecStdio { stdin: stdin.into(), stderr: stdout.try_clone().unwrap().into(), stdout: stdout.into() };
        let execution = exec::exec(&self.rt, id, request, stdio).unwrap();
        typed.write_all(input.as_bytes()).unwrap();
        drop(typed);
        let mut output = String::new();
        written.read_to_string(&mut output).unwrap();
        (execution.wait(), output)
    }

    pub fn exec_on_terminal(&self, id: &str, request: &ExecRequest) -> String {
        let (ours, theirs) = exec::open_terminal(&self.rt, id).unwrap();
        let clone = || theirs.try_clone().unwrap();
        let stdio = ExecStdio { stdin: clone(), stdout: clone(), stderr: clone() };
        let execution = exec::exec(&self.rt, id, request, stdio).unwrap();
        drop(theirs);
        let mut output = Vec::new();
        // The end of a terminal is an error.
        let _ = File::from(ours).read_to_end(&mut output);
        assert_eq!(execution.wait().unwrap(), 0);
        String::from_utf8(output).unwrap()
    }

    /// Kills a process and waits for its end.
    pub fn kill_process(&self, process: ProcessId) {
        let pid = rustix::process::Pid::from_raw(process.pid).unwrap();
        let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
        rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL).unwrap();
        let mut fds = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut fds, None).unwrap();
    }

    /// The parent of a process.
    pub fn parent(process: ProcessId) -> ProcessId {
        let stat = fs::read_to_string(format!("/proc/{}/stat", process.pid)).unwrap();
        let parent = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(1).unwrap();
        ProcessId::of(parent.parse().unwrap()).unwrap()
    }

    /// Kills a keeper and its guard, so that neither can replace the other.
    pub fn kill_both(&self, keeper: ProcessId) {
        let guard = Self::parent(keeper);
        let pid = rustix::process::Pid::from_raw(keeper.pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
        self.kill_process(guard);
        self.kill_process(keeper);
    }

    /// Kills all that belongs to a container.
    pub fn power_cut(&self, keeper: ProcessId, init: ProcessId) {
        self.kill_both(keeper);
        self.kill_process(init);
    }

    /// Says whether any hierarchy still has the container's group.
    pub fn group_exists(&self, id: &str) -> bool {
        fs::read_dir("/sys/fs/cgroup").unwrap().any(|entry| entry.unwrap().path().join("motet").join(id).exists())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let containers = list::list(&self.rt).unwrap_or_default();
        for container in &containers {
            let request = RemoveRequest { force: true, volumes: true };
            if let Err(error) = remove::remove(&self.rt, &container.record.id, request) {
                println!("{}: {error}", container.record.name);
            }
        }
        if std::thread::panicking() {
            return;
        }
        for container in containers {
            assert!(!self.group_exists(&container.record.id), "a control group is left");
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let root = self.rt.layout.lib.to_str().unwrap().to_owned();
        assert!(!mounts.contains(&root), "a mount is left below {root}");
    }
}

/// A layer with a static busybox, and a folder that a volume may be mounted on.
fn archive() -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |path: &str, kind: tar::EntryType, mode: u32, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        if kind == tar::EntryType::Symlink {
            header.set_size(0);
            archive.append_link(&mut header, path, std::str::from_utf8(content).unwrap()).unwrap();
        } else {
            header.set_size(content.len() as u64);
            archive.append_data(&mut header, path, content).unwrap();
        }
    };
    for folder in ["bin", "etc", "srv", "srv/data", "tmp"] {
        add(folder, tar::EntryType::Directory, 0o755, b"");
    }
    add("srv/data/seed", tar::EntryType::Regular, 0o644, b"seed\n");
    add("etc/passwd", tar::EntryType::Regular, 0o644, b"root:x:0:0::/root:/bin/sh\n");
    add("bin/busybox", tar::EntryType::Regular, 0o755, &fs::read("/bin/busybox").unwrap());
    for name in
        "sh echo cat sleep hostname touch test seq tty true yes head tail printf stty ls ln rm mkdir chmod".split(' ')
    {
        add(&format!("bin/{name}"), tar::EntryType::Symlink, 0o777, b"busybox");
    }
    archive.into_inner().unwrap()
}
