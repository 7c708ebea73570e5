//! Builds that cannot begin: the folder or its Dockerfile is not there. What lies beside it tells what was meant.

use std::path::{Path, PathBuf};

use compose::Project;
use compose::model::build::Build;
use orchestrator::engine::error::{EngineError, ErrorKind};
use orchestrator::event::Failure;
use orchestrator::operations::OperationError;

/// Names of what is looked for if the file names nothing.
const DEFAULT_NAME: &str = "Dockerfile";

/// Why one service cannot be built, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// What is not there.
    pub(crate) message: String,
    /// What to write instead, one hint a piece.
    pub(crate) hints: Vec<String>,
    /// Something lies there that was meant.
    pub(crate) is_near: bool,
}

/// Says what keeps `service` from being built, if its folder is on this machine.
pub(crate) fn trouble(project: &Project, service: &str) -> Option<Trouble> {
    trouble_of(project, service, project.services.get(service)?.build.as_ref()?)
}

/// As [`trouble`], for a service with this `build`.
pub(crate) fn trouble_of(project: &Project, service: &str, build: &Build) -> Option<Trouble> {
    let folder = Path::new(&build.context);
    if build.dockerfile_inline.is_some() || !folder.is_absolute() {
        return None;
    }
    if !folder.is_dir() {
        return Some(no_folder(project, build, folder));
    }
    let name = build.dockerfile.as_deref().unwrap_or(DEFAULT_NAME);
    // A name with a scheme in it is a file of a remote context.
    if name.contains("://") || folder.join(name).exists() {
        return None;
    }
    Some(no_dockerfile(project, service, folder, name))
}

/// Returns a failure for each of these services that cannot be built.
pub(crate) fn failures<'s>(project: &Project, services: impl Iterator<Item = &'s str>) -> Vec<Failure> {
    let failure = |service: &str| {
        let trouble = trouble(project, service)?;
        let message = format!("cannot build the image of service `{service}`: {}", trouble.message);
        let mut error = EngineError::new(ErrorKind::NotFound, format!("service `{service}`"), message);
        error.hints = trouble.hints;
        Some(Failure::new(error, Some(path(service))))
    };
    services.filter_map(failure).collect()
}

/// Tells of the builds that failed for want of a file what lies there instead.
pub(crate) fn explain(error: &mut OperationError, project: &Project) {
    for failure in &mut error.failures {
        let of = project.services.keys().find(|service| failure.path.as_deref() == Some(path(service).as_str()));
        if let Some(trouble) = of.and_then(|service| trouble(project, service)) {
            failure.error.hints = trouble.hints;
        }
    }
}

fn path(service: &str) -> String {
    format!("services.{service}.build")
}

fn no_folder(project: &Project, build: &Build, folder: &Path) -> Trouble {
    let what = if folder.exists() { "is no folder" } else { "is not there" };
    let message = format!("the folder `{}` {what}", build.context);
    let mut hints = Vec::new();
    let near = folder.parent().map(folders).unwrap_or_default().into_iter().filter(|name| {
        let wanted = folder.file_name().unwrap_or_default().to_string_lossy();
        strsim::normalized_damerau_levenshtein(&bare(name), &bare(&wanted)) >= 0.6
    });
    for name in near {
        let meant = relative(project, &folder.with_file_name(name));
        hints.push(format!("a folder with a similar name exists: `build: {meant}`"));
    }
    let is_near = !hints.is_empty();
    if !is_near {
        hints.push("`build:` names the folder that holds the Dockerfile, relative to the Compose file".into());
    }
    Trouble { message, hints, is_near }
}

fn no_dockerfile(project: &Project, service: &str, folder: &Path, name: &str) -> Trouble {
    let message = format!("there is no Dockerfile `{}`", folder.join(name).display());
    let there = dockerfiles(folder);
    let shown = relative(project, folder);
    let mut hints = Vec::new();
    if !there.is_empty() {
        let names: Vec<String> = there.iter().map(|name| format!("`{name}`")).collect();
        hints.push(format!("the folder holds {}", and(&names)));
        let wanted = if name == DEFAULT_NAME { service } else { name };
        let section = |file: &str| format!("write\n  build:\n    context: {shown}\n    dockerfile: {file}");
        hints.push(match meant(&there, wanted, service) {
            Some(file) => section(file),
            None => section(&format!("{}   # or another of them", there[0])),
        });
    }
    if folder.join(service).join(DEFAULT_NAME).is_file() && name == DEFAULT_NAME {
        let own = relative(project, &folder.join(service));
        hints.push(format!("the folder `{own}` holds a Dockerfile: `build: {own}`"));
    }
    let is_near = !hints.is_empty();
    if !is_near {
        hints.push(format!(
            "write one there, or name it: `build: {{context: {shown}, dockerfile: PATH}}`, the path relative to the context"
        ));
    }
    Trouble { message, hints, is_near }
}

