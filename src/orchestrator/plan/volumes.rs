//! Which volumes must be created. One that differs from the file is kept: it has data.

use std::collections::BTreeSet;

use crate::engine::error::{EngineError, ErrorKind};
use crate::event::Failure;
use crate::identity;
use crate::plan::step::{Cause, Step};
use crate::plan::up::UpPlanner;

/// Adds the volumes of `keys`.
pub(crate) fn propose(planner: &mut UpPlanner<'_>, keys: &BTreeSet<String>) {
    for key in keys {
        let Some(volume) = planner.desired.volumes.get(key) else { continue };
        let name = &volume.spec.name;
        let path = Some(format!("volumes.{key}"));
        match planner.observed.volumes.get(name) {
            None if volume.external => {
                let message = format!("volume `{name}` is declared external, but there is no such volume");
                let error = EngineError::new(ErrorKind::NotFound, format!("volume `{name}`"), message)
                    .hint(format!("create it, or take `external: true` away from `volumes.{key}`"));
                planner.failures.push(Failure::new(error, path));
            }
            None => {
                let step = planner.plan.add(Step::CreateVolume(volume.spec.clone()), Cause::Missing, path);
                planner.volumes.insert(key.clone(), step);
            }
            Some(_) if volume.external => {}
            Some(present) => match present.labels.get(identity::PROJECT) {
                None => planner
                    .plan
                    .warnings
                    .push(format!("volume `{name}` was not made by this project; it is used as it is")),
                Some(project) if *project != planner.desired.project => planner
                    .plan
                    .warnings
                    .push(format!("volume `{name}` was made by project `{project}`; it is used as it is")),
                Some(_) if present.labels.get(identity::CONFIG_HASH).is_some_and(|hash| *hash != volume.hash) => {
                    planner.plan.warnings.push(format!(
                        "volume `{name}` differs from the file, but is kept with its data; `down -v` removes it"
                    ));
                }
                Some(_) => {}
            },
        }
    }
}
