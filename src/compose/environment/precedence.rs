//! Who wins: flags over the process's environment over `--env-file` or `.env`, and what the `COMPOSE_*` variables say.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::diagnostic::Diagnostic;
use crate::document::session::{Session, Stop, read_failure};
use crate::environment::{discovery, dotenv};
use crate::request::LoadRequest;
use crate::source::{ReadError, Span};

/// What a project is read with.
#[derive(Debug, Clone, Default)]
pub struct Setting {
    /// The Compose files, in order; `-` is the caller's text.
    pub files: Vec<PathBuf>,
    /// Folder that relative paths start from.
    pub directory: PathBuf,
    /// What interpolation sees.
    pub variables: BTreeMap<String, String>,
    /// The files of variables that were read.
    pub env_files: Vec<PathBuf>,
    /// Profiles to enable.
    pub profiles: Vec<String>,
    /// The name, if a flag or a variable gives it.
    pub name: Option<String>,
}

/// Works out the setting of `request`.
pub fn settle(session: &mut Session<'_>, request: &LoadRequest) -> Result<Setting, Stop> {
    let mut variables = request.environment.clone();
    let here = request.working_directory.display().to_string();
    variables.entry("PWD".into()).or_insert(here);
    let mut setting = Setting { variables, ..Setting::default() };
    for file in &request.files {
        setting.files.push(discovery::locate(session, &file.to_string_lossy(), None, |_| file.clone())?);
    }
    let named = named_env_files(request);
    let default = if named.is_empty() { default_env_file(session, request, &setting) } else { None };
    let first: Vec<PathBuf> = named.iter().cloned().chain(default).collect();
    load_all(session, &mut setting, &first)?;
    if setting.files.is_empty() {
        setting.files = files_by_variable(session, request, &setting)?;
    }
    if setting.files.is_empty() {
        let start = request.project_directory.as_deref().unwrap_or(&request.working_directory);
        setting.files = discovery::find(session, start)?;
    }
    // The project's folder may be another than the one the command was called in: its .env counts too, behind the first.
    if named.is_empty()
        && let Some(file) = default_env_file(session, request, &setting)
        && !setting.env_files.contains(&file)
    {
        load_all(session, &mut setting, &[file])?;
    }
    setting.directory = directory(request, &setting.files);
    setting.profiles = profiles(request, &setting.variables);
    let by_variable = setting.variables.get("COMPOSE_PROJECT_NAME").filter(|name| !name.is_empty());
    setting.name = request.project_name.clone().filter(|name| !name.is_empty()).or_else(|| by_variable.cloned());
    Ok(setting)
}

fn named_env_files(request: &LoadRequest) -> Vec<PathBuf> {
    if !request.env_files.is_empty() {
        return request.env_files.clone();
    }
    let listed = request.environment.get("COMPOSE_ENV_FILES").map(String::as_str).unwrap_or_default();
    let files = listed.split(',').filter(|file| !file.is_empty());
    files.map(|file| discovery::join(&request.working_directory, file)).collect()
}

fn directory(request: &LoadRequest, files: &[PathBuf]) -> PathBuf {
    if let Some(directory) = &request.project_directory {
        return directory.clone();
    }
    let first = files.iter().find(|file| file.as_os_str() != "-");
    first.and_then(|file| file.parent()).map_or_else(|| request.working_directory.clone(), Path::to_path_buf)
}

fn default_env_file(session: &Session<'_>, request: &LoadRequest, setting: &Setting) -> Option<PathBuf> {
    let disabled = request.environment.get("COMPOSE_DISABLE_ENV_FILE").map(String::as_str).unwrap_or_default();
    if matches!(disabled, "1" | "t" | "T" | "true" | "TRUE" | "True") {
        return None;
    }
    let file = directory(request, &setting.files).join(".env");
    session.reader.exists(&file).then_some(file)
}

