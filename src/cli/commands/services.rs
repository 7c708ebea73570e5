//! Services named on the command line: those that the file does not know are said, with the one that was meant.

use compose::Project;

use crate::app::project::Target;
use crate::error::{CommandError, Kind};

/// Checks that each of `names` is a service of the project, enabled or not; glob patterns are left to the operation.
pub(crate) fn check(names: &[String], project: &Project) -> Result<(), CommandError> {
    for name in names.iter().filter(|name| !name.contains(['*', '?', '['])) {
        if project.services.contains_key(name) || project.disabled_services.contains_key(name) {
            continue;
        }
        let known = project.services.keys().chain(project.disabled_services.keys());
        return Err(unknown(name, known.map(String::as_str)));
    }
    Ok(())
}

/// As [`check`], where the file could be read.
pub(crate) fn check_target(names: &[String], target: &Target) -> Result<(), CommandError> {
    target.loaded.as_ref().map_or(Ok(()), |loaded| check(names, &loaded.project))
}

/// Makes the error for a service that is not there.
pub(crate) fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> CommandError {
    let error = CommandError::new(Kind::Failed, format!("no such service: {name}"));
    let known: Vec<&str> = known.collect();
    let closest = known
        .iter()
        .map(|other| (strsim::jaro_winkler(name, other), other))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match closest {
        Some((_, other)) => error.hint(format!("did you mean `{other}`?")),
        None if known.is_empty() => error,
        None => error.hint(format!("there are {}", known.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use compose::model::service::Service;

    use super::*;

    #[test]
    fn a_mistyped_service_is_met_with_the_one_that_was_meant() {
        let mut project = Project::default();
        for name in ["web", "database"] {
            project.services.insert(name.into(), Service::default());
        }
        let error = check(&["web".into(), "databse".into()], &project).unwrap_err();
        assert_eq!(error.hints, ["did you mean `database`?"]);
        assert_eq!(check(&["zzz".into()], &project).unwrap_err().hints, ["there are database, web"]);
        assert!(check(&["w*".into()], &project).is_ok());
    }
}
