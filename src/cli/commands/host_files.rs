//! Files of the host that a project needs, looked for before anything is made: those of secrets and configs, without
//! which no container can be created, and those of bind mounts. In the place of a missing one of these a folder is
//! made, as in Docker Compose, which is hardly ever what was meant.

use std::path::Path;

use compose::model::file_object::Content;
use compose::model::mount::MountKind;
use compose::model::service::Service;
use compose::{Diagnostic, Project};
use orchestrator::engine::error::{EngineError, ErrorKind};
use orchestrator::event::Failure;
use orchestrator::operations::OperationError;
use serde_json::Value;

use crate::app::{App, dockerfiles};
use crate::error::{CommandError, Kind, LoadedProject};

/// A service whose Dockerfile is not there, though another is.
const NO_DOCKERFILE: u16 = 560;

/// Looks for the files and warns of those that can be done without.
pub(crate) fn check(app: &App, loaded: &LoadedProject) -> Result<(), CommandError> {
    warnings(&loaded.project).iter().for_each(|text| app.printer.warn(text));
    let missing = missing(&loaded.project);
    if missing.is_empty() {
        return Ok(());
    }
    let error = CommandError::operation(OperationError::of(missing), Some(loaded));
    Err(CommandError { kind: Kind::Config, ..error })
}

/// Looks for the Dockerfiles of these services, which are about to be built.
pub(crate) fn check_builds<'s>(
    loaded: &LoadedProject,
    services: impl Iterator<Item = &'s str>,
) -> Result<(), CommandError> {
    let missing = dockerfiles::failures(&loaded.project, services);
    if missing.is_empty() { Ok(()) } else { Err(CommandError::operation(OperationError::of(missing), Some(loaded))) }
}

/// Warns of builds that cannot begin, where what lies beside them tells what was meant.
pub(crate) fn warn_of_builds(app: &App, loaded: &LoadedProject) {
    let services = loaded.project.canonical.get("services").and_then(Value::as_object).into_iter().flatten();
    for (name, _) in services {
        let Some(build) = loaded.project.build_of(name) else { continue };
        let trouble = dockerfiles::trouble_of(&loaded.project, name, &build).filter(|it| it.is_near);
        let Some(trouble) = trouble else { continue };
        let message = format!("service `{name}` cannot be built: {}", trouble.message);
        let mut warning = Diagnostic::warning(NO_DOCKERFILE, message);
        warning.span = loaded.project.span(&format!("services.{name}.build"));
        warning.help = trouble.hints;
        app.warn(&warning, &loaded.sources);
    }
}

/// Returns a failure for each secret and config of a service whose file is not there.
fn missing(project: &Project) -> Vec<Failure> {
    let is_used = |used: fn(&Service) -> Vec<&str>, name: &str| {
        project.services.values().any(|service| used(service).contains(&name))
    };
    let secrets = project
        .secrets
        .iter()
        .filter(|(name, _)| is_used(|service| service.secrets.iter().map(|it| it.source.as_str()).collect(), name))
        .map(|(name, secret)| ("secret", name, &secret.content));
    let configs = project
        .configs
        .iter()
        .filter(|(name, _)| is_used(|service| service.configs.iter().map(|it| it.source.as_str()).collect(), name))
        .map(|(name, config)| ("config", name, &config.content));
    let mut failures = Vec::new();
    for (kind, name, content) in secrets.chain(configs) {
        if let Content::File(path) = content
            && !Path::new(path).exists()
        {
            let message = format!("the file of {kind} `{name}` does not exist: `{path}`");
            let error = EngineError::new(ErrorKind::NotFound, format!("{kind} `{name}`"), message);
            failures.push(Failure::new(error, Some(format!("{kind}s.{name}.file"))));
        }
    }
    failures
}

/// Returns a warning for each source that looks like a file and does not exist.
fn warnings(project: &Project) -> Vec<String> {
    let mut warnings = Vec::new();
    for (name, service) in &project.services {
        let binds = service.mounts.iter().filter(|mount| mount.kind == MountKind::Bind);
        for (source, mount) in binds.filter_map(|mount| Some((mount.source.as_deref()?, mount))) {
            let is_made = mount.bind.as_ref().is_none_or(|bind| bind.create_host_path);
            // Folders that a program fills are often left to be made.
            if is_made && Path::new(source).extension().is_some() && !Path::new(source).exists() {
                warnings.push(format!("`{source}` does not exist: service `{name}` gets an empty folder in its place"));
            }
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use compose::model::file_object::{FileReference, Secret};
    use compose::model::mount::{BindOptions, Mount};

    use super::*;

    #[test]
    fn a_secret_without_its_file_is_named_if_a_service_has_it() {
        let mut project = Project::default();
        for name in ["used", "unused"] {
            let content = Content::File(format!("/nowhere/{name}"));
            project.secrets.insert(name.into(), Secret { content, ..Secret::default() });
        }
        let secrets = vec![FileReference { source: "used".into(), ..FileReference::default() }];
        project.services.insert("web".into(), Service { secrets, ..Service::default() });
        let told: Vec<_> = missing(&project).into_iter().map(|it| (it.error.message, it.path)).collect();
        let message = "the file of secret `used` does not exist: `/nowhere/used`".to_owned();
        assert_eq!(told, [(message, Some("secrets.used.file".to_owned()))]);
    }

    #[test]
    fn a_file_that_is_not_there_is_named_and_a_folder_is_not() {
        let bind = |source: &str, create_host_path| Mount {
            kind: MountKind::Bind,
            source: Some(source.to_owned()),
            bind: Some(BindOptions { create_host_path, ..BindOptions::default() }),
            ..Mount::default()
        };
        let mounts = vec![
            bind("/nowhere/ap.py", true),
            bind("/nowhere/data", true),
            bind("/nowhere/refused.py", false),
            bind("/proc/self/mountinfo", true),
        ];
        let mut project = Project::default();
        project.services.insert("web".into(), Service { mounts, ..Service::default() });
        assert_eq!(
            warnings(&project),
            ["`/nowhere/ap.py` does not exist: service `web` gets an empty folder in its place"]
        );
    }
}
