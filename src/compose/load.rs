//! The passes from files to a project, in order.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::{Map, Value as Json};

use crate::assemble::file::{self, ParsedFile};
use crate::assemble::model::{self, Scope};
use crate::canonical::{encode, env_values, normalize};
use crate::check::rules::{self, View};
use crate::diagnostic::Diagnostic;
use crate::document::node::Mapping;
use crate::document::session::{Session, Stop};
use crate::document::spans::Spans;
use crate::environment::naming;
use crate::environment::precedence::{self, Setting};
use crate::interpolate::{apply, blame};
use crate::model::decode;
use crate::model::file_object::Content;
use crate::model::project::Project;
use crate::request::LoadRequest;
use crate::select;
use crate::source::{Reader, SourceMap, Span};

/// What came of a load.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// The project, unless a mistake keeps it from being known.
    pub project: Option<Project>,
    /// Mistakes and warnings, in the order of the files.
    pub diagnostics: Vec<Diagnostic>,
    /// Every file that was read, so that the diagnostics can be shown.
    pub sources: SourceMap,
}

/// Loads a project: finds and reads its files, and says all that is wrong with them.
pub fn load(request: &LoadRequest, reader: &dyn Reader) -> Loaded {
    let mut session = Session::new(reader);
    let project = passes(&mut session, request).ok().filter(|_| !session.failed());
    blame::variables(&mut session, &request.environment);
    session.diagnostics.sort_by_key(|diagnostic| diagnostic.span);
    Loaded { project, diagnostics: session.diagnostics, sources: session.sources }
}

fn passes(session: &mut Session<'_>, request: &LoadRequest) -> Result<Project, Stop> {
    let mut setting = precedence::settle(session, request)?;
    let files = read(session, request, &setting)?;
    let name = name(session, request, &setting, &files)?;
    setting.variables.insert("COMPOSE_PROJECT_NAME".into(), name.clone());
    let paths = files.iter().map(|file| file.path.clone()).collect();
    let scope = Scope { directory: &setting.directory, variables: &setting.variables, options: request.passes };
    let mut root = model::load(session, files, &scope, &[])?;
    if root.as_mapping().is_none_or(Mapping::is_empty) {
        return session.stop(
            Diagnostic::error(119, "the Compose file is empty")
                .at(root.span)
                .help("the least there can be: `services: {web: {image: nginx}}`"),
        );
    }
    if request.passes.normalize {
        // Where references stay, so do the names of variables: nothing is taken from the environment.
        let none = BTreeMap::new();
        let variables = if request.passes.interpolate { &setting.variables } else { &none };
        normalize::normalize(&mut root, &name, variables);
    } else if request.passes.interpolate {
        normalize::environments(&mut root, &setting.variables);
    }
    // With references still in it the tree has no final forms: it is printed as it stands.
    let raw = !request.passes.interpolate;
    // What normalizing would make a name of is shown as it was written.
    let written = root.get_str("name").filter(|text| !text.is_empty() && setting.name.is_none()).unwrap_or(&name);
    let encoded = if raw { encode::any(&root) } else { encode::encode(session, &root, written) };
    let enabled = enabled(&encoded, &setting.profiles);
    if request.passes.consistency && !raw {
        rules::check(session, &View { root: &root, encoded: &encoded, enabled: &enabled });
    }
    if session.failed() {
        return Err(Stop);
    }
    let project = Project {
        name,
        directory: setting.directory.clone(),
        files: paths,
        environment_files: setting.env_files.clone(),
        profiles: setting.profiles.clone(),
        spans: Spans::of(root),
        environment: setting.variables,
        canonical: encoded,
        uninterpolated: raw,
        ..Project::default()
    };
    let mut project = match raw {
        true => decode::decode(project, &BTreeMap::new()),
        false => narrowed(session, request, project, enabled)?,
    };
    project.shadowed = std::mem::take(&mut session.shadowed);
    project.from_files = std::mem::take(&mut session.from_files);
    Ok(project)
}

/// Reads and parses the project's own files.
fn read(session: &mut Session<'_>, request: &LoadRequest, setting: &Setting) -> Result<Vec<ParsedFile>, Stop> {
    let mut files = Vec::with_capacity(setting.files.len());
    for path in &setting.files {
        if path.as_os_str() == "-" {
            let id = session.sources.add(PathBuf::from("-"), request.stdin.clone().unwrap_or_default());
            files.push(file::parsed(session, id, path)?);
        } else {
            files.push(file::read(session, path, None)?);
        }
    }
    Ok(files)
}

fn name(
    session: &mut Session<'_>,
    request: &LoadRequest,
    setting: &Setting,
    files: &[ParsedFile],
) -> Result<String, Stop> {
    let documents = files.iter().flat_map(|file| &file.documents);
    let written = documents.filter_map(|document| document.root.get("name")).rfind(|name| !name.plain().is_empty());
    let written = written.filter(|node| !node.is_null()).map(|node| {
        let text = node.plain();
        if request.passes.interpolate { apply::text(session, &text, node.span, &setting.variables) } else { text }
    });
    naming::name(session, setting.name.as_deref(), written.as_deref(), &setting.directory)
}

