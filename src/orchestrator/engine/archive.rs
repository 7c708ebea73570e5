//! Files in and out of a container, as tar streams.

use std::time::SystemTime;

/// Something at a path of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathStat {
    /// Last part of the path.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Type and permission bits as in `st_mode`.
    pub mode: u32,
    /// When its content last changed.
    pub modified: SystemTime,
    /// Where a symbolic link points.
    pub link_target: Option<String>,
}

impl PathStat {
    /// Whether it is a folder.
    pub fn is_folder(&self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }

    /// Whether it is a symbolic link.
    pub fn is_link(&self) -> bool {
        self.mode & 0o170_000 == 0o120_000
    }
}

/// How an archive is put into a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CopyIn {
    /// Keep the owners that the archive tells; otherwise the files belong to the container's root.
    pub keep_owners: bool,
    /// A folder may take the place of a file and a file that of a folder.
    pub replace_types: bool,
}

/// What a container changed against its image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PathChange {
    /// Absolute path in the container.
    pub path: String,
    /// How.
    pub kind: ChangeKind,
}

/// How a path changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum ChangeKind {
    Modified,
    Added,
    Deleted,
}
