//! Stops and continues every process of a group.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::cgroup::events;
use crate::cgroup::group::{Group, GroupError, Place};

/// The longest a freeze may take: a process in uninterruptible sleep can't be stopped.
const PATIENCE: Duration = Duration::from_secs(10);

impl Group {
    /// Stops every process until [`Group::thaw`]; returns when all have stopped.
    pub fn freeze(&self) -> Result<(), GroupError> {
        self.set_frozen(true)
    }

    /// Lets every process run again.
    pub fn thaw(&self) -> Result<(), GroupError> {
        self.set_frozen(false)
    }

    fn set_frozen(&self, frozen: bool) -> Result<(), GroupError> {
        let failed = |path: &Path, source: io::Error| GroupError::Io { act: "write", path: path.into(), source };
        if let Some(group) = self.unified() {
            let path = group.path.join("cgroup.freeze");
            std::fs::write(&path, if frozen { "1" } else { "0" }).map_err(|source| failed(&path, source))?;
            let wanted = if frozen { "1" } else { "0" };
            return events::wait(&group.path, PATIENCE, |file| events::value(file, "frozen") == Some(wanted))
                .map_err(|source| failed(&path, source));
        }
        let Some(Place { path, .. }) = self.of_controller("freezer") else {
            return Err(GroupError::Unsupported { limit: "a container to a pause", controller: "freezer" });
        };
        let path = path.join("freezer.state");
        let (command, wanted) = if frozen { ("FROZEN", "FROZEN") } else { ("THAWED", "THAWED") };
        let end = Instant::now() + PATIENCE;
        // v1 tells nobody when it is done; reading the state makes it look again.
        loop {
            std::fs::write(&path, command).map_err(|source| failed(&path, source))?;
            if std::fs::read_to_string(&path).is_ok_and(|state| state.trim() == wanted) {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(failed(&path, io::Error::from(io::ErrorKind::TimedOut)));
            }
            rustix::thread::sched_yield();
        }
    }
}
