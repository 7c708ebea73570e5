//! Gives a group other limits while processes are in it.

use std::fs;

use crate::cgroup::group::{Group, GroupError, failed};
use crate::cgroup::hierarchy::{self, Hierarchy};
use crate::cgroup::limits::{self, Setting};
use crate::state::container::LimitsRecord;

/// Rounds of looking for processes that have been forked meanwhile.
const MOST_ROUNDS: usize = 100;

impl Group {
    /// Applies limits to what runs. A limit that is absent is left as it is; one that means "none" is lifted.
    pub fn change(&self, limits: &LimitsRecord) -> Result<(), GroupError> {
        let mut settings = limits::settings(limits)?;
        settings.extend(limits::lifted(limits));
        for setting in &settings {
            let Some(hierarchy) = hierarchy::of_controller(setting.controller) else { continue };
            let is_new = !hierarchy.mount.join(self.name()).is_dir();
            let controllers = if hierarchy.unified { vec![setting.controller] } else { Vec::new() };
            self.make_in(hierarchy, &controllers)?;
            if is_new {
                self.bring_all(hierarchy)?;
            }
        }
        // In v1 the limit of memory may not exceed that of memory and swap: which goes first depends on the old ones.
        let refused: Vec<&Setting> = settings.iter().filter(|setting| self.write(setting).is_err()).collect();
        refused.into_iter().try_for_each(|setting| self.write(setting))
    }

    /// Moves every process of the group into the one of another hierarchy.
    fn bring_all(&self, hierarchy: &Hierarchy) -> Result<(), GroupError> {
        let path = hierarchy.mount.join(self.name()).join("cgroup.procs");
        for _ in 0..MOST_ROUNDS {
            let there = fs::read_to_string(&path).map_err(failed("read", &path))?;
            let is_there = |pid: &i32| there.lines().any(|line| line.parse() == Ok(*pid));
            let missing: Vec<i32> = self.processes().into_iter().filter(|pid| !is_there(pid)).collect();
            if missing.is_empty() {
                return Ok(());
            }
            for pid in missing {
                match fs::write(&path, pid.to_string()) {
                    // It has ended meanwhile.
                    Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                    written => written.map_err(failed("write", &path))?,
                }
            }
        }
        Ok(())
    }
}
