//! Compose files in registries, `oci://HOST/NAME:TAG`, as Docker Compose publishes them: each file a blob with its name
//! in an annotation, files of variables beside them.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use compose::ReadError;
use runtime::image::reference::{DEFAULT_REGISTRY, Reference};
use runtime::registry::bundle::{self, Bundle, File, Found};
use runtime::registry::error::PullError;
use runtime::registry::settings::Settings;

/// What the manifest of a project says it is.
const PROJECT: &str = "application/vnd.docker.compose.project";
/// Its config, where the registry knows no `artifactType`.
const EMPTY_CONFIG: &str = "application/vnd.docker.compose.config.empty.v1+json";
/// A Compose file.
const COMPOSE_FILE: &str = "application/vnd.docker.compose.file+yaml";
/// A file of variables.
const ENV_FILE: &str = "application/vnd.docker.compose.envfile";

/// The name that a file has; of a Compose file only those that others extend are kept apart.
const FILE_NAME: &str = "com.docker.compose.file";
const EXTENDED: &str = "com.docker.compose.extends";
const ENV_FILE_NAME: &str = "com.docker.compose.envfile";

/// The file that all others are documents of.
const MAIN: &str = "compose.yaml";

/// Fetches the project at `address` (what stands behind `oci://`) into a folder below `cache`, unless it is there, and
/// returns that folder.
pub(crate) fn fetch(address: &str, cache: &Path, settings: &Arc<Settings>) -> Result<PathBuf, ReadError> {
    let reference = parse(address).map_err(ReadError::Other)?;
    // Requests are driven by a runtime of their own, which cannot be inside of another one.
    let fetched = std::thread::scope(|scope| scope.spawn(|| kept(&reference, cache, settings)).join());
    fetched.expect("fetching does not panic").map_err(ReadError::Other)
}

/// Reads a reference; a name without a registry is one of Docker Hub.
fn parse(address: &str) -> Result<Reference, String> {
    let mut reference = Reference::parse(address).map_err(|error| error.to_string())?;
    if reference.registry.is_empty() {
        reference.registry = DEFAULT_REGISTRY.to_owned();
    }
    Ok(reference)
}

fn kept(reference: &Reference, cache: &Path, settings: &Arc<Settings>) -> Result<PathBuf, String> {
    let folder = |digest: &runtime::image::digest::Digest| {
        // The last part is the name of the repository: that is what a project without a name is called after.
        let name = reference.repository.rsplit('/').next().unwrap_or("project");
        cache.join("oci").join(digest.hex()).join(name)
    };
    // What is pinned and there needs no registry.
    if let Some(there) = reference.digest.as_ref().map(folder).filter(|folder| folder.is_dir()) {
        return Ok(there);
    }
    let found = bundle::find(reference, PROJECT, settings).map_err(|error| told(&error))?;
    is_project(&found)?;
    let folder = folder(&found.digest);
    if !folder.is_dir() {
        let bundle = found.fetch().map_err(|error| told(&error))?;
        keep(&bundle, &folder)?;
    }
    Ok(folder)
}

fn told(error: &PullError) -> String {
    match error.hint() {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    }
}

fn is_project(found: &Found) -> Result<(), String> {
    let (kind, config) = found.kinds();
    match (kind, config) {
        (PROJECT, _) | ("", EMPTY_CONFIG) => Ok(()),
        ("", config) if config.contains("image.v1") || config.contains("container.image") => {
            Err("it is an image and no Compose file".to_owned())
        }
        ("", other) | (other, _) => Err(format!("it is no Compose file but `{other}`")),
    }
}

/// Writes the files aside and renames their folder: one that is there is whole.
fn keep(bundle: &Bundle, folder: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("cannot keep it in `{}`: {error}", folder.display());
    let parent = folder.parent().unwrap_or(folder);
    std::fs::create_dir_all(parent).map_err(failed)?;
    let aside = parent.join(format!(".{}.{}", folder.file_name().unwrap_or_default().display(), std::process::id()));
    std::fs::create_dir_all(&aside).map_err(failed)?;
    let result = contents(bundle).and_then(|files| {
        for (name, content) in files {
            let path = aside.join(name);
            std::fs::create_dir_all(path.parent().unwrap_or(&aside)).map_err(failed)?;
            std::fs::write(&path, content).map_err(failed)?;
        }
        match std::fs::rename(&aside, folder) {
            // Another run may have been faster.
            Err(_) if folder.is_dir() => Ok(()),
            renamed => renamed.map_err(failed),
        }
    });
    if aside.exists() {
        std::fs::remove_dir_all(&aside).map_err(failed)?;
    }
    result
}

