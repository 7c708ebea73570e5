//! What maintainer scripts would have written into a fresh system: merged `/usr`, accounts, shells, certificates, apt's sources, dpkg's notes.

use std::fmt::Write as _;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::bootstrap::deb::Noted;
use crate::bootstrap::host::{Distribution, Host};

/// A step of ours failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{path}`")]
pub struct FixError {
    /// In the image.
    pub path: PathBuf,
    /// What the kernel said.
    #[source]
    pub source: io::Error,
}

/// An image's directory being finished. Everything written gets the same old time, so that the same packages give the same layer.
#[derive(Debug, Clone, Copy)]
pub struct Root<'a>(pub &'a Path);

impl Root<'_> {
    /// Returns where a path of the image is now.
    pub fn at(self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    /// Writes a file, with its folders.
    pub fn file(self, path: &str, mode: u32, content: &[u8]) -> Result<(), FixError> {
        let target = self.at(path);
        self.folders(path)
            .and_then(|()| match std::fs::remove_file(&target) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                Ok(()) | Err(_) => std::fs::write(&target, content),
            })
            .and_then(|()| std::fs::set_permissions(&target, std::fs::Permissions::from_mode(mode)))
            .map_err(|source| FixError { path: path.into(), source })
    }

    /// Makes a folder with its parents.
    pub fn folder(self, path: &str, mode: u32) -> Result<(), FixError> {
        let target = self.at(path);
        std::fs::create_dir_all(&target)
            .and_then(|()| std::fs::set_permissions(&target, std::fs::Permissions::from_mode(mode)))
            .map_err(|source| FixError { path: path.into(), source })
    }

    /// Makes a link unless something is there.
    pub fn link(self, path: &str, to: &str) -> Result<(), FixError> {
        self.folders(path)
            .and_then(|()| match symlink(to, self.at(path)) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                Ok(()) | Err(_) => Ok(()),
            })
            .map_err(|source| FixError { path: path.into(), source })
    }

    /// Gives a path of the image to an account.
    pub fn own(self, path: &str, id: u32) -> Result<(), FixError> {
        std::os::unix::fs::chown(self.at(path), Some(id), Some(id))
            .map_err(|source| FixError { path: path.into(), source })
    }

    /// Reads a file of the image; empty when there is none.
    pub fn read(self, path: &str) -> String {
        std::fs::read(self.at(path)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    fn folders(self, path: &str) -> io::Result<()> {
        self.at(path).parent().map_or(Ok(()), std::fs::create_dir_all)
    }
}

/// An account that a package's script would have added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of passwd(5)")]
pub struct Account {
    pub name: &'static str,
    pub id: u32,
    pub home: &'static str,
    pub shell: &'static str,
}

const APT_USER: Account = Account { name: "_apt", id: 100, home: "/nonexistent", shell: "/usr/sbin/nologin" };

/// Finishes a system's root directory.
pub fn finish(root: Root<'_>, host: &Host) -> Result<(), FixError> {
    for name in ["bin", "sbin", "lib", "lib32", "lib64", "libx32"] {
        if root.at("usr").join(name).is_dir() {
            root.link(name, &format!("usr/{name}"))?;
        }
    }
    for (path, to) in [
        ("/usr/bin/sh", "dash"),
        ("/usr/bin/awk", "mawk"),
        ("/usr/bin/nawk", "mawk"),
        ("/usr/bin/which", "which.debianutils"),
        ("/usr/bin/pager", "more"),
        ("/etc/localtime", "/usr/share/zoneinfo/Etc/UTC"),
        ("/var/run", "/run"),
        ("/var/lock", "/run/lock"),
    ] {
        root.link(path, to)?;
    }
    for (path, mode) in [
        ("/tmp", 0o1777),
        ("/var/tmp", 0o1777),
        ("/run", 0o755),
        ("/run/lock", 0o1777),
        ("/root", 0o700),
        ("/home", 0o755),
        ("/proc", 0o755),
        ("/sys", 0o755),
        ("/dev", 0o755),
        ("/mnt", 0o755),
        ("/opt", 0o755),
        ("/srv", 0o755),
        ("/usr/local/bin", 0o755),
        ("/var/mail", 0o2775),
        ("/var/lib/dpkg/updates", 0o755),
        ("/var/lib/dpkg/triggers", 0o755),
        ("/var/lib/apt/lists/partial", 0o755),
        ("/var/cache/apt/archives/partial", 0o755),
    ] {
        root.folder(path, mode)?;
    }
    for (from, to) in [
        ("/usr/share/base-files/nsswitch.conf", "/etc/nsswitch.conf"),
        ("/usr/share/base-files/profile", "/etc/profile"),
        ("/usr/share/base-files/motd", "/etc/motd"),
        ("/usr/share/base-files/dot.bashrc", "/root/.bashrc"),
        ("/usr/share/base-files/dot.profile", "/root/.profile"),
    ] {
        let text = root.read(from);
        if !text.is_empty() {
            root.file(to, 0o644, text.as_bytes())?;
        }
    }
    root.file("/etc/timezone", 0o644, b"Etc/UTC\n")?;
    root.file("/etc/shells", 0o644, b"/bin/sh\n/usr/bin/sh\n/bin/bash\n/usr/bin/bash\n/bin/dash\n/usr/bin/dash\n")?;
    root.file(
        "/usr/sbin/policy-rc.d",
        0o755,
        b"#!/bin/sh\n# No service is started while packages are installed.\nexit 101\n",
    )?;
    root.file("/etc/dpkg/dpkg.cfg.d/image", 0o644, DPKG_SETTINGS.as_bytes())?;
    accounts(root)?;
    certificates(root)?;
    sources(root, host)
}

/// What the image left out stays out, and what can be made again is not synced.
const DPKG_SETTINGS: &str = "force-unsafe-io
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/man/*
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*/LC_MESSAGES/*.mo
";

fn accounts(root: Root<'_>) -> Result<(), FixError> {
    let mut passwd = String::new();
    let mut shadow = String::new();
    for line in root.read("/usr/share/base-passwd/passwd.master").lines() {
        let mut fields: Vec<&str> = line.split(':').collect();
        if fields.len() == 7 {
            fields[1] = "x";
            let _ = writeln!(passwd, "{}", fields.join(":"));
            let _ = writeln!(shadow, "{}:*:19000:0:99999:7:::", fields[0]);
        }
    }
    let mut group = String::new();
    for line in root.read("/usr/share/base-passwd/group.master").lines() {
        let mut fields: Vec<&str> = line.split(':').collect();
        if fields.len() == 4 {
            fields[1] = "x";
            let _ = writeln!(group, "{}", fields.join(":"));
        }
    }
    root.file("/etc/passwd", 0o644, passwd.as_bytes())?;
    root.file("/etc/group", 0o644, group.as_bytes())?;
    root.file("/etc/shadow", 0o640, shadow.as_bytes())?;
    let row = APT_USER;
    // apt downloads as this account; it has the group `nogroup`.
    let line = format!("{}:x:{}:65534::{}:{}\n", row.name, row.id, row.home, row.shell);
    root.file("/etc/passwd", 0o644, (passwd + &line).as_bytes())?;
    root.file("/etc/shadow", 0o640, (shadow + "_apt:*:19000:0:99999:7:::\n").as_bytes())
}

/// Adds accounts to those of `base`, the layer below, as files of this one.
pub fn add_accounts(root: Root<'_>, base: Root<'_>, accounts: &[Account]) -> Result<(), FixError> {
    let (mut passwd, mut group, mut shadow) =
        (base.read("/etc/passwd"), base.read("/etc/group"), base.read("/etc/shadow"));
    for Account { name, id, home, shell } in accounts {
        let _ = writeln!(passwd, "{name}:x:{id}:{id}::{home}:{shell}");
        let _ = writeln!(group, "{name}:x:{id}:");
        let _ = writeln!(shadow, "{name}:!:19000::::::");
    }
    root.file("/etc/passwd", 0o644, passwd.as_bytes())?;
    root.file("/etc/group", 0o644, group.as_bytes())?;
    root.file("/etc/shadow", 0o640, shadow.as_bytes())
}

/// What `update-ca-certificates` makes: one file of all. OpenSSL looks for it under its own name, instead of a folder of hashes.
fn certificates(root: Root<'_>) -> Result<(), FixError> {
    let folder = root.at("/usr/share/ca-certificates/mozilla");
    let Ok(entries) = std::fs::read_dir(&folder) else { return Ok(()) };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let (mut bundle, mut list) = (Vec::new(), String::new());
    for path in paths.iter().filter(|path| path.extension().is_some_and(|it| it == "crt")) {
        let content = std::fs::read(path).map_err(|source| FixError { path: path.clone(), source })?;
        bundle.extend(content);
        let _ = writeln!(list, "mozilla/{}", path.file_name().unwrap_or_default().to_string_lossy());
    }
    root.file("/etc/ssl/certs/ca-certificates.crt", 0o644, &bundle)?;
    root.file("/etc/ca-certificates.conf", 0o644, list.as_bytes())?;
    root.link("/usr/lib/ssl/cert.pem", "/etc/ssl/certs/ca-certificates.crt")
}

fn sources(root: Root<'_>, host: &Host) -> Result<(), FixError> {
    let suite = &host.codename;
    match host.distribution {
        Distribution::Debian => {
            let text = format!(
                "Types: deb\nURIs: http://deb.debian.org/debian\nSuites: {suite} {suite}-updates\nComponents: main\n\
                 Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n\
                 Types: deb\nURIs: http://deb.debian.org/debian-security\nSuites: {suite}-security\nComponents: main\n\
                 Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
            );
            root.file("/etc/apt/sources.list.d/debian.sources", 0o644, text.as_bytes())
        }
        Distribution::Ubuntu => {
            let ports = !cfg!(any(target_arch = "x86_64", target_arch = "x86"));
            let address =
                if ports { "http://ports.ubuntu.com/ubuntu-ports" } else { "http://archive.ubuntu.com/ubuntu" };
            let text = format!(
                "Types: deb\nURIs: {address}\nSuites: {suite} {suite}-updates {suite}-security\n\
                 Components: main restricted universe multiverse\nSigned-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg\n"
            );
            root.file("/etc/apt/sources.list.d/ubuntu.sources", 0o644, text.as_bytes())
        }
    }
}

/// Writes dpkg's notes of `own` packages, after those of the layer below.
pub fn note(root: Root<'_>, base: Option<Root<'_>>, own: &[Noted]) -> Result<(), FixError> {
    let below = |path: &str| base.map(|base| base.read(path)).unwrap_or_default();
    let mut status = below("/var/lib/dpkg/status");
    let mut interests: std::collections::BTreeMap<String, String> = std::collections::BTreeMap::new();
    for noted in own {
        let (head, rest) = noted.control.split_once('\n').unwrap_or((&noted.control, ""));
        let _ = write!(status, "{head}\nStatus: install ok installed\n{rest}\n\n");
        let key = noted.key();
        let list: String = noted.paths.iter().map(|path| format!("{path}\n")).collect();
        root.file(&format!("/var/lib/dpkg/info/{key}.list"), 0o644, list.as_bytes())?;
        for (name, (mode, content)) in &noted.members {
            root.file(&format!("/var/lib/dpkg/info/{key}.{name}"), *mode, content)?;
        }
        let triggers = noted.members.get("triggers").map(|it| String::from_utf8_lossy(&it.1).into_owned());
        for line in triggers.unwrap_or_default().lines() {
            let mut words = line.split_whitespace();
            let (Some(kind), Some(name)) = (words.next(), words.next()) else { continue };
            let Some(how) = kind.strip_prefix("interest") else { continue };
            let package = if how == "-noawait" { format!("{key}/noawait") } else { key.clone() };
            match name.starts_with('/') {
                true => *interests.entry("File".into()).or_default() += &format!("{name} {package}\n"),
                false => *interests.entry(name.into()).or_default() += &format!("{package}\n"),
            }
        }
    }
    root.file("/var/lib/dpkg/status", 0o644, status.as_bytes())?;
    root.file("/var/lib/dpkg/info/format", 0o644, b"1\n")?;
    for (name, lines) in interests {
        let path = format!("/var/lib/dpkg/triggers/{name}");
        root.file(&path, 0o644, (below(&path) + &lines).as_bytes())?;
    }
    Ok(())
}
