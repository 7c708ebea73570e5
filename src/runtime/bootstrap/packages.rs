//! The host's apt finds, downloads and verifies a closure of packages into a private folder: its sources and keys, its own state untouched.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Runtime;
use crate::image::digest::Digest;
use crate::state::record::{self, Lock, RecordError};

/// A package file of a closure.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Package {
    /// `python3`
    pub name: String,
    /// `3.11.2-1+b1`
    pub version: String,
    /// `python3_3.11.2-1+b1_amd64.deb`, as apt names it.
    pub file: String,
}

/// Why packages are not to be had.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum PackagesError {
    #[error("cannot prepare `{path}` for apt")]
    Prepare {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("cannot run `{program}`")]
    Run {
        program: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error("apt cannot get {packages}: {message}")]
    Apt { packages: String, message: String },
}

/// Apt set up below the store, and ours alone while this lives.
#[derive(Debug)]
pub struct Apt {
    folder: PathBuf,
    /// Where the package lists are: the host's or ours.
    lists: PathBuf,
    _lock: Lock,
}

/// Package lists of our own are used this long before they are asked for again.
const LISTS_LAST: Duration = Duration::from_secs(6 * 3600);
const HOST_LISTS: &str = "/var/lib/apt/lists";

/// Sets apt up; waits while another process uses the same folder.
pub fn prepare(rt: &Runtime) -> Result<Apt, PackagesError> {
    let folder = rt.layout.bootstrap();
    let make = |path: PathBuf| std::fs::create_dir_all(&path).map_err(|source| PackagesError::Prepare { path, source });
    for part in ["closures", "state/lists/partial", "cache/archives/partial", "none/partial"] {
        make(folder.join(part))?;
    }
    let lock = record::lock(&rt.layout.lock("bootstrap"))?;
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|source| PackagesError::Prepare { path, source })
    };
    // Nothing is installed: every dependency is part of the closure.
    write("status", "")?;
    write("apt.conf", &configuration(&run("/usr/bin/apt-config", &["dump"], None)?))?;
    let mut apt = Apt { lists: HOST_LISTS.into(), folder, _lock: lock };
    let is_list = |name: std::ffi::OsString| name.to_string_lossy().contains("_Packages");
    let filled = std::fs::read_dir(HOST_LISTS).is_ok_and(|mut it| it.any(|e| e.is_ok_and(|e| is_list(e.file_name()))));
    if !filled {
        apt.update()?;
    }
    Ok(apt)
}

/// The host's whole configuration but its hooks, which would clean the host's caches; apt then reads no other.
fn configuration(dump: &str) -> String {
    let hooks = ["-invoke", "pre-install-pkgs", "dir::etc::parts", "dir::etc::main", "periodic"];
    let kept = dump.lines().filter(|line| {
        let key = line.split(' ').next().unwrap_or_default().to_ascii_lowercase();
        !hooks.iter().any(|hook| key.contains(hook))
    });
    let mut text: String = kept.map(|line| format!("{line}\n")).collect();
    text += "Dir::Etc::main \"/dev/null\";\nDir::Etc::parts \"/dev/null\";\n";
    text
}

impl Apt {
    /// Finds the closure of several groups of packages, side by side: each costs apt a second or two.
    pub fn closures(&mut self, groups: &[&[&str]]) -> Result<Vec<Vec<Package>>, PackagesError> {
        match self.try_closures(groups) {
            // The lists may be those of a machine that never looked at its mirror since.
            Err(PackagesError::Apt { .. }) if self.lists.as_os_str() == HOST_LISTS => {
                self.update()?;
                self.try_closures(groups)
            }
            other => other,
        }
    }

    /// Downloads what is missing of a closure; apt checks every file's digest against its signed lists.
    pub fn download(&mut self, packages: &[&str]) -> Result<(), PackagesError> {
        let download = |apt: &Self| apt.install(packages, &["--download-only", "--yes"]);
        match download(self) {
            Err(PackagesError::Apt { .. }) if self.lists.as_os_str() == HOST_LISTS => {
                self.update()?;
                download(self).map(drop)
            }
            other => other.map(drop),
        }
    }

    /// Where a downloaded package is.
    pub fn path(&self, package: &Package) -> PathBuf {
        self.folder.join("cache/archives").join(&package.file)
    }

    /// Says whether every package is there already.
    pub fn has(&self, packages: &[Package]) -> bool {
        packages.iter().all(|package| self.path(package).is_file())
    }

