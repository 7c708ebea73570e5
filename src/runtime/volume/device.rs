//! What the options of the driver `local` make of a volume (`type`, `o`, `device`, as mount(8) has them): a folder of
//! the host, or a file system of its own, which is mounted while a container uses it.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags};
use rustix::mount::{MountFlags, UnmountFlags};

/// Where a volume's content is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backing {
    /// In its own folder.
    Folder,
    /// In a folder of the host.
    Bind(PathBuf),
    /// In a file system that is mounted on its folder.
    Device(Device),
}

/// A file system to mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// `nfs`, `tmpfs`, `ext4`.
    pub kind: String,
    /// What is mounted.
    pub device: String,
    flags: MountFlags,
    /// What the file system itself understands.
    data: Vec<String>,
}

/// Options that are flags of mount(2), and whether they set or clear theirs.
const FLAGS: [(&str, MountFlags, bool); 16] = [
    ("ro", MountFlags::RDONLY, true),
    ("rw", MountFlags::RDONLY, false),
    ("nosuid", MountFlags::NOSUID, true),
    ("suid", MountFlags::NOSUID, false),
    ("nodev", MountFlags::NODEV, true),
    ("dev", MountFlags::NODEV, false),
    ("noexec", MountFlags::NOEXEC, true),
    ("exec", MountFlags::NOEXEC, false),
    ("sync", MountFlags::SYNCHRONOUS, true),
    ("async", MountFlags::SYNCHRONOUS, false),
    ("dirsync", MountFlags::DIRSYNC, true),
    ("noatime", MountFlags::NOATIME, true),
    ("nodiratime", MountFlags::NODIRATIME, true),
    ("relatime", MountFlags::RELATIME, true),
    ("strictatime", MountFlags::STRICTATIME, true),
    ("defaults", MountFlags::empty(), true),
];

/// Reads a volume's options; the error says what is wrong with them.
pub fn parse(options: &BTreeMap<String, String>) -> Result<Backing, String> {
    if options.is_empty() {
        return Ok(Backing::Folder);
    }
    if let Some(option) = options.keys().find(|key| !matches!(key.as_str(), "type" | "o" | "device")) {
        return Err(if option == "size" {
            "a volume's size can't be limited here: give it a `type: tmpfs` with `o: size=..`, or a device".into()
        } else {
            format!("the driver `local` has no option `{option}`: there are `type`, `o` and `device`")
        });
    }
    let value = |key: &str| options.get(key).map(String::as_str).unwrap_or_default();
    let words: Vec<&str> = value("o").split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    let device = value("device");
    if device.is_empty() {
        return Err("the driver option `device` is missing: what is to be mounted".into());
    }
    if words.iter().any(|word| matches!(*word, "bind" | "rbind")) {
        let path = Path::new(device);
        return if path.is_absolute() {
            Ok(Backing::Bind(path.into()))
        } else {
            Err(format!("`{device}` is not an absolute path"))
        };
    }
    let kind = value("type");
    if matches!(kind, "" | "none") {
        return Err("the driver option `type` is missing: `nfs`, `tmpfs`, or `none` with `o: bind`".into());
    }
    let mut parsed =
        Device { kind: kind.to_owned(), device: device.to_owned(), flags: MountFlags::empty(), data: Vec::new() };
    for word in words {
        match FLAGS.iter().find(|(name, ..)| *name == word) {
            Some((_, flag, sets)) => parsed.flags.set(*flag, *sets),
            None => parsed.data.push(word.to_owned()),
        }
    }
    Ok(Backing::Device(parsed))
}

impl Device {
    /// Mounts it on a folder, unless something is mounted there.
    pub fn mount(&self, place: &Path) -> io::Result<()> {
        if is_mounted(place)? {
            return Ok(());
        }
        let data = self.data.iter().map(|option| self.resolved(option)).collect::<io::Result<Vec<_>>>()?;
        let data = CString::new(data.join(","))?;
        Ok(rustix::mount::mount(self.device.as_str(), place, self.kind.as_str(), self.flags, Some(data.as_c_str()))?)
    }

    /// The kernel knows no names: a server's is looked up here.
    fn resolved(&self, option: &str) -> io::Result<String> {
        let is_remote = self.kind.starts_with("nfs") || self.kind == "cifs";
        match option.strip_prefix("addr=").filter(|_| is_remote) {
            Some(name) if name.parse::<IpAddr>().is_err() => {
                let not_found = || io::Error::new(io::ErrorKind::NotFound, format!("no address of `{name}` is known"));
                let address = (name, 0).to_socket_addrs()?.next().ok_or_else(not_found)?;
                Ok(format!("addr={}", address.ip()))
            }
            Some(_) | None => Ok(option.to_owned()),
        }
    }
}

/// Takes away what is mounted on a folder, if anything is.
pub fn unmount(place: &Path) -> io::Result<()> {
    if is_mounted(place)? {
        rustix::mount::unmount(place, UnmountFlags::DETACH)?;
    }
    Ok(())
}

fn is_mounted(place: &Path) -> io::Result<bool> {
    let statx = rustix::fs::statx(CWD, place, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::TYPE)?;
    Ok(statx.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(options: &[(&str, &str)]) -> Result<Backing, String> {
        parse(&options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn flags_are_told_from_what_the_file_system_understands() {
        let nfs = [("type", "nfs"), ("o", "addr=10.0.0.1,ro,noexec,vers=4.2"), ("device", ":/data")];
        let Ok(Backing::Device(device)) = parsed(&nfs) else { panic!("a device") };
        assert_eq!(device.flags, MountFlags::RDONLY | MountFlags::NOEXEC);
        assert_eq!(device.data, ["addr=10.0.0.1", "vers=4.2"]);
    }

    #[test]
    fn a_bind_is_a_path_and_what_is_missing_is_named() {
        let bind = [("type", "none"), ("o", "bind"), ("device", "/srv/data")];
        assert_eq!(parsed(&bind), Ok(Backing::Bind("/srv/data".into())));
        let error = |options: &[(&str, &str)]| parsed(options).unwrap_err();
        assert!(error(&[("type", "none"), ("o", "bind"), ("device", "data")]).contains("absolute"));
        assert!(error(&[("type", "nfs"), ("o", "addr=x")]).contains("`device` is missing"));
        assert!(error(&[("device", "/dev/sda1")]).contains("`type` is missing"));
        assert!(error(&[("sizes", "1g")]).contains("no option `sizes`"));
    }
}
