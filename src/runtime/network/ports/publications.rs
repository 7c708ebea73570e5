//! Which container has which ports open now: one file each, dropped when the process that holds the ports is gone.

use std::path::PathBuf;

use crate::Runtime;
use crate::network::firewall::rules::Forward;
use crate::network::lifecycle::names_in;
use crate::network::ports::PublishError;
use crate::state::network::PublicationRecord;
use crate::state::record::{self, RecordError};

impl PublicationRecord {
    /// Returns what the kernel forwards of it: what has a target of its own family, and is not ::1.
    pub fn forwards(&self) -> Vec<Forward> {
        if self.is_proxied {
            return Vec::new();
        }
        let forward = |open: &crate::state::container::OpenPortRecord| {
            let target = self.targets.iter().find(|target| target.is_ipv4() == open.host_ip.is_ipv4())?;
            if open.host_ip.is_ipv6() && open.host_ip.is_loopback() {
                return None;
            }
            Some(Forward {
                host_ip: open.host_ip,
                host_port: open.host_port,
                protocol: open.protocol,
                target: *target,
                target_port: open.container_port,
            })
        };
        self.open.iter().filter_map(forward).collect()
    }

    fn is_stale(&self) -> bool {
        !self.owner.is_some_and(|owner| owner.is_alive())
    }
}

/// Returns where a container's publication is kept.
pub fn path(rt: &Runtime, container: &str) -> PathBuf {
    rt.layout.publications().join(format!("{container}.json"))
}

/// Returns what is published now.
pub fn all(rt: &Runtime) -> Result<Vec<PublicationRecord>, PublishError> {
    let mut publications = read(rt)?;
    publications.retain(|publication| !publication.is_stale());
    Ok(publications)
}

/// Removes what keepers that were killed while they wrote have left aside.
pub fn sweep(rt: &Runtime) -> Result<(), PublishError> {
    let folder = rt.layout.publications();
    Ok(record::sweep(&folder).map_err(|source| RecordError::Io { act: "clean", path: folder, source })?)
}

/// Drops the publications of processes that were killed, and returns them.
pub fn take_stale(rt: &Runtime) -> Result<Vec<PublicationRecord>, PublishError> {
    sweep(rt)?;
    let mut publications = read(rt)?;
    publications.retain(PublicationRecord::is_stale);
    // Whoever removes the file is the one who clears up after it.
    publications.retain(|publication| std::fs::remove_file(path(rt, &publication.container)).is_ok());
    Ok(publications)
}

fn read(rt: &Runtime) -> Result<Vec<PublicationRecord>, PublishError> {
    let folder = rt.layout.publications();
    let mut publications = Vec::new();
    for name in names_in(&folder).map_err(|source| PublishError::Network { source })? {
        if name.ends_with(".json") {
            publications.extend(record::read::<PublicationRecord>(&folder.join(name))?);
        }
    }
    Ok(publications)
}
