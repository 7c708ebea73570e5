//! Package files into one directory, several at once: their content through the same safe unpacking as layers, and what dpkg would
//! have noted of them, so that dpkg and apt inside the image know what is there. No maintainer script runs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{BufReader, Read as _};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use crate::snapshot::archive::{Archive, ArchiveError, Kind};
use crate::snapshot::extract::{self, ExtractError, Rules};

/// Why a package can't be unpacked.
#[derive(Debug, thiserror::Error)]
#[error("cannot unpack `{path}`")]
pub struct DebError {
    /// The package file.
    pub path: PathBuf,
    /// What went wrong.
    #[source]
    pub source: DebFailure,
}

/// What went wrong with a package.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum DebFailure {
    #[error(transparent)]
    Extract(#[from] ExtractError),
    #[error("cannot run `dpkg-deb`")]
    Run(#[source] std::io::Error),
    #[error("`dpkg-deb` says: {0}")]
    Tool(String),
    #[error("it has no control file")]
    NoControl,
}

/// What dpkg notes of an installed package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Noted {
    /// The control file's fields, as text.
    pub control: String,
    /// Scripts, triggers and the like, by name.
    pub members: BTreeMap<String, (u32, Vec<u8>)>,
    /// Every path, as `/usr/bin/x`.
    pub paths: Vec<String>,
}

impl Noted {
    /// Returns a field of the control file.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.control.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// Returns the name that dpkg files it under: with the architecture where several may be installed at once.
    pub fn key(&self) -> String {
        let name = self.field("Package").unwrap_or_default();
        match (self.field("Multi-Arch"), self.field("Architecture")) {
            (Some("same"), Some(architecture)) => format!("{name}:{architecture}"),
            (_, _) => name.to_owned(),
        }
    }
}

/// Unpacks packages below `root`, and returns what is to be noted of each, in their order.
pub fn unpack_all(root: BorrowedFd<'_>, files: &[PathBuf], merged_usr: bool) -> Result<Vec<Noted>, DebError> {
    let next = Mutex::new(files.iter().enumerate());
    let done = Mutex::new(BTreeMap::new());
    // The tool decompresses in a process of its own: two packages for each processor keep all of them busy.
    let threads = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8);
    std::thread::scope(|scope| {
        let work = || loop {
            let taken = next.lock().expect("no thread panics with the lock").next();
            let Some((place, path)) = taken else { return Ok(()) };
            let noted = unpack(root, path, merged_usr).map_err(|source| DebError { path: path.clone(), source })?;
            done.lock().expect("no thread panics with the lock").insert(place, noted);
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("unpacking does not panic"))
    })?;
    Ok(done.into_inner().expect("no thread panicked").into_values().collect())
}

fn unpack(root: BorrowedFd<'_>, path: &Path, merged_usr: bool) -> Result<Noted, DebFailure> {
    let mut noted = Noted::default();
    let (mut tool, output) = start("--ctrl-tarfile", path)?;
    let mut control = Archive::new(BufReader::new(output));
    while let Some(item) = control.next_item().map_err(ExtractError::Archive)? {
        let (Kind::File, [name]) = (&item.kind, &*item.path) else { continue };
        let mut content = Vec::new();
        Body(&mut control).read_to_end(&mut content).map_err(|e| ExtractError::Archive(ArchiveError::Read(e)))?;
        match &*String::from_utf8_lossy(name) {
            "control" => noted.control = String::from_utf8_lossy(&content).trim_end().to_owned(),
            name @ ("preinst" | "postinst" | "prerm" | "postrm" | "config" | "templates" | "triggers") => {
                noted.members.insert(name.to_owned(), (item.mode, content));
            }
            // Digests and library symbols serve those who make packages.
            _ => {}
        }
    }
    end(&mut tool)?;
    if noted.control.is_empty() {
        return Err(DebFailure::NoControl);
    }
    let paths = RefCell::new(Vec::new());
    let leave_out = |path: &[Vec<u8>]| {
        let text: String = path.iter().map(|part| format!("/{}", String::from_utf8_lossy(part))).collect();
        let left_out = is_left_out(&text);
        paths.borrow_mut().push(if text.is_empty() { "/.".to_owned() } else { text });
        left_out
    };
    let (mut tool, output) = start("--fsys-tarfile", path)?;
    let mut content = Archive::new(BufReader::with_capacity(128 << 10, output));
    let rules = Rules { keep_links: true, merged_usr, leave_out: Some(&leave_out), ..Rules::default() };
    extract::extract(root, &mut content, rules)?;
    drop(content);
    end(&mut tool)?;
    noted.paths = paths.into_inner();
    Ok(noted)
}

/// What the `-slim` images leave out too; copyright files stay. Python's mark would forbid `pip install`.
fn is_left_out(path: &str) -> bool {
    let below = |folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    let manual = ["/usr/share/man", "/usr/share/info", "/usr/share/lintian", "/usr/share/linda"];
    manual.iter().any(|folder| below(folder))
        || (below("/usr/share/doc") && path.matches('/').count() > 4 && !path.ends_with("/copyright"))
        || (below("/usr/share/locale") && path.ends_with(".mo"))
        || (path.starts_with("/usr/lib/python3") && path.ends_with("/EXTERNALLY-MANAGED"))
}

#[expect(clippy::disallowed_methods, reason = "the host's dpkg-deb knows every compression that its packages use")]
fn start(what: &str, path: &Path) -> Result<(Child, ChildStdout), DebFailure> {
    let mut command = Command::new("/usr/bin/dpkg-deb");
    command.arg(what).arg(path).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(DebFailure::Run)?;
    let output = child.stdout.take().expect("it was asked for");
    Ok((child, output))
}

/// Waits for the tool. It may still want to write what follows the end mark; nobody reads that.
fn end(tool: &mut Child) -> Result<(), DebFailure> {
    let mut text = String::new();
    if let Some(mut errors) = tool.stderr.take() {
        errors.read_to_string(&mut text).map_err(DebFailure::Run)?;
    }
    let status = tool.wait().map_err(DebFailure::Run)?;
    let cut = std::os::unix::process::ExitStatusExt::signal(&status) == Some(13);
    if status.success() || cut { Ok(()) } else { Err(DebFailure::Tool(text.trim().to_owned())) }
}

/// The current member's body as a reader.
struct Body<'a, R>(&'a mut Archive<R>);

impl<R: std::io::Read> std::io::Read for Body<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read_body(buffer).map_err(std::io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manuals_are_left_out_and_copyright_stays() {
        for path in
            ["/usr/share/man/man1/ls.1.gz", "/usr/lib/python3.11/EXTERNALLY-MANAGED", "/usr/share/doc/x/changelog.gz"]
        {
            assert!(is_left_out(path), "{path}");
        }
        for path in ["", "/usr/share/man", "/usr/share/doc/x/copyright", "/usr/share/doc/x", "/usr/bin/ls"] {
            assert!(!is_left_out(path), "{path}");
        }
    }
}
