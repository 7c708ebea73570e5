//! Assembles an image from the host's packages: a layer with the distribution's essential ones, shared by all, and one with the rest.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{AtFlags, Timespec, Timestamps};
use serde::{Deserialize, Serialize};

use crate::Runtime;
use crate::bootstrap::catalogue::{self, Software};
use crate::bootstrap::deb::{self, DebError};
use crate::bootstrap::foundation::{self, FixError, Root};
use crate::bootstrap::host::{self, Host};
use crate::bootstrap::packages::{self, Apt, Package, PackagesError};
use crate::bootstrap::software;
use crate::image::config::{History, ImageConfig};
use crate::image::digest::Digest;
use crate::image::layers::{self, Layer};
use crate::image::reference::Reference;
use crate::image::staging;
use crate::image::store::{self, Image, StoreError};
use crate::progress::{Report, Reporter};
use crate::snapshot::diff::{self, DiffError};
use crate::state::record::{self, RecordError};

/// The label that lists the packages of an assembled image.
pub const LABEL: &str = "io.motet.bootstrap";

/// Why an image could not be assembled.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum AssembleError {
    #[error("this host's {package} is {version}, not {wanted}")]
    Version { package: &'static str, version: String, wanted: String },
    #[error("{distribution} has no package `{package}`")]
    NoPackage { distribution: &'static str, package: &'static str },
    #[error(transparent)]
    Packages(#[from] PackagesError),
    #[error(transparent)]
    Deb(#[from] DebError),
    #[error(transparent)]
    Fix(#[from] FixError),
    #[error("cannot finish the image's directory")]
    Finish(#[source] io::Error),
    #[error(transparent)]
    Diff(#[from] DiffError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// What every image but busybox stands on. With `usr-is-merged` nothing pulls in the program that would merge `/usr`.
const BASE: &[&str] = &["?essential", "apt", "ca-certificates", "usr-is-merged"];
/// Part of every layer's key: raised when what we write into them changes.
const RECIPE: u32 = 1;
/// Files that we wrote, and all directories, bear this time (2000-01-01): the same packages give the same layer.
const TIME: i64 = 946_684_800;

/// Remembers which layer a set of packages became.
#[derive(Serialize, Deserialize)]
struct LayerOf {
    diff_id: String,
}

/// Assembles the image that `reference` names; `None`: the host's packages can't stand for it.
pub fn assemble(rt: &Runtime, reference: &Reference, reporter: &dyn Reporter) -> Result<Option<Image>, AssembleError> {
    let Some(host) = host::look() else { return Ok(None) };
    let Some(candidate) = catalogue::find(reference, &host) else { return Ok(None) };
    let software = candidate.software;
    let distribution = host.distribution.name();
    let _lease = store::lease(rt)?;
    let mut apt = packages::prepare(rt)?;
    let with_base: Vec<&str> = match software {
        Software::Busybox => software.packages().to_vec(),
        Software::System | Software::Python | Software::Redis | Software::Nginx | Software::Postgres => {
            [BASE, software.packages()].concat()
        }
    };
    let (base, all) = match software {
        Software::Busybox => (Vec::new(), apt.closures(&[&with_base])?.remove(0)),
        Software::System | Software::Python | Software::Redis | Software::Nginx | Software::Postgres => {
            let mut found = apt.closures(&[BASE, &with_base])?;
            (found.remove(0), found.remove(0))
        }
    };
    let version = match software.leading_package() {
        None => host.version.clone(),
        Some(package) => {
            let found = all.iter().find(|it| it.name == package);
            let found = found.ok_or(AssembleError::NoPackage { distribution, package })?;
            catalogue::upstream_version(&found.version).to_owned()
        }
    };
    if let (Some(wanted), Some(package)) = (&candidate.version, software.leading_package())
        && !catalogue::satisfies(&version, wanted)
    {
        return Err(AssembleError::Version { package, version, wanted: wanted.clone() });
    }
    reporter.report(Report::Note(format!(
        "{reference}: not pulled, assembled from this host's {distribution} {} packages",
        host.codename
    )));
    if !apt.has(&all) {
        apt.download(&with_base)?;
    }
    let below: BTreeSet<&Package> = base.iter().collect();
    let own: Vec<Package> = all.iter().filter(|package| !below.contains(package)).cloned().collect();
    let mut made = Vec::new();
    if !base.is_empty() {
        made.push((
            layer(rt, &apt, "base", &base, |root, noted| {
                foundation::finish(root, &host)?;
                Ok(foundation::note(root, None, noted)?)
            })?,
            "essential packages",
        ));
    }
    let files: Vec<PathBuf> = own.iter().map(|package| apt.path(package)).collect();
    // Other images may be found meanwhile; what is downloaded stays.
    drop(apt);
    if software == Software::Busybox || !own.is_empty() {
        let base_directory = made.first().map(|(layer, _)| layers::directory(rt, &layer.diff_id));
        let own_layer =
            layer_of(rt, &format!("{software:?}"), &all, &files, software != Software::Busybox, |root, noted| {
                match &base_directory {
                    None => busybox(root),
                    Some(base) => {
                        software::finish(software, &version, root, Root(base))?;
                        Ok(foundation::note(root, Some(Root(base)), noted)?)
                    }
                }
            })?;
        made.push((own_layer, "its own packages"));
    }
    put(rt, reference, &host, software, &version, &all, &made).map(Some)
}

fn put(
    rt: &Runtime,
    reference: &Reference,
    host: &Host,
    software: Software,
    version: &str,
    all: &[Package],
    made: &[(Layer, &str)],
) -> Result<Image, AssembleError> {
    let mut config = ImageConfig { config: software::settings(software, version), ..ImageConfig::empty() };
    let list: Vec<_> = all.iter().map(|package| format!("{}={}", package.name, package.version)).collect();
    config.config.labels.insert(LABEL.to_owned(), list.join(" "));
    for (layer, what) in made {
        config.rootfs.diff_ids.push(layer.diff_id);
        let from = format!("{} {}: {what}", host.distribution.name(), host.codename);
        config.history.push(History { created_by: Some(from), ..History::default() });
    }
    Ok(store::put(rt, &config.to_json(), std::slice::from_ref(reference))?)
}

fn layer(
    rt: &Runtime,
    apt: &Apt,
    name: &str,
    packages: &[Package],
    finish: impl FnOnce(Root<'_>, &[deb::Noted]) -> Result<(), AssembleError>,
) -> Result<Layer, AssembleError> {
    let files: Vec<PathBuf> = packages.iter().map(|package| apt.path(package)).collect();
    layer_of(rt, name, packages, &files, true, finish)
}

/// Makes a layer of package files, or finds the one made of the same before. `key` tells sets of packages apart.
fn layer_of(
    rt: &Runtime,
    name: &str,
    key: &[Package],
    files: &[PathBuf],
    merged_usr: bool,
    finish: impl FnOnce(Root<'_>, &[deb::Noted]) -> Result<(), AssembleError>,
) -> Result<Layer, AssembleError> {
    let text: String = key.iter().map(|package| format!("{}\n", package.file)).collect();
    let key = Digest::of(format!("{RECIPE} {name}\n{text}").as_bytes());
    let remembered = rt.layout.bootstrap().join(format!("{}.json", key.hex()));
    let known = record::read::<LayerOf>(&remembered).ok().flatten();
    if let Some(layer) = known.and_then(|it| it.diff_id.parse().ok()).and_then(|id| layers::find(rt, &id)) {
        return Ok(layer);
    }
    let staged = staging::create(rt).map_err(AssembleError::Finish)?;
    let started = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse).tv_sec - 1;
    let noted = deb::unpack_all(staged.directory.as_fd(), files, merged_usr)?;
    finish(Root(&staged.path), &noted)?;
    still(&staged.path, started).map_err(AssembleError::Finish)?;
    let layer = diff::commit(rt, &staged.path)?;
    record::write(&remembered, &LayerOf { diff_id: layer.diff_id.to_string() })?;
    Ok(layer)
}

/// Gives every directory, and every file that is new, the same time: the order in which packages were unpacked leaves no trace.
fn still(directory: &Path, started: i64) -> io::Result<()> {
    let time = Timespec { tv_sec: TIME, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            still(&entry.path(), started)?;
        } else if std::os::unix::fs::MetadataExt::mtime(&metadata) >= started {
            rustix::fs::utimensat(rustix::fs::CWD, entry.path(), &times, AtFlags::SYMLINK_NOFOLLOW)?;
        }
    }
    Ok(rustix::fs::utimensat(rustix::fs::CWD, directory, &times, AtFlags::empty())?)
}

/// One static program under all its names, and the few files that it looks for.
#[expect(clippy::disallowed_methods, reason = "busybox itself knows its names; it is static and was verified by apt")]
fn busybox(root: Root<'_>) -> Result<(), AssembleError> {
    let output = Command::new(root.at("/bin/busybox")).arg("--list").output().map_err(AssembleError::Finish)?;
    for name in String::from_utf8_lossy(&output.stdout).lines().filter(|name| *name != "busybox") {
        root.link(&format!("/bin/{name}"), "busybox")?;
    }
    std::fs::remove_dir_all(root.at("/usr/share")).or_else(ignore_missing).map_err(AssembleError::Finish)?;
    for (path, mode) in [("/tmp", 0o1777), ("/root", 0o700), ("/var/spool/mail", 0o755), ("/home", 0o755)] {
        root.folder(path, mode)?;
    }
    root.file("/etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n")?;
    root.file("/etc/group", 0o644, b"root:x:0:\nnogroup:x:65534:\n")?;
    Ok(root.file("/etc/shadow", 0o640, b"root:*:19000:0:99999:7:::\n")?)
}

fn ignore_missing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}
