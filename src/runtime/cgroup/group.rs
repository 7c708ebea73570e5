//! One container's groups, in every hierarchy that it needs one in.
//!
//! A group costs time in each hierarchy, so there is one in v2, where it costs nothing and kills, freezes and guards devices,
//! and in those of the controllers that a limit asks for.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::cgroup::devices::{self, DevicePolicy};
use crate::cgroup::events;
use crate::cgroup::hierarchy::{self, Hierarchy};
use crate::cgroup::limits::{self, Setting};
use crate::state::container::LimitsRecord;
use crate::sys::{fd, process, signal};

/// The longest that killed processes may take to go.
const PATIENCE: Duration = Duration::from_secs(10);

/// The groups of one container. Plain data: the name tells every path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Name relative to each hierarchy's root: `motet/<container id>`.
    pub name: String,
}

/// One of its groups.
pub(super) struct Place {
    pub path: PathBuf,
    pub unified: bool,
}

/// Why a group could not be made or changed.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// The host can't do what the limits ask for.
    #[error("cannot limit {limit}: this host has no `{controller}` controller")]
    Unsupported {
        /// `memory`, `processor time`.
        limit: &'static str,
        /// The controller that is missing.
        controller: &'static str,
    },
    /// A limit is for something that is no block device.
    #[error("cannot limit block device `{path}`")]
    BlockDevice {
        /// What was given.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A group has no such name.
    #[error("`{name}` can't be the parent of a control group: no `..`")]
    Parent {
        /// The name.
        name: String,
    },
    /// A device rule is not one.
    #[error("`{rule}` is not a device rule such as `c 1:3 rwm`")]
    Rule {
        /// The rule.
        rule: String,
    },
    /// The kernel refused.
    #[error("cannot {act} `{path}`")]
    Io {
        /// `create`, `write`, `remove`.
        act: &'static str,
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

pub(super) fn failed(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> GroupError + use<> {
    let path = path.to_owned();
    move |source| GroupError::Io { act, path, source }
}

impl Group {
    /// Makes the groups that the limits and the device policy need; undoes them where it fails.
    pub fn create(name: &str, limits: &LimitsRecord, devices: &DevicePolicy) -> Result<Self, GroupError> {
        if name.split('/').any(|part| part.is_empty() || part == ".." || part == ".") {
            return Err(GroupError::Parent { name: name.to_owned() });
        }
        let settings = limits::settings(limits)?;
        let rules = devices.checked()?;
        let group = Self::open(name);
        let made = group.make(&settings, if devices.all { None } else { Some(&rules) });
        match made {
            Ok(()) => Ok(group),
            Err(error) => {
                drop(group.remove());
                Err(error)
            }
        }
    }

    fn make(&self, settings: &[Setting], rules: Option<&[devices::Rule]>) -> Result<(), GroupError> {
        let mut guarded = rules.is_none();
        if let Some(unified) = hierarchy::unified() {
            let mut wanted: Vec<&str> = settings.iter().map(|setting| setting.controller).collect();
            wanted.retain(|name| unified.controllers.iter().any(|controller| controller == name));
            wanted.dedup();
            let path = self.make_in(unified, &wanted)?;
            if let Some(rules) = rules {
                let directory = fd::open_directory(&path).map_err(failed("open", &path))?;
                guarded = devices::attach(rules, directory.as_fd()).is_ok();
            }
        }
        let mut needed: Vec<&str> = settings.iter().map(|setting| setting.controller).collect();
        if !guarded {
            needed.push("devices");
        }
        if hierarchy::unified().is_none() {
            needed.push("freezer");
        }
        for controller in needed {
            match hierarchy::of_controller(controller) {
                Some(hierarchy) if !hierarchy.unified => drop(self.make_in(hierarchy, &[])?),
                Some(_) => {}
                None if controller == "devices" && !hierarchy::all().is_empty() => {
                    return Err(GroupError::Unsupported { limit: "the use of devices", controller: "devices" });
                }
                None => {}
            }
        }
        if let (Some(rules), false) = (rules, guarded) {
            self.guard_devices(rules)?;
        }
        settings.iter().try_for_each(|setting| self.write(setting))
    }

    /// Makes the group in one hierarchy, with those above it.
    pub(super) fn make_in(&self, hierarchy: &Hierarchy, controllers: &[&str]) -> Result<PathBuf, GroupError> {
        let mut path = hierarchy.mount.clone();
        for part in self.name.split('/') {
            for controller in controllers {
                let switch = path.join("cgroup.subtree_control");
                let enabled = fs::read_to_string(&switch).unwrap_or_default();
                if !enabled.split_ascii_whitespace().any(|name| name == *controller) {
                    fs::write(&switch, format!("+{controller}")).map_err(failed("write", &switch))?;
                }
            }
            let parent = path.clone();
            path.push(part);
            match fs::create_dir(&path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(failed("create", &path)(error));
                }
                Ok(()) | Err(_) => {}
            }
            if hierarchy.controllers.iter().any(|name| name == "cpuset") && !hierarchy.unified {
                // A v1 cpuset begins empty, and takes no process so.
                for file in ["cpuset.cpus", "cpuset.mems"] {
                    let empty = fs::read_to_string(path.join(file)).is_ok_and(|text| text.trim().is_empty());
                    if empty {
                        let inherited = fs::read_to_string(parent.join(file)).map_err(failed("read", &parent))?;
                        fs::write(path.join(file), inherited.trim()).map_err(failed("write", &path))?;
                    }
                }
            }
        }
        Ok(path)
    }

    pub(super) fn write(&self, setting: &Setting) -> Result<(), GroupError> {
        let Some(Place { path, .. }) = self.of_controller(setting.controller) else { return Ok(()) };
        let path = path.join(setting.file);
        // Never made: a group takes no new files, and says that they are forbidden, not that they are missing.
        let written = fs::OpenOptions::new().write(true).open(&path).and_then(|mut file| {
            use std::io::Write as _;
            file.write_all(setting.value.as_bytes())
        });
        match written {
            Err(error) if setting.optional && error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result.map_err(failed("write", &path)),
        }
    }

    fn guard_devices(&self, rules: &[devices::Rule]) -> Result<(), GroupError> {
        let Some(Place { path, .. }) = self.of_controller("devices") else { return Ok(()) };
        let deny = path.join("devices.deny");
        fs::write(&deny, "a").map_err(failed("write", &deny))?;
        let allow = path.join("devices.allow");
        rules.iter().try_for_each(|rule| fs::write(&allow, devices::notation(rule)).map_err(failed("write", &allow)))
    }

    /// The groups of this name, whether they exist or not.
    pub fn open(name: &str) -> Self {
        Self { name: name.to_owned() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The hierarchies that it has a group in.
    pub fn hierarchies(&self) -> Vec<&'static Hierarchy> {
        hierarchy::all().iter().filter(|hierarchy| hierarchy.mount.join(&self.name).is_dir()).collect()
    }

    /// Its group of v2.
    pub(super) fn unified(&self) -> Option<Place> {
        let path = hierarchy::unified()?.mount.join(&self.name);
        path.is_dir().then_some(Place { path, unified: true })
    }

    /// Its group that a controller works in.
    pub(super) fn of_controller(&self, name: &str) -> Option<Place> {
        let hierarchy = hierarchy::of_controller(name)?;
        let path = hierarchy.mount.join(&self.name);
        path.is_dir().then_some(Place { path, unified: hierarchy.unified })
    }

    /// Opens its group of v2, to be cloned into.
    pub fn unified_directory(&self) -> Option<OwnedFd> {
        fd::open_directory(&self.unified()?.path).ok()
    }

    /// Moves a process into every group.
    pub fn add(&self, pid: i32) -> Result<(), GroupError> {
        for hierarchy in self.hierarchies() {
            let path = hierarchy.mount.join(&self.name).join("cgroup.procs");
            fs::write(&path, pid.to_string()).map_err(failed("write", &path))?;
        }
        Ok(())
    }

    /// Moves the calling process, cloned into the group of v2, into the others.
    pub fn add_self(&self) -> Result<(), GroupError> {
        for hierarchy in self.hierarchies().into_iter().filter(|hierarchy| !hierarchy.unified) {
            // A thread that moves itself can't end or change its number meanwhile, so for a 0 in `tasks` the kernel (5.5 and
            // later) does not take the lock against forks, for which `cgroup.procs` waits for a grace period of 6 to 40 ms.
            let path = hierarchy.mount.join(&self.name).join("tasks");
            fs::write(&path, "0").map_err(failed("write", &path))?;
        }
        Ok(())
    }

    /// Every process, in our pid namespace; those in groups that the container made itself, too.
    pub fn processes(&self) -> Vec<i32> {
        let mut pids = Vec::new();
        if let Some(first) = self.hierarchies().into_iter().max_by_key(|hierarchy| hierarchy.unified) {
            processes_below(&first.mount.join(&self.name), &mut pids);
        }
        pids
    }

    /// Kills every process, and waits for none.
    pub fn kill_all(&self) -> Result<(), GroupError> {
        if let Some(group) = self.unified() {
            let path = group.path.join("cgroup.kill");
            match fs::write(&path, "1") {
                Ok(()) => return Ok(()),
                // Before Linux 5.14.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed("write", &path)(error)),
            }
        }
        // Frozen, so that none forks past the list; the kill takes effect when they thaw.
        let frozen = self.freeze().is_ok();
        for pid in self.processes() {
            drop(signal::send(pid, libc::SIGKILL));
        }
        if frozen { self.thaw() } else { Ok(()) }
    }

    /// Kills what is left, waits for its end, and removes the groups. Groups that are gone are removed.
    pub fn remove(&self) -> Result<(), GroupError> {
        let places = self.hierarchies();
        if !self.processes().is_empty() {
            self.kill_all()?;
            self.wait_until_empty();
        }
        let end = Instant::now() + PATIENCE;
        // All are tried, and the first failure is told.
        let mut result = Ok(());
        for hierarchy in places {
            let path = hierarchy.mount.join(&self.name);
            if let Err(error) = remove_tree(&path, end)
                && result.is_ok()
            {
                result = Err(failed("remove", &path)(error));
            }
        }
        result
    }

    /// Waits until the last process is gone, at most for a while.
    fn wait_until_empty(&self) {
        if let Some(group) = self.unified() {
            drop(events::wait(&group.path, PATIENCE, |file| events::value(file, "populated") == Some("0")));
            return;
        }
        let end = Instant::now() + PATIENCE;
        for pid in self.processes() {
            wait_for_exit(pid, end);
        }
    }
}

fn processes_below(path: &Path, pids: &mut Vec<i32>) {
    let text = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
    pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0));
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            processes_below(&entry.path(), pids);
        }
    }
}

/// Removes a group and those that the container made below it.
fn remove_tree(path: &Path, end: Instant) -> io::Result<()> {
    loop {
        match fs::remove_dir(path) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            // Busy with processes or groups below: those first, then again.
            Err(error) if Instant::now() > end => return Err(error),
            Err(_) => {}
        }
        for entry in fs::read_dir(path)?.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                remove_tree(&entry.path(), end)?;
            }
        }
        let pids = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
        for pid in pids.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0) {
            wait_for_exit(pid, end);
        }
        rustix::thread::sched_yield();
    }
}

/// Kills a process and waits for its end.
fn wait_for_exit(pid: i32, end: Instant) {
    let Some(Ok(pidfd)) = Pid::from_raw(pid).map(|pid| pidfd_open(pid, PidfdFlags::empty())) else { return };
    drop(process::signal(pidfd.as_fd(), libc::SIGKILL));
    let left = end.saturating_duration_since(Instant::now());
    let timeout = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
    let _ = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout));
}
