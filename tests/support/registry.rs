//! Debian's `docker-registry` for a scenario, with a folder of its own.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::support::host::until;

/// A registry that is stopped when dropped.
pub struct Registry {
    process: Child,
    _folder: tempfile::TempDir,
    /// `127.0.0.1:PORT`, which everybody talks to without TLS.
    pub address: String,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Registry {
    /// Starts it; `None`, after saying so: it is not installed.
    pub fn start() -> Option<Self> {
        let program = "/usr/bin/docker-registry";
        if !std::path::Path::new(program).exists() {
            println!("skipped: Debian's package `docker-registry` is not installed");
            return None;
        }
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}/data}}}}\nhttp: {{addr: \"{address}\"}}\n",
            folder.path().display()
        );
        let path = folder.path().join("config.yml");
        std::fs::write(&path, config).unwrap();
        let mut command = Command::new(program);
        command.arg("serve").arg(&path).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().unwrap();
        let registry = Self { process, _folder: folder, address };
        until("the registry listens", || TcpStream::connect(&registry.address).is_ok());
        Some(registry)
    }
}