/// Returns the services whose profiles are active.
fn enabled(encoded: &Json, profiles: &[String]) -> BTreeSet<String> {
    let services = encoded["services"].as_object();
    let active = |service: &Json| match service["profiles"].as_array() {
        None => true,
        Some(own) => {
            let own: Vec<&str> = own.iter().filter_map(Json::as_str).collect();
            // An empty list of profiles is one empty name to the reference.
            profiles.iter().any(|profile| profile == "*" || own.contains(&profile.as_str()))
                || (profiles.is_empty() && own.contains(&""))
        }
    };
    services.into_iter().flatten().filter(|(_, service)| active(service)).map(|(name, _)| name.clone()).collect()
}

/// Enables what is asked for, merges files of variables, and leaves out what is not used.
fn narrowed(
    session: &mut Session<'_>,
    request: &LoadRequest,
    mut project: Project,
    mut enabled: BTreeSet<String>,
) -> Result<Project, Stop> {
    // A service that is named is wanted, whatever its profiles say: they all count as active then.
    for name in request.services.iter().filter(|name| !enabled.contains(*name)) {
        let own = project.canonical["services"][name]["profiles"].as_array();
        project.profiles.extend(own.into_iter().flatten().filter_map(Json::as_str).map(str::to_owned));
    }
    if !request.services.is_empty() {
        enabled = self::enabled(&project.canonical, &project.profiles);
    }
    let mut disabled = split(&mut project.canonical, &enabled);
    from_files(session, &mut project, "label_file");
    if !request.services.is_empty() {
        if let Err(diagnostic) = select::narrow(&mut project.canonical, &mut disabled, &request.services) {
            return session.stop(diagnostic);
        }
        select::drop_unused(&mut project.canonical, &disabled);
    }
    if request.passes.resolve_env {
        from_files(session, &mut project, "env_file");
    }
    if request.passes.consistency && request.passes.container_names {
        rules::container_names(session, &project.canonical, &project.spans);
    }
    if !request.passes.keep_unused {
        select::drop_unused(&mut project.canonical, &disabled);
    }
    if request.passes.decode {
        project = decode::decode(project, &disabled);
        contents(session, &mut project);
    }
    Ok(project)
}

/// Gives configs and secrets of included projects what only those projects see.
fn contents(session: &mut Session<'_>, project: &mut Project) {
    for ((section, name), text) in std::mem::take(&mut session.contents) {
        let content = match section {
            "secrets" => project.secrets.get_mut(&name).map(|secret| &mut secret.content),
            _ => project.configs.get_mut(&name).map(|config| &mut config.content),
        };
        if let Some(content) = content {
            *content = Content::Inline(text);
        }
    }
}

fn split(canonical: &mut Json, enabled: &BTreeSet<String>) -> BTreeMap<String, Json> {
    let Some(services) = canonical.get_mut("services").and_then(Json::as_object_mut) else { return BTreeMap::new() };
    if services.keys().all(|name| enabled.contains(name)) {
        return BTreeMap::new();
    }
    let all: Map<String, Json> = std::mem::take(services);
    let (on, off): (Vec<_>, Vec<_>) = all.into_iter().partition(|(name, _)| enabled.contains(name));
    *services = on.into_iter().collect();
    off.into_iter().collect()
}

/// Merges the files that the services name at `key` (`env_file`, `label_file`) into what they say themselves.
fn from_files(session: &mut Session<'_>, project: &mut Project, key: &str) {
    let spans = &project.spans;
    let variables = &project.environment;
    let services = project.canonical.get_mut("services").and_then(Json::as_object_mut);
    for (name, service) in services.into_iter().flatten() {
        let span = |key: &str| -> Option<Span> {
            let list = key.split('[').next().unwrap_or(key);
            spans.get(&format!("services.{name}.{key}")).or_else(|| spans.get(&format!("services.{name}.{list}")))
        };
        let Some(service) = service.as_object_mut() else { continue };
        match service.shift_remove(key) {
            Some(Json::Array(files)) if key == "env_file" => {
                let places = env_values::environment(session, service, &files, variables, &span);
                noted(session, &format!("services.{name}.environment"), places, spans);
            }
            Some(Json::Array(files)) => {
                let places = env_values::labels(session, service, &files, &span);
                noted(session, &format!("services.{name}.labels"), places, spans);
            }
            _ => continue,
        }
        encode::in_order(service);
    }
}

/// Notes where files set what is at `place`; what the service says itself takes the place of that.
fn noted(session: &mut Session<'_>, place: &str, files: BTreeMap<String, Span>, spans: &Spans) {
    for (name, span) in files {
        let path = format!("{place}.{name}");
        match spans.get(&path) {
            Some(own) => session.shadow(own, span),
            None => drop(session.from_files.insert(path, span)),
        }
    }
}
