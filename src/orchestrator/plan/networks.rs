//! Which networks must be created, or replaced.

use std::collections::BTreeSet;

use crate::desired::DesiredNetwork;
use crate::engine::error::{EngineError, ErrorKind};
use crate::event::Failure;
use crate::identity;
use crate::observed::ObservedContainer;
use crate::plan::step::{Cause, Step};
use crate::plan::up::UpPlanner;

/// Adds the networks of `keys`.
pub(crate) fn propose(planner: &mut UpPlanner<'_>, keys: &BTreeSet<String>) {
    for key in keys {
        if let Some(network) = planner.desired.networks.get(key) {
            propose_one(planner, key, network);
        }
    }
}

fn propose_one(planner: &mut UpPlanner<'_>, key: &str, network: &DesiredNetwork) {
    let name = &network.spec.name;
    let path = Some(format!("networks.{key}"));
    let Some(present) = planner.observed.networks.get(name) else {
        if network.external && !matches!(name.as_str(), "host" | "none" | "bridge") {
            let message = format!("network `{name}` is declared external, but there is no such network");
            let error = EngineError::new(ErrorKind::NotFound, format!("network `{name}`"), message)
                .hint(format!("create it, or take `external: true` away from `networks.{key}`"));
            planner.failures.push(Failure::new(error, path));
        } else if !network.external {
            let step = planner.plan.add(Step::CreateNetwork(network.spec.clone()), Cause::Missing, path);
            planner.networks.insert(key.to_owned(), step);
        }
        return;
    };
    if network.external {
        return;
    }
    match present.labels.get(identity::PROJECT) {
        None => {
            let text = format!("network `{name}` was not made by this project; it is used as it is");
            planner.plan.warnings.push(text);
            return;
        }
        Some(project) if *project != planner.desired.project => {
            let message = format!("network `{name}` belongs to project `{project}`");
            let error = EngineError::new(ErrorKind::Conflict, format!("network `{name}`"), message)
                .hint(format!("give it another `name`, or say `external: true` in `networks.{key}`"));
            planner.failures.push(Failure::new(error, path));
            return;
        }
        Some(_) => {}
    }
    let changed = present.labels.get(identity::CONFIG_HASH).is_some_and(|hash| *hash != network.hash);
    if !changed {
        return;
    }
    let users: BTreeSet<String> = planner
        .observed
        .containers
        .iter()
        .filter(|container| container.summary.networks.contains_key(name))
        .map(|container| container.identity.service.clone())
        .collect();
    let outside: Vec<_> = users.iter().filter(|service| !planner.scope.services.contains(*service)).cloned().collect();
    let is_on = |container: &&ObservedContainer| container.is_up() && container.summary.networks.contains_key(name);
    let strangers = present.endpoints > planner.observed.containers.iter().filter(is_on).count();
    if !outside.is_empty() || strangers || planner.options.no_recreate {
        let who = if outside.is_empty() { "others".to_owned() } else { outside.join(", ") };
        let text = format!("network `{name}` differs from the file, but is kept: {who} may still use it");
        planner.plan.warnings.push(text);
        return;
    }
    let remove = planner.plan.add(Step::RemoveNetwork(name.clone()), Cause::ConfigChanged, path.clone());
    let create = planner.plan.add(Step::CreateNetwork(network.spec.clone()), Cause::ConfigChanged, path);
    planner.plan.needs(create, remove);
    planner.networks.insert(key.to_owned(), create);
    planner.replaced_networks.insert(name.clone(), remove);
}
