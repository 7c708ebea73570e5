//! Named folders that outlive containers, and their first-use copy of what an image has in their place.

mod copy;
pub mod device;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use crate::Runtime;
use crate::state::container::{ContainerRecord, MountSourceRecord, StatusRecord};
use crate::state::layout::Layout;
use crate::state::occurrence::{self, Kind};
use crate::state::record::{self, Lock, RecordError};
use crate::state::volume::VolumeRecord;
use crate::volume::device::Backing;

/// Version of the format.
const VERSION: u32 = 1;

/// A volume to create.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the attributes of a volume under their usual names")]
pub struct VolumeRequest {
    pub name: String,
    /// `None`: `local`, the only one there is.
    pub driver: Option<String>,
    pub options: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    pub anonymous: bool,
}

/// Why a volume could not be made, used or removed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum VolumeError {
    #[error("no volume `{name}`")]
    NotFound { name: String },
    #[error(
        "`{name}` is not a volume name: letters, digits, `_`, `.` and `-`, at least two, beginning with a letter or digit"
    )]
    Name { name: String },
    #[error("volume `{name}` is in use by {}", containers.join(", "))]
    InUse { name: String, containers: Vec<String> },
    #[error("volume `{name}`: {problem}")]
    Unsupported { name: String, problem: String },
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("cannot {act} `{path}`")]
    Io {
        act: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Creates a volume, or returns the one of this name as it is.
pub fn create(rt: &Runtime, request: &VolumeRequest) -> Result<VolumeRecord, VolumeError> {
    check(request)?;
    let _lock = lock(rt)?;
    if let Some(found) = find(rt, &request.name)? {
        return Ok(found);
    }
    let created = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let volume = VolumeRecord {
        version: VERSION,
        name: request.name.clone(),
        created_ms: u64::try_from(created.as_millis()).unwrap_or(u64::MAX),
        driver: "local".into(),
        options: request.options.clone(),
        labels: request.labels.clone(),
        anonymous: request.anonymous,
        populated: false,
        filling: false,
    };
    let unmade = Layout::unmade_volume(&request.name);
    clear(rt, &unmade)?;
    let data = rt.layout.volume_data(&unmade);
    std::fs::create_dir_all(&data).map_err(|source| VolumeError::Io { act: "create", path: data, source })?;
    record::write(&rt.layout.volume(&unmade), &volume)?;
    let folder = rt.layout.volumes().join(&request.name);
    let made = std::fs::rename(rt.layout.volumes().join(unmade), &folder);
    made.map_err(|source| VolumeError::Io { act: "create", path: folder, source })?;
    tell(rt, &volume, "create");
    Ok(volume)
}

fn check(request: &VolumeRequest) -> Result<(), VolumeError> {
    let name = &request.name;
    let is_good = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if name.len() < 2
        || name.len() > 255
        || !name.starts_with(|c: char| c.is_ascii_alphanumeric())
        || !name.chars().all(is_good)
    {
        return Err(VolumeError::Name { name: name.clone() });
    }
    let unsupported = |problem: String| Err(VolumeError::Unsupported { name: name.clone(), problem });
    if let Some(driver) = request.driver.as_deref().filter(|driver| !matches!(*driver, "" | "local" | "default")) {
        return unsupported(format!("there is no volume driver `{driver}`, only `local`"));
    }
    match device::parse(&request.options) {
        Ok(_) => Ok(()),
        Err(problem) => unsupported(problem),
    }
}

fn backing(volume: &VolumeRecord) -> Result<Backing, VolumeError> {
    device::parse(&volume.options).map_err(|problem| VolumeError::Unsupported { name: volume.name.clone(), problem })
}

fn lock(rt: &Runtime) -> Result<Lock, VolumeError> {
    Ok(record::lock(&rt.layout.lock("volumes"))?)
}

/// Returns a volume by its name.
pub fn find(rt: &Runtime, name: &str) -> Result<Option<VolumeRecord>, VolumeError> {
    // A name with a slash would lead elsewhere.
    if name.is_empty() || name.starts_with('.') || name.contains('/') {
        return Ok(None);
    }
    Ok(record::read(&rt.layout.volume(name))?)
}

/// Clears away what is left of a volume that was never finished, or is none any more. The lock must be held.
fn clear(rt: &Runtime, unmade: &str) -> Result<(), VolumeError> {
    let folder = rt.layout.volumes().join(unmade);
    match std::fs::remove_dir_all(&folder) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(VolumeError::Io { act: "remove", path: folder, source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Returns every volume, by name, and clears away what killed commands have left of others.
pub fn list(rt: &Runtime) -> Result<Vec<VolumeRecord>, VolumeError> {
    let folder = rt.layout.volumes();
    let error = |source| VolumeError::Io { act: "read", path: folder.clone(), source };
    let (mut volumes, mut left) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(&folder).map_err(error)? {
        match entry.map_err(error)?.file_name().to_str() {
            Some(name) if name.starts_with('.') => left.push(name.to_owned()),
            Some(name) => volumes.extend(find(rt, name)?),
            None => {}
        }
    }
    // Whoever makes or removes one now holds the lock: then it is for the next one to do.
    if !left.is_empty()
        && let Some(_lock) = record::try_lock(&rt.layout.lock("volumes"))?
    {
        for error in left.iter().filter_map(|name| clear(rt, name).err()) {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot clear away what is left of a volume");
        }
    }
    volumes.sort_by(|a: &VolumeRecord, b| a.name.cmp(&b.name));
    Ok(volumes)
}

/// Returns the folder that containers are given, with the volume's file system mounted on it if it has one.
pub fn prepare(rt: &Runtime, name: &str) -> Result<PathBuf, VolumeError> {
    let volume = find(rt, name)?.ok_or_else(|| VolumeError::NotFound { name: name.into() })?;
    match backing(&volume)? {
        Backing::Device(_) => {
            let _lock = lock(rt)?;
            mounted(rt, &volume)
        }
        Backing::Folder | Backing::Bind(_) => mounted(rt, &volume),
    }
}

/// Says whether what a volume holds lies in the volume's own folder, on no device and in no folder of the host's.
pub fn is_folder(rt: &Runtime, name: &str) -> bool {
    find(rt, name).is_ok_and(|found| found.is_some_and(|volume| volume.options.is_empty()))
}

fn mounted(rt: &Runtime, volume: &VolumeRecord) -> Result<PathBuf, VolumeError> {
    let data = rt.layout.volume_data(&volume.name);
    match backing(volume)? {
        Backing::Folder => Ok(data),
        Backing::Bind(path) => Ok(path),
        Backing::Device(device) => match device.mount(&data) {
            Ok(()) => Ok(data),
            Err(source) if source.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error()) => {
                let problem = format!("the kernel has no file system `{}`", device.kind);
                Err(VolumeError::Unsupported { name: volume.name.clone(), problem })
            }
            Err(source) => Err(VolumeError::Io { act: "mount", path: device.device.into(), source }),
        },
    }
}

/// Takes away the file systems of a container's volumes that no other container which runs uses. Called when it ends.
pub fn release(rt: &Runtime, container: &ContainerRecord) -> Result<(), VolumeError> {
    for mount in &container.mounts {
        let MountSourceRecord::Volume { name, .. } = &mount.source else { continue };
        let Some(volume) = find(rt, name)? else { continue };
        if let Backing::Device(_) = backing(&volume)? {
            let _lock = lock(rt)?;
            unmount_unused(rt, name, Some(&container.id))?;
        }
    }
    Ok(())
}

fn unmount_unused(rt: &Runtime, name: &str, but: Option<&str>) -> Result<(), VolumeError> {
    let is_active = |id: &String| {
        let status: Option<StatusRecord> = record::read(&rt.layout.bundle(id).status()).ok().flatten();
        // From before its start to after its end it has a keeper.
        status.and_then(|status| status.keeper).is_some_and(|keeper| keeper.is_running())
    };
    if users(rt, name)?.iter().any(|(id, _)| Some(id.as_str()) != but && is_active(id)) {
        return Ok(());
    }
    let data = rt.layout.volume_data(name);
    device::unmount(&data).map_err(|source| VolumeError::Io { act: "unmount", path: data, source })
}

fn tell(rt: &Runtime, volume: &VolumeRecord, action: &str) {
    let mut attributes = volume.labels.clone();
    attributes.insert("driver".into(), volume.driver.clone());
    occurrence::record(&rt.layout, Kind::Volume, action, &volume.name, attributes);
}

/// Removes a volume that no container has; says whether it was there.
pub fn remove(rt: &Runtime, name: &str) -> Result<bool, VolumeError> {
    let _lock = lock(rt)?;
    let Some(volume) = find(rt, name)? else { return Ok(false) };
    let containers: Vec<String> = users(rt, name)?.into_iter().map(|(_, name)| name).collect();
    if !containers.is_empty() {
        return Err(VolumeError::InUse { name: name.into(), containers });
    }
    // What is mounted is not ours to remove.
    let data = rt.layout.volume_data(name);
    device::unmount(&data).map_err(|source| VolumeError::Io { act: "unmount", path: data, source })?;
    // From here on it is no volume any more, and what was in it comes back in none of its name; what a kill leaves of
    // it, the next listing clears away.
    let (folder, unmade) = (rt.layout.volumes().join(name), Layout::unmade_volume(name));
    clear(rt, &unmade)?;
    let left = std::fs::rename(&folder, rt.layout.volumes().join(&unmade));
    left.map_err(|source| VolumeError::Io { act: "remove", path: folder, source })?;
    tell(rt, &volume, "destroy");
    clear(rt, &unmade)?;
    Ok(true)
}

/// Ids and names of the containers that mount a volume, running or not, by name.
fn users(rt: &Runtime, name: &str) -> Result<Vec<(String, String)>, VolumeError> {
    let folder = rt.layout.containers();
    let error = |source| VolumeError::Io { act: "read", path: folder.clone(), source };
    let mut users = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(error)? {
        let id = entry.map_err(error)?.file_name().to_string_lossy().into_owned();
        if id.starts_with('.') {
            continue;
        }
        let container: Option<ContainerRecord> = record::read(&rt.layout.bundle(&id).record())?;
        users.extend(
            container
                .filter(|container| mounts(container, name))
                .map(|container| (container.id, format!("`{}`", container.name))),
        );
    }
    users.sort_by(|a: &(String, String), b| a.1.cmp(&b.1));
    Ok(users)
}

fn mounts(container: &ContainerRecord, volume: &str) -> bool {
    container.mounts.iter().any(|mount| match &mount.source {
        MountSourceRecord::Volume { name, .. } => name == volume,
        MountSourceRecord::Bind { .. }
        | MountSourceRecord::Tmpfs { .. }
        | MountSourceRecord::File { .. }
        | MountSourceRecord::Image { .. } => false,
    })
}

/// Copies what an image has at a volume's place into the volume, with owners, modes, times and attributes; only at
/// its first use and only when nothing is in it yet.
///
/// `source` opens the image's folder when it is needed; `None`: the image has no such folder.
pub fn populate(
    rt: &Runtime,
    name: &str,
    source: &mut dyn FnMut() -> io::Result<Option<OwnedFd>>,
) -> Result<(), VolumeError> {
    // Two containers may use it for the first time at once.
    let _lock = lock(rt)?;
    let mut volume = find(rt, name)?.ok_or_else(|| VolumeError::NotFound { name: name.into() })?;
    if volume.populated {
        return Ok(());
    }
    let is_device = matches!(backing(&volume)?, Backing::Device(_));
    let path = mounted(rt, &volume)?;
    let filled = fill(rt, &mut volume, &path, source);
    if is_device {
        // Until the start: a container may be created and never run.
        unmount_unused(rt, name, None)?;
    }
    filled?;
    (volume.populated, volume.filling) = (true, false);
    Ok(record::write(&rt.layout.volume(name), &volume)?)
}

fn fill(
    rt: &Runtime,
    volume: &mut VolumeRecord,
    path: &Path,
    source: &mut dyn FnMut() -> io::Result<Option<OwnedFd>>,
) -> Result<(), VolumeError> {
    let error = |act, source| VolumeError::Io { act, path: path.to_owned(), source };
    let is_empty = std::fs::read_dir(path).map_err(|source| error("read", source))?.next().is_none();
    if (is_empty || volume.filling)
        && let Some(from) = source().map_err(|source| error("fill", source))?
    {
        // After a kill it is not empty, and yet only half of what it is to be.
        volume.filling = true;
        record::write(&rt.layout.volume(&volume.name), volume)?;
        let to = File::open(path).map_err(|source| error("open", source))?;
        copy::copy_folder(from.as_fd(), to.as_fd()).map_err(|source| error("fill", source))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;
    use crate::state::layout::Layout;

    fn scratch() -> (tempfile::TempDir, Runtime) {
        let root = tempfile::tempdir_in("/var/tmp").unwrap();
        let rt = Runtime::open(Layout::under(root.path())).unwrap();
        (root, rt)
    }

    fn request(name: &str) -> VolumeRequest {
        VolumeRequest { name: name.into(), ..VolumeRequest::default() }
    }

    #[test]
    fn a_volume_is_made_once_found_listed_and_removed() {
        let (_root, rt) = scratch();
        let made = create(&rt, &request("data")).unwrap();
        assert_eq!(create(&rt, &request("data")).unwrap(), made);
        assert_eq!(list(&rt).unwrap(), [made]);
        assert!(remove(&rt, "data").unwrap());
        assert!(!remove(&rt, "data").unwrap());
        assert_eq!(find(&rt, "data").unwrap(), None);
    }

    #[test]
    fn names_and_drivers_that_can_not_be_are_refused() {
        let (_root, rt) = scratch();
        for name in ["", "a", "../x", "-x", "a/b", "a b"] {
            assert!(matches!(create(&rt, &request(name)), Err(VolumeError::Name { .. })), "{name}");
        }
        let nfs = VolumeRequest { driver: Some("nfs".into()), ..request("data") };
        assert_eq!(
            create(&rt, &nfs).unwrap_err().to_string(),
            "volume `data`: there is no volume driver `nfs`, only `local`"
        );
    }

    #[test]
    fn what_a_kill_leaves_of_a_volume_is_none_and_goes_at_the_next_listing() {
        let (_root, rt) = scratch();
        create(&rt, &request("data")).unwrap();
        std::fs::write(rt.layout.volume_data("data").join("old"), "").unwrap();
        // Before its record, and before its own name; the latter as in the middle of a removal, too.
        let folder = |name: &str| rt.layout.volumes().join(name);
        std::fs::create_dir_all(rt.layout.volume_data(&Layout::unmade_volume("half"))).unwrap();
        std::fs::rename(folder("data"), folder(&Layout::unmade_volume("data"))).unwrap();
        assert_eq!(find(&rt, "data").unwrap(), None);
        create(&rt, &request("data")).unwrap();
        assert!(!rt.layout.volume_data("data").join("old").exists(), "a removed volume's content came back");
        std::fs::create_dir_all(rt.layout.volume_data(&Layout::unmade_volume("data"))).unwrap();
        assert_eq!(list(&rt).unwrap().len(), 1);
        assert_eq!(std::fs::read_dir(rt.layout.volumes()).unwrap().count(), 1, "what was left is still there");
    }

    #[test]
    fn a_first_use_that_was_killed_half_way_is_done_again() {
        let (root, rt) = scratch();
        create(&rt, &request("data")).unwrap();
        let image = root.path().join("image");
        std::fs::create_dir_all(image.join("inner")).unwrap();
        std::os::unix::fs::symlink("inner", image.join("link")).unwrap();
        std::fs::write(image.join("inner/file"), "whole").unwrap();
        let data = rt.layout.volume_data("data");
        let mut killed = || {
            // What somebody else's copy had done when it was killed.
            std::fs::create_dir_all(data.join("inner"))?;
            std::fs::write(data.join("inner/file"), "wh")?;
            std::os::unix::fs::symlink("inner", data.join("link"))?;
            Ok(Some(File::open("/proc/self/exe")?.into()))
        };
        assert!(populate(&rt, "data", &mut killed).is_err(), "a file is no folder to copy");
        assert_eq!(std::fs::read_to_string(data.join("inner/file")).unwrap(), "wh");
        populate(&rt, "data", &mut || Ok(Some(File::open(&image)?.into()))).unwrap();
        assert_eq!(std::fs::read_to_string(data.join("inner/file")).unwrap(), "whole");
        assert!(!find(&rt, "data").unwrap().unwrap().filling);
    }

    #[test]
    fn the_first_use_copies_all_that_a_file_is_and_the_second_nothing() {
        let (root, rt) = scratch();
        create(&rt, &request("data")).unwrap();
        let image = root.path().join("image");
        std::fs::create_dir_all(image.join("inner")).unwrap();
        std::fs::write(image.join("inner/file"), "text").unwrap();
        std::os::unix::fs::chown(image.join("inner/file"), Some(70), Some(71)).unwrap();
        std::fs::set_permissions(image.join("inner/file"), std::fs::Permissions::from_mode(0o4640)).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", image.join("link")).unwrap();
        std::fs::set_permissions(&image, std::fs::Permissions::from_mode(0o1777)).unwrap();
        populate(&rt, "data", &mut || Ok(Some(File::open(&image)?.into()))).unwrap();
        let data = rt.layout.volume_data("data");
        let copy = std::fs::metadata(data.join("inner/file")).unwrap();
        assert_eq!((copy.uid(), copy.gid(), copy.mode() & 0o7777), (70, 71, 0o4640));
        assert_eq!(copy.mtime(), std::fs::metadata(image.join("inner/file")).unwrap().mtime());
        assert_eq!(std::fs::read_link(data.join("link")).unwrap(), Path::new("/etc/passwd"));
        assert_eq!(std::fs::metadata(&data).unwrap().mode() & 0o7777, 0o1777);
        std::fs::remove_file(data.join("link")).unwrap();
        populate(&rt, "data", &mut || panic!("the second use looks at nothing")).unwrap();
        assert!(!data.join("link").exists());
    }

    #[test]
    fn a_file_system_of_its_own_is_mounted_for_its_users_and_goes_with_the_volume() {
        let (_root, rt) = scratch();
        let options = [("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=1m,mode=0711")];
        let options = options.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        create(&rt, &VolumeRequest { options, ..request("data") }).unwrap();
        populate(&rt, "data", &mut || Ok(None)).unwrap();
        let data = rt.layout.volume_data("data");
        let mode = || std::fs::metadata(&data).unwrap().mode() & 0o7777;
        assert_ne!(mode(), 0o711, "nobody uses it yet");
        assert_eq!(prepare(&rt, "data").unwrap(), data);
        assert_eq!(mode(), 0o711);
        std::fs::write(data.join("file"), "text").unwrap();
        prepare(&rt, "data").unwrap();
        assert!(data.join("file").exists(), "it is mounted once");
        assert!(remove(&rt, "data").unwrap());
        assert!(!data.exists());
        let options = [("type", "nofs"), ("device", "x")].map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        create(&rt, &VolumeRequest { options, ..request("none") }).unwrap();
        assert!(prepare(&rt, "none").unwrap_err().to_string().contains("the kernel has no file system `nofs`"));
    }

    #[test]
    fn a_volume_that_holds_something_is_left_alone() {
        let (_root, rt) = scratch();
        create(&rt, &request("data")).unwrap();
        std::fs::write(rt.layout.volume_data("data").join("mine"), "").unwrap();
        populate(&rt, "data", &mut || panic!("nothing is to be copied")).unwrap();
    }
}
