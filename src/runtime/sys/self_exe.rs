//! Re-executes our own binary in a way that no container can overwrite it (CVE-2019-5736).
//!
//! A container may open `/proc/PID/exe` of a process of ours. So such a process runs from a detached, read-only mount of the
//! binary: the same pages, no copy, and no path leads from it to a writable one.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use rustix::fs::{CWD, MemfdFlags, SealFlags};

use crate::sys::mount;

/// What `/proc/self/exe` stands for, safe to run where a container can see it.
static SEALED: OnceLock<Option<OwnedFd>> = OnceLock::new();

/// A command that runs this very binary with other arguments.
pub fn command(args: &[&str]) -> Command {
    command_beside(None, args)
}

/// The same, where a process of ours may run from a sealed binary already: from the same one, which saves the making and
/// the end of a mount (the kernel waits for its readers there).
#[expect(clippy::disallowed_methods, reason = "it is ourselves")]
pub fn command_beside(running: Option<i32>, args: &[&str]) -> Command {
    let sealed = SEALED.get_or_init(|| running.and_then(sealed_of).or_else(|| seal().ok()));
    let program = match sealed {
        // Opened before exec closes it: the path is resolved first.
        Some(fd) => format!("/proc/self/fd/{}", fd.as_raw_fd()),
        None => "/proc/self/exe".to_owned(),
    };
    let mut command = Command::new(program);
    command.args(args);
    command
}

/// Returns what a process runs from, if that is our very binary and can't be written through. Whose number it is by now
/// makes no difference.
fn sealed_of(pid: i32) -> Option<OwnedFd> {
    let theirs = File::open(format!("/proc/{pid}/exe")).ok()?;
    let (one, other) = (rustix::fs::fstat(&theirs).ok()?, rustix::fs::stat("/proc/self/exe").ok()?);
    let is_ours = (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino);
    let is_sealed = rustix::fs::fstatvfs(&theirs).ok()?.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY);
    (is_ours && is_sealed).then(|| theirs.into())
}

/// Returns a descriptor of our binary that can't be written through.
fn seal() -> io::Result<OwnedFd> {
    let ourselves = File::open("/proc/self/exe")?;
    // We run from such a mount already: the next one may too.
    if rustix::fs::fstatvfs(&ourselves)?.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
        return Ok(ourselves.into());
    }
    read_only_mount().or_else(|_| sealed_copy(ourselves))
}

fn read_only_mount() -> io::Result<OwnedFd> {
    let tree = mount::clone_tree(CWD, Path::new("/proc/self/exe"), false)?;
    let set = mount::Attributes::MOUNT_ATTR_RDONLY.bits().into();
    mount::change(tree.as_fd(), mount::Change { set, ..mount::Change::default() })?;
    Ok(tree)
}

/// Where we may not mount: a copy in memory that nobody can write to.
fn sealed_copy(mut ourselves: File) -> io::Result<OwnedFd> {
    let copy = rustix::fs::memfd_create("self", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut copy = File::from(copy);
    io::copy(&mut ourselves, &mut copy)?;
    rustix::fs::fcntl_add_seals(&copy, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    // Run from a descriptor that is open for reading only: one open for writing gives ETXTBSY.
    Ok(File::open(format!("/proc/self/fd/{}", copy.as_raw_fd()))?.into())
}

#[cfg(test)]
mod tests {
    use rustix::fs::SealFlags;

    use super::{command, seal};

    #[test]
    fn our_binary_cannot_be_opened_for_writing_through_what_we_run() {
        let sealed = seal().unwrap();
        let mounted_read_only =
            rustix::fs::fstatvfs(&sealed).unwrap().f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY);
        let sealed_in_memory = rustix::fs::fcntl_get_seals(&sealed).is_ok_and(|seals| seals.contains(SealFlags::WRITE));
        assert!(mounted_read_only || sealed_in_memory);
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&sealed));
        assert!(std::fs::OpenOptions::new().write(true).open(path).is_err());
    }

    #[test]
    fn we_run_again_from_there() {
        let output = command(&["--list", "--exact", "sys::self_exe::tests::we_run_again_from_there"]).output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains("we_run_again_from_there: test"));
    }
}
