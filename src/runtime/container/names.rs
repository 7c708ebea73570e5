//! Who has which name: one file a name, changed under one lock, so that a name is never given twice.

use crate::Runtime;
use crate::state::layout::Bundle;
use crate::state::record::{self, Lock, RecordError};

/// Takes the lock of all names.
pub fn lock(rt: &Runtime) -> Result<Lock, RecordError> {
    record::lock(&rt.layout.lock("names"))
}

/// Says whether this can be a name: it is a file name and a host name in more than one place.
pub fn is_valid(name: &str) -> bool {
    name.len() >= 2
        && name.len() <= 200
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

/// Returns the id of the container that has a name; a name whose container is gone is nobody's, and so is one whose
/// giver was killed before the id was in its file.
pub fn holder(rt: &Runtime, name: &str) -> Option<String> {
    if !is_valid(name) {
        return None;
    }
    let id = std::fs::read_to_string(rt.layout.name(name)).ok().filter(|id| is_id(id))?;
    let is_there = |bundle: Bundle| bundle.lib.is_dir();
    (is_there(rt.layout.bundle(&id)) || is_there(rt.layout.unfinished(&id))).then_some(id)
}

fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Gives a name to a container. The lock must be held.
pub fn give(rt: &Runtime, name: &str, id: &str, _lock: &Lock) -> Result<(), RecordError> {
    let path = rt.layout.name(name);
    std::fs::write(&path, id).map_err(|source| RecordError::Io { act: "write", path, source })
}

/// Takes a name back from a container, if it still has it. The lock must be held.
pub fn take_back(rt: &Runtime, name: &str, id: &str, _lock: &Lock) {
    let path = rt.layout.name(name);
    if std::fs::read_to_string(&path).is_ok_and(|holder| holder == id) {
        // What can't be removed is nobody's as soon as the bundle is gone.
        let _ = std::fs::remove_file(path);
    }
}

/// Takes back all names of a container that goes, of which `bundle` is left. The lock must be held.
pub fn give_up(rt: &Runtime, bundle: &Bundle, name: Option<&str>, id: &str, lock: &Lock) {
    match name {
        Some(name) if !bundle.renaming().exists() => take_back(rt, name, id, lock),
        Some(_) | None => take_back_all(rt, id),
    }
}

/// Takes back whatever name a container has, and all that are nobody's: those who gave them were killed.
fn take_back_all(rt: &Runtime, id: &str) {
    for entry in std::fs::read_dir(rt.layout.names()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| holder(rt, name).is_none_or(|holder| holder == id)) {
            // What stays is nobody's.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::layout::Layout;

    #[test]
    fn a_name_whose_giver_was_killed_half_way_is_nobodys() {
        let folder = tempfile::tempdir().unwrap();
        let rt = Runtime::open(Layout::under(folder.path())).unwrap();
        let id = "a".repeat(64);
        std::fs::create_dir_all(rt.layout.bundle(&id).lib).unwrap();
        for (text, holder) in [("", None), (&id[..12], None), (".", None), (id.as_str(), Some(id.clone()))] {
            std::fs::write(rt.layout.name("web"), text).unwrap();
            assert_eq!(super::holder(&rt, "web"), holder, "{text}");
        }
    }

    #[test]
    fn names_are_file_names() {
        for name in ["ab", "web-1", "A_b.c"] {
            assert!(is_valid(name), "{name}");
        }
        for name in ["", "a", "-a", ".a", "a/b", "..", "a b", "ä1", &"x".repeat(201)] {
            assert!(!is_valid(name), "{name}");
        }
    }
}
