//! What the caller asks `load` for.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Everything that decides what is loaded: what the command line says, and the process's environment.
///
/// What a field leaves open (`files`, `env_files`, `profiles`, `project_name`) is taken from the `COMPOSE_*`
/// variables of `environment`, then from those of the `.env` file.
#[derive(Debug, Clone, Default)]
pub struct LoadRequest {
    /// Absolute paths of the Compose files, or `-` for [`LoadRequest::stdin`], or a remote reference. Empty: found in
    /// `working_directory` or above, with the override file beside it.
    pub files: Vec<PathBuf>,
    /// The text of a `-` file.
    pub stdin: Option<String>,
    /// Absolute folder that the command was called in.
    pub working_directory: PathBuf,
    /// Absolute folder that relative paths start from; else that of the first file.
    pub project_directory: Option<PathBuf>,
    /// The project's name; it must already have the form of one.
    pub project_name: Option<String>,
    /// Files of variables that take the place of `.env`; later ones win.
    pub env_files: Vec<PathBuf>,
    /// Profiles to enable; `*` enables all.
    pub profiles: Vec<String>,
    /// The environment of the process.
    pub environment: BTreeMap<String, String>,
    /// Services that the project is narrowed to, with what they depend on; empty: all.
    pub services: Vec<String>,
    /// Passes that may be left out.
    pub passes: Passes,
}

/// Passes that may be left out; all on unless said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passes {
    /// Replace `${VAR}`.
    pub interpolate: bool,
    /// Fill in implied values.
    pub normalize: bool,
    /// Make relative paths absolute.
    pub resolve_paths: bool,
    /// Check references between parts of the file.
    pub consistency: bool,
    /// Merge `env_file` into `environment`.
    pub resolve_env: bool,
    /// Keep networks, volumes, configs and secrets that no enabled service uses.
    pub keep_unused: bool,
    /// Check that no two services have the same container name.
    pub container_names: bool,
    /// Fill in the typed parts of the project; without them there is only its canonical tree.
    pub decode: bool,
}

impl Default for Passes {
    fn default() -> Self {
        Self {
            interpolate: true,
            normalize: true,
            resolve_paths: true,
            consistency: true,
            resolve_env: true,
            keep_unused: false,
            container_names: true,
            decode: true,
        }
    }
}
