//! Containers of the project that the file does not know.

use crate::observed::ObservedContainer;
use crate::plan::step::Cause;
use crate::plan::up::UpPlanner;

/// Removes orphans, or says that they are there.
pub(crate) fn propose(planner: &mut UpPlanner<'_>) {
    let desired = planner.desired;
    let is_orphan = |container: &&ObservedContainer| {
        let service = &container.identity.service;
        if container.identity.one_off {
            return !container.is_up();
        }
        !desired.services.contains_key(service) && !desired.disabled.contains(service)
    };
    let orphans: Vec<_> = planner.observed.containers.iter().filter(is_orphan).collect();
    if orphans.is_empty() {
        return;
    }
    if planner.options.remove_orphans {
        for orphan in orphans {
            planner.remove(orphan, Cause::Orphan);
        }
    } else if !planner.options.ignore_orphans {
        let names: Vec<_> = orphans.iter().map(|orphan| orphan.summary.name.as_str()).collect();
        planner.plan.warnings.push(format!(
            "orphan containers of services that the file does not have: {}; `--remove-orphans` removes them",
            names.join(", ")
        ));
    }
}
