//! `COMPOSE_*` variables that stand in a project's `.env`: they are settings of the command as if the shell had them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use compose::environment::dotenv;

use crate::args::environment::Environment;
use crate::args::global::GlobalArgs;

/// Returns the environment with what the files of variables add to it. A file that can't be read or understood adds
/// nothing here: the loader reads it again, and says so.
pub(crate) fn with_env_files(environment: &Environment, args: &GlobalArgs, folder: &Path) -> Environment {
    let mut merged = environment.clone();
    let mut added = BTreeMap::new();
    for file in files(environment, args, folder) {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        let lookup = |name: &str| environment.0.get(name).cloned();
        let _ = dotenv::parse(&text, &mut added, &lookup);
    }
    for (name, value) in added.into_iter().filter(|(name, _)| name.starts_with("COMPOSE_")) {
        merged.0.entry(name).or_insert(value);
    }
    merged
}

fn files(environment: &Environment, args: &GlobalArgs, folder: &Path) -> Vec<PathBuf> {
    if !args.env_file.is_empty() {
        return args.env_file.iter().map(|file| folder.join(file)).collect();
    }
    if let Some(list) = environment.get("COMPOSE_ENV_FILES") {
        return list.split(',').filter(|file| !file.is_empty()).map(|file| folder.join(file)).collect();
    }
    if environment.is_on("COMPOSE_DISABLE_ENV_FILE") {
        return Vec::new();
    }
    let first = args.file.iter().map(String::as_str).find(|file| *file != "-" && !file.contains("://"));
    let place = args.at.as_deref().map(|place| folder.join(place));
    let directory = match (&args.project_directory, place, first) {
        (Some(directory), _, _) => folder.join(directory),
        (None, Some(place), _) if place.is_dir() => place,
        (None, Some(place), _) => place.parent().unwrap_or(folder).to_owned(),
        (None, None, Some(file)) => folder.join(file).parent().unwrap_or(folder).to_owned(),
        (None, None, None) => folder.to_owned(),
    };
    vec![directory.join(".env")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_wins_over_the_file_and_only_settings_are_taken() {
        let scratch = tempfile::tempdir().unwrap();
        let text = "COMPOSE_PROGRESS=json\nCOMPOSE_ANSI=never\nOTHER=1\n";
        std::fs::write(scratch.path().join(".env"), text).unwrap();
        let environment = Environment::from([("COMPOSE_ANSI", "always")]);
        let merged = with_env_files(&environment, &GlobalArgs::default(), scratch.path());
        assert_eq!((merged.get("COMPOSE_PROGRESS"), merged.get("COMPOSE_ANSI")), (Some("json"), Some("always")));
        assert_eq!(merged.get("OTHER"), None);
        let elsewhere = GlobalArgs { file: vec!["sub/compose.yaml".into()], ..GlobalArgs::default() };
        assert_eq!(with_env_files(&environment, &elsewhere, scratch.path()).get("COMPOSE_PROGRESS"), None);
    }
}
