//! What programs outside of the engine do for the project: before its containers are made, and after they are gone.

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::{Desired, DesiredProvider};
use crate::plan::plan::{Plan, Report, StepId};
use crate::plan::step::{Cause, ProviderCall, Step};

/// Returns a plan of nothing but what programs provide for the services in `scope`.
pub fn provisions(desired: &Desired, scope: &BTreeSet<String>) -> Plan {
    let mut plan = Plan::default();
    propose_provisions(&mut plan, desired, scope);
    plan
}

/// Adds the providers and models that the services in `scope` need; returns the steps by the service that gets
/// something from them.
pub fn propose_provisions(
    plan: &mut Plan,
    desired: &Desired,
    scope: &BTreeSet<String>,
) -> BTreeMap<String, Vec<StepId>> {
    let mut steps: BTreeMap<String, StepId> = BTreeMap::new();
    let mut gates: BTreeMap<String, Vec<StepId>> = BTreeMap::new();
    for name in desired.graph.order() {
        let Some(provider) = desired.providers.get(&name).filter(|_| scope.contains(&name)) else { continue };
        let step = call(plan, provider, ProviderCall::Up, Cause::Requested);
        for earlier in provider.depends_on.iter().filter_map(|on| steps.get(on)) {
            plan.needs(step, *earlier);
        }
        for dependant in &provider.dependants {
            gates.entry(dependant.clone()).or_default().push(step);
        }
        steps.insert(name, step);
    }
    for model in desired.models.values() {
        let users: Vec<&String> = model.users.keys().filter(|user| scope.contains(*user)).collect();
        if users.is_empty() {
            continue;
        }
        let path = Some(format!("models.{}", model.key));
        let step = plan.add(Step::PrepareModel(Box::new(model.clone())), Cause::Requested, path);
        for user in users {
            gates.entry(user.clone()).or_default().push(step);
        }
    }
    gates
}

/// Adds the calls that halt (or take away) what is provided, dependants first; `before` are steps that must be over.
pub(crate) fn propose_ends(
    plan: &mut Plan,
    desired: &Desired,
    named: Option<&BTreeSet<String>>,
    (which, cause): (ProviderCall, &Cause),
    before: &[(String, StepId)],
) {
    let mut steps: BTreeMap<String, StepId> = BTreeMap::new();
    for name in desired.graph.order().into_iter().rev() {
        let Some(provider) = desired.providers.get(&name) else { continue };
        if named.is_some_and(|named| !named.contains(&name)) {
            continue;
        }
        let step = call(plan, provider, which, cause.clone());
        let containers = before.iter().filter(|(service, _)| provider.dependants.contains(service));
        let earlier: Vec<StepId> = containers
            .map(|(_, step)| *step)
            .chain(provider.dependants.iter().filter_map(|dependant| steps.get(dependant).copied()))
            .collect();
        for on in earlier {
            plan.after(step, on);
        }
        steps.insert(name, step);
    }
}

fn call(plan: &mut Plan, provider: &DesiredProvider, call: ProviderCall, cause: Cause) -> StepId {
    let path = Some(format!("services.{}.provider", provider.service));
    // Few programs can halt what they provide: there is nothing to tell of the others.
    let report = if call == ProviderCall::Stop { Report::Silent } else { Report::Own };
    plan.add_reported(Step::CallProvider { provider: Box::new(provider.clone()), call }, cause, path, report)
}
