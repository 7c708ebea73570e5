//! Configs and secrets: files that a service's containers are given.

use compose::Project;
use compose::model::file_object::{Content, FileReference};
use compose::model::service::Service;
use sha2::{Digest, Sha256};

use crate::engine::container::{FileContent, FileMount, Mount, MountSource};
use crate::engine::error::{EngineError, ErrorKind};
use crate::event::Failure;

/// Returns the files, and those that are mounted as they are: a host file for which the service asks no owner or
/// mode of its own, so that edits show at once. What can't be given is added to `failures`.
pub(crate) fn files(project: &Project, service: &Service, failures: &mut Vec<Failure>) -> (Vec<FileMount>, Vec<Mount>) {
    let configs = service.configs.iter().enumerate().map(|(index, reference)| {
        let content = project.configs.get(&reference.source).map(|config| &config.content);
        ("config", index, reference, content)
    });
    let secrets = service.secrets.iter().enumerate().map(|(index, reference)| {
        let content = project.secrets.get(&reference.source).map(|secret| &secret.content);
        ("secret", index, reference, content)
    });
    let (mut files, mut mounts) = (Vec::new(), Vec::new());
    for (kind, index, reference, content) in configs.chain(secrets) {
        match file(project, kind, reference, content) {
            Ok(FileMount { target, content: FileContent::Path(path), uid: None, gid: None, mode: None }) => {
                let source =
                    MountSource::Bind { path, create: false, propagation: None, recursive: None, selinux: None };
                mounts.push(Mount { source, target, read_only: true });
            }
            Ok(file) => files.push(file),
            Err(error) => {
                failures.push(Failure::new(error, Some(format!("services.{}.{kind}s[{index}]", service.name))));
            }
        }
    }
    (files, mounts)
}

/// Returns a hash of the contents that are copied into a container, which the configuration's hash does not know.
pub(crate) fn hash(files: &[FileMount]) -> Option<String> {
    let mut hash = Sha256::new();
    let mut any = false;
    for file in files {
        if let FileContent::Inline(bytes) = &file.content {
            any = true;
            hash.update(file.target.as_bytes());
            hash.update([0]);
            hash.update(bytes.len().to_le_bytes());
            hash.update(bytes);
        }
    }
    any.then(|| hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
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
    // The file may name its place relative to where such files are by default.
    let folder = if kind == "secret" { "/run/secrets" } else { "" };
    let target = match reference.target.as_str() {
        "" => format!("{folder}/{name}"),
        target if target.starts_with('/') => target.to_owned(),
        target => format!("{folder}/{target}"),
    };
    Ok(FileMount { target, content, uid: reference.uid.clone(), gid: reference.gid.clone(), mode: reference.mode })
}
