//! Who has a port of the host: the socket's inode in `/proc/net`, the process with that inode among its files.

use std::path::Path;

use crate::network::ports::Holder;
use crate::state::container::{ContainerRecord, Protocol};
use crate::state::layout::Layout;
use crate::state::record;

/// Finds the process that listens on a port; `None` when there is none that we may see.
pub fn find(port: u16, protocol: Protocol) -> Option<Holder> {
    let tables = match protocol {
        Protocol::Tcp => ["tcp", "tcp6"],
        Protocol::Udp => ["udp", "udp6"],
        Protocol::Sctp => return None,
    };
    let inodes: Vec<String> = tables
        .iter()
        .filter_map(|table| std::fs::read_to_string(format!("/proc/thread-self/net/{table}")).ok())
        .flat_map(|text| inodes(&text, port, protocol))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    if inodes.is_empty() {
        return None;
    }
    let mut holders = std::fs::read_dir("/proc").ok()?.filter_map(|entry| {
        let entry = entry.ok()?;
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let mut files = std::fs::read_dir(entry.path().join("fd")).ok()?;
        let holds = files.any(|file| {
            let target = file.ok().and_then(|file| std::fs::read_link(file.path()).ok());
            target.is_some_and(|target| inodes.iter().any(|inode| target.as_os_str() == inode.as_str()))
        });
        holds.then(|| describe(pid))
    });
    holders.next()
}

/// Returns the inodes of the sockets of a `/proc/net` table that keep a port from others.
fn inodes(table: &str, port: u16, protocol: Protocol) -> Vec<u64> {
    const LISTEN: &str = "0A";
    let inode = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let local = fields.get(1)?.rsplit_once(':')?.1;
        let listens = protocol != Protocol::Tcp || *fields.get(3)? == LISTEN;
        (listens && u16::from_str_radix(local, 16).ok()? == port).then(|| fields.get(9)?.parse().ok()).flatten()
    };
    // A socket about to close has inode 0.
    table.lines().skip(1).filter_map(inode).filter(|inode| *inode != 0).collect()
}

fn describe(pid: i32) -> Holder {
    let command = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned();
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let arguments: Vec<_> = line.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
    // A keeper of ours: `motet __keep LIB RUN ID`.
    let container = match arguments.as_slice() {
        [_, verb, lib, run, id, ..] if *verb == "__keep" => {
            let layout = Layout { lib: Path::new(&**lib).into(), run: Path::new(&**run).into() };
            record::read::<ContainerRecord>(&layout.bundle(id).record()).ok().flatten().map(|record| record.name)
        }
        _ => None,
    };
    Holder { pid, command, container }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listeners_of_that_port_count() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 4711 1 0\n\
             1: 0100007F:1F90 0100007F:9999 01 00000000:00000000 00:00000000 00000000  0 0 4712 1 0\n\
             2: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 4713 1 0\n\
             3: broken\n";
        assert_eq!(inodes(table, 8080, Protocol::Tcp), [4711]);
        assert_eq!(inodes(table, 8080, Protocol::Udp), [4711, 4712]);
    }

    #[test]
    fn our_own_listener_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let holder = find(listener.local_addr().unwrap().port(), Protocol::Tcp).unwrap();
        assert_eq!(holder.pid, i32::try_from(std::process::id()).unwrap());
        assert_eq!(holder.container, None);
    }
}
