//! Finds the Compose files of a folder.

use std::path::{Path, PathBuf};

use crate::diagnostic::Diagnostic;
use crate::document::session::{Session, Stop};
use crate::source::{Span, is_remote};

/// Names of the file, best first.
pub const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
/// Names of the override file, best first.
pub const OVERRIDES: [&str; 4] =
    ["compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"];

/// Returns the file of `folder` or of the nearest folder above that has one, with the override file beside it.
pub fn find(session: &mut Session<'_>, folder: &Path) -> Result<Vec<PathBuf>, Stop> {
    for directory in folder.ancestors() {
        let Some(file) = best(session, directory, &NAMES) else { continue };
        let mut files = vec![file];
        files.extend(best(session, directory, &OVERRIDES));
        return Ok(files);
    }
    session.stop(
        Diagnostic::error(1, format!("no Compose file in `{}` or any folder above", folder.display()))
            .help(format!("looked for {}", NAMES.join(", ")))
            .help("name one with -f FILE"),
    )
}

/// Returns the Compose file that `reference` names: what `local` makes of a path, or fetched from where it lies.
pub fn locate(
    session: &mut Session<'_>,
    reference: &str,
    from: Option<Span>,
    local: impl FnOnce(&str) -> PathBuf,
) -> Result<PathBuf, Stop> {
    if !is_remote(reference) {
        return Ok(local(reference));
    }
    let path = session.fetch(reference, from)?;
    // What was fetched may be a folder: then the file has one of the usual names.
    Ok(best(session, &path, &NAMES).unwrap_or(path))
}

fn best(session: &mut Session<'_>, directory: &Path, names: &[&str]) -> Option<PathBuf> {
    let mut present: Vec<PathBuf> = names.iter().map(|name| directory.join(name)).collect();
    present.retain(|path| session.reader.exists(path));
    let first = present.first()?.clone();
    if present.len() > 1 {
        let all: Vec<String> = present.iter().map(|path| format!("`{}`", path.display())).collect();
        session.report(
            Diagnostic::warning(2, format!("found {}", all.join(" and ")))
                .help(format!("`{}` is used; name another with -f", first.display())),
        );
    }
    Some(first)
}

/// Returns `path` below `base`, with `.` and `..` worked out in the text alone.
pub fn join(base: &Path, path: &str) -> PathBuf {
    clean(&base.join(path))
}

/// Returns `path` with `.` and `..` worked out in the text alone.
pub fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for component in path.components() {
        match component {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                if cleaned.file_name().is_some() {
                    cleaned.pop();
                } else if !cleaned.has_root() {
                    cleaned.push("..");
                }
            }
            std::path::Component::Normal(_) | std::path::Component::RootDir | std::path::Component::Prefix(_) => {
                cleaned.push(component)
            }
        }
    }
    if cleaned.as_os_str().is_empty() { PathBuf::from(".") } else { cleaned }
}
