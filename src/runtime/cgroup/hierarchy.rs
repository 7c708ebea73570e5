//! Which hierarchies of control groups this host has: v2, v1, both (hybrid), or none.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Where it is mounted.
    pub mount: PathBuf,
    /// Its controllers; of v2, those that groups below may use.
    pub controllers: Vec<String>,
    /// It is v2.
    pub unified: bool,
    /// The only one that has controllers.
    only: bool,
}

static HERE: OnceLock<Vec<Hierarchy>> = OnceLock::new();

/// Returns the hierarchies of this host, as its mounts were at the first call.
pub fn all() -> &'static [Hierarchy] {
    HERE.get_or_init(|| {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        parse(&mounts, |mount| std::fs::read_to_string(mount.join("cgroup.controllers")).unwrap_or_default())
    })
}

/// Returns the hierarchy that has a controller.
pub fn of_controller(name: &str) -> Option<&'static Hierarchy> {
    all().iter().find(|hierarchy| hierarchy.controllers.iter().any(|controller| controller == name))
}

/// Returns v2, with or without controllers.
pub fn unified() -> Option<&'static Hierarchy> {
    all().iter().find(|hierarchy| hierarchy.unified)
}

/// Reads proc_pid_mountinfo(5); `v2_controllers` tells what a v2 mount offers.
fn parse(mountinfo: &str, v2_controllers: impl Fn(&Path) -> String) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in mountinfo.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let Some(mount) = left.split(' ').nth(4).map(PathBuf::from) else { continue };
        let mut right = right.split(' ');
        let (kind, _source, options) = (right.next(), right.next(), right.next().unwrap_or_default());
        let (unified, controllers) = match kind {
            Some("cgroup2") => (true, v2_controllers(&mount)),
            Some("cgroup") => (false, options.replace(',', " ")),
            _ => continue,
        };
        let controllers = controllers
            .split_ascii_whitespace()
            .filter(|word| !matches!(*word, "rw" | "ro" | "clone_children" | "xattr" | "noprefix"))
            .filter(|word| !word.contains('='))
            .map(str::to_owned)
            .collect::<Vec<_>>();
        // A hierarchy that is mounted twice is one; a v1 one without controllers is of no use (systemd's).
        let again = found.iter().any(|other| other.unified == unified && other.controllers == controllers);
        if !again && (unified || !controllers.is_empty()) {
            found.push(Hierarchy { mount, controllers, unified, only: false });
        }
    }
    if let [only] = found.as_mut_slice() {
        only.only = true;
    }
    found
}

impl Hierarchy {
    /// It is v2 and there is no other.
    pub fn is_whole(&self) -> bool {
        self.unified && self.only
    }

    /// Its folder's name below `/sys/fs/cgroup`.
    pub fn name(&self) -> &str {
        self.mount.file_name().and_then(|name| name.to_str()).unwrap_or("unified")
    }

    /// Name of its file system.
    pub fn kind(&self) -> &'static str {
        if self.unified { "cgroup2" } else { "cgroup" }
    }

    /// What its file system is mounted with.
    pub fn mount_options(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let names: &[String] = if self.unified { &[] } else { &self.controllers };
        names.iter().map(|name| (name.as_str(), None))
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn check(mountinfo: &str, expected: &[(&str, &[&str], bool)]) {
        let found = parse(mountinfo, |_| "cpuset cpu io memory pids".to_owned());
        let found: Vec<_> = found
            .iter()
            .map(|one| {
                let controllers: Vec<&str> = one.controllers.iter().map(String::as_str).collect();
                (one.mount.to_str().unwrap().to_owned(), controllers, one.is_whole())
            })
            .collect();
        let expected: Vec<_> =
            expected.iter().map(|(mount, names, whole)| ((*mount).to_owned(), names.to_vec(), *whole)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn v2_alone_is_whole() {
        check(
            "31 23 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n22 27 0:21 / /proc rw - proc proc rw",
            &[("/sys/fs/cgroup", &["cpuset", "cpu", "io", "memory", "pids"], true)],
        );
    }

    #[test]
    fn v1_hierarchies_are_known_by_their_controllers() {
        check(
            "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
             40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
             35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory",
            &[
                ("/sys/fs/cgroup/cpu,cpuacct", &["cpu", "cpuacct"], false),
                ("/sys/fs/cgroup/memory", &["memory"], false),
            ],
        );
    }
}