/// Chooses the Dockerfile that the service is meant to have: that of its name, or the only one.
fn meant<'t>(there: &'t [String], wanted: &str, service: &str) -> Option<&'t str> {
    if let [only] = there {
        return Some(only);
    }
    for name in [wanted, service] {
        let bare_name = bare(name);
        let exact = there.iter().find(|file| bare(file) == bare_name);
        if exact.is_some() {
            return exact.map(String::as_str);
        }
        let mut holding = there.iter().filter(|file| {
            let file = bare(file);
            !file.is_empty() && (file.contains(&bare_name) || bare_name.contains(&file))
        });
        if let (Some(one), None) = (holding.next(), holding.next()) {
            return Some(one);
        }
    }
    let likeness = |file: &&String| strsim::normalized_damerau_levenshtein(&bare(file), &bare(wanted));
    let best = there.iter().max_by(|one, other| likeness(one).total_cmp(&likeness(other)))?;
    (likeness(&best) >= 0.6).then_some(best)
}

/// Returns what tells one name from another: `user_service.Dockerfile` and `Dockerfile.user-service` are the same.
fn bare(name: &str) -> String {
    let name = name.to_lowercase().replace("dockerfile", "").replace("containerfile", "");
    name.chars().filter(|letter| letter.is_alphanumeric()).collect()
}

fn dockerfiles(folder: &Path) -> Vec<String> {
    let is_one = |name: &str| {
        let lower = name.to_lowercase();
        (lower.contains("dockerfile") || lower.contains("containerfile")) && !lower.ends_with(".dockerignore")
    };
    names(folder, |path| path.is_file()).into_iter().filter(|name| is_one(name)).collect()
}

fn folders(folder: &Path) -> Vec<String> {
    names(folder, Path::is_dir)
}

fn names(folder: &Path, is_wanted: impl Fn(&Path) -> bool) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| is_wanted(path));
    let mut names: Vec<String> = paths.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect();
    names.sort();
    names
}

/// Returns `path` as the Compose file would write it.
fn relative(project: &Project, path: &Path) -> String {
    let Ok(below) = path.strip_prefix(&project.directory) else { return path.display().to_string() };
    if below.as_os_str().is_empty() { ".".into() } else { PathBuf::from(".").join(below).display().to_string() }
}

fn and(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use compose::model::service::Service;

    use super::*;

    /// Makes a project of services with this `build`, in a folder with these files.
    fn check(files: &[&str], service: &str, context: &str, dockerfile: Option<&str>) -> Option<(String, Vec<String>)> {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "FROM scratch\n").unwrap();
        }
        let mut project = Project { directory: folder.path().to_owned(), ..Project::default() };
        let build = Build {
            context: folder.path().join(context).display().to_string().trim_end_matches("/.").to_owned(),
            dockerfile: dockerfile.map(str::to_owned),
            ..Build::default()
        };
        project.services.insert(service.into(), Service { build: Some(build), ..Service::default() });
        let short = |text: String| text.replace(&folder.path().display().to_string(), "/shop");
        trouble(&project, service).map(|it| (short(it.message), it.hints.into_iter().map(short).collect()))
    }

    fn hints(files: &[&str], service: &str, dockerfile: Option<&str>) -> Vec<String> {
        check(files, service, ".", dockerfile).unwrap().1
    }

    #[test]
    fn a_dockerfile_named_after_the_service_is_what_was_meant() {
        let files = ["user_service.Dockerfile", "database_service.Dockerfile"];
        let told = check(&files, "user_service", ".", None).unwrap();
        assert_eq!(told.0, "there is no Dockerfile `/shop/Dockerfile`");
        assert_eq!(
            told.1,
            [
                "the folder holds `database_service.Dockerfile` and `user_service.Dockerfile`",
                "write\n  build:\n    context: .\n    dockerfile: user_service.Dockerfile",
            ]
        );
        assert!(hints(&files, "database-service", None)[1].ends_with("dockerfile: database_service.Dockerfile"));
        let other = ["Dockerfile.api", "Dockerfile.worker"];
        assert!(hints(&other, "worker_service", None)[1].ends_with("dockerfile: Dockerfile.worker"));
        assert!(hints(&other, "db", None)[1].ends_with("Dockerfile.api   # or another of them"));
        assert!(hints(&["dockerfile"], "db", None)[1].ends_with("dockerfile: dockerfile"));
    }

    #[test]
    fn a_misspelt_dockerfile_is_told_by_its_likeness() {
        let told = hints(&["prod.Dockerfile", "dev.Dockerfile"], "web", Some("prd.Dockerfile"));
        assert!(told[1].ends_with("dockerfile: prod.Dockerfile"), "{told:?}");
    }

    #[test]
    fn a_folder_of_the_services_name_is_what_was_meant() {
        assert_eq!(hints(&["web/Dockerfile"], "web", None), ["the folder `./web` holds a Dockerfile: `build: ./web`"]);
        let told = check(&["backend/Dockerfile"], "web", "backnd", None).unwrap();
        assert_eq!(told.0, "the folder `/shop/backnd` is not there");
        assert_eq!(told.1, ["a folder with a similar name exists: `build: ./backend`"]);
    }

    #[test]
    fn where_the_dockerfile_lies_nothing_is_said() {
        assert_eq!(check(&["Dockerfile"], "web", ".", None), None);
        assert_eq!(check(&["app/x.Dockerfile"], "web", "app", Some("x.Dockerfile")), None);
    }
}
