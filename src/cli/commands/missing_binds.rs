//! Warns of a bind mount whose file is not there: as in Docker Compose a folder is made in its place, which is hardly
//! ever what was meant.

use std::path::Path;

use compose::Project;
use compose::model::mount::MountKind;

/// Returns a warning for each source that looks like a file and does not exist.
pub(crate) fn warnings(project: &Project) -> Vec<String> {
    let mut warnings = Vec::new();
    for (name, service) in &project.services {
        let binds = service.mounts.iter().filter(|mount| mount.kind == MountKind::Bind);
        for (source, mount) in binds.filter_map(|mount| Some((mount.source.as_deref()?, mount))) {
            let is_made = mount.bind.as_ref().is_none_or(|bind| bind.create_host_path);
            // Folders that a program fills are often left to be made.
            if is_made && Path::new(source).extension().is_some() && !Path::new(source).exists() {
                warnings.push(format!("`{source}` does not exist: service `{name}` gets an empty folder in its place"));
            }
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use compose::model::mount::{BindOptions, Mount};
    use compose::model::service::Service;

    use super::*;

    #[test]
    fn a_file_that_is_not_there_is_named_and_a_folder_is_not() {
        let bind = |source: &str, create_host_path| Mount {
            kind: MountKind::Bind,
            source: Some(source.to_owned()),
            bind: Some(BindOptions { create_host_path, ..BindOptions::default() }),
            ..Mount::default()
        };
        let mounts = vec![
            bind("/nowhere/ap.py", true),
            bind("/nowhere/data", true),
            bind("/nowhere/refused.py", false),
            bind("/proc/self/mountinfo", true),
        ];
        let mut project = Project::default();
        project.services.insert("web".into(), Service { mounts, ..Service::default() });
        assert_eq!(
            warnings(&project),
            ["`/nowhere/ap.py` does not exist: service `web` gets an empty folder in its place"]
        );
    }
}
