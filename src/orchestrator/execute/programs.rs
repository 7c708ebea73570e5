//! Finds programs outside of the engine, and how they are run: in the environment of the project, ended with the
//! command.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

/// Where the docker command looks for its plug-ins, after the person's own folder.
const PLUGIN_FOLDERS: [&str; 4] = [
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
];

/// Returns the plug-in `name` of the docker command.
pub(crate) fn plugin(name: &str, environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    let settings = match environment.get("DOCKER_CONFIG").filter(|folder| !folder.is_empty()) {
        Some(folder) => Some(PathBuf::from(folder)),
        None => environment.get("HOME").map(|home| Path::new(home).join(".docker")),
    };
    let own = settings.iter().map(|folder| folder.join("cli-plugins"));
    let more = settings.iter().flat_map(|folder| extra_folders(&folder.join("config.json")));
    let usual = PLUGIN_FOLDERS.into_iter().map(PathBuf::from);
    let file = format!("docker-{name}");
    more.chain(own).chain(usual).map(|folder| folder.join(&file)).find(|path| is_program(path))
}

/// Returns the folders that the docker command's settings name beside the usual ones.
fn extra_folders(settings: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(settings).unwrap_or_default();
    let settings: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let folders = settings["cliPluginsExtraDirs"].as_array().cloned().unwrap_or_default();
    folders.iter().filter_map(|folder| folder.as_str().map(PathBuf::from)).collect()
}

/// Returns the program `name`, as a shell finds it.
pub(crate) fn in_path(name: &str, environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|path| is_program(path));
    }
    let folders = environment.get("PATH").map(String::as_str).unwrap_or_default().split(':');
    folders.filter(|folder| !folder.is_empty()).map(|folder| Path::new(folder).join(name)).find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// Returns a command that runs `program` in `environment` and dies with whoever waits for it.
pub(crate) fn command(program: &Path, environment: &BTreeMap<String, String>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().envs(environment).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    command
}

/// Returns the last lines of what a program wrote.
pub(crate) fn tail(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].iter().map(|line| (*line).to_owned()).collect()
}
