//! Configs and secrets: files that a service's containers are given.

use compose::Project;
use compose::model::file_object::{Content, FileReference};
use compose::model::service::Service;

use crate::engine::container::{FileContent, FileMount};
use crate::engine::error::{EngineError, ErrorKind};
use crate::event::Failure;

/// Returns the files; what can't be given is added to `failures`.
pub(crate) fn files(project: &Project, service: &Service, failures: &mut Vec<Failure>) -> Vec<FileMount> {
    let configs = service.configs.iter().enumerate().map(|(index, reference)| {
        let content = project.configs.get(&reference.source).map(|config| &config.content);
        ("config", index, reference, content)
    });
    let secrets = service.secrets.iter().enumerate().map(|(index, reference)| {
        let content = project.secrets.get(&reference.source).map(|secret| &secret.content);
        ("secret", index, reference, content)
    });
    let mut files = Vec::new();
    for (kind, index, reference, content) in configs.chain(secrets) {
        match file(project, kind, reference, content) {
            Ok(file) => files.push(file),
            Err(error) => {
                failures.push(Failure::new(error, Some(format!("services.{}.{kind}s[{index}]", service.name))));
            }
        }
    }
    files
}

fn file(
    project: &Project,
    kind: &str,
    reference: &FileReference,
    content: Option<&Content>,
) -> Result<FileMount, EngineError> {
    let name = &reference.source;
    let failed = |error_kind, message: String| EngineError::new(error_kind, format!("{kind} `{name}`"), message);
    let content = match content {
        Some(Content::File(path)) => FileContent::Path(path.clone()),
        Some(Content::Inline(text)) => FileContent::Inline(text.clone().into_bytes()),
        Some(Content::Environment(variable)) => match project.environment.get(variable) {
            Some(value) => FileContent::Inline(value.clone().into_bytes()),
            None => {
                let message = format!("{kind} `{name}` needs the variable `{variable}`, which is not set");
                return Err(failed(ErrorKind::NotFound, message));
            }
        },
        Some(Content::External) => {
            let message = format!("{kind} `{name}` is external, and no store of {kind}s is there to take it from");
            return Err(failed(ErrorKind::Unsupported, message));
        }
        None => return Err(failed(ErrorKind::NotFound, format!("{kind} `{name}` is not defined"))),
    };
    Ok(FileMount {
        target: reference.target.clone(),
        content,
        uid: reference.uid.clone(),
        gid: reference.gid.clone(),
        mode: reference.mode,
    })
}