fn files_by_variable(
    session: &mut Session<'_>,
    request: &LoadRequest,
    setting: &Setting,
) -> Result<Vec<PathBuf>, Stop> {
    let Some(list) = setting.variables.get("COMPOSE_FILE") else { return Ok(Vec::new()) };
    let separator = setting.variables.get("COMPOSE_PATH_SEPARATOR").map(String::as_str).filter(|text| !text.is_empty());
    let mut files = Vec::new();
    for file in list.split(separator.unwrap_or(":")) {
        if file == "-" {
            files.push(PathBuf::from(file));
            continue;
        }
        let path = discovery::locate(session, file, None, |file| discovery::join(&request.working_directory, file))?;
        if !session.reader.exists(&path) {
            return session.stop(
                Diagnostic::error(3, format!("the Compose file `{}` is not there", path.display()))
                    .help(format!("it is named by COMPOSE_FILE, which is `{list}`")),
            );
        }
        files.push(path);
    }
    Ok(files)
}

fn profiles(request: &LoadRequest, variables: &BTreeMap<String, String>) -> Vec<String> {
    if !request.profiles.is_empty() {
        return request.profiles.clone();
    }
    let listed = variables.get("COMPOSE_PROFILES").map(String::as_str).unwrap_or_default();
    listed.split(',').map(str::trim).filter(|profile| !profile.is_empty()).map(str::to_owned).collect()
}

fn load_all(session: &mut Session<'_>, setting: &mut Setting, files: &[PathBuf]) -> Result<(), Stop> {
    let read = read_files(session, files, None, &setting.variables)?;
    for (name, value) in read {
        setting.variables.entry(name).or_insert(value);
    }
    setting.env_files.extend(files.iter().cloned());
    Ok(())
}

/// Reads files of variables, of which later ones win; references in them see `current` first. `from` is where they are
/// named, if a file does it.
pub fn read_files(
    session: &mut Session<'_>,
    files: &[PathBuf],
    from: Option<Span>,
    current: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Stop> {
    let mut variables = BTreeMap::new();
    for file in files {
        match read_file(session, file, None, &mut variables, &|name| current.get(name).cloned()) {
            Ok(()) => {}
            Err(Unreadable::File(error)) => {
                let message = format!("cannot read the env file `{}`: {}", file.display(), read_failure(&error));
                let diagnostic = Diagnostic::error(4, message);
                return session.stop(match from {
                    Some(span) => {
                        let name = file.file_name().unwrap_or_default().to_string_lossy();
                        diagnostic.at(session.within(span, &name)).label("named here")
                    }
                    None => diagnostic,
                });
            }
            Err(Unreadable::Content) => return Err(Stop),
        }
    }
    Ok(variables)
}

/// Why a file of variables gave none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreadable {
    /// The file could not be read; nothing was noted.
    File(ReadError),
    /// What it says is wrong, and that was noted.
    Content,
}

/// Reads one file of variables, in the `raw` format or the usual one.
pub fn read_file(
    session: &mut Session<'_>,
    file: &Path,
    format: Option<&str>,
    variables: &mut BTreeMap<String, String>,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<(), Unreadable> {
    session.noted.clear();
    let id = session.read(file).map_err(Unreadable::File)?;
    let text = session.sources.get(id).map(|source| source.text.clone()).unwrap_or_default();
    let mut note = |name: &str, range: std::ops::Range<usize>| {
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let span = Span { file: id, start: offset(range.start), end: offset(range.end) };
        session.variable_places.entry(name.to_owned()).or_default().push(span);
        session.noted.push((name.to_owned(), span));
    };
    let parsed = match format {
        Some("raw") => dotenv::parse_raw_noting(&text, variables, lookup, &mut note),
        _ => dotenv::parse_noting(&text, variables, lookup, &mut note),
    };
    parsed.map_err(|error| {
        let start = u32::try_from(error.offset).unwrap_or(0);
        let end = start + u32::try_from(error.length).unwrap_or(0);
        let message = format!("cannot read the variables of `{}`: {}", file.display(), error.message);
        session.report(Diagnostic::error(5, message).at(Span { file: id, start, end }).label("here"));
        Unreadable::Content
    })
}
