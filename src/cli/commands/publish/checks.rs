//! What is asked before a project is published: what of it should perhaps not be seen by others.

use std::collections::BTreeMap;

use compose::model::file_object::Content;
use compose::model::mount::{Mount, MountKind};

use crate::app::{App, ask};
use crate::commands::publish::layers::{self, File};
use crate::commands::publish::sensitive;
use crate::error::{CommandError, Kind, LoadedProject};
use crate::print::printer::Stream;

/// Returns whether it may be published; what can't be is an error.
pub(super) fn pass(
    app: &App,
    loaded: &LoadedProject,
    files: &[File],
    with_variables: bool,
    yes: bool,
) -> Result<bool, CommandError> {
    only_built(loaded)?;
    let variables = variables(loaded, with_variables)?;
    Ok(ask_of_binds(app, loaded, yes)
        && ask_of_secrets(app, loaded, files, yes)?
        && ask_of_variables(app, &variables, yes))
}

/// A service without an image in the file could be run by nobody else.
fn only_built(loaded: &LoadedProject) -> Result<(), CommandError> {
    let services =
        loaded.project.services.values().filter(|service| service.image.is_none() && service.build.is_some());
    let names: Vec<String> = services.map(|service| format!("- \"{}\"\n", service.name)).collect();
    if names.is_empty() {
        return Ok(());
    }
    let message = format!(
        "your Compose stack cannot be published as it only contains a build section for service(s):\n{}",
        names.concat()
    );
    Err(CommandError::new(Kind::Failed, message).hint("give each an `image`, and `push` it"))
}

fn ask_of_binds(app: &App, loaded: &LoadedProject, yes: bool) -> bool {
    let mut text = String::new();
    for service in loaded.project.services.values() {
        let binds: Vec<&Mount> = service.mounts.iter().filter(|mount| mount.kind == MountKind::Bind).collect();
        if !binds.is_empty() {
            text.push_str(&service.name);
        }
        for bind in binds {
            let mode = if bind.read_only { "ro" } else { "rw" };
            text.push_str(&format!("{}:{}:{mode}\n", bind.source.as_deref().unwrap_or_default(), bind.target));
        }
    }
    text.is_empty()
        || agreed(
            app,
            yes,
            &format!(
                "you are about to publish bind mounts declaration within your OCI artifact.\n\
                 only the bind mount declarations will be added to the OCI artifact (not content)\n\
                 please double check that you are not mounting potential user's sensitive directories or data\n{text}\
                 Are you ok to publish these bind mount declarations?"
            ),
        )
}

fn ask_of_secrets(app: &App, loaded: &LoadedProject, files: &[File], yes: bool) -> Result<bool, CommandError> {
    let mut texts = Vec::new();
    for file in files {
        texts.push(layers::text_of(&file.path)?);
        for path in file.variables.iter().filter(|path| path.is_file()) {
            texts.push(layers::text_of(path)?);
        }
    }
    let project = &loaded.project;
    let contents = project.configs.values().map(|it| &it.content).chain(project.secrets.values().map(|it| &it.content));
    for content in contents {
        if let Content::File(path) = content
            && let Ok(text) = std::fs::read_to_string(path)
        {
            texts.push(text);
        }
    }
    let found: Vec<_> = texts.iter().flat_map(|text| sensitive::find(text)).collect();
    if found.is_empty() {
        return Ok(true);
    }
    let list: String = found.iter().map(|it| format!("{}\n\"{}\": {}\n", it.kind, it.key, it.value)).collect();
    Ok(agreed(
        app,
        yes,
        &format!(
            "you are about to publish sensitive data within your OCI artifact.\n\
             please double check that you are not leaking sensitive data\n{list}\
             Are you ok to publish these sensitive data?"
        ),
    ))
}

/// Returns the variables by who has them, a line each; where they are not to be sent, that is an error.
fn variables(loaded: &LoadedProject, with_variables: bool) -> Result<BTreeMap<&str, String>, CommandError> {
    let mut refusals = String::new();
    let mut variables: BTreeMap<&str, String> = BTreeMap::new();
    for service in loaded.project.services.values() {
        let name = &service.name;
        if !service.env_files.is_empty() {
            refusals.push_str(&format!("service \"{name}\" has env_file declared.\n"));
        }
        if !service.environment.is_empty() {
            refusals.push_str(&format!("service \"{name}\" has environment variable(s) declared.\n"));
            let pairs = service.environment.iter();
            let pairs = pairs.map(|(key, value)| format!("{key}={}\n", value.as_deref().unwrap_or_default()));
            variables.insert(name, pairs.collect());
        }
    }
    for config in loaded.project.configs.values() {
        if let Content::Environment(variable) = &config.content {
            refusals.push_str(&format!("config \"{}\" is declare as an environment variable.\n", config.name));
            variables.insert(&config.name, format!("{}={variable}\n", config.name));
        }
    }
    if !with_variables && !refusals.is_empty() {
        let message = format!(
            "{refusals}To avoid leaking sensitive data, you must either explicitly allow the sending of environment \
             variables by using the --with-env flag,\nor remove sensitive data from your Compose configuration"
        );
        return Err(CommandError::new(Kind::Failed, message));
    }
    Ok(variables)
}

fn ask_of_variables(app: &App, variables: &BTreeMap<&str, String>, yes: bool) -> bool {
    if variables.is_empty() {
        return true;
    }
    let list: String = variables.iter().map(|(name, pairs)| format!("Service/Config  {name}\n{pairs}")).collect();
    agreed(
        app,
        yes,
        &format!(
            "you are about to publish environment variables within your OCI artifact.\n\
             please double check that you are not leaking sensitive data\n{list}\
             Are you ok to publish these environment variables?"
        ),
    )
}

/// Asks, and takes an answer from a pipe too; no answer is no.
fn agreed(app: &App, yes: bool, question: &str) -> bool {
    yes || ask::agrees(app, Stream::Out, &format!("{question} [y/N]:"))
}
