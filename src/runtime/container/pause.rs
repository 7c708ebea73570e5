//! Freezes a container's processes, and lets them go on.

use crate::Runtime;
use crate::container::act::{self, ActError};
use crate::container::list;
use crate::keeper::control::Request;

/// Freezes every process; returns when all have stopped. One that is frozen already is left alone.
pub fn pause(rt: &Runtime, name: &str) -> Result<(), ActError> {
    match act::ask(rt, name, "pause", &Request::Pause)? {
        Some(()) => Ok(()),
        None => Err(ActError::NotRunning { name: list::find(rt, name)?.record.name }),
    }
}

/// Lets every process go on. One that is not frozen is left alone.
pub fn unpause(rt: &Runtime, name: &str) -> Result<(), ActError> {
    match act::ask(rt, name, "unpause", &Request::Unpause)? {
        Some(()) => Ok(()),
        None => Err(ActError::NotRunning { name: list::find(rt, name)?.record.name }),
    }
}
