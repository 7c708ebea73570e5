//! Finds containers, and what they are doing; what a killed keeper left behind is mended on the way.

use std::io;
use std::path::PathBuf;

use crate::Runtime;
use crate::container::names;
use crate::container::repair::{self, RepairError};
use crate::state::container::{ContainerRecord, StatusRecord};
use crate::state::record::{self, RecordError};

/// A container as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    /// What it is.
    pub record: ContainerRecord,
    /// What it is doing.
    pub status: StatusRecord,
}

/// Why a container was not found.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum FindError {
    #[error("no container `{name}`")]
    NotFound { name: String },
    #[error("`{prefix}` begins the ids of several containers")]
    Ambiguous { prefix: String },
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Repair(#[from] Box<RepairError>),
    #[error("cannot read `{path}`")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Returns every container, the oldest first.
pub fn list(rt: &Runtime) -> Result<Vec<Container>, FindError> {
    let mut containers = Vec::new();
    for id in ids(rt)? {
        if let Some(unfinished) = id.strip_prefix('.') {
            repair::sweep(rt, unfinished);
            continue;
        }
        // One that is removed this very moment is not there any more.
        let Some(container) = read(rt, &id)? else { continue };
        if container.record.auto_remove && container.status.status.is_over() && repair::remove_ended(rt, &id) {
            continue;
        }
        containers.push(container);
    }
    containers
        .sort_by(|a: &Container, b| (a.record.created_ms, &a.record.id).cmp(&(b.record.created_ms, &b.record.id)));
    Ok(containers)
}

/// Finds a container by name, id, or unique beginning of an id.
pub fn find(rt: &Runtime, name: &str) -> Result<Container, FindError> {
    let id = find_id(rt, name)?;
    read(rt, &id)?.ok_or_else(|| FindError::NotFound { name: name.into() })
}

/// Finds the id of a container by its name, id, or unique beginning of an id.
pub fn find_id(rt: &Runtime, name: &str) -> Result<String, FindError> {
    if let Some(id) = names::holder(rt, name) {
        return Ok(id);
    }
    let not_found = || FindError::NotFound { name: name.into() };
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(not_found());
    }
    if name.len() == 64 {
        return if rt.layout.bundle(name).lib.is_dir() { Ok(name.into()) } else { Err(not_found()) };
    }
    let mut matching = ids(rt)?.into_iter().filter(|id| id.starts_with(name));
    match (matching.next(), matching.next()) {
        (Some(id), None) => Ok(id),
        (Some(_), Some(_)) => Err(FindError::Ambiguous { prefix: name.into() }),
        (None, _) => Err(not_found()),
    }
}

/// Reads a container by its id, and mends it where its keeper was killed; `None`: it is not there.
pub fn read(rt: &Runtime, id: &str) -> Result<Option<Container>, FindError> {
    let bundle = rt.layout.bundle(id);
    let Some(record) = record::read::<ContainerRecord>(&bundle.record())? else { return Ok(None) };
    let status = record::read(&bundle.status())?.unwrap_or_else(StatusRecord::created);
    let status = repair::repair(rt, &record, status).map_err(Box::new)?;
    Ok(Some(Container { record, status }))
}

/// The folders of `containers`, finished or not.
fn ids(rt: &Runtime) -> Result<Vec<String>, FindError> {
    let path = rt.layout.containers();
    let error = |source| FindError::Io { path: path.clone(), source };
    let mut ids = Vec::new();
    for entry in std::fs::read_dir(&path).map_err(error)? {
        ids.extend(entry.map_err(error)?.file_name().into_string());
    }
    Ok(ids)
}
