//! Gives a container another name.

use crate::Runtime;
use crate::container::list::{self, FindError};
use crate::container::names;
use crate::state::occurrence;
use crate::state::record::{self, RecordError};

/// Why a container could not be given another name.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum RenameError {
    #[error(transparent)]
    Find(#[from] FindError),
    #[error(
        "`{name}` is not a container name: letters, digits, `_`, `.` and `-`, at least two, beginning with a letter or digit"
    )]
    Name { name: String },
    #[error("the name `{name}` is taken by container {}", &id[..12.min(id.len())])]
    Taken { name: String, id: String },
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Gives a container another name; its own is success.
pub fn rename(rt: &Runtime, name: &str, new: &str) -> Result<(), RenameError> {
    if !names::is_valid(new) {
        return Err(RenameError::Name { name: new.into() });
    }
    let id = list::find_id(rt, name)?;
    let _act = record::lock(&rt.layout.bundle(&id).act_lock())?;
    let lock = names::lock(rt)?;
    let mut container = list::find(rt, &id)?.record;
    let renaming = rt.layout.bundle(&id).renaming();
    std::fs::write(&renaming, "").map_err(|source| RecordError::Io { act: "write", path: renaming.clone(), source })?;
    // It may have the name already and not know: whoever gave it was killed then.
    match names::holder(rt, new) {
        Some(other) if other != id => return Err(RenameError::Taken { name: new.into(), id: other }),
        Some(_) | None => names::give(rt, new, &id, &lock)?,
    }
    let old = std::mem::replace(&mut container.name, new.into());
    if let Err(error) = record::write(&rt.layout.bundle(&id).record(), &container) {
        names::take_back(rt, new, &id, &lock);
        return Err(error.into());
    }
    for former in [name, &old].into_iter().filter(|former| *former != new) {
        names::take_back(rt, former, &id, &lock);
    }
    // One that stays makes the removal look for more names than there are.
    let _ = std::fs::remove_file(renaming);
    if old == new {
        return Ok(());
    }
    occurrence::of_container(&rt.layout, &container, "rename", &[("oldName", format!("/{old}"))]);
    Ok(())
}
