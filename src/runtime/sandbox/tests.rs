//! Real sandboxes, launched as root from a process with one thread, around a static busybox.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::cgroup::devices::DevicePolicy;
use crate::cgroup::group::Group;
use crate::sandbox::capabilities;
use crate::sandbox::join::{Target, join};
use crate::sandbox::launch::{LaunchError, Launched, Stdio, launch};
use crate::sandbox::spec::{Masks, Namespaces, Root, SandboxMount, SandboxSpec};
use crate::state::container::{LimitsRecord, ProcessRecord, SeccompRecord};
use crate::state::process::ProcessId;
use crate::sys::mount::Attributes;

/// Runs the body in a process of its own that has one thread: this very test, run alone by this very binary.
#[expect(clippy::disallowed_methods, reason = "a test runs itself, and is told so by the environment")]
fn alone(test: &str, body: impl FnOnce()) {
    const ALONE: &str = "MOTET_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return body();
    }
    let output = std::process::Command::new("/proc/self/exe")
        .args([&format!("sandbox::tests::{test}"), "--exact", "--test-threads=1", "--nocapture"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// A scratch bundle: an image with busybox, and an empty writable layer.
struct Scratch {
    folder: tempfile::TempDir,
}

impl Scratch {
    fn new() -> Self {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let image = folder.path().join("image");
        for name in ["bin", "etc", "tmp", "proc", "sys", "dev", "upper", "work", "root"] {
            let base = if matches!(name, "upper" | "work" | "root") { folder.path() } else { &image };
            fs::create_dir_all(base.join(name)).unwrap();
        }
        fs::copy("/usr/bin/busybox", image.join("bin/busybox")).unwrap();
        for name in
            "sh cat ls id hostname mount umount mknod sleep true false readlink stat unshare kill ps tty touch head"
                .split(' ')
        {
            symlink("busybox", image.join("bin").join(name)).unwrap();
        }
        fs::write(image.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\nbob:x:1000:1001::/home/bob:/bin/sh\n").unwrap();
        fs::write(image.join("etc/group"), "root:x:0:\nwheel:x:10:root\nbob:x:1001:\nvideo:x:27:bob\n").unwrap();
        Self { folder }
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    fn upper(&self) -> PathBuf {
        self.folder.path().join("upper")
    }

    fn spec(&self, args: &[&str]) -> SandboxSpec {
        SandboxSpec {
            root: Root::Overlay {
                lower: vec![self.image()],
                upper: self.upper(),
                work: self.folder.path().join("work"),
            },
            mount_point: self.folder.path().join("root"),
            read_only_root: false,
            process: ProcessRecord { args: args.iter().map(|arg| (*arg).to_owned()).collect(), ..Default::default() },
            hostname: "box".to_owned(),
            domainname: None,
            mounts: Vec::new(),
            namespaces: Namespaces::default(),
            privileged: false,
            capabilities: capabilities::DEFAULT,
            seccomp: SeccompRecord::Default,
            apparmor: None,
            label: None,
            file_label: None,
            no_new_privileges: false,
            capability_sets: None,
            masks: Masks::Usual,
            devices: Vec::new(),
            rlimits: BTreeMap::new(),
            sysctls: BTreeMap::new(),
            oom_score_adj: None,
            init: false,
            outlives_parent: false,
            shm_size: 64 << 20,
            shared_memory_of: None,
            cgroup: None,
        }
    }

    /// A spec that runs a line of shell.
    fn shell(&self, line: &str) -> SandboxSpec {
        self.spec(&["sh", "-c", line])
    }
}

/// Standard streams whose output comes back through a pipe.
fn streams() -> (Stdio, std::io::PipeReader) {
    let (reader, writer) = std::io::pipe().unwrap();
    let null = fs::File::open("/dev/null").unwrap();
    let stderr = writer.try_clone().unwrap();
    (Stdio { stdin: null.into(), stdout: writer.into(), stderr: stderr.into(), terminal: None, devpts: None }, reader)
}

/// Waits for the end, and returns the exit code.
fn code(launched: &Launched) -> i32 {
    let id = rustix::process::WaitId::PidFd(launched.pidfd.as_fd());
    let status = rustix::process::waitid(id, rustix::process::WaitIdOptions::EXITED).unwrap().unwrap();
    status.exit_status().unwrap_or_else(|| 128 + status.terminating_signal().unwrap())
}

/// Runs a sandbox to its end; returns exit code and output.
fn run(spec: &SandboxSpec) -> (i32, String) {
    let (stdio, mut reader) = streams();
    let launched = launch(spec, stdio, &mut |_| Ok(())).unwrap();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    (code(&launched), text)
}

fn refused(spec: &SandboxSpec) -> LaunchError {
    let (stdio, _reader) = streams();
    launch(spec, stdio, &mut |_| Ok(())).unwrap_err()
}

#[track_caller]
fn check(spec: &SandboxSpec, expected: &str) {
    let (code, text) = run(spec);
    assert_eq!(text.trim_end(), expected);
    assert_eq!(code, 0);
}

#[test]
fn a_sandbox_is_process_1_with_its_own_name_and_writable_layer() {
    alone("a_sandbox_is_process_1_with_its_own_name_and_writable_layer", || {
        let scratch = Scratch::new();
        let line = "echo $$; hostname; echo kept > /tmp/file; echo $HOME $HOSTNAME; pwd; umask; ls /proc/self/fd";
        check(&scratch.shell(line), "1\nbox\n/root box\n/\n0022\n0\n1\n2\n3");
        assert_eq!(fs::read_to_string(scratch.upper().join("tmp/file")).unwrap(), "kept\n");
        assert!(!scratch.image().join("tmp/file").exists());
    });
}

#[test]
fn rights_are_dockers() {
    alone("rights_are_dockers", || {
        let scratch = Scratch::new();
        let line = "while read key value; do case $key in Cap*|NoNew*|Seccomp:|Groups:) echo $key $value;; esac; done < /proc/self/status";
        let all = "Groups: 0 10\nCapInh: 0000000000000000\nCapPrm: 00000000a80425fb\nCapEff: 00000000a80425fb\n\
                   CapBnd: 00000000a80425fb\nCapAmb: 0000000000000000\nNoNewPrivs: 0\nSeccomp: 2";
        check(&scratch.shell(line), all);
        let mut spec = scratch.shell(line);
        spec.process.user = "bob".to_owned();
        spec.no_new_privileges = true;
        let bobs = "Groups: 27 1001\nCapInh: 0000000000000000\nCapPrm: 0000000000000000\nCapEff: 0000000000000000\n\
                    CapBnd: 00000000a80425fb\nCapAmb: 0000000000000000\nNoNewPrivs: 1\nSeccomp: 2";
        check(&spec, bobs);
        spec.no_new_privileges = false;
        check(&spec, &bobs.replace("Privs: 1", "Privs: 0"));
        let mut spec = scratch.shell(line);
        spec.capabilities = 0;
        spec.seccomp = SeccompRecord::Unconfined;
        let none = "Groups: 0 10\nCapInh: 0000000000000000\nCapPrm: 0000000000000000\nCapEff: 0000000000000000\n\
                    CapBnd: 0000000000000000\nCapAmb: 0000000000000000\nNoNewPrivs: 0\nSeccomp: 0";
        check(&spec, none);
    });
}

#[test]
fn what_is_masked_is_empty_and_what_is_protected_is_read_only() {
    alone("what_is_masked_is_empty_and_what_is_protected_is_read_only", || {
        let scratch = Scratch::new();
        let line = "cat /proc/keys /proc/timer_list /proc/interrupts; ls -A /sys/firmware /proc/acpi; \
                    echo 1 > /proc/sys/kernel/panic; echo h > /proc/sysrq-trigger; echo x > /sys/power/state; \
                    mount -t tmpfs x /tmp; umount /proc/sys; unshare -m true; mknod /tmp/m c 1 1 && head -c1 /tmp/m";
        let mut spec = scratch.shell(line);
        let name = format!("motet-test-{}/masks", std::process::id());
        let group = Group::create(&name, &LimitsRecord::default(), &DevicePolicy::default()).unwrap();
        spec.cgroup = Some(group.clone());
        let (_, text) = run(&spec);
        group.remove().unwrap();
        remove_parents(&name);
        for refusal in [
            "can't create /proc/sys/kernel/panic: Read-only file system",
            "can't create /sys/power/state: Read-only file system",
            "mount: permission denied",
            "umount: can't unmount /proc/sys: Operation not permitted",
            "unshare: unshare(0x20000): Operation not permitted",
            "head: /tmp/m: Operation not permitted",
        ] {
            assert!(text.contains(refusal), "{refusal}\n{text}");
        }
        assert!(!text.contains("CPU0"), "{text}");
    });
}

/// Removes the groups above a test's own.
fn remove_parents(name: &str) {
    Group::open(name.split('/').next().unwrap()).remove().unwrap();
}

#[test]
fn what_can_not_be_run_is_told_with_dockers_codes() {
    alone("what_can_not_be_run_is_told_with_dockers_codes", || {
        let scratch = Scratch::new();
        let error = refused(&scratch.spec(&["gunicorn"]));
        assert_eq!(error.to_string(), "cannot run `gunicorn`: no such program in the container's PATH");
        assert_eq!(error.exit_code(), 127);
        let error = refused(&scratch.spec(&["/bin/nothing"]));
        assert_eq!(error.exit_code(), 127);
        fs::write(scratch.image().join("bin/plain"), "x").unwrap();
        let error = refused(&scratch.spec(&["/bin/plain"]));
        assert_eq!(
            (error.exit_code(), error.to_string()),
            (126, "cannot run `/bin/plain`: permission denied".to_owned())
        );
        assert_eq!(refused(&scratch.spec(&["plain"])).exit_code(), 126);
        let mut spec = scratch.spec(&["true"]);
        spec.process.user = "nobody".to_owned();
        let error = refused(&spec);
        assert_eq!(
            error.to_string(),
            "cannot find the user `nobody`: not in the container's /etc/passwd or /etc/group"
        );
        assert_eq!(error.exit_code(), 125);
        assert_eq!(run(&scratch.shell("exit 7")).0, 7);
    });
}

#[test]
fn links_in_the_image_lead_nowhere_outside() {
    alone("links_in_the_image_lead_nowhere_outside", || {
        let scratch = Scratch::new();
        let outside = tempfile::tempdir_in("/var/tmp").unwrap();
        fs::remove_dir(scratch.image().join("dev")).unwrap();
        symlink(outside.path(), scratch.image().join("dev")).unwrap();
        symlink(outside.path(), scratch.image().join("data")).unwrap();
        symlink("/../../../../var/tmp", scratch.image().join("work")).unwrap();
        let source = scratch.folder.path().join("source");
        fs::create_dir(&source).unwrap();
        fs::write(source.join("file"), "bound").unwrap();
        let mut spec = scratch.shell("cat /data/inner/file && echo > /data/inner/file; ls /dev/null; pwd");
        spec.process.cwd = "/work/deep".to_owned();
        spec.mounts.push(SandboxMount::Bind {
            source,
            target: "/data/inner".to_owned(),
            read_only: true,
            attributes: Attributes::empty(),
            propagation: None,
            recursive: true,
        });
        let (_, text) = run(&spec);
        assert!(text.starts_with("bound") && text.contains("Read-only file system"), "{text}");
        assert!(text.ends_with("/dev/null\n/var/tmp/deep\n"), "{text}");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
        assert!(!Path::new("/var/tmp/deep").exists());

        fs::remove_dir(scratch.image().join("proc")).unwrap();
        symlink("/tmp", scratch.image().join("proc")).unwrap();
        assert!(refused(&scratch.spec(&["true"])).to_string().starts_with("cannot mount /proc: not a directory"));
    });
}

#[test]
fn a_passwd_that_is_a_fifo_is_refused_at_once() {
    alone("a_passwd_that_is_a_fifo_is_refused_at_once", || {
        let scratch = Scratch::new();
        fs::remove_file(scratch.image().join("etc/passwd")).unwrap();
        let kind = rustix::fs::FileType::Fifo;
        let mode = rustix::fs::Mode::from_raw_mode(0o644);
        rustix::fs::mknodat(rustix::fs::CWD, scratch.image().join("etc/passwd"), kind, mode, 0).unwrap();
        let mut spec = scratch.spec(&["true"]);
        spec.process.user = "bob".to_owned();
        assert!(refused(&spec).to_string().starts_with("cannot find the user `bob in /etc/passwd`"));
    });
}

#[test]
fn memory_file_systems_and_a_read_only_root_are_as_asked() {
    alone("memory_file_systems_and_a_read_only_root_are_as_asked", || {
        let scratch = Scratch::new();
        let line = "touch /x; touch /run/y && stat -c %a /run; stat -c 'new %a' /new; grep -E ' /(run|dev/shm) ' /proc/self/mountinfo | \
                    while read a b c d point options rest; do echo $point $options; done";
        let mut spec = scratch
            .shell(&line.replace("grep -E ' /(run|dev/shm) ' /proc/self/mountinfo |", "cat /proc/self/mountinfo |"));
        spec.read_only_root = true;
        spec.mounts.push(SandboxMount::Tmpfs {
            target: "/run".to_owned(),
            size: Some(1 << 20),
            mode: Some(0o1770),
            options: vec!["exec".to_owned()],
            read_only: false,
        });
        spec.mounts.push(SandboxMount::Tmpfs {
            target: "/new".to_owned(),
            size: None,
            mode: None,
            options: Vec::new(),
            read_only: false,
        });
        let (_, text) = run(&spec);
        for line in [
            "touch: /x: Read-only file system",
            "1770",
            "new 1777",
            "/run rw,nosuid,nodev,relatime",
            "/dev/shm rw,nosuid,nodev,noexec,relatime",
            "/proc rw,nosuid,nodev,noexec,relatime",
            "/sys ro,nosuid,nodev,noexec,relatime",
            "/ ro,relatime",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    });
}

#[test]
fn limits_hold_and_the_groups_are_seen_inside() {
    alone("limits_hold_and_the_groups_are_seen_inside", || {
        let scratch = Scratch::new();
        let name = format!("motet-test-{}/limits", std::process::id());
        let limits = LimitsRecord {
            memory: Some(32 << 20),
            pids: Some(20),
            nano_cpus: Some(500_000_000),
            ..LimitsRecord::default()
        };
        let group = Group::create(&name, &limits, &DevicePolicy::default()).unwrap();
        let mut spec = scratch.shell(
            "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes memory.max pids/pids.max pids.max 2>/dev/null; \
             while read line; do echo ${line#*:}; done < /proc/self/cgroup; \
             i=0; while [ $i -lt 30 ]; do sleep 5 & i=$((i+1)); done",
        );
        spec.cgroup = Some(group.clone());
        let (_, text) = run(&spec);
        assert!(text.contains("33554432\n20\n"), "{text}");
        assert!(text.contains("can't fork"), "{text}");
        assert!(text.contains(":/\n") && !text.contains("motet-test"), "{text}");
        // The memory hog: a variable that doubles.
        let mut spec = scratch.shell("a=xxxxxxxxxxxxxxxx; while true; do a=$a$a; done");
        spec.cgroup = Some(group.clone());
        assert_eq!(run(&spec).0, 137);
        assert!(group.oom_kills() > 0);
        group.remove().unwrap();
        assert!(group.hierarchies().is_empty());
        remove_parents(&name);
    });
}

#[test]
fn a_frozen_group_stands_still_and_a_killed_one_is_gone() {
    alone("a_frozen_group_stands_still_and_a_killed_one_is_gone", || {
        let scratch = Scratch::new();
        let name = format!("motet-test-{}/freeze", std::process::id());
        let group = Group::create(&name, &LimitsRecord::default(), &DevicePolicy::default()).unwrap();
        let mut spec = scratch.shell("sleep 100 & sleep 100 & wait");
        spec.cgroup = Some(group.clone());
        let (stdio, _reader) = streams();
        let launched = launch(&spec, stdio, &mut |_| Ok(())).unwrap();
        group.freeze().unwrap();
        assert!(group.processes().contains(&launched.pid));
        group.thaw().unwrap();
        group.kill_all().unwrap();
        assert_eq!(code(&launched), 137);
        group.remove().unwrap();
        assert_eq!(group.processes(), Vec::<i32>::new());
        remove_parents(&name);
    });
}

#[test]
fn a_process_that_joins_sees_the_same_sandbox() {
    alone("a_process_that_joins_sees_the_same_sandbox", || {
        let scratch = Scratch::new();
        let name = format!("motet-test-{}/join", std::process::id());
        let group = Group::create(&name, &LimitsRecord::default(), &DevicePolicy::default()).unwrap();
        let mut spec = scratch.shell("echo here > /tmp/here; echo ready; sleep 100");
        spec.cgroup = Some(group.clone());
        let (stdio, mut reader) = streams();
        let launched = launch(&spec, stdio, &mut |_| Ok(())).unwrap();
        let mut ready = [0; 6];
        reader.read_exact(&mut ready).unwrap();
        let target = Target {
            init: ProcessId::of(launched.pid).unwrap(),
            capabilities: spec.capabilities,
            capability_sets: None,
            seccomp: spec.seccomp.clone(),
            apparmor: spec.apparmor.clone(),
            label: spec.label.clone(),
            no_new_privileges: false,
            group: Some(group.clone()),
            env: vec!["A=1".to_owned(), "B=2".to_owned()],
            rlimits: BTreeMap::from([("nofile".to_owned(), (77, 88))]),
        };
        let line = "cat /tmp/here; hostname; id -u; echo $A $B $HOME; ulimit -n; ls /proc/self/fd; \
                    while read key value; do case $key in CapEff:|Seccomp:) echo $value;; esac; done < /proc/self/status";
        let process = ProcessRecord {
            args: ["sh", "-c", line].map(str::to_owned).into(),
            env: vec!["B=3".to_owned()],
            user: "bob".to_owned(),
            ..ProcessRecord::default()
        };
        let (stdio, mut reader) = streams();
        let joined = join(&target, &process, stdio, false).unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "here\nbox\n1000\n1 3 /home/bob\n77\n0\n1\n2\n3\n0000000000000000\n2\n");
        assert_eq!(code(&joined), 0);
        let line = "for n in mnt net pid ipc uts cgroup; do [ $(readlink /proc/1/ns/$n) == $(readlink /proc/self/ns/$n) ] || echo $n; done";
        let process = ProcessRecord { args: ["sh", "-c", line].map(str::to_owned).into(), ..ProcessRecord::default() };
        let (stdio, mut reader) = streams();
        let joined = join(&target, &process, stdio, false).unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), code(&joined)), ("", 0));
        let absent = ProcessRecord { args: vec!["absent".to_owned()], ..ProcessRecord::default() };
        assert_eq!(join(&target, &absent, streams().0, false).unwrap_err().exit_code(), 127);
        group.remove().unwrap();
        assert_eq!(code(&launched), 137);
        remove_parents(&name);
    });
}

#[test]
fn our_own_init_passes_signals_on_and_takes_orphans() {
    alone("our_own_init_passes_signals_on_and_takes_orphans", || {
        let scratch = Scratch::new();
        let line = "trap 'echo term; exit 3' TERM; (sleep 0.1 & exec true); echo $$; kill -TERM 1; while true; do sleep 0.05; done";
        let mut spec = scratch.shell(line);
        spec.init = true;
        let (code, text) = run(&spec);
        assert_eq!((code, text.as_str()), (3, "2\nterm\n"));
        let mut spec = scratch.spec(&["absent"]);
        spec.init = true;
        assert_eq!(refused(&spec).exit_code(), 127);
        let mut spec = scratch.shell("cat /proc/1/exe; readlink /proc/1/exe; ls /proc/1/fd");
        spec.init = true;
        let (_, text) = run(&spec);
        assert!(text.contains("ermission denied") && !text.contains("ELF"), "{text}");
    });
}

#[test]
fn a_terminal_is_the_controlling_one_and_the_console() {
    alone("a_terminal_is_the_controlling_one_and_the_console", || {
        let scratch = Scratch::new();
        let (ours, stdio) = Stdio::on_terminal(None).unwrap();
        let mut spec = scratch.shell("tty; echo > /dev/tty && echo $TERM; stat -c %t /dev/console");
        spec.process.tty = true;
        let launched = launch(&spec, stdio, &mut |_| Ok(())).unwrap();
        assert_eq!(code(&launched), 0);
        let mut text = [0; 4096];
        let count = rustix::io::read(&ours, &mut text).unwrap();
        let text = String::from_utf8_lossy(&text[..count]);
        assert!(text.starts_with("/dev/pts/0") && text.contains("xterm") && text.contains("88"), "{text}");
    });
}

#[test]
fn a_failed_preparation_ends_the_child() {
    alone("a_failed_preparation_ends_the_child", || {
        let scratch = Scratch::new();
        let (stdio, _reader) = streams();
        let mut pid = 0;
        let error = launch(&scratch.spec(&["true"]), stdio, &mut |born| {
            pid = born.pid;
            born.network_namespace()?;
            Err("no address is free".into())
        })
        .unwrap_err();
        assert_eq!(error.source.unwrap().to_string(), "no address is free");
        assert!(ProcessId::of(pid).is_none());
    });
}
