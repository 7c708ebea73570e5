//! Which volumes must be created. One that differs from the file is kept, since it has data, unless told otherwise.

use std::collections::BTreeSet;

use crate::engine::error::{EngineError, ErrorKind};
use crate::engine::volume::VolumeSpec;
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
                    match users_outside(planner, name) {
                        users if planner.options.recreate_volumes && users.is_empty() => {
                            replace(planner, key, &volume.spec, path);
                        }
                        users if planner.options.recreate_volumes => planner.plan.warnings.push(format!(
                            "volume `{name}` differs from the file, but is kept: {} still uses it",
                            users.join(", ")
                        )),
                        _ => planner.plan.warnings.push(format!(
                            "volume `{name}` differs from the file, but is kept with its data; `up -y` makes it anew"
                        )),
                    }
                }
                Some(_) => {}
            },
        }
    }
}

/// Returns the services that use a volume and are not about to be brought up.
fn users_outside(planner: &UpPlanner<'_>, name: &str) -> Vec<String> {
    let users = planner.observed.containers.iter();
    let users = users.filter(|container| container.summary.volumes.values().any(|volume| volume == name));
    let outside: BTreeSet<String> = users
        .filter(|user| planner.options.no_recreate || !planner.scope.services.contains(&user.identity.service))
        .map(|user| user.identity.service.clone())
        .collect();
    outside.into_iter().collect()
}

/// Removes a volume, once its users are gone, and creates it as the file says.
fn replace(planner: &mut UpPlanner<'_>, key: &str, spec: &VolumeSpec, path: Option<String>) {
    let remove = planner.plan.add(Step::RemoveVolume(spec.name.clone()), Cause::ConfigChanged, path.clone());
    let create = planner.plan.add(Step::CreateVolume(spec.clone()), Cause::ConfigChanged, path);
    planner.plan.needs(create, remove);
    planner.volumes.insert(key.to_owned(), create);
    planner.replaced_volumes.insert(spec.name.clone(), remove);
}