    fn try_closures(&self, groups: &[&[&str]]) -> Result<Vec<Vec<Package>>, PackagesError> {
        let archives = format!("Dir::Cache::archives={}", self.folder.join("none").display());
        // With an empty archive folder apt names every file that it would have to fetch.
        let state = self.lists_state();
        let find = |group: &[&str]| -> Result<Vec<Package>, PackagesError> {
            // The same lists give the same answer, which takes apt a second or two.
            let key = Digest::of(format!("{} {state}", group.join(" ")).as_bytes());
            let known = self.folder.join(format!("closures/{}.json", key.hex()));
            if let Ok(Some(packages)) = record::read::<Vec<Package>>(&known) {
                return Ok(packages);
            }
            let text = self.install(group, &["-o", &archives, "--print-uris"])?;
            let mut packages: Vec<_> = text.lines().filter_map(package).collect();
            packages.sort();
            packages.dedup();
            record::write(&known, &packages)?;
            Ok(packages)
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = groups.iter().map(|group| scope.spawn(|| find(group))).collect();
            threads.into_iter().map(|thread| thread.join().expect("finding packages does not panic")).collect()
        })
    }

    /// Names and times of the package lists and of the host's own settings.
    fn lists_state(&self) -> String {
        let mut files = Vec::new();
        for folder in [
            &*self.lists,
            Path::new("/etc/apt"),
            Path::new("/etc/apt/sources.list.d"),
            Path::new("/etc/apt/preferences.d"),
        ] {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let changed = entry.metadata().and_then(|it| it.modified()).ok();
                files.push(format!("{} {changed:?}", entry.path().display()));
            }
        }
        files.sort();
        files.join("\n")
    }

    /// Fetches lists of our own, unless those that we have are fresh.
    fn update(&mut self) -> Result<(), PackagesError> {
        self.lists = self.folder.join("state/lists");
        let stamp = self.folder.join("state/updated");
        let age = std::fs::metadata(&stamp).and_then(|it| it.modified()).ok().and_then(|it| it.elapsed().ok());
        if age.is_some_and(|age| age < LISTS_LAST) {
            return Ok(());
        }
        self.apt(&["update"], "the package lists")?;
        std::fs::write(&stamp, "").map_err(|source| PackagesError::Prepare { path: stamp, source })
    }

    fn install(&self, packages: &[&str], options: &[&str]) -> Result<String, PackagesError> {
        self.apt(&[options, &["install"], packages].concat(), &packages.join(" "))
    }

    fn apt(&self, args: &[&str], packages: &str) -> Result<String, PackagesError> {
        let state = self.folder.join("state");
        let cache = self.folder.join("cache");
        let settings = [
            format!("Dir::State={}", state.display()),
            format!("Dir::State::status={}", self.folder.join("status").display()),
            format!("Dir::State::lists={}", self.lists.display()),
            format!("Dir::Cache={}", cache.display()),
            "Dir::Cache::archives=archives/".to_owned(),
            "Dir::Cache::pkgcache=pkgcache.bin".to_owned(),
            "Dir::Cache::srcpkgcache=srcpkgcache.bin".to_owned(),
            "APT::Install-Recommends=0".to_owned(),
            "APT::Install-Suggests=0".to_owned(),
            "Acquire::Retries=2".to_owned(),
            "Acquire::Languages=none".to_owned(),
        ];
        let options = settings.iter().flat_map(|setting| ["-o", setting]);
        let args: Vec<&str> = ["-qq"].into_iter().chain(options).chain(args.iter().copied()).collect();
        run("/usr/bin/apt-get", &args, Some(&self.folder.join("apt.conf"))).map_err(|error| match error {
            PackagesError::Apt { message, .. } => PackagesError::Apt { packages: packages.into(), message },
            PackagesError::Prepare { .. } | PackagesError::Record(_) | PackagesError::Run { .. } => error,
        })
    }
}

/// Reads a line of `--print-uris`: the address in quotes, the file's name, its size, its digest.
fn package(line: &str) -> Option<Package> {
    let file = line.split(' ').nth(1)?;
    let mut parts = file.strip_suffix(".deb")?.split('_');
    let (name, version) = (parts.next()?, parts.next()?);
    Some(Package { name: name.into(), version: version.replace("%3a", ":"), file: file.into() })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the host's package tools know its sources, keys and proxies; off every hot path"
)]
fn run(program: &'static str, args: &[&str], configuration: Option<&PathBuf>) -> Result<String, PackagesError> {
    let mut command = Command::new(program);
    command.args(args).env("LC_ALL", "C").env("DEBIAN_FRONTEND", "noninteractive");
    if let Some(path) = configuration {
        command.env("APT_CONFIG", path);
    }
    let output = command.output().map_err(|source| PackagesError::Run { program, source })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let errors: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("E: ")).collect();
    let message = if errors.is_empty() { text.trim().to_owned() } else { errors.join("; ") };
    Err(PackagesError::Apt { packages: String::new(), message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_apt_names_a_package() {
        let line =
            "'http://x/pool/r/redis-server_7.0.15-1_amd64.deb' redis-server_5%3a7.0.15-1_amd64.deb 72356 MD5Sum:aa";
        let found = package(line).unwrap();
        assert_eq!((&*found.name, &*found.version), ("redis-server", "5:7.0.15-1"));
        assert_eq!(package("nonsense"), None);
    }

    #[test]
    fn hooks_of_the_host_are_left_out() {
        let dump = "APT::Update::Post-Invoke:: \"rm -f /var/cache/apt/*\";\nAcquire::http::Proxy \"http://p\";\nDir::Etc::parts \"apt.conf.d\";\n";
        let text = configuration(dump);
        assert!(text.contains("Proxy") && !text.contains("rm -f") && !text.contains("apt.conf.d"));
    }
}
