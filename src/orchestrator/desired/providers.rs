//! What programs outside of the engine give: services with a `provider`, and AI models.

use std::collections::{BTreeMap, BTreeSet};

use compose::Project;
use compose::model::encode;
use compose::model::service::Service;

use crate::desired::project::{Desired, desired};
use crate::event::Failure;
use crate::graph::dependencies_of;

/// Variables that providers and models give, by the service that gets them.
pub type Provided = BTreeMap<String, BTreeMap<String, String>>;

/// A service that a program provides.
#[derive(Debug, Clone, PartialEq)]
pub struct DesiredProvider {
    /// Name in the file.
    pub service: String,
    /// Name of the project.
    pub project: String,
    /// Name of the program, or of a plug-in of the docker command.
    pub kind: String,
    /// What it is told: `--KEY=VALUE`, a flag a value.
    pub options: BTreeMap<String, Vec<String>>,
    /// The service as the file describes it, as JSON: what the program may ask for.
    pub config: String,
    /// The environment of the program.
    pub environment: BTreeMap<String, String>,
    /// Services that get what it sets.
    pub dependants: BTreeSet<String>,
    /// What it depends on itself.
    pub depends_on: BTreeSet<String>,
}

/// A model that the model runner makes ready.
#[derive(Debug, Clone, PartialEq)]
pub struct DesiredModel {
    /// Key in the file.
    pub key: String,
    /// Name for people.
    pub name: String,
    /// `ai/smollm2`
    pub model: String,
    /// Tokens.
    pub context_size: Option<i64>,
    /// Passed on to the inference engine.
    pub runtime_flags: Vec<String>,
    /// The environment of the runner's command.
    pub environment: BTreeMap<String, String>,
    /// Services that use it, and the names of the variables for its address and its name.
    pub users: BTreeMap<String, (String, String)>,
}

/// Returns the provider of a service that has one.
pub(crate) fn provider(project: &Project, service: &Service) -> Option<DesiredProvider> {
    let provider = service.provider.as_ref()?;
    let dependants = project.services.values().filter(|other| other.depends_on.contains_key(&service.name));
    Some(DesiredProvider {
        service: service.name.clone(),
        project: project.name.clone(),
        kind: provider.kind.clone(),
        options: provider.options.clone(),
        config: encode::hashed_service(project, &service.name),
        environment: project.environment.clone(),
        dependants: dependants.map(|other| other.name.clone()).collect(),
        depends_on: dependencies_of(service).into_keys().collect(),
    })
}

/// Returns the models that services use, by key.
pub(crate) fn models(project: &Project) -> BTreeMap<String, DesiredModel> {
    let mut models = BTreeMap::new();
    for (key, model) in &project.models {
        let prefix = key.to_uppercase().replace('-', "_");
        let names = |service: &Service| {
            let binding = service.models.get(key)?;
            let name = |given: &Option<String>, suffix: &str| {
                given.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| format!("{prefix}_{suffix}"))
            };
            Some((service.name.clone(), (name(&binding.endpoint_var, "URL"), name(&binding.model_var, "MODEL"))))
        };
        let users: BTreeMap<_, _> = project.services.values().filter_map(names).collect();
        if users.is_empty() {
            continue;
        }
        let model = DesiredModel {
            key: key.clone(),
            name: model.name.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| key.clone()),
            model: model.model.clone(),
            context_size: model.context_size,
            runtime_flags: model.runtime_flags.clone(),
            environment: project.environment.clone(),
            users,
        };
        models.insert(key.clone(), model);
    }
    models
}

/// Works out what the project asks for once `provided` is in the environment of its services.
///
/// The variables count as if the file had them, so that another value makes another container; a label keeps them for
/// the commands that don't ask the provider again.
pub fn desired_with(
    project: &Project,
    scale: &BTreeMap<String, u32>,
    provided: &Provided,
) -> Result<Desired, Vec<Failure>> {
    if provided.values().all(BTreeMap::is_empty) {
        return desired(project, scale);
    }
    let mut project = project.clone();
    for (service, variables) in provided {
        give(&mut project, service, variables);
    }
    let mut desired = desired(&project, scale)?;
    for (name, variables) in provided.iter().filter(|(_, variables)| !variables.is_empty()) {
        if let Some(service) = desired.services.get_mut(name) {
            service.remember(variables);
        }
    }
    Ok(desired)
}

/// Sets variables in the model of a service, and in the tree that its hash is made of.
fn give(project: &mut Project, service: &str, variables: &BTreeMap<String, String>) {
    if let Some(model) = project.services.get_mut(service) {
        model.environment.extend(variables.iter().map(|(key, value)| (key.clone(), Some(value.clone()))));
        if let Some(tree) = project.canonical.get_mut("services").and_then(|services| services.get_mut(service)) {
            encode::set_environment(tree, &model.environment);
        }
    }
}
