//! A mount of a service.

use std::collections::BTreeMap;

use crate::model::bytes::Bytes;

/// What is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names of the Compose specification")]
pub enum MountKind {
    #[default]
    Volume,
    Bind,
    Tmpfs,
    Image,
    NamedPipe,
    Cluster,
}

/// One entry of `volumes`, in long form.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "each field is the attribute of the same name in the Compose specification")]
pub struct Mount {
    pub kind: MountKind,
    /// Absolute host path, volume key, or image; `None`: an anonymous volume.
    pub source: Option<String>,
    /// Absolute path in the container.
    pub target: String,
    pub read_only: bool,
    pub consistency: Option<String>,
    pub bind: Option<BindOptions>,
    pub volume: Option<VolumeOptions>,
    pub tmpfs: Option<TmpfsOptions>,
    pub image_subpath: Option<String>,
}

/// Options of a bind mount.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "each field is the attribute of the same name in the Compose specification")]
pub struct BindOptions {
    pub propagation: Option<String>,
    pub create_host_path: bool,
    pub selinux: Option<String>,
    pub recursive: Option<String>,
}

/// Options of a volume mount.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "each field is the attribute of the same name in the Compose specification")]
pub struct VolumeOptions {
    pub nocopy: bool,
    pub subpath: Option<String>,
    pub labels: BTreeMap<String, String>,
}

/// Options of a tmpfs mount.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "each field is the attribute of the same name in the Compose specification")]
pub struct TmpfsOptions {
    pub size: Option<Bytes>,
    pub mode: Option<u32>,
}
