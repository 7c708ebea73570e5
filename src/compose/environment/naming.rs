//! The project's name.

use std::path::Path;

use crate::diagnostic::Diagnostic;
use crate::document::session::{Session, Stop};

/// Returns `text` as a name: lower case, and of `a-z0-9_-` only, beginning with a letter or digit.
pub fn normalise(text: &str) -> String {
    let kept: String = text
        .to_lowercase()
        .chars()
        .filter(|character| {
            character.is_ascii_lowercase() || character.is_ascii_digit() || matches!(character, '_' | '-')
        })
        .collect();
    kept.trim_start_matches(['_', '-']).to_owned()
}

/// Returns the name: the one given, which must be one already, else the file's, else the folder's.
pub fn name(
    session: &mut Session<'_>,
    given: Option<&str>,
    written: Option<&str>,
    directory: &Path,
) -> Result<String, Stop> {
    if let Some(given) = given {
        if normalise(given) == given {
            return Ok(given.to_owned());
        }
        return session.stop(
            Diagnostic::error(7, format!("`{given}` cannot be a project's name"))
                .help("names are lower-case letters, digits, `-` and `_`, and begin with a letter or digit")
                .help(format!("for example `{}`", normalise(given))),
        );
    }
    let folder = directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name = normalise(written.unwrap_or(&folder));
    if !name.is_empty() {
        return Ok(name);
    }
    session.stop(
        Diagnostic::error(8, "the project has no name")
            .help(format!("nothing of `{}` can stand in a name", written.unwrap_or(&folder)))
            .help("give one with `name:` in the file, or with --project-name"),
    )
}
