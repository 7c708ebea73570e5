//! Files in and out of containers, what they changed, and images made of them.

use std::os::fd::OwnedFd;
use std::time::SystemTime;

use orchestrator::engine::archive::{ChangeKind, CopyIn, PathChange, PathStat};
use orchestrator::engine::container::CommitSpec;
use orchestrator::engine::error::EngineError;
use runtime::Runtime;
use runtime::container::commit::{self, CommitRequest};
use runtime::container::{changes, copy};

use crate::embedded::engine::blocking;
use crate::embedded::errors;
use crate::embedded::stamp;

pub(crate) async fn stat(rt: &Runtime, id: String, path: String) -> Result<PathStat, EngineError> {
    blocking(rt, move |rt| {
        let stat = copy::stat(rt, &id, &path).map_err(|error| errors::path(&id, &path, &error))?;
        Ok(PathStat {
            name: stat.name,
            size: stat.size,
            mode: stat.mode,
            modified: stat.modified,
            link_target: stat.link_target,
        })
    })
    .await
}

pub(crate) async fn copy_out(rt: &Runtime, id: String, path: String, archive: OwnedFd) -> Result<(), EngineError> {
    blocking(rt, move |rt| copy::copy_out(rt, &id, &path, archive).map_err(|error| errors::path(&id, &path, &error)))
        .await
}

pub(crate) async fn copy_in(
    rt: &Runtime,
    id: String,
    path: String,
    archive: OwnedFd,
    options: CopyIn,
) -> Result<(), EngineError> {
    let options = copy::CopyIn { keep_owners: options.keep_owners, replace_types: options.replace_types };
    blocking(rt, move |rt| {
        copy::copy_in(rt, &id, &path, archive, options).map_err(|error| errors::path(&id, &path, &error))
    })
    .await
}

pub(crate) async fn remove(rt: &Runtime, id: String, paths: Vec<String>) -> Result<(), EngineError> {
    blocking(rt, move |rt| copy::remove(rt, &id, &paths).map_err(|error| errors::act(&id, &error))).await
}

pub(crate) async fn changes(rt: &Runtime, id: String) -> Result<Vec<PathChange>, EngineError> {
    blocking(rt, move |rt| {
        let found = changes::changes(rt, &id).map_err(|error| errors::act(&id, &error))?;
        let change = |change: changes::PathChange| PathChange {
            path: change.path,
            kind: match change.kind {
                changes::ChangeKind::Modified => ChangeKind::Modified,
                changes::ChangeKind::Added => ChangeKind::Added,
                changes::ChangeKind::Deleted => ChangeKind::Deleted,
            },
        };
        Ok(found.into_iter().map(change).collect())
    })
    .await
}

pub(crate) async fn export(rt: &Runtime, id: String, archive: OwnedFd) -> Result<(), EngineError> {
    blocking(rt, move |rt| copy::export(rt, &id, archive).map_err(|error| errors::act(&id, &error))).await
}

pub(crate) async fn commit(rt: &Runtime, id: String, spec: &CommitSpec) -> Result<String, EngineError> {
    let request = CommitRequest {
        reference: spec.reference.clone(),
        author: spec.author.clone(),
        message: spec.message.clone(),
        changes: spec.changes.clone(),
        pause: spec.pause,
        created: stamp::format(SystemTime::now()),
    };
    blocking(rt, move |rt| commit::commit(rt, &id, &request).map_err(|error| errors::commit(&id, &error))).await
}
