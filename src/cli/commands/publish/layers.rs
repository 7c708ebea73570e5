//! The files of a project as layers: Compose files, those that they extend, and files of variables under names that
//! tell nothing of this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use compose::document::outward::{Role, is_here, outward, renamed};
use compose::interpolate::template::substitute;
use runtime::image::digest::Digest;

use crate::error::{CommandError, Kind, LoadedProject};

/// What a layer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LayerKind {
    /// A Compose file.
    Compose,
    /// A file of variables.
    Variables,
}

impl LayerKind {
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Compose => "application/vnd.docker.compose.file+yaml",
            Self::Variables => "application/vnd.docker.compose.envfile",
        }
    }

    /// The annotation that has its name.
    pub(super) fn annotation(self) -> &'static str {
        match self {
            Self::Compose => "com.docker.compose.file",
            Self::Variables => "com.docker.compose.envfile",
        }
    }
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layer {
    pub(super) kind: LayerKind,
    /// Its last part names it when it is fetched.
    pub(super) name: String,
    pub(super) content: String,
    /// Services of other files extend it: it is no file of the project itself.
    pub(super) is_base: bool,
}

impl Layer {
    /// Makes the layer of a Compose file.
    pub(super) fn compose(path: &str, content: String) -> Self {
        let name = Path::new(path).file_name().map_or(path.to_owned(), |name| name.to_string_lossy().into_owned());
        Self { kind: LayerKind::Compose, name, content, is_base: false }
    }
}

/// A Compose file with the places in it where other files are named.
pub(super) struct File {
    pub(super) path: PathBuf,
    /// Another file extends it.
    is_base: bool,
    /// The text with the new names.
    content: String,
    /// Files of variables that it names.
    pub(super) variables: Vec<PathBuf>,
}

/// Reads the project's Compose files and those that they extend.
pub(super) fn read(loaded: &LoadedProject) -> Result<Vec<File>, CommandError> {
    let project = &loaded.project;
    let mut files = Vec::new();
    let mut waiting: Vec<(PathBuf, bool)> = project.files.iter().rev().map(|path| (path.clone(), false)).collect();
    let mut seen: BTreeSet<PathBuf> = project.files.iter().cloned().collect();
    while let Some((path, is_base)) = waiting.pop() {
        let text = text_of(&path)?;
        // Of a base paths start from its own folder, of the others from the project's.
        let folder = if is_base { path.parent().unwrap_or(&project.directory) } else { &project.directory };
        if outward_includes(&text) {
            let message = "cannot publish compose file with local includes";
            return Err(CommandError::new(Kind::Failed, message).hint(format!("`{}` includes others", path.display())));
        }
        let mut names = Vec::new();
        let mut variables = Vec::new();
        for named in outward(&text) {
            let name = interpolated(&named.name, &project.environment);
            if !is_here(&name) {
                continue;
            }
            let target = normal(&folder.join(&name));
            match named.role {
                Role::Environment => {
                    names.push((named.span, hidden_name(&target, "env")));
                    variables.push(target);
                }
                // One that is not here is from elsewhere: the project was loaded with it.
                Role::Base if target.is_file() => {
                    names.push((named.span, hidden_name(&target, "yaml")));
                    if seen.insert(target.clone()) {
                        waiting.insert(0, (target, true));
                    }
                }
                Role::Base => {}
            }
        }
        files.push(File { path, is_base, content: renamed(&text, &names), variables });
    }
    Ok(files)
}

/// Returns the layers; files of variables only where so asked.
pub(super) fn layers(loaded: &LoadedProject, files: &[File], with_variables: bool) -> Result<Vec<Layer>, CommandError> {
    let own: BTreeSet<&PathBuf> = loaded.project.files.iter().collect();
    let mut layers = Vec::new();
    for file in files {
        let name = if own.contains(&file.path) && !file.is_base {
            file.path.display().to_string()
        } else {
            hidden_name(&file.path, "yaml")
        };
        layers.push(Layer { is_base: file.is_base, ..Layer::compose(&name, file.content.clone()) });
    }
    if with_variables {
        let variables: BTreeMap<String, &PathBuf> =
            files.iter().flat_map(|file| &file.variables).map(|path| (hidden_name(path, "env"), path)).collect();
        for (name, path) in variables {
            // One that is not required may be absent.
            if path.is_file() {
                let content = text_of(path)?;
                layers.push(Layer { kind: LayerKind::Variables, name, content, is_base: false });
            }
        }
    }
    Ok(layers)
}

pub(super) fn text_of(path: &Path) -> Result<String, CommandError> {
    std::fs::read_to_string(path)
        .map_err(|error| CommandError::new(Kind::Failed, format!("cannot read `{}`: {error}", path.display())))
}

fn outward_includes(text: &str) -> bool {
    compose::document::outward::includes(text).iter().any(|name| is_here(name))
}

fn interpolated(name: &str, environment: &BTreeMap<String, String>) -> String {
    let lookup = |variable: &str| environment.get(variable).cloned();
    substitute(name, &lookup, &mut Vec::new()).unwrap_or_else(|_| name.to_owned())
}

/// Returns a name made of the digest of the path.
fn hidden_name(path: &Path, extension: &str) -> String {
    let digest = Digest::of(path.as_os_str().as_encoded_bytes()).to_string();
    format!("{}.{extension}", digest.trim_start_matches("sha256:"))
}

/// Resolves `.` and `..` as text.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => drop(normal.pop()),
            part => normal.push(part),
        }
    }
    normal
}
