//! How copied files are written: whose they are, and with which mode.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

use crate::build::owner::{Chmod, Owner};

/// Whose the written files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ownership {
    /// As in the source.
    Kept,
    /// These.
    Set(Owner),
}

/// How files are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Style {
    /// Their owner.
    pub ownership: Ownership,
    /// Their mode, if not that of the source.
    pub chmod: Option<Chmod>,
}

impl Style {
    /// Returns the owner of what is copied from a file.
    pub fn owner(&self, metadata: &Metadata) -> Owner {
        match self.ownership {
            Ownership::Kept => Owner { user: metadata.uid(), group: metadata.gid() },
            Ownership::Set(owner) => owner,
        }
    }

    /// Returns the owner of folders that are made on the way.
    pub fn parent_owner(&self) -> Owner {
        match self.ownership {
            Ownership::Kept => Owner::default(),
            Ownership::Set(owner) => owner,
        }
    }

    /// Returns the mode of what is copied from a file or folder of this mode.
    pub fn mode(&self, mode: u32, folder: bool) -> u32 {
        self.chmod.as_ref().map_or(mode & 0o7777, |chmod| chmod.apply(mode, folder))
    }
}