/// Returns the files to write. Files that lay over each other are documents of one, in their order.
fn contents(bundle: &Bundle) -> Result<Vec<(PathBuf, Vec<u8>)>, String> {
    let mut main: Vec<u8> = Vec::new();
    let mut files = Vec::new();
    for file in &bundle.files {
        match file.kind.as_str() {
            COMPOSE_FILE if file.annotations.contains_key(EXTENDED) => {
                files.push((name(file, FILE_NAME)?, file.content.clone()));
            }
            COMPOSE_FILE => {
                if !main.is_empty() {
                    main.extend_from_slice(b"\n---\n");
                }
                main.extend_from_slice(&file.content);
            }
            ENV_FILE => files.push((name(file, ENV_FILE_NAME)?, file.content.clone())),
            _ => {}
        }
    }
    if main.is_empty() {
        return Err("there is no Compose file in it".to_owned());
    }
    files.push((PathBuf::from(MAIN), main));
    Ok(files)
}

/// Returns the name that an annotation gives: a path that stays in its folder.
fn name(file: &File, annotation: &str) -> Result<PathBuf, String> {
    let name = file.annotations.get(annotation).map(String::as_str).unwrap_or_default();
    let path = Path::new(name);
    let stays = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    match path.file_name() {
        Some(_) if stays => Ok(path.to_path_buf()),
        None if name.is_empty() => Err(format!("a file in it has no name (`{annotation}`)")),
        Some(_) | None => Err(format!("the name `{name}` of a file in it leads out of its folder")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn file(kind: &str, content: &str, annotations: &[(&str, &str)]) -> File {
        let annotations = annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        File { kind: kind.into(), annotations: annotations.collect(), content: content.into() }
    }

    fn check(files: Vec<File>) -> Result<BTreeMap<String, String>, String> {
        let files = contents(&Bundle { files, ..Bundle::default() })?;
        let text =
            |(path, content): (PathBuf, Vec<u8>)| (path.display().to_string(), String::from_utf8(content).unwrap());
        Ok(files.into_iter().map(text).collect())
    }

    #[test]
    fn files_that_lie_over_each_other_become_documents_and_the_others_keep_their_names() {
        let files = check(vec![
            file(COMPOSE_FILE, "a: 1", &[(FILE_NAME, "compose.yaml")]),
            file(COMPOSE_FILE, "b: 2", &[(FILE_NAME, "prod.yaml")]),
            file(COMPOSE_FILE, "c: 3", &[(FILE_NAME, "base.yaml"), (EXTENDED, "true")]),
            file(ENV_FILE, "A=1", &[(ENV_FILE_NAME, "web.env")]),
            file("text/plain", "?", &[]),
        ]);
        let expected = [("base.yaml", "c: 3"), ("compose.yaml", "a: 1\n---\nb: 2"), ("web.env", "A=1")];
        assert_eq!(files.unwrap(), expected.map(|(name, text)| (name.to_owned(), text.to_owned())).into());
    }

    #[test]
    fn a_name_that_leads_away_and_a_bundle_without_a_file_are_refused() {
        for name in ["../x.env", "/etc/x.env", "a/../../x"] {
            let files = vec![file(COMPOSE_FILE, "a: 1", &[]), file(ENV_FILE, "A=1", &[(ENV_FILE_NAME, name)])];
            assert!(check(files).unwrap_err().contains("leads out"), "{name}");
        }
        assert!(check(vec![file(ENV_FILE, "A=1", &[])]).unwrap_err().contains("has no name"));
        assert_eq!(check(Vec::new()).unwrap_err(), "there is no Compose file in it");
    }
}
