//! The filter of system calls: Docker's default as a table of ours, or a profile in Docker's notation, made classic BPF.
//!
//! Differences from Docker's default, on purpose: the x32 ABI is answered with ENOSYS, AF_X25 and AF_RDS are denied like
//! AF_ALG and AF_VSOCK, and the ioctls that type into a terminal (TIOCSTI, TIOCLINUX) need CAP_SYS_ADMIN.

mod compile;
mod policy;
mod profile;
mod table;

use std::sync::{Arc, Mutex, PoisonError};

use crate::state::container::SeccompRecord;
use crate::sys::bpf::Classic;

pub use profile::ProfileError;

/// A filter, ready to be loaded.
pub type Filter = Arc<[Classic]>;

/// A filter made before, with what it was made from.
type Made = (SeccompRecord, u64, Filter);

/// The last few filters made: a keeper needs the same one for each of its container's probes.
static CACHE: Mutex<Vec<Made>> = Mutex::new(Vec::new());

/// Returns the filter for a process with these capabilities; `None`: every system call is allowed.
pub fn filter(record: &SeccompRecord, capabilities: u64) -> Result<Option<Filter>, ProfileError> {
    if *record == SeccompRecord::Unconfined {
        return Ok(None);
    }
    let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, _, filter)) = cache.iter().find(|(made, caps, _)| made == record && *caps == capabilities) {
        return Ok(Some(Arc::clone(filter)));
    }
    let policy = match record {
        SeccompRecord::Default => table::policy(capabilities),
        SeccompRecord::Profile(text) => profile::policy(text, capabilities)?,
        SeccompRecord::Unconfined => return Ok(None),
    };
    let filter: Filter = compile::compile(&policy).into();
    if cache.len() == 8 {
        cache.remove(0);
    }
    cache.push((record.clone(), capabilities, Arc::clone(&filter)));
    Ok(Some(filter))
}

#[cfg(test)]
mod tests;
