//! Waits for what a v2 group tells in `cgroup.events`.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Waits until the content of `cgroup.events` is as wanted. A group that is gone has no processes.
pub(super) fn wait(group: &Path, patience: Duration, wanted: impl Fn(&str) -> bool) -> io::Result<()> {
    let mut file = match File::open(group.join("cgroup.events")) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let end = Instant::now() + patience;
    loop {
        let mut text = String::new();
        file.rewind()?;
        match file.read_to_string(&mut text) {
            Ok(_) if wanted(&text) => return Ok(()),
            Ok(_) => {}
            // The group was removed meanwhile.
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return Ok(()),
            Err(error) => return Err(error),
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let timeout = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        // The kernel tells a change of the file so (cgroup-v2.rst).
        match poll(&mut [PollFd::new(&file, PollFlags::PRI)], Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Returns the value after a key in a file of `key value` lines.
pub(super) fn value<'a>(file: &'a str, key: &str) -> Option<&'a str> {
    file.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))
}
