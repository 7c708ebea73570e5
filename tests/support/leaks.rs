//! What a host has left on the machine: processes, mounts, records, links.

use std::path::Path;

/// Everything of the state root at `root` that is still on the machine, a line each.
pub fn of(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let name = root.to_string_lossy().into_owned();
    for pid in processes(&name) {
        found.push(format!("process {pid}"));
    }
    for mount in mounts(&name) {
        found.push(format!("mount {mount}"));
    }
    for (what, path) in [("container", "lib/containers"), ("network", "lib/networks")] {
        for entry in std::fs::read_dir(root.join(path)).into_iter().flatten().flatten() {
            found.push(format!("{what} record {}", entry.file_name().to_string_lossy()));
        }
    }
    found
}

/// Ends by force whatever a failed scenario left.
pub fn force_away(root: &Path) {
    let name = root.to_string_lossy().into_owned();
    // Keepers and their guards replace each other, and a container goes on without either.
    for signal in [rustix::process::Signal::STOP, rustix::process::Signal::KILL] {
        for pid in processes(&name).into_iter().chain(programs(root)) {
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                let _ = rustix::process::kill_process(pid, signal);
            }
        }
    }
    for mount in mounts(&name).iter().rev() {
        let _ = rustix::mount::unmount(mount.as_str(), rustix::mount::UnmountFlags::DETACH);
    }
}

/// First processes of the containers that still run.
fn programs(root: &Path) -> Vec<i32> {
    let containers = std::fs::read_dir(root.join("lib/containers")).into_iter().flatten().flatten();
    let pid = |entry: std::fs::DirEntry| {
        let text = std::fs::read(entry.path().join("status.json")).ok()?;
        let status: serde_json::Value = serde_json::from_slice(&text).ok()?;
        let init = status.pointer("/status/Running/init").or_else(|| status.pointer("/status/Paused/init"))?;
        let pid = i32::try_from(init["pid"].as_i64()?).ok()?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let start_time: u64 = stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()?;
        (init["start_time"].as_u64() == Some(start_time)).then_some(pid)
    };
    containers.filter_map(pid).collect()
}

/// Keepers and commands that name the root in their arguments; the test itself is none of them.
fn processes(root: &str) -> Vec<i32> {
    let own = std::process::id().cast_signed();
    let pids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_string_lossy().parse::<i32>().ok());
    pids.filter(|pid| *pid != own)
        .filter(|pid| {
            let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&arguments).contains(root)
        })
        .collect()
}

fn mounts(root: &str) -> Vec<String> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .filter(|path| path.starts_with(root))
        .map(str::to_owned)
        .collect()
}
