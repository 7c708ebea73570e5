//! What providers and the model runner give to services: asked before anything else is done, since it is part of what
//! the containers are made from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use compose::Project;
use tokio::sync::mpsc::UnboundedSender;

use crate::desired::{Desired, Provided, desired};
use crate::engine::Engine;
use crate::engine::error::EngineError;
use crate::event::Event;
use crate::execute::{Execution, Outcome, Product, Variables, execute};
use crate::identity;
use crate::observed::{ObservedContainer, observe_containers};
use crate::operations::error::OperationError;
use crate::plan::{Step, UpOptions, provisions, scope_of};

/// Calls the providers and the model runner for what `options` bring up; what is not asked now keeps the variables
/// that its containers have.
pub(crate) async fn provide(
    engine: &Arc<dyn Engine>,
    project: &Project,
    options: &UpOptions,
    events: &UnboundedSender<Event>,
) -> Result<Provided, OperationError> {
    if needs_nothing(project) {
        return Ok(Provided::default());
    }
    let desired = desired(project, &options.scale).map_err(OperationError::of)?;
    let scope = scope_of(&desired, &options.services, options.no_deps).map_err(OperationError::of)?;
    let plan = provisions(&desired, &scope.services);
    let execution = execute(Arc::clone(engine), &plan, None, events.clone()).await;
    if !execution.failures.is_empty() {
        return Err(OperationError { timed_out: execution.timed_out, ..OperationError::of(execution.failures) });
    }
    let mut provided = remembered_of_others(engine, &desired, &scope.services).await?;
    for id in plan.ids() {
        give(&mut provided, project, &plan.step(id).step, product(&execution, id), events);
    }
    Ok(provided)
}

/// Returns the variables that the containers have: nobody is asked.
pub(crate) async fn remember(engine: &Arc<dyn Engine>, project: &Project) -> Result<Provided, EngineError> {
    if needs_nothing(project) {
        return Ok(Provided::default());
    }
    Ok(of_containers(&observe_containers(engine, &project.name).await?))
}

fn needs_nothing(project: &Project) -> bool {
    project.models.is_empty() && project.services.values().all(|service| service.provider.is_none())
}

/// Returns what services keep that get something from a provider which is not asked now.
async fn remembered_of_others(
    engine: &Arc<dyn Engine>,
    desired: &Desired,
    scope: &BTreeSet<String>,
) -> Result<Provided, EngineError> {
    let not_asked = desired.providers.values().filter(|provider| !scope.contains(&provider.service));
    let keeping: BTreeSet<&String> = not_asked.flat_map(|provider| &provider.dependants).collect();
    if keeping.is_empty() {
        return Ok(Provided::default());
    }
    let mut remembered = of_containers(&observe_containers(engine, &desired.project).await?);
    remembered.retain(|service, _| keeping.contains(service));
    Ok(remembered)
}

fn of_containers(containers: &[ObservedContainer]) -> Provided {
    let mut provided = Provided::default();
    for container in containers {
        let label = container.summary.labels.get(identity::PROVIDED);
        let variables: Option<BTreeMap<String, String>> = label.and_then(|label| serde_json::from_str(label).ok());
        provided.entry(container.identity.service.clone()).or_default().extend(variables.unwrap_or_default());
    }
    provided
}

fn product(execution: &Execution, id: crate::plan::StepId) -> Option<&Product> {
    match execution.outcomes.get(&id) {
        Some(Outcome::Done(product)) => Some(product),
        Some(Outcome::Failed | Outcome::Skipped(_)) | None => None,
    }
}

fn give(
    provided: &mut Provided,
    project: &Project,
    step: &Step,
    product: Option<&Product>,
    events: &UnboundedSender<Event>,
) {
    match (step, product) {
        (Step::CallProvider { provider, .. }, Some(Product::Variables(Variables { prefixed, raw }))) => {
            let prefix = format!("{}_", provider.service.to_uppercase());
            for service in provider.dependants.iter().filter_map(|name| project.services.get(name)) {
                let variables = provided.entry(service.name.clone()).or_default();
                variables.extend(prefixed.iter().map(|(key, value)| (format!("{prefix}{key}"), value.clone())));
                for (key, value) in raw {
                    if service.environment.get(key).is_some_and(|own| own.as_ref() != Some(value)) {
                        let (by, name) = (&provider.service, &service.name);
                        let text = format!("provider `{by}` overrides the variable `{key}` of service `{name}`");
                        let _ = events.send(Event::Warning(text));
                    }
                    variables.insert(key.clone(), value.clone());
                }
            }
        }
        (Step::PrepareModel(model), Some(Product::Endpoint(endpoint))) => {
            for (service, (address, name)) in &model.users {
                let variables = provided.entry(service.clone()).or_default();
                variables.insert(address.clone(), endpoint.clone());
                variables.insert(name.clone(), model.model.clone());
            }
        }
        _ => {}
    }
}
