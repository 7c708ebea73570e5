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

/// As [`check`], and enables those whose profiles are off: who is named is meant.
pub(crate) fn check_and_enable(names: &[String], project: &mut Project) -> Result<(), CommandError> {
    check(names, project)?;
    for name in names {
        if let Some(service) = project.disabled_services.remove(name) {
            project.services.insert(name.clone(), service);
        }
    }
    Ok(())
}

/// As [`check`], where the file could be read.
pub(crate) fn check_target(names: &[String], target: &Target) -> Result<(), CommandError> {
    target.loaded.as_ref().map_or(Ok(()), |loaded| check(names, &loaded.project))
}

/// Makes the error for a service that is not there.
pub(crate) fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> CommandError {
    CommandError::new(Kind::Failed, format!("no such service: {name}{}", meant(name, known)))
}

/// Says in a few words which of `known` was meant, or which there are.
pub(crate) fn meant<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let mut known: Vec<&str> = known.collect();
    match compose::diagnostic::similar::closest(name, known.iter().copied()) {
        Some(other) => format!("; did you mean `{other}`?"),
        None if known.is_empty() => String::new(),
        None => {
            let more = known.len().saturating_sub(SHOWN);
            known.truncate(SHOWN);
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            format!("; there are {}{more}", known.join(", "))
        }
    }
}

/// Names that are shown where none is near.
const SHOWN: usize = 8;

#[cfg(test)]
mod tests {
    use compose::model::service::Service;

    use crate::error::Source;

    use super::*;

    #[test]
    fn a_mistyped_service_is_met_with_the_one_that_was_meant() {
        let mut project = Project::default();
        for name in ["web", "database"] {
            project.services.insert(name.into(), Service::default());
        }
        let said = |name: &str| match check(&["web".into(), name.into()], &project).unwrap_err().source {
            Source::Message(text) => text,
            other => panic!("{other:?}"),
        };
        assert_eq!(said("databse"), "no such service: databse; did you mean `database`?");
        assert_eq!(said("wbe"), "no such service: wbe; did you mean `web`?");
        assert_eq!(said("zzz"), "no such service: zzz; there are database, web");
        assert!(check(&["w*".into()], &project).is_ok());
    }
}
