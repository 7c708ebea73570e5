//! Resource limits by name.

use std::collections::BTreeMap;
use std::io;

use crate::sandbox::error::{LaunchError, Step};
use crate::sys::process;

/// Returns the number of a resource (`nofile`), as in setrlimit(2).
fn number(name: &str) -> Option<u32> {
    let number = match name.to_ascii_lowercase().trim_start_matches("rlimit_") {
        "cpu" => libc::RLIMIT_CPU,
        "fsize" => libc::RLIMIT_FSIZE,
        "data" => libc::RLIMIT_DATA,
        "stack" => libc::RLIMIT_STACK,
        "core" => libc::RLIMIT_CORE,
        "rss" => libc::RLIMIT_RSS,
        "nproc" => libc::RLIMIT_NPROC,
        "nofile" => libc::RLIMIT_NOFILE,
        "memlock" => libc::RLIMIT_MEMLOCK,
        "as" => libc::RLIMIT_AS,
        "locks" => libc::RLIMIT_LOCKS,
        "sigpending" => libc::RLIMIT_SIGPENDING,
        "msgqueue" => libc::RLIMIT_MSGQUEUE,
        "nice" => libc::RLIMIT_NICE,
        "rtprio" => libc::RLIMIT_RTPRIO,
        "rttime" => libc::RLIMIT_RTTIME,
        _ => return None,
    };
    Some(number)
}

/// Sets the limits of this process; `-1` is unlimited.
pub(super) fn set(limits: &BTreeMap<String, (i64, i64)>) -> Result<(), LaunchError> {
    let value = |limit: i64| u64::try_from(limit).unwrap_or(u64::MAX);
    for (name, (soft, hard)) in limits {
        number(name)
            .ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))
            .and_then(|number| process::set_limit(number, value(*soft), value(*hard)))
            .map_err(|error| LaunchError::io(Step::Rlimit, name.clone(), &error))?;
    }
    Ok(())
}
